"""CUSUM: small deviations that keep to one side add up; made for level shifts."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Detector, Field
from detectors.kernels.band import half_width
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
class CusumParams:
    """Cumulative sum against a slow baseline; sees shifts too small for a single sample."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    alpha: float = 0.02
    """Weight of the newest sample in the baseline, in (0, 1]; 0.02 remembers about 100 samples."""
    slack: float = 0.5
    """Standard deviations that a sample may deviate without adding to the sum."""
    threshold: float = 8.0
    """The sum, in standard deviations, at which the score is 1."""
    rebase: int = 60
    """Samples above the threshold after which the new level is the baseline."""
    warmup: int = 30
    """Samples of a series before its first score."""

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha <= 1.0:
            raise ValueError(f"alpha must be in (0, 1], got {self.alpha}")
        if not 0.0 <= self.slack < math.inf:
            raise ValueError(f"slack must be at least 0 and finite, got {self.slack}")
        if not 0.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")
        for name, count in (("rebase", self.rebase), ("warmup", self.warmup)):
            if not 1 <= count <= 1_000_000:
                raise ValueError(f"{name} must be between 1 and 1000000 samples, got {count}")


@inlined
def _standardised(x: float, m: float, variance: float, most: float) -> float:
    """The deviation in standard deviations, at most `most` either way."""
    return min(max((x - m) / half_width(m, math.sqrt(variance)), -most), most)


@kernel
def _step_steady(
    values: Floats,
    at_ms: int,
    mean: Floats,
    variance: Floats,
    newest_ms: Times,
    up: Floats,
    down: Floats,
    beyond: Rows,
    alpha: float,
    slack: float,
    threshold: float,
    score: Floats,
    expected: Floats,
) -> int:
    """One instant of neighbouring rows that all are steady: no branch, so it is vectorised.

    Returns how many are beyond the threshold.
    """
    far = 0
    for i in range(len(values)):
        x = float(values[i])
        m = float(mean[i])
        v = float(variance[i])
        there = abs(x) <= VALUE_MAX
        z = _standardised(x, m, v, threshold + slack)
        above = max(0.0, float(up[i]) + z - slack)
        below = max(0.0, float(down[i]) - z - slack)
        judged = max(above, below) / threshold
        usual = there & (judged <= 1.0)
        passed = there & (judged > 1.0)
        far += passed
        beyond[i] = beyond[i] + 1 if passed else (0 if there else beyond[i])
        score[i] = judged if there else math.nan
        expected[i] = m if there else math.nan
        up[i] = above if there else up[i]
        down[i] = below if there else down[i]
        moved, spread = learned(m, v, x, alpha)
        mean[i] = moved if usual else m
        variance[i] = spread if usual else v
        newest_ms[i] = at_ms if there else newest_ms[i]
    return far


@kernel
def _step_plain(
    rows: Rows,
    values: Floats,
    at_ms: int,
    mean: Floats,
    variance: Floats,
    count: Rows,
    newest_ms: Times,
    up: Floats,
    down: Floats,
    beyond: Rows,
    step_ms: int,
    alpha: float,
    slack: float,
    threshold: float,
    warmup: int,
    settled: int,
    score: Floats,
    expected: Floats,
) -> int:
    """The same for rows of any kind: scattered, young, or back from a gap."""
    far = 0
    for i in range(len(values)):
        row = int(rows[i])
        x = float(values[i])
        m, v = float(mean[row]), float(variance[row])
        score[i] = math.nan
        expected[i] = math.nan
        if not abs(x) <= VALUE_MAX:
            continue
        elapsed = elapsed_steps(int(newest_ms[row]), at_ms, step_ms)
        newest_ms[row] = at_ms
        if count[row] >= warmup:
            z = _standardised(x, m, v, threshold + slack)
            up[row] = max(0.0, float(up[row]) + z - slack)
            down[row] = max(0.0, float(down[row]) - z - slack)
            score[i] = max(float(up[row]), float(down[row])) / threshold
            expected[i] = m
            if score[i] > 1.0:
                beyond[row] += 1
                far += 1
                continue
        beyond[row] = 0
        weight = weight_of(alpha, elapsed, int(count[row]))
        mean[row], variance[row] = learned(m, v, x, weight)
        count[row] = min(count[row] + 1, settled)
    return far


@kernel
def _rebase(
    rows: Rows,
    values: Floats,
    score: Floats,
    mean: Floats,
    up: Floats,
    down: Floats,
    beyond: Rows,
    shifted: Floats,
    rebase: int,
) -> None:
    """Keep the mean of the samples beyond the threshold; after `rebase` it is the baseline."""
    for i in range(len(values)):
        if score[i] > 1.0:
            row = int(rows[i])
            before = float(shifted[row]) if beyond[row] > 1 else 0.0
            shifted[row] = before + (float(values[i]) - before) / int(beyond[row])
            if beyond[row] >= rebase:
                mean[row] = shifted[row]
                up[row] = 0.0
                down[row] = 0.0
                beyond[row] = 0


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
    up: Floats,
    down: Floats,
    beyond: Rows,
    shifted: Floats,
    step_ms: int,
    alpha: float,
    slack: float,
    threshold: float,
    rebase: int,
    warmup: int,
    score: Floats,
    expected: Floats,
) -> None:
    """Score, then learn, tick by tick.

    Page, Continuous Inspection Schemes, Biometrika 1954, on deviations standardised by a baseline
    that learns only while the sum is below its threshold. We depart from it in two things. A
    deviation counts at most threshold + slack, so that one spike alone never passes 1. And after
    `rebase` samples beyond the threshold the mean of these samples becomes the baseline.

    up, down: the sums. beyond: samples beyond the threshold in a row. shifted: their mean.
    """
    settled = max(warmup, int(1.0 / alpha) + 1)
    for tick in range(len(edges) - 1):
        at_ms = int(timestamps_ms[edges[tick]])
        for begin in range(edges[tick], edges[tick + 1], BLOCK):
            end = min(begin + BLOCK, edges[tick + 1])
            first = int(rows[begin])
            near = slice(first, first + end - begin)
            here = slice(begin, end)
            if rows[end - 1] - first == end - begin - 1 and are_steady(
                newest_ms[near], count[near], at_ms, step_ms, settled
            ):
                far = _step_steady(
                    values[here],
                    at_ms,
                    mean[near],
                    variance[near],
                    newest_ms[near],
                    up[near],
                    down[near],
                    beyond[near],
                    alpha,
                    slack,
                    threshold,
                    score[here],
                    expected[here],
                )
            else:
                far = _step_plain(
                    rows[here],
                    values[here],
                    at_ms,
                    mean,
                    variance,
                    count,
                    newest_ms,
                    up,
                    down,
                    beyond,
                    step_ms,
                    alpha,
                    slack,
                    threshold,
                    warmup,
                    settled,
                    score[here],
                    expected[here],
                )
            if far:
                _rebase(
                    rows[here], values[here], score[here], mean, up, down, beyond, shifted, rebase
                )


class Cusum(Detector):
    """Two-sided cumulative sum with a baseline that moves to a lasting new level.

    It has no band: the expected value is the baseline, and the score is the larger of the two sums
    in thresholds. Floor: a standard deviation is at least 0.1 % of the baseline.
    """

    kind: ClassVar[str] = "cusum"
    Params = CusumParams

    def fields(self) -> tuple[Field, ...]:
        return (
            *(Field(name, np.float64) for name in ("mean", "variance", "up", "down", "shifted")),
            Field("count", np.int32),
            Field("beyond", np.int32),
            Field("newest_ms", np.int64),
        )

    def step(self, batch: RowBatch) -> ScoreColumns:
        ticks = in_ticks(batch)
        out = np.empty((2, len(batch)))
        _step(
            ticks.edges,
            ticks.rows,
            ticks.timestamps_ms,
            ticks.values,
            self.array("mean"),
            self.array("variance"),
            self.array("count"),
            self.array("newest_ms"),
            self.array("up"),
            self.array("down"),
            self.array("beyond"),
            self.array("shifted"),
            self.step_ms,
            self.params.alpha,
            self.params.slack,
            self.params.threshold,
            self.params.rebase,
            self.params.warmup,
            out[0],
            out[1],
        )
        return ticks.columns(out)
