"""EWMA: distance from a moving mean, in moving standard deviations."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Detector, Field
from detectors.kernels.band import half_width, judge
from detectors.kernels.jit import kernel
from detectors.kernels.moments import learn
from models.columns import Floats, RowBatch, Rows, ScoreColumns


@dataclass(frozen=True, slots=True)
class EwmaParams:
    """Exponentially weighted mean and variance; quick, small, forgets evenly."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    alpha: float = 0.05
    """Weight of the newest sample, in (0, 1]; 0.05 remembers about the last 40 samples."""
    threshold: float = 4.0
    """Standard deviations from the mean to the edge of the band."""
    warmup: int = 30
    """Samples of a series before its first score."""

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha <= 1.0:
            raise ValueError(f"alpha must be in (0, 1], got {self.alpha}")
        if not 0.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")
        if not 1 <= self.warmup <= 1_000_000:
            raise ValueError(f"warmup must be between 1 and 1000000 samples, got {self.warmup}")


@kernel
def _step(
    rows: Rows,
    values: Floats,
    mean: Floats,
    variance: Floats,
    count: Rows,
    alpha: float,
    threshold: float,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn, sample by sample; out: (4, n) score, expected, lower, upper."""
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        out[:, i] = np.nan
        if count[row] >= warmup:
            m = float(mean[row])
            half = half_width(m, threshold * math.sqrt(variance[row]))
            judge(out, i, x, m, m - half, m + half)
        if math.isfinite(x):
            learn(mean, variance, count, row, x, alpha)


class Ewma(Detector):
    """Moving mean and variance with exponential forgetting.

    Floor: half the band is at least 0.1 % of the mean (see `kernels/band.py`). A level shift is
    learned within a few times 1/alpha samples.
    """

    kind: ClassVar[str] = "ewma"
    Params = EwmaParams

    def fields(self) -> tuple[Field, ...]:
        return (Field("mean", np.float64), Field("variance", np.float64), Field("count", np.int32))

    def step(self, batch: RowBatch) -> ScoreColumns:
        out = np.empty((4, len(batch)))
        _step(
            batch.rows,
            batch.values,
            self.array("mean"),
            self.array("variance"),
            self.array("count"),
            self.params.alpha,
            self.params.threshold,
            self.params.warmup,
            out,
        )
        return ScoreColumns(*out)
