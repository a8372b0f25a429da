"""CUSUM: small deviations that keep to one side add up; made for level shifts."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Detector, Field
from detectors.kernels.band import half_width
from detectors.kernels.jit import kernel
from detectors.kernels.moments import learn
from models.columns import Floats, RowBatch, Rows, ScoreColumns


@dataclass(frozen=True, slots=True)
class CusumParams:
    """Cumulative sum against a slow baseline; sees shifts too small for a single sample."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    alpha: float = 0.02
    """Weight of the newest sample in the baseline, in (0, 1]; 0.02 remembers about 100 samples."""
    slack: float = 0.5
    """Standard deviations that a sample may deviate without adding to the sum."""
    threshold: float = 8.0
    """The sum, in standard deviations, at which the score is 1."""
    rebase: int = 60
    """Samples above the threshold after which the new level is the baseline."""
    warmup: int = 30
    """Samples of a series before its first score."""

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha <= 1.0:
            raise ValueError(f"alpha must be in (0, 1], got {self.alpha}")
        if not 0.0 <= self.slack < math.inf:
            raise ValueError(f"slack must be at least 0 and finite, got {self.slack}")
        if not 0.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")
        for name, count in (("rebase", self.rebase), ("warmup", self.warmup)):
            if not 1 <= count <= 1_000_000:
                raise ValueError(f"{name} must be between 1 and 1000000 samples, got {count}")


@kernel
def _step(
    rows: Rows,
    values: Floats,
    mean: Floats,
    variance: Floats,
    count: Rows,
    up: Floats,
    down: Floats,
    beyond: Rows,
    shifted: Floats,
    alpha: float,
    slack: float,
    threshold: float,
    rebase: int,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn, sample by sample; out: (4, n) score, expected, lower, upper.

    Page, Continuous Inspection Schemes, Biometrika 1954, on deviations standardised by a baseline
    that learns only while the sum is below its threshold. We depart from it in two things. A
    deviation counts at most threshold + slack, so that one spike alone never passes 1. And after
    `rebase` samples beyond the threshold the mean of these samples becomes the baseline.

    up, down: the sums. beyond: samples beyond the threshold in a row. shifted: their mean.
    """
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        out[:, i] = np.nan
        if not math.isfinite(x):
            continue
        if count[row] >= warmup:
            m = float(mean[row])
            sigma = half_width(m, math.sqrt(variance[row]))
            most = threshold + slack
            z = min(max((x - m) / sigma, -most), most)
            up[row] = max(0.0, float(up[row]) + z - slack)
            down[row] = max(0.0, float(down[row]) - z - slack)
            out[0, i] = max(up[row], down[row]) / threshold
            out[1, i] = m
            if out[0, i] > 1.0:
                beyond[row] += 1
                shifted[row] += (x - float(shifted[row])) / int(beyond[row])
                if beyond[row] >= rebase:
                    mean[row] = shifted[row]
                    up[row] = 0.0
                    down[row] = 0.0
                    beyond[row] = 0
                    shifted[row] = 0.0
                continue
            beyond[row] = 0
            shifted[row] = 0.0
        learn(mean, variance, count, row, x, alpha)


class Cusum(Detector):
    """Two-sided cumulative sum with a baseline that moves to a lasting new level.

    It has no band: the expected value is the baseline, and the score is the larger of the two sums
    in thresholds. Floor: a standard deviation is at least 0.1 % of the baseline.
    """

    kind: ClassVar[str] = "cusum"
    Params = CusumParams

    def fields(self) -> tuple[Field, ...]:
        return (
            *(Field(name, np.float64) for name in ("mean", "variance", "up", "down", "shifted")),
            Field("count", np.int32),
            Field("beyond", np.int32),
        )

    def step(self, batch: RowBatch) -> ScoreColumns:
        out = np.empty((4, len(batch)))
        _step(
            batch.rows,
            batch.values,
            self.array("mean"),
            self.array("variance"),
            self.array("count"),
            self.array("up"),
            self.array("down"),
            self.array("beyond"),
            self.array("shifted"),
            self.params.alpha,
            self.params.slack,
            self.params.threshold,
            self.params.rebase,
            self.params.warmup,
            out,
        )
        return ScoreColumns(*out)
