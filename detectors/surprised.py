"""What kinds share whose own measure of novelty has no unit: it is judged by its own past."""

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import Detector, Field
from detectors.kernels.surprise import TAIL, TOP, combine
from models.columns import Floats, RowBatch, Rows, ScoreColumns
from models.jit import kernel

ONE = np.ones(1)
JUDGED = ("surprise", "record", "maturity", "news")
"""The parts of a score that comes from one novelty."""


@kernel
def _judge(
    rows: Rows,
    novelty: Floats,
    count: Rows,
    tail: Floats,
    top: Floats,
    news: Floats,
    own: Floats,
    threshold: float,
    record_threshold: float,
    settle: int,
    refractory: int,
    warmup: int,
    score: Floats,
    parts: Floats,
) -> None:
    """Make surprises of novelties, sample by sample; NaN is no novelty known."""
    for i in range(len(rows)):
        row = int(rows[i])
        if np.isnan(novelty[i]):
            continue
        seen = int(count[row])
        judged, _ = combine(
            novelty[i : i + 1],
            own,
            tail[row],
            top[row],
            news[row],
            seen,
            warmup,
            settle,
            threshold,
            record_threshold,
            refractory,
            parts[i],
        )
        count[row] = seen + 1
        if seen >= warmup:
            score[i] = judged


class Surprised(Detector):
    """A kind that gives `model_fields` and `novelty`, and has the parameters that judge it.

    These are `threshold`, `record_threshold`, `settle`, `refractory` and `warmup`, with the meaning
    that they have for `auto`; the warm-up begins with the first novelty that is known.
    """

    own_parts: tuple[str, ...] = ()
    """What the model itself adds to the explanation."""

    @property
    def parts(self) -> tuple[str, ...]:
        """How the novelty was judged, and the model's own."""
        return (*JUDGED, *self.own_parts)

    @property
    def own_columns(self) -> int:
        """Columns that come behind the novelty."""
        return len(self.own_parts)

    @abstractmethod
    def model_fields(self) -> tuple[Field, ...]:
        """The state arrays of the model itself."""

    @abstractmethod
    def novelty(self, batch: RowBatch) -> Floats:
        """How unlike the past each sample is, 0 or more, NaN for unknown; then learn it.

        (n,), or (n, 1 + own_columns) with those behind it.
        """

    def fields(self) -> tuple[Field, ...]:
        """Those of the model, and of its novelty's tail."""
        return (
            *self.model_fields(),
            Field("known", np.int32),
            Field("tail", np.float64, (1, TAIL)),
            Field("top", np.float64, (1, TOP)),
            Field("news", np.float64, (2,)),
        )

    def step(self, batch: RowBatch) -> ScoreColumns:
        """Judge each sample's novelty by the novelties before it.

        A stretch of time is gone through row by row: of these kinds a row keeps so much that it
        should stay in the processor's cache while it is needed.
        """
        if (np.diff(batch.rows) > 0).all():
            return self._judged(batch)
        order = np.argsort(batch.rows, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return self._judged(batch.take(order)).take(back)

    def _judged(self, batch: RowBatch) -> ScoreColumns:
        params: Any = self.params
        told = self.novelty(batch).reshape(len(batch), 1 + self.own_columns)
        score = np.full(len(batch), np.nan)
        none = np.full(len(batch), np.nan)
        judged = np.full((len(batch), len(JUDGED)), np.nan)
        spoke: NDArray[np.int8] = np.full(len(batch), -1, np.int8)
        _judge(
            batch.rows,
            np.ascontiguousarray(told[:, 0]),
            self.array("known"),
            self.array("tail"),
            self.array("top"),
            self.array("news"),
            ONE,
            params.threshold,
            params.record_threshold,
            params.settle,
            params.refractory,
            params.warmup,
            score,
            judged,
        )
        parts = np.concatenate([judged, told[:, 1:]], axis=1) if self.own_columns else judged
        return ScoreColumns(score, none, none, none, parts, spoke)


def check_surprise(params: Any) -> None:
    """Raise ValueError for thresholds and counts that nothing can be judged by."""
    for name in ("threshold", "record_threshold"):
        if not 0.0 < getattr(params, name) < np.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {getattr(params, name)}")
    most = 1_000_000
    check_ranges(params, settle=(1, most), refractory=(0, most), warmup=(1, most))


def check_ranges(params: Any, **ranges: tuple[int, int]) -> None:
    """Raise ValueError for a parameter outside its range, both ends included."""
    for name, (least, most) in ranges.items():
        if not least <= getattr(params, name) <= most:
            raise ValueError(
                f"{name} must be between {least} and {most}, got {getattr(params, name)}"
            )
