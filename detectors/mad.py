"""MAD: distance from the sliding median, in scaled median absolute deviations."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.kernels.band import half_width, judge
from detectors.kernels.order import (
    Counts,
    Entries,
    Places,
    mean_deviation,
    median,
    median_deviation,
)
from detectors.kernels.window import enter, learn
from detectors.ticks import in_ticks
from detectors.windowed import Ordered, Precision, check_precision, check_window
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.jit import borrow, kernel

NORMAL_CONSISTENCY = 1.4826
"""1 / Φ⁻¹(3/4): makes the MAD of normal samples their standard deviation (Rousseeuw & Croux,
Alternatives to the Median Absolute Deviation, JASA 1993)."""
MEAN_CONSISTENCY = 1.2533
"""√(π/2): the same for the mean absolute deviation, which stands in when the MAD is 0 (Iglewicz &
Hoaglin, How to Detect and Handle Outliers, 1993)."""


@dataclass(frozen=True, slots=True)
class MadParams:
    """Sliding median and median absolute deviation, exact; half the window may be outliers."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    window: str = "1h"
    """How much of the past is compared with, as a duration; at most 20000 steps."""
    threshold: float = 5.0
    """Scaled MADs from the median to the edge of the band; for normal noise, sigmas."""
    warmup: int = 30
    """Samples in the window before a series gets a score; at most what the window holds."""
    precision: Precision = "single"
    """How the window is kept: single takes half the memory and is good to 0.1 % of half the band;
    double keeps every digit, and learns values beyond 1e37."""

    def __post_init__(self) -> None:
        check_precision(self.precision)
        check_window(self.window, self.warmup)
        if not 0.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")


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
    threshold: float,
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
                spread = NORMAL_CONSISTENCY * median_deviation(entries, before, near, known, m)
                if spread == 0.0:
                    spread = MEAN_CONSISTENCY * mean_deviation(entries, before, known, m)
                m = float(offset[row]) + m
                half = half_width(m, threshold * spread)
                judge(score, expected, lower, upper, i, x, m, m - half, m + half)
            place = home if step == now else step % len(ring)
            learn(ring, newest, count, offset, row, step, place, x, entries, low, before, spare)


class Mad(Ordered):
    """Exact sliding median and MAD: half the window may be anomalous before the band moves.

    Floor: when more than half of the window is equal, its MAD is 0 and the mean absolute deviation
    stands in; half the band is at least 0.1 % of the median (see `kernels/band.py`), which is what
    a constant series is judged by. A lasting shift becomes normal after half a window.
    """

    kind: ClassVar[str] = "mad"
    Params = MadParams

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
            self.params.threshold,
            self.warmup,
            out,
        )
        return ticks.columns(out)
