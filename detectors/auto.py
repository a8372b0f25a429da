"""Auto: how surprising a sample is to four models at once, each calibrated by its own past.

Four streams of novelty look at a series: the error of an autoregression, the distance from what is
usual at this time of day, and the distance of the newest short and long window to their nearest
neighbours in the past, each window without its mean. `kernels/surprise.py` makes surprises of them:
a tail probability, and a record for as long as there is too little past to fit a tail to.

    record  = news * max(weight_i * record_i) / record_threshold
    tail    = sqrt(sum((weight_i * tail_i)^2) / sum(weight_i^2)) / threshold
    score   = (1 - maturity) * record + maturity * tail * (0.85 + 0.15 * min(1, record))

over the streams that know enough. `news` is 1, or AGAIN within `refractory` samples of a record
that was not exceeded since: a lasting anomaly is old news. `maturity` goes from 0 to 1 between
`settle` and 1.6 * `settle` samples. All of these are the parts of an explanation.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Detector, Field
from detectors.kernels.autoregression import foretell
from detectors.kernels.day import NEIGHBOURS, enter, ring_size, slots
from detectors.kernels.shapes import BLOCK, PAD, distance, newest, remember
from detectors.kernels.surprise import TAIL, TOP, combine, drop_noise
from detectors.surprised import check_ranges, check_surprise
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.jit import borrow, kernel

STREAMS = ("autoregression", "time_of_day", "short_shape", "long_shape")
VALUE_MAX = 1e30
"""A sample beyond this, whose square single precision cannot hold, is passed over."""
WINDOWS_MAX = 20_000
NOISE = 1e-6
"""Differences below this share of the values are rounding, and no novelty."""

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AutoParams:
    """Four models at once, calibrated by the series' own past; for series nobody has looked at."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    threshold: float = 3.8
    """Tail surprise that scores 1, in powers of ten: 3 is a chance of 1 in 1000 to all streams."""
    record_threshold: float = 2.5
    """Record that scores 1 while there is little past: 3 is twice the tenth largest so far."""
    autoregression: float = 0.55
    """Weight of the error of a forecast from the last samples; 0 leaves the stream out."""
    time_of_day: float = 1.0
    """Weight of the distance from the median of this time of day."""
    short_shape: float = 1.0
    """Weight of the distance of the last `short` samples to their nearest neighbours."""
    long_shape: float = 1.0
    """Weight of the distance of the last `long` samples to their nearest neighbours."""
    order: int = 8
    """Samples that the autoregression looks back, 1 to 32."""
    days: int = 7
    """Days whose same time of day is compared, 1 to 28."""
    short: int = 8
    """Samples of a short window, 2 to 64."""
    long: int = 24
    """Samples of a long window, 2 to 64."""
    windows: int = 1_500
    """Samples of the past in which neighbours are looked for, up to 20000."""
    neighbours: int = 3
    """The how many-th nearest window counts: what happened so often before is known."""
    settle: int = 5_000
    """Samples of a series before its tail begins to be trusted; wholly at 1.6 times as many."""
    refractory: int = 130
    """Samples after a record within which only a higher one is news."""
    warmup: int = 50
    """Samples of a series before its first score."""

    def __post_init__(self) -> None:
        weights = [getattr(self, name) for name in STREAMS]
        if not (all(0.0 <= weight <= 10.0 for weight in weights) and max(weights) > 0.0):
            raise ValueError(
                f"the weights of {', '.join(STREAMS)} must be between 0 and 10, one of them above "
                f"0, got {weights}"
            )
        check_ranges(
            self,
            order=(1, 32),
            days=(1, 28),
            short=(2, PAD + 1),
            long=(2, PAD + 1),
            windows=(max(self.short, self.long) + 1, WINDOWS_MAX),
            neighbours=(1, 20),
        )
        check_surprise(self)


@kernel
def _step(
    rows: Rows,
    timestamps_ms: Times,
    values: Floats,
    step_ms: int,
    slot_ms: int,
    per_day: int,
    count: Rows,
    times: Times,
    center: Floats,
    moments: Floats,
    lags: Floats,
    weights: Floats,
    covariance: Floats,
    past: Singles,
    ring: Singles,
    place: Times,
    usual: Floats,
    tail: Floats,
    top: Floats,
    news: Floats,
    own: Floats,
    short: int,
    long: int,
    neighbours: int,
    days: int,
    settle: int,
    refractory: int,
    warmup: int,
    threshold: float,
    record_threshold: float,
    score: Floats,
    expected: Floats,
    parts: Floats,
    spoke: NDArray[np.int8],
) -> None:
    """Score, then learn, sample by sample; own: the streams' weights."""
    scratch = np.empty((3, BLOCK), np.float32)
    nearest = np.empty(neighbours, np.float32)
    short_query, long_query = np.empty(short, np.float32), np.empty(long, np.float32)
    known = np.empty(days * (2 * NEIGHBOURS + 1))
    novelty = np.empty(len(own))
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        if not abs(x) <= VALUE_MAX:
            continue
        seen = int(count[row])
        now = int(timestamps_ms[i])
        if seen == 0:
            center[row] = x
        gap = max((now - int(times[row])) // step_ms, 1)
        fit = borrow(lags[row]), borrow(weights[row]), borrow(covariance[row])
        foretold = foretell(x, gap, seen, borrow(moments[row]), *fit)
        novelty[0] = abs(x - foretold)
        away = x - float(center[row])
        novelty[1] = math.nan
        if per_day > 0:
            here = borrow(usual[row])
            slot = now // slot_ms
            if seen == 0 or slot != place[row, 0]:
                enter(slot, days, per_day, borrow(ring[row]), borrow(place[row]), here, known)
            novelty[1] = abs(away - float(here[0]))
            here[1] += away
            here[2] += 1.0
        value = np.float32(away)
        kept = borrow(past[row])
        newest(kept, seen, value, short_query)
        newest(kept, seen, value, long_query)
        novelty[2] = distance(kept, seen, short_query, short // 2, True, nearest, scratch)
        novelty[3] = distance(kept, seen, long_query, long // 2, True, nearest, scratch)
        remember(kept, seen, value)
        drop_noise(novelty, NOISE * max(abs(x), abs(float(center[row]))))
        judged, loudest = combine(
            novelty,
            own,
            tail[row],
            top[row],
            borrow(news[row]),
            seen,
            warmup,
            settle,
            threshold,
            record_threshold,
            refractory,
            parts[i],
        )
        count[row] = seen + 1
        times[row] = now
        if seen >= warmup:
            score[i] = judged
            spoke[i] = loudest
            by_day = parts[i, 1] > parts[i, 0]
            expected[i] = float(center[row]) + float(usual[row, 0]) if by_day else foretold


class Auto(Detector):
    """How surprising a sample is to four models at once, each calibrated by its own past.

    An autoregression, the time of day, and windows of two lengths compared with the nearest ones of
    the past; each model's error becomes the probability of one as large, so that noisy, sparse and
    bounded series need no threshold of their own. It has no band: the expected value is the
    forecast, or the median of this time of day where that is the greater surprise. Floor: a
    difference below a millionth of the value is no novelty; a series that was constant is
    surprising when it moves, the more the longer it was.
    """

    kind: ClassVar[str] = "auto"
    Params = AutoParams

    @property
    def parts(self) -> tuple[str, ...]:
        return (*STREAMS, *(f"{name}_record" for name in STREAMS), "maturity", "news")

    def __init__(self, params: Any, step_ms: int) -> None:
        self._slot_ms, self._per_day = slots(step_ms)
        super().__init__(params, step_ms)

    def fields(self) -> tuple[Field, ...]:
        params = self.params
        order = params.order
        slots_kept = ring_size(params.days, self._per_day) if self._per_day else 1
        return (
            Field("count", np.int32),
            Field("times", np.int64),
            Field("center", np.float64),
            Field("moments", np.float64, (3,)),
            Field("lags", np.float64, (order,)),
            Field("weights", np.float64, (order + 1,)),
            Field("covariance", np.float64, (order + 1, order + 1)),
            Field("past", np.float32, (PAD + params.windows + max(params.short, params.long),)),
            Field("ring", np.float32, (slots_kept,), np.nan),
            Field("place", np.int64, (2,)),
            Field("usual", np.float64, (3,)),
            Field("tail", np.float64, (len(STREAMS), TAIL)),
            Field("top", np.float64, (len(STREAMS), TOP)),
            Field("news", np.float64, (2,)),
        )

    def step(self, batch: RowBatch) -> ScoreColumns:
        params = self.params
        score, expected, edge = np.full((3, len(batch)), np.nan)
        parts = np.full((len(batch), len(self.parts)), np.nan)
        spoke = np.full(len(batch), -1, np.int8)
        _step(
            batch.rows,
            batch.timestamps_ms,
            batch.values,
            self.step_ms,
            self._slot_ms,
            self._per_day,
            self.array("count"),
            self.array("times"),
            self.array("center"),
            self.array("moments"),
            self.array("lags"),
            self.array("weights"),
            self.array("covariance"),
            self.array("past"),
            self.array("ring"),
            self.array("place"),
            self.array("usual"),
            self.array("tail"),
            self.array("top"),
            self.array("news"),
            np.array([getattr(params, name) for name in STREAMS], np.float64),
            params.short,
            params.long,
            params.neighbours,
            params.days,
            params.settle,
            params.refractory,
            params.warmup,
            params.threshold,
            params.record_threshold,
            score,
            expected,
            parts,
            spoke,
        )
        return ScoreColumns(score, expected, edge, edge.copy(), parts, spoke)
