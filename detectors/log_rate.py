"""Log rate: is this count rare among those of a window? For lines per step and other counts."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

import numpy as np

from detectors.base import Field
from detectors.kernels.band import judge
from detectors.kernels.counts import quantiles
from detectors.kernels.moments import VALUE_MAX
from detectors.kernels.sums import moved, sum_again
from detectors.ticks import in_ticks
from detectors.windowed import Windowed, check_window
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.jit import kernel


@dataclass(frozen=True, slots=True)
class LogRateParams:
    """Counts are mostly 0 and vary more than chance would have them; a normal band fits neither."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    window: str = "1h"
    """How much of the past is compared with, as a duration; at most 20000 steps."""
    rarity: float = 0.001
    """The share of counts that may lie outside the band, half of it on each side."""
    warmup: int = 30
    """Steps in the window before a series gets a score; at most what the window holds."""

    def __post_init__(self) -> None:
        check_window(self.window, self.warmup)
        if not 0.0 < self.rarity < 0.5:
            raise ValueError(f"rarity must be above 0 and below 0.5, got {self.rarity}")


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
    tail: float,
    z: float,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn, tick by tick; out: (4, n) score, expected, lower, upper.

    The window is that of `zscore`. tail: probability outside the band on each side; z: how far out
    that is in standard deviations of a normal distribution.
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
                variance = max(s / known - m * m, 0.0) * known / max(known - 1, 1)
                m = max(c + m, 0.0)
                low, high = quantiles(m, variance, known, tail, z)
                judge(score, expected, lower, upper, i, x, m, low, high)
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


class LogRate(Windowed):
    """Negative binomial of the window's mean and variance, as its next count is foreseen.

    Floor: the distribution is never narrower than Poisson's, and a window of zeros counts as half
    an event. An edge lies half a count outside the band.
    """

    kind: ClassVar[str] = "log_rate"
    mends_resets: ClassVar[bool] = False
    Params = LogRateParams

    def fields(self) -> tuple[Field, ...]:
        """The window and its sums, as `zscore` has them."""
        sums = ("center", "total", "squares")
        return (*super().fields(), *(Field(name, np.float64) for name in sums))

    def step(self, batch: RowBatch) -> ScoreColumns:
        ticks = in_ticks(batch)
        out = np.empty((4, len(batch)))
        tail = self.params.rarity / 2
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
            tail,
            NormalDist().inv_cdf(1.0 - tail),
            self.warmup,
            out,
        )
        return ticks.columns(out)
