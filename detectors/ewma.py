"""EWMA: distance from a moving mean, in moving standard deviations."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Detector, Field
from detectors.kernels.band import edge_score, half_width
from detectors.kernels.moments import (
    BLOCK,
    VALUE_MAX,
    are_steady,
    elapsed_steps,
    learned,
    weight_of,
)
from detectors.ticks import in_ticks
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.jit import inlined, kernel


@dataclass(frozen=True, slots=True)
class EwmaParams:
    """Exponentially weighted mean and variance; quick, small, forgets evenly."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    alpha: float = 0.05
    """Weight of the newest sample, in (0, 1]; 0.05 remembers about the last 40 samples."""
    threshold: float = 4.0
    """Standard deviations from the mean to the edge of the band."""
    warmup: int = 30
    """Samples of a series before its first score."""

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha <= 1.0:
            raise ValueError(f"alpha must be in (0, 1], got {self.alpha}")
        if not 0.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")
        if not 1 <= self.warmup <= 1_000_000:
            raise ValueError(f"warmup must be between 1 and 1000000 samples, got {self.warmup}")


@inlined
def _judge(
    i: int,
    x: float,
    m: float,
    variance: float,
    threshold: float,
    ready: bool,
    score: Floats,
    expected: Floats,
    lower: Floats,
    upper: Floats,
) -> None:
    """Write what is to be said of sample `i`; NaN when there are too few to compare with."""
    half = half_width(m, threshold * math.sqrt(variance))
    low = m - half
    high = m + half
    score[i] = edge_score(x, m, low, high) if ready and abs(x) < math.inf else math.nan
    expected[i] = m if ready else math.nan
    lower[i] = low if ready else math.nan
    upper[i] = high if ready else math.nan


@kernel
def _step_steady(
    values: Floats,
    at_ms: int,
    mean: Floats,
    variance: Floats,
    newest_ms: Times,
    alpha: float,
    threshold: float,
    score: Floats,
    expected: Floats,
    lower: Floats,
    upper: Floats,
) -> None:
    """One instant of neighbouring rows that are all steady: no branch, so it is vectorised."""
    for i in range(len(values)):
        x = float(values[i])
        m = float(mean[i])
        v = float(variance[i])
        _judge(i, x, m, v, threshold, True, score, expected, lower, upper)
        there = abs(x) <= VALUE_MAX
        moved, spread = learned(m, v, x, alpha)
        mean[i] = moved if there else m
        variance[i] = spread if there else v
        newest_ms[i] = at_ms if there else newest_ms[i]


@kernel
def _step(
    edges: Times,
    rows: Rows,
    timestamps_ms: Times,
    values: Floats,
    mean: Floats,
    variance: Floats,
    count: Rows,
    newest_ms: Times,
    step_ms: int,
    alpha: float,
    threshold: float,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn, tick by tick; out: (4, n) score, expected, lower, upper."""
    score, expected, lower, upper = out[0], out[1], out[2], out[3]
    settled = max(warmup, int(1.0 / alpha) + 1)
    for tick in range(len(edges) - 1):
        at_ms = int(timestamps_ms[edges[tick]])
        for begin in range(edges[tick], edges[tick + 1], BLOCK):
            end = min(begin + BLOCK, edges[tick + 1])
            first = int(rows[begin])
            near = slice(first, first + end - begin)
            if rows[end - 1] - first == end - begin - 1 and are_steady(
                newest_ms[near], count[near], at_ms, step_ms, settled
            ):
                _step_steady(
                    values[begin:end],
                    at_ms,
                    mean[near],
                    variance[near],
                    newest_ms[near],
                    alpha,
                    threshold,
                    score[begin:end],
                    expected[begin:end],
                    lower[begin:end],
                    upper[begin:end],
                )
                continue
            for i in range(begin, end):
                row = int(rows[i])
                x = float(values[i])
                m, v = float(mean[row]), float(variance[row])
                ready = count[row] >= warmup
                _judge(i, x, m, v, threshold, ready, score, expected, lower, upper)
                if abs(x) <= VALUE_MAX:
                    elapsed = elapsed_steps(int(newest_ms[row]), at_ms, step_ms)
                    weight = weight_of(alpha, elapsed, int(count[row]))
                    mean[row], variance[row] = learned(m, v, x, weight)
                    count[row] = min(count[row] + 1, settled)
                    newest_ms[row] = at_ms


class Ewma(Detector):
    """Moving mean and variance that forget exponentially, by time: a gap forgets as it lasts.

    Floor: half the band is at least 0.1 % of the mean (see `kernels/band.py`). A level shift is
    learned within a few times 1/alpha samples. A value beyond 1e150 is judged, not learned.
    """

    kind: ClassVar[str] = "ewma"
    Params = EwmaParams

    def fields(self) -> tuple[Field, ...]:
        return (
            Field("mean", np.float64),
            Field("variance", np.float64),
            Field("count", np.int32),
            Field("newest_ms", np.int64),
        )

    def step(self, batch: RowBatch) -> ScoreColumns:
        ticks = in_ticks(batch)
        out = np.empty((4, len(batch)))
        _step(
            ticks.edges,
            ticks.rows,
            ticks.timestamps_ms,
            ticks.values,
            self.array("mean"),
            self.array("variance"),
            self.array("count"),
            self.array("newest_ms"),
            self.step_ms,
            self.params.alpha,
            self.params.threshold,
            self.params.warmup,
            out,
        )
        return ticks.columns(out)
