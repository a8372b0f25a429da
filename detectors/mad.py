"""MAD: distance from the sliding median, in scaled median absolute deviations."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Field
from detectors.kernels.band import half_width, judge
from detectors.kernels.jit import kernel
from detectors.kernels.order import mean_deviation, median, median_deviation
from detectors.kernels.window import expire, push
from detectors.windowed import Windowed, check_window
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times

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

    def __post_init__(self) -> None:
        check_window(self.window, self.warmup)
        if not 0.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")


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
    threshold: float,
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
            m = median(ordered[row], count[row])
            spread = NORMAL_CONSISTENCY * median_deviation(ordered[row], count[row], m)
            if spread == 0.0:
                spread = MEAN_CONSISTENCY * mean_deviation(ordered[row], count[row], m)
            half = half_width(m, threshold * spread)
            judge(out, i, x, m, m - half, m + half)
        if math.isfinite(x):
            push(ring, ring_ms, ordered, head, count, row, timestamps_ms[i], x)


class Mad(Windowed):
    """Exact sliding median and MAD: half the window may be anomalous before the band moves.

    Floor: when more than half of the window is equal, its MAD is 0 and the mean absolute deviation
    stands in; half the band is at least 0.1 % of the median (see `kernels/band.py`), which is what
    a constant series is judged by. A lasting shift becomes normal after half a window.
    """

    kind: ClassVar[str] = "mad"
    Params = MadParams

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
            self.params.threshold,
            self.warmup,
            out,
        )
        return ScoreColumns(*out)
