"""Quantile: a band between two quantiles of the sliding window, with a margin around it."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.kernels.band import half_width, judge
from detectors.kernels.order import (
    Counts,
    Entries,
    Places,
    median,
    quantile,
)
from detectors.kernels.window import enter, learn
from detectors.ticks import in_ticks
from detectors.windowed import Ordered, Precision, check_precision, check_window
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.jit import borrow, kernel


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
    precision: Precision = "single"
    """How the window is kept: single takes half the memory and is good to 0.1 % of half the band;
    double keeps every digit, and learns values beyond 1e37."""

    def __post_init__(self) -> None:
        check_precision(self.precision)
        check_window(self.window, self.warmup)
        if not 0.0 <= self.low < 0.5:
            raise ValueError(f"low must be in [0, 0.5), got {self.low}")
        if not 0.5 < self.high <= 1.0:
            raise ValueError(f"high must be in (0.5, 1], got {self.high}")
        if not 0.0 <= self.margin < math.inf:
            raise ValueError(f"margin must be at least 0 and finite, got {self.margin}")


@kernel
def _step(
    edges: Times,
    rows: Rows,
    timestamps_ms: Times,
    values: Floats,
    ring: Entries,
    newest: Times,
    count: Rows,
    offset: Floats,
    all_entries: Entries,
    all_low: Entries,
    all_before: Counts | None,
    all_near: Places | None,
    step_ms: int,
    low_share: float,
    high_share: float,
    margin: float,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn, tick by tick; out: (4, n) score, expected, lower, upper.

    See `kernels/window.py` and `kernels/order.py` for the arrays of the window.
    """
    out, all_entries = borrow(out), borrow(all_entries)
    score, expected, lower, upper = out[0], out[1], out[2], out[3]
    spare = np.empty(all_entries.shape[1], all_entries.dtype)
    rows, values, ring, newest = borrow(rows), borrow(values), borrow(ring), borrow(newest)
    count, offset = borrow(count), borrow(offset)
    for tick in range(len(edges) - 1):
        now = int(timestamps_ms[edges[tick]]) // step_ms
        home = now % len(ring)
        here = slice(edges[tick], edges[tick + 1])
        enter(
            rows[here],
            values[here],
            now,
            ring,
            newest,
            count,
            offset,
            all_entries,
            all_low,
            all_before,
            spare,
        )
        for i in range(edges[tick], edges[tick + 1]):
            row = int(rows[i])
            x = float(values[i])
            entries = all_entries[row]
            low = None if all_low is None else borrow(all_low)[row]
            before = None if all_before is None else borrow(all_before)[row]
            near = None if all_near is None else borrow(all_near)[row]
            known = int(count[row])
            step = max(now, int(newest[row])) if known > 0 else now
            score[i] = expected[i] = lower[i] = upper[i] = math.nan
            if known >= warmup:
                m = median(entries, before, near, known)
                bottom = quantile(entries, before, near, known, low_share)
                top = quantile(entries, before, near, known, high_share)
                more = margin * (
                    quantile(entries, before, near, known, 0.75)
                    - quantile(entries, before, near, known, 0.25)
                )
                below, above = m - bottom + more, top - m + more
                m = float(offset[row]) + m
                below, above = m - half_width(m, below), m + half_width(m, above)
                judge(score, expected, lower, upper, i, x, m, below, above)
            place = home if step == now else step % len(ring)
            learn(ring, newest, count, offset, row, step, place, x, entries, low, before, spare)


class Quantile(Ordered):
    """Quantiles of the sliding window, exact; expected is the median.

    Floor: each side of the band is at least 0.1 % of the median wide (see `kernels/band.py`).
    """

    kind: ClassVar[str] = "quantile"
    Params = QuantileParams

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
            self.array("offset"),
            self.array("entries"),
            self.leaves("low"),
            self.leaves("before"),
            self.leaves("near"),
            self.step_ms,
            self.params.low,
            self.params.high,
            self.params.margin,
            self.warmup,
            out,
        )
        return ticks.columns(out)
