"""Z-score: distance from the sliding mean, in sliding standard deviations."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Field
from detectors.kernels.band import half_width, judge
from detectors.kernels.jit import kernel
from detectors.windowed import Windowed, check_window
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times


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
def _add(center: Floats, total: Floats, squares: Floats, row: int, value: float, sign: int) -> None:
    """Let a value into the sums of `row`, or, with sign -1, out of them."""
    distance = value - float(center[row])
    total[row] = float(total[row]) + sign * distance
    squares[row] = float(squares[row]) + sign * (distance * distance)


@kernel
def _sum_again(
    ring: Floats, head: Rows, count: Rows, row: int, center: Floats, total: Floats, squares: Floats
) -> None:
    """Sum the window of `row` anew around its newest mean: what rounding took comes back."""
    if count[row] > 0 and math.isfinite(total[row]):
        moved = float(center[row]) + float(total[row]) / int(count[row])
        if math.isfinite(moved):
            center[row] = moved
    total[row] = 0.0
    squares[row] = 0.0
    for k in range(count[row]):
        _add(center, total, squares, row, float(ring[row, (head[row] + k) % ring.shape[1]]), 1)


@kernel
def _drop_oldest(
    ring: Floats, head: Rows, count: Rows, row: int, center: Floats, total: Floats, squares: Floats
) -> None:
    """Take the oldest sample of `row` out of its window."""
    _add(center, total, squares, row, float(ring[row, head[row]]), -1)
    head[row] = (head[row] + 1) % ring.shape[1]
    count[row] -= 1
    if count[row] == 0 or head[row] == 0:
        _sum_again(ring, head, count, row, center, total, squares)


@kernel
def _step(
    rows: Rows,
    timestamps_ms: Times,
    values: Floats,
    ring: Floats,
    ring_ms: Times,
    head: Rows,
    count: Rows,
    center: Floats,
    total: Floats,
    squares: Floats,
    window_ms: int,
    threshold: float,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn, sample by sample; out: (4, n) score, expected, lower, upper.

    total, squares: sums of distances from `center` and of their squares over the window. They are
    made anew from the ring each time it wraps, so rounding never gathers over more than a window.
    """
    capacity = ring.shape[1]
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        while count[row] > 0 and ring_ms[row, head[row]] < timestamps_ms[i] - window_ms:
            _drop_oldest(ring, head, count, row, center, total, squares)
        out[:, i] = np.nan
        if count[row] >= warmup and math.isfinite(total[row]) and math.isfinite(squares[row]):
            mean = float(total[row]) / int(count[row])
            variance = max(float(squares[row]) / int(count[row]) - mean * mean, 0.0)
            m = float(center[row]) + mean
            half = half_width(m, threshold * math.sqrt(variance))
            judge(out, i, x, m, m - half, m + half)
        if not math.isfinite(x):
            continue
        if count[row] == capacity:
            _drop_oldest(ring, head, count, row, center, total, squares)
        if count[row] == 0:
            center[row] = x
        place = (head[row] + count[row]) % capacity
        ring[row, place] = x
        ring_ms[row, place] = timestamps_ms[i]
        count[row] += 1
        _add(center, total, squares, row, x, 1)


class Zscore(Windowed):
    """Sliding mean and (population) standard deviation.

    Floor: half the band is at least 0.1 % of the mean (see `kernels/band.py`). While the window
    holds a value too large to square there is no judgement.
    """

    kind: ClassVar[str] = "zscore"
    Params = ZscoreParams

    def fields(self) -> tuple[Field, ...]:
        sums = ("center", "total", "squares")
        return (*super().fields(), *(Field(name, np.float64) for name in sums))

    def step(self, batch: RowBatch) -> ScoreColumns:
        out = np.empty((4, len(batch)))
        _step(
            batch.rows,
            batch.timestamps_ms,
            batch.values,
            self.array("ring"),
            self.array("ring_ms"),
            self.array("head"),
            self.array("count"),
            self.array("center"),
            self.array("total"),
            self.array("squares"),
            self.window_ms,
            self.params.threshold,
            self.warmup,
            out,
        )
        return ScoreColumns(*out)
