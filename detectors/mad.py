"""MAD: distance from the sliding median, in scaled median absolute deviations."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Detector, Field
from detectors.kernels.band import band_score, half_width
from detectors.kernels.jit import kernel
from detectors.kernels.order import (
    insert,
    mean_deviation,
    median,
    median_deviation,
    remove,
    replace,
)
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.durations import format_duration, parse_duration

NORMAL_CONSISTENCY = 1.4826
"""1 / Φ⁻¹(3/4): makes the MAD of normal samples their standard deviation (Rousseeuw & Croux,
Alternatives to the Median Absolute Deviation, JASA 1993)."""
MEAN_CONSISTENCY = 1.2533
"""√(π/2): the same for the mean absolute deviation, which stands in when the MAD is 0 (Iglewicz &
Hoaglin, How to Detect and Handle Outliers, 1993)."""
WINDOW_SAMPLES_MAX = 20_000


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
        parse_duration(self.window)
        if not 0.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")
        if not 1 <= self.warmup <= WINDOW_SAMPLES_MAX:
            raise ValueError(
                f"warmup must be between 1 and {WINDOW_SAMPLES_MAX} samples, got {self.warmup}"
            )


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

    ring, ring_ms: (rows, window) values and times in order of arrival, oldest at `head`.
    ordered: (rows, window) the same values ascending. A sample is compared with those of its row
    that are at most `window_ms` older, so a gap empties the window instead of stretching it.
    """
    capacity = ring.shape[1]
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        oldest_ms = timestamps_ms[i] - window_ms
        while count[row] > 0 and ring_ms[row, head[row]] < oldest_ms:
            remove(ordered[row], count[row], ring[row, head[row]])
            head[row] = (head[row] + 1) % capacity
            count[row] -= 1
        out[:, i] = np.nan
        if count[row] >= warmup:
            m = median(ordered[row], count[row])
            spread = NORMAL_CONSISTENCY * median_deviation(ordered[row], count[row], m)
            if spread == 0.0:
                spread = MEAN_CONSISTENCY * mean_deviation(ordered[row], count[row], m)
            half = half_width(m, threshold * spread)
            if math.isfinite(m - half) and math.isfinite(m + half):
                out[0, i] = band_score(x, m, m - half, m + half)
                out[1, i] = m
                out[2, i] = m - half
                out[3, i] = m + half
        if not math.isfinite(x):
            continue
        if count[row] == capacity:
            place = head[row]
            replace(ordered[row], capacity, ring[row, place], x)
            head[row] = (place + 1) % capacity
        else:
            place = (head[row] + count[row]) % capacity
            insert(ordered[row], count[row], x)
            count[row] += 1
        ring[row, place] = x
        ring_ms[row, place] = timestamps_ms[i]


class Mad(Detector):
    """Exact sliding median and MAD: half the window may be anomalous before the band moves.

    Floor: when more than half of the window is equal, its MAD is 0 and the mean absolute deviation
    stands in; half the band is at least 0.1 % of the median (see `kernels/band.py`), which is what
    a constant series is judged by. A lasting shift becomes normal after half a window.
    """

    kind: ClassVar[str] = "mad"
    Params = MadParams

    def __init__(self, params: MadParams, step_ms: int) -> None:
        self.window_ms = parse_duration(params.window)
        self.window = self.window_ms // step_ms
        if not 1 <= self.window <= WINDOW_SAMPLES_MAX:
            raise ValueError(
                f"window {params.window} is {self.window} steps of {format_duration(step_ms)}; "
                f"it must hold between 1 and {WINDOW_SAMPLES_MAX}"
            )
        super().__init__(params, step_ms)

    def fields(self) -> tuple[Field, ...]:
        return (
            Field("ring", np.float64, (self.window,)),
            Field("ring_ms", np.int64, (self.window,)),
            Field("ordered", np.float64, (self.window,)),
            Field("head", np.int32),
            Field("count", np.int32),
        )

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
            min(self.params.warmup, self.window),
            out,
        )
        return ScoreColumns(*out)
