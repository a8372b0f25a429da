"""Quantile: a band between two quantiles of the sliding window, with a margin around it."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Field
from detectors.kernels.band import half_width, judge
from detectors.kernels.jit import kernel
from detectors.kernels.order import median, quantile
from detectors.kernels.window import expire, push
from detectors.windowed import Windowed, check_window
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times


@dataclass(frozen=True, slots=True)
class QuantileParams:
    """A band from what the window held; right for skewed series, whose two sides differ."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    window: str = "1h"
    """How much of the past is compared with, as a duration; at most 20000 steps."""
    low: float = 0.01
    """The quantile under the band, in [0, 0.5)."""
    high: float = 0.99
    """The quantile over the band, in (0.5, 1]."""
    margin: float = 1.5
    """Added on both sides, in interquartile ranges."""
    warmup: int = 30
    """Samples in the window before a series gets a score; at most what the window holds."""

    def __post_init__(self) -> None:
        check_window(self.window, self.warmup)
        if not 0.0 <= self.low < 0.5:
            raise ValueError(f"low must be in [0, 0.5), got {self.low}")
        if not 0.5 < self.high <= 1.0:
            raise ValueError(f"high must be in (0.5, 1], got {self.high}")
        if not 0.0 <= self.margin < math.inf:
            raise ValueError(f"margin must be at least 0 and finite, got {self.margin}")


@kernel
def _step(
    rows: Rows,
    timestamps_ms: Times,
    values: Floats,
    ring: Floats,
    ring_ms: Times,
    ordered: Floats,
    head: Rows,
    count: Rows,
    window_ms: int,
    low: float,
    high: float,
    margin: float,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn, sample by sample; out: (4, n) score, expected, lower, upper.

    See `kernels/window.py` for the arrays of the window.
    """
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        expire(ring, ring_ms, ordered, head, count, row, timestamps_ms[i] - window_ms)
        out[:, i] = np.nan
        if count[row] >= warmup:
            own = ordered[row]
            m = median(own, count[row])
            range_ = quantile(own, count[row], 0.75) - quantile(own, count[row], 0.25)
            lower = m - half_width(m, m - quantile(own, count[row], low) + margin * range_)
            upper = m + half_width(m, quantile(own, count[row], high) - m + margin * range_)
            judge(out, i, x, m, lower, upper)
        if math.isfinite(x):
            push(ring, ring_ms, ordered, head, count, row, timestamps_ms[i], x)


class Quantile(Windowed):
    """Quantiles of the sliding window, exact; expected is the median.

    Floor: each side of the band is at least 0.1 % of the median wide (see `kernels/band.py`).
    """

    kind: ClassVar[str] = "quantile"
    Params = QuantileParams

    def fields(self) -> tuple[Field, ...]:
        return (*super().fields(), Field("ordered", np.float64, (self.window,)))

    def step(self, batch: RowBatch) -> ScoreColumns:
        out = np.empty((4, len(batch)))
        _step(
            batch.rows,
            batch.timestamps_ms,
            batch.values,
            self.array("ring"),
            self.array("ring_ms"),
            self.array("ordered"),
            self.array("head"),
            self.array("count"),
            self.window_ms,
            self.params.low,
            self.params.high,
            self.params.margin,
            self.warmup,
            out,
        )
        return ScoreColumns(*out)
