"""Forecast: distance from what the series itself foretold, by its trend and season or its echo."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from detectors.base import Detector, Field
from detectors.kernels.band import edge_score, half_width
from detectors.kernels.least_squares import COVARIANCE_FIRST, predict, push, update
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.durations import format_duration, parse_duration
from models.jit import kernel

ORDER_MAX = 32
SEASON_STEPS_MAX = 20_160
"""A week of 30 s steps."""
VALUE_MAX = 1e100
"""A sample beyond this, whose square times a covariance would not be finite, is not learned."""
CLIP = 3.0
"""Errors count at most so many standard deviations (Huber, Robust Estimation of a Location
Parameter, 1964), so that one outlier does not bend what follows."""
COUNT_MAX = 100_000


@dataclass(frozen=True, slots=True)
class ForecastParams:
    """One step ahead, by Holt-Winters or an autoregression; for trends, waves and echoes."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    method: Literal["ar", "holt_winters"] = "ar"
    """ar: from the last `order` samples. holt_winters: from level, damped trend and season."""
    order: int = 4
    """ar: samples it looks back, 1 to 32."""
    forgetting: float = 0.995
    """ar: what a sample keeps of its weight at each step, in (0.9, 1]; 0.995 holds about 200."""
    alpha: float = 0.05
    """holt_winters: weight of the newest error in the level, in (0, 1]."""
    beta: float = 0.02
    """holt_winters: weight of the newest error in the trend, in [0, 1]."""
    gamma: float = 0.3
    """holt_winters: weight of the newest error in the season, in [0, 1]."""
    damping: float = 0.95
    """holt_winters: what the trend keeps at each step, in [0, 1]."""
    season: str | None = None
    """holt_winters: what repeats, as a duration of at most 20160 steps; null for nothing."""
    threshold: float = 5.0
    """Standard deviations of the errors from the forecast to the edge of the band."""
    warmup: int = 60
    """Samples of a series before its first score."""

    def __post_init__(self) -> None:
        if self.method not in ("ar", "holt_winters"):
            raise ValueError(f"method must be ar or holt_winters, got {self.method!r}")
        if not 1 <= self.order <= ORDER_MAX:
            raise ValueError(f"order must be between 1 and {ORDER_MAX}, got {self.order}")
        if not 0.9 < self.forgetting <= 1.0:
            raise ValueError(f"forgetting must be in (0.9, 1], got {self.forgetting}")
        if not 0.0 < self.alpha <= 1.0:
            raise ValueError(f"alpha must be in (0, 1], got {self.alpha}")
        for name in ("beta", "gamma", "damping"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.season is not None:
            parse_duration(self.season)
        if not 0.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")
        if not 1 <= self.warmup <= 1_000_000:
            raise ValueError(f"warmup must be between 1 and 1000000 samples, got {self.warmup}")


@kernel
def _judge(
    i: int, x: float, m: float, variance: float, threshold: float, ready: bool, out: Floats
) -> None:
    """Write score, expected, lower and upper of sample `i`."""
    half = half_width(m, threshold * math.sqrt(variance))
    low, high = m - half, m + half
    ready = ready and math.isfinite(low) and math.isfinite(high)
    there = ready and math.isfinite(x) and math.isfinite(x - m)
    out[0, i] = edge_score(x, m, low, high) if there else math.nan
    out[1, i] = m if ready else math.nan
    out[2, i] = low if ready else math.nan
    out[3, i] = high if ready else math.nan


@kernel
def _clipped(error: float, m: float, variance: float, free: bool) -> float:
    """The error, at most CLIP standard deviations either way; whole while `free`."""
    most = math.inf if free else CLIP * half_width(m, math.sqrt(variance))
    return min(max(error, -most), most)


@kernel
def _step_holt_winters(
    rows: Rows,
    timestamps_ms: Times,
    values: Floats,
    level: Floats,
    trend: Floats,
    season: Floats,
    variance: Floats,
    newest: Times,
    count: Rows,
    step_ms: int,
    alpha: float,
    beta: float,
    gamma: float,
    damping: float,
    threshold: float,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn, sample by sample; season: (rows, steps of a season), 0 long for none.

    Damped trend, additive season, in error-correction form: Gardner & McKenzie, Forecasting Trends
    in Time Series, Management Science 1985; Hyndman & Athanasopoulos, Forecasting, 3rd ed., 8.5. A
    gap of k steps forecasts k steps ahead. We depart from it in clipping errors.
    """
    steps = season.shape[1]
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        now = int(timestamps_ms[i]) // step_ms
        known = int(count[row])
        base, b = float(level[row]), float(trend[row])
        for _ in range(min(max(now - int(newest[row]), 1), 1_000) if known > 0 else 0):
            b *= damping
            base += b
        wave = float(season[row, now % steps]) if steps > 0 else 0.0
        m = base + wave
        _judge(i, x, m, float(variance[row]), threshold, known >= warmup, out)
        if not abs(x) <= VALUE_MAX:
            continue
        if known == 0:
            level[row], trend[row] = x, 0.0
        else:
            error = _clipped(x - m, m, float(variance[row]), known < warmup)
            level[row] = base + alpha * error
            trend[row] = b + alpha * beta * error
            if steps > 0:
                season[row, now % steps] = wave + gamma * (1.0 - alpha) * error
            weight = max(alpha * 0.25, 1.0 / known)
            variance[row] = float(variance[row]) + weight * (error * error - float(variance[row]))
        newest[row] = now
        count[row] = min(known + 1, max(warmup, COUNT_MAX))


@kernel
def _begin(x: float, lags: Floats, weights: Floats, covariance: Floats) -> tuple[float, float]:
    """Standardise the first samples, and foretell that each equals the one before; their scale."""
    order = len(lags)
    center = x
    for k in range(order):
        center += (float(lags[k]) - center) / (k + 2)
    square = (x - center) * (x - center)
    for k in range(order):
        square += (float(lags[k]) - center) * (float(lags[k]) - center)
    scale = half_width(center, math.sqrt(square / (order + 1)))
    for k in range(order):
        lags[k] = (float(lags[k]) - center) / scale
    push(lags, (x - center) / scale)
    weights[:] = 0.0
    weights[0] = 1.0
    covariance[:] = np.eye(order + 1) * COVARIANCE_FIRST
    return center, scale


@kernel
def _step_ar(
    rows: Rows,
    timestamps_ms: Times,
    values: Floats,
    center: Floats,
    scale: Floats,
    lags: Floats,
    weights: Floats,
    covariance: Floats,
    variance: Floats,
    newest: Times,
    count: Rows,
    step_ms: int,
    order: int,
    forgetting: float,
    threshold: float,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn, sample by sample; lags hold standardised values, the newest first.

    center, scale: mean and standard deviation of the first `order` + 1 samples; they only keep the
    numbers near 1, as a constant among the weights takes the level. A lag is the forecast plus the
    clipped error, so an outlier does not echo; a gap fills lags with forecasts.
    """
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        now = int(timestamps_ms[i]) // step_ms
        known = int(count[row])
        there = abs(x) <= VALUE_MAX
        if known <= order:
            out[:, i] = math.nan
            if there and known == order:
                center[row], scale[row] = _begin(x, lags[row], weights[row], covariance[row])
                variance[row] = 0.0
            elif there:
                push(lags[row], x)
            newest[row] = now if there else newest[row]
            count[row] = known + there
            continue
        own = lags[row].copy()
        for _ in range(min(max(now - int(newest[row]), 1) - 1, order)):
            push(own, predict(weights[row], own))
        z = predict(weights[row], own)
        m = float(center[row]) + float(scale[row]) * z
        v = float(variance[row])
        _judge(i, x, m, v, threshold, known >= warmup, out)
        if there:
            error = _clipped(x - m, m, v, known < max(warmup, 2 * order + 2))
            lags[row] = own
            update(weights[row], covariance[row], own, error / float(scale[row]), forgetting)
            push(lags[row], z + error / float(scale[row]))
            variance[row] = v + max(1.0 - forgetting, 1.0 / (known - order)) * (error * error - v)
            newest[row] = now
            count[row] = min(known + 1, max(warmup, COUNT_MAX))
            if not abs(predict(weights[row], lags[row])) <= VALUE_MAX:
                count[row] = 0


class Forecast(Detector):
    """A forecast one step ahead and the spread of its errors.

    Floor: half the band is at least 0.1 % of the forecast (see `kernels/band.py`). A lasting shift
    is learned as errors, clipped, widen the band and move the forecast. A value beyond 1e100 is
    judged, not learned.
    """

    kind: ClassVar[str] = "forecast"
    Params = ForecastParams

    def __init__(self, params: Any, step_ms: int) -> None:
        self._season = 0
        if params.season is not None:
            self._season = parse_duration(params.season) // step_ms
            if not 2 <= self._season <= SEASON_STEPS_MAX:
                raise ValueError(
                    f"season {params.season} is {self._season} steps of "
                    f"{format_duration(step_ms)}; it must be between 2 and {SEASON_STEPS_MAX}"
                )
        super().__init__(params, step_ms)

    def fields(self) -> tuple[Field, ...]:
        shared = (
            Field("variance", np.float64),
            Field("newest", np.int64),
            Field("count", np.int32),
        )
        if self.params.method == "holt_winters":
            season = Field("season", np.float64, (self._season,))
            return (Field("level", np.float64), Field("trend", np.float64), season, *shared)
        order = self.params.order
        return (
            Field("center", np.float64),
            Field("scale", np.float64),
            Field("lags", np.float64, (order,)),
            Field("weights", np.float64, (order + 1,)),
            Field("covariance", np.float64, (order + 1, order + 1)),
            *shared,
        )

    def step(self, batch: RowBatch) -> ScoreColumns:
        params = self.params
        out = np.empty((4, len(batch)))
        shared = (self.array("variance"), self.array("newest"), self.array("count"), self.step_ms)
        if params.method == "holt_winters":
            _step_holt_winters(
                batch.rows,
                batch.timestamps_ms,
                batch.values,
                self.array("level"),
                self.array("trend"),
                self.array("season"),
                *shared,
                params.alpha,
                params.beta,
                params.gamma,
                params.damping,
                params.threshold,
                params.warmup,
                out,
            )
        else:
            _step_ar(
                batch.rows,
                batch.timestamps_ms,
                batch.values,
                self.array("center"),
                self.array("scale"),
                self.array("lags"),
                self.array("weights"),
                self.array("covariance"),
                *shared,
                params.order,
                params.forgetting,
                params.threshold,
                params.warmup,
                out,
            )
        score, expected, lower, upper = out
        return ScoreColumns(score, expected, lower, upper)
