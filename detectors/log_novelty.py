"""Log novelty: a template of log lines that was never seen before."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Detector, Field
from detectors.kernels.band import band_score
from models.columns import Flags, Floats, RowBatch, Rows, ScoreColumns
from models.jit import kernel


@dataclass(frozen=True, slots=True)
class LogNoveltyParams:
    """Reads log lines; each series is a template, its samples how new it is."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    min_distance: float = 0.0
    """How far a new template must be from the nearest known one, from 0 for the same words to 1 for
    none in common."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_distance < 1.0:
            raise ValueError(
                f"min_distance must be at least 0 and below 1, got {self.min_distance}"
            )


@kernel
def _step(rows: Rows, values: Floats, known: Flags, edge: float, out: Floats) -> None:
    for i in range(len(values)):
        x = float(values[i])
        known[rows[i]] = True
        out[:, i] = math.nan
        if abs(x) < math.inf:
            out[0, i] = band_score(x, 0.0, -edge, edge)
            out[1, i], out[2, i], out[3, i] = 0.0, -edge, edge


class LogNovelty(Detector):
    """Distance of a new template from the nearest known one.

    A sample is 0 for a template that was seen before, and 1 + its distance in the step in which it
    is seen for the first time; so any score above 1 is a template never seen before. What the
    detector's history holds, and what comes within the `warmup` of its `logs`, is known.
    """

    kind: ClassVar[str] = "log_novelty"
    reads_lines: ClassVar[bool] = True
    mends_resets: ClassVar[bool] = False
    Params = LogNoveltyParams

    def fields(self) -> tuple[Field, ...]:
        """Which rows were seen, as saved state must know its rows; templates know the rest."""
        return (Field("known", np.bool_),)

    def step(self, batch: RowBatch) -> ScoreColumns:
        out = np.empty((4, len(batch)))
        edge = 1.0 + self.params.min_distance
        _step(batch.rows, batch.values, self.array("known"), edge, out)
        score, expected, lower, upper = out
        return ScoreColumns(score, expected, lower, upper)
