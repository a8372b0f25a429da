"""Z-score: distance from the sliding mean, in sliding standard deviations."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Field
from detectors.kernels.band import half_width, judge
from detectors.kernels.moments import VALUE_MAX
from detectors.kernels.sums import moved, sum_again
from detectors.ticks import in_ticks
from detectors.windowed import Windowed, check_window
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.jit import kernel


@dataclass(frozen=True, slots=True)
class ZscoreParams:
    """Mean and standard deviation of a window; quicker than mad, but outliers widen the band."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    window: str = "1h"
    """How much of the past is compared with, as a duration; at most 20000 steps."""
    threshold: float = 4.0
    """Standard deviations from the mean to the edge of the band."""
    warmup: int = 30
    """Samples in the window before a series gets a score; at most what the window holds."""

    def __post_init__(self) -> None:
        check_window(self.window, self.warmup)
        if not 0.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")


@kernel
def _step(
    edges: Times,
    rows: Rows,
    timestamps_ms: Times,
    values: Floats,
    ring: Floats,
    newest: Times,
    count: Rows,
    center: Floats,
    total: Floats,
    squares: Floats,
    step_ms: int,
    threshold: float,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn, tick by tick; out: (4, n) score, expected, lower, upper.

    See `kernels/window.py` for the arrays of the window. total, squares: sums of distances from
    `center` and of their squares. They are made anew each time the ring wraps, so rounding never
    gathers over more than a window.
    """
    score, expected, lower, upper = out[0], out[1], out[2], out[3]
    window = ring.shape[0]
    for tick in range(len(edges) - 1):
        now = int(timestamps_ms[edges[tick]]) // step_ms
        for i in range(edges[tick], edges[tick + 1]):
            row = int(rows[i])
            x = float(values[i])
            step = max(now, int(newest[row])) if count[row] > 0 else now
            c, t, s = float(center[row]), float(total[row]), float(squares[row])
            for missed in range(max(int(newest[row]) + 1, step - window), step):
                if count[row] == 0:
                    break
                left = float(ring[missed % window, row])
                t, s = moved(c, t, s, left, -1)
                ring[missed % window, row] = math.inf
                count[row] -= left < math.inf
            known = int(count[row])
            score[i] = expected[i] = lower[i] = upper[i] = math.nan
            if known >= warmup:
                m = t / known
                variance = max(s / known - m * m, 0.0)
                m = c + m
                half = half_width(m, threshold * math.sqrt(variance))
                judge(score, expected, lower, upper, i, x, m, m - half, m + half)
            there = abs(x) <= VALUE_MAX
            if there or (known > 0 and newest[row] < step):
                place = step % window
                old = float(ring[place, row])
                new = x if there else math.inf
                if known == 0:
                    c, t, s = x, 0.0, 0.0
                t, s = moved(c, t, s, old, -1)
                t, s = moved(c, t, s, new, 1)
                wraps = newest[row] // window != step // window
                ring[place, row] = new
                count[row] = known + (new < math.inf) - (old < math.inf)
                newest[row] = step
                center[row], total[row], squares[row] = c, t, s
                if wraps:
                    sum_again(ring, row, count, center, total, squares)


class Zscore(Windowed):
    """Sliding mean and (population) standard deviation.

    Floor: half the band is at least 0.1 % of the mean (see `kernels/band.py`). A value beyond 1e150
    is judged, not learned.
    """

    kind: ClassVar[str] = "zscore"
    Params = ZscoreParams

    def fields(self) -> tuple[Field, ...]:
        sums = ("center", "total", "squares")
        return (*super().fields(), *(Field(name, np.float64) for name in sums))

    def step(self, batch: RowBatch) -> ScoreColumns:
        ticks = in_ticks(batch)
        out = np.empty((4, len(batch)))
        _step(
            ticks.edges,
            ticks.rows,
            ticks.timestamps_ms,
            ticks.values,
            self.array("ring"),
            self.array("newest"),
            self.array("count"),
            self.array("center"),
            self.array("total"),
            self.array("squares"),
            self.step_ms,
            self.params.threshold,
            self.warmup,
            out,
        )
        return ticks.columns(out)
