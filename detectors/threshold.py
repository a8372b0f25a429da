"""Threshold: bounds that somebody knows; nothing is learned."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Detector, Field
from detectors.kernels.band import band_score
from models.columns import Flags, Floats, RowBatch, Rows, ScoreColumns
from models.jit import kernel


@dataclass(frozen=True, slots=True)
class ThresholdParams:
    """Static bounds, for what has a limit: a share, an error budget, a queue's capacity."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    lower: float | None = 0.0
    """The least value that is normal, in the unit of the series; null for none."""
    upper: float | None = 1.0
    """The largest value that is normal; null for none."""
    margin: float | None = None
    """How far inside a bound the score is 0. By default half the distance of the bounds; with one
    bound its own size, or 1 for a bound at 0."""

    def __post_init__(self) -> None:
        if self.lower is None and self.upper is None:
            raise ValueError("lower and upper are both null; give at least one bound")
        for name in ("lower", "upper", "margin"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} must be finite, got {value}")
        if self.margin is not None and self.margin <= 0:
            raise ValueError(f"margin must be above 0, got {self.margin}")
        if self.lower is not None and self.upper is not None:
            if not self.lower < self.upper:
                raise ValueError(f"lower {self.lower} must be below upper {self.upper}")
            if self.margin is not None and self.margin > (self.upper - self.lower) / 2:
                raise ValueError(f"margin {self.margin} is over half the distance of the bounds")


@kernel
def _step(
    rows: Rows,
    values: Floats,
    known: Flags,
    bottom: float,
    top: float,
    margin: float,
    out: Floats,
) -> None:
    """Score each sample; bottom, top: -inf or +inf for a bound that is not there."""
    for i in range(len(values)):
        x = float(values[i])
        known[rows[i]] = True
        out[:, i] = math.nan
        if abs(x) < math.inf:
            m = min(max(x, bottom + margin), top - margin)
            out[0, i] = band_score(x, m, bottom, top) if x != m else 0.0
            out[1, i] = m
            out[2, i] = bottom if bottom > -math.inf else math.nan
            out[3, i] = top if top < math.inf else math.nan


class Threshold(Detector):
    """Bounds from its parameters. The expected value is the nearest that is well within them.

    It has no floor: a bound means what it says.
    """

    kind: ClassVar[str] = "threshold"
    mends_resets: ClassVar[bool] = False
    Params = ThresholdParams

    def fields(self) -> tuple[Field, ...]:
        """Nothing is learned; which rows were seen is kept, as saved state must know its rows."""
        return (Field("known", np.bool_),)

    def step(self, batch: RowBatch) -> ScoreColumns:
        params = self.params
        bottom = -math.inf if params.lower is None else params.lower
        top = math.inf if params.upper is None else params.upper
        margin = params.margin
        if margin is None:
            one = abs(bottom if params.upper is None else top) or 1.0
            margin = one if math.isinf(top - bottom) else (top - bottom) / 2
        out = np.empty((4, len(batch)))
        _step(batch.rows, batch.values, self.array("known"), bottom, top, margin, out)
        score, expected, lower, upper = out
        return ScoreColumns(score, expected, lower, upper)
