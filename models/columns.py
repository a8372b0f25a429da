"""What travels on the road: NumPy columns, one object a batch, nothing per sample.

STALE is the NaN with which Prometheus ends a series (bits 0x7ff0000000000002); every other NaN is
a sample without a judgement. Timestamps are milliseconds since the Unix epoch.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.labels import Labels

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Rows = NDArray[np.int32]
Flags = NDArray[np.bool_]

STALE_BITS = 0x7FF0000000000002
STALE = np.array([STALE_BITS], dtype=np.uint64).view(np.float64)[0]


def is_stale(values: Floats) -> Flags:
    """Which values carry the stale marker; an ordinary NaN does not.

    >>> is_stale(np.array([1.0, np.nan, STALE])).tolist()
    [False, False, True]
    """
    bits: Flags = np.ascontiguousarray(values).view(np.uint64) == STALE_BITS
    return bits


@dataclass(frozen=True, slots=True, eq=False)
class SampleBatch:
    """Samples as a source decoded them, not yet judged.

    labels: one per series that occurs. series: (n,) int32, index into `labels`.
    timestamps_ms: (n,) int64. values: (n,) float64.
    start_ms, end_ms, step_ms: the grid of instants that was asked for, both ends included: what is
    absent from it is missing. step_ms 0: no grid, the samples came as they liked.
    received_ms: wall clock when the answer arrived.
    """

    labels: tuple[Labels, ...]
    series: Rows
    timestamps_ms: Times
    values: Floats
    start_ms: int
    end_ms: int
    step_ms: int
    received_ms: int
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.series.shape == self.timestamps_ms.shape == self.values.shape

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True, eq=False)
class LineBatch:
    """Log lines as a source decoded them, in order of time.

    labels: one per stream that occurs. stream: (n,) int32, index into `labels`.
    timestamps_ns: (n,) int64, not falling. lines: the text of each, UTF-8.
    start_ms, end_ms, step_ms: as of a SampleBatch; a line belongs to the first instant at or after
    its time, and the first instant's step begins at start_ms - step_ms.
    received_ms: wall clock when the answer arrived.
    """

    labels: tuple[Labels, ...]
    stream: Rows
    timestamps_ns: Times
    lines: list[bytes]
    start_ms: int
    end_ms: int
    step_ms: int
    received_ms: int
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)


Batch = SampleBatch | LineBatch
"""What a source answers with."""


@dataclass(frozen=True, slots=True, eq=False)
class RowBatch:
    """Samples by row, ready for a detector; each row's samples stand in order of time.

    rows: (n,) int32, place in the state arrays; a row may occur many times.
    timestamps_ms: (n,) int64, strictly increasing within a row. values: (n,) float64, NaN for
    "learn nothing". missing: (n,) bool, the sample was not there and stands by the missing policy.
    channels: (n, d) float64, for rows that are groups judged whole: the values of the group's
    channels at that instant, NaN for none.
    """

    rows: Rows
    timestamps_ms: Times
    values: Floats
    missing: Flags
    channels: Floats | None = None

    def __post_init__(self) -> None:
        assert self.rows.shape == self.timestamps_ms.shape == self.values.shape

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, order: NDArray[np.intp]) -> "RowBatch":
        """These samples in another order, which must keep that of each row."""
        return _take(self, order)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreColumns:
    """A detector's answer to a RowBatch, element by element.

    score: (n,) float64, 0 at the expected value, 1 at the edge of the band, NaN for no judgement.
    expected, lower, upper: (n,) float64 in the unit of the series; NaN where the kind has no band.
    parts: (n, k) float64, what each score is made of, by the detector's own names; None where the
    band says it all. spoke: (n,) int8, the part that spoke loudest, -1 for none. channels: (n, c)
    int32, the channels that the last c parts are of; None where parts are of the series itself.
    edge: (n,) float64, the model's own score that counts as 1; None where that is 1.
    """

    score: Floats
    expected: Floats
    lower: Floats
    upper: Floats
    parts: Floats | None = None
    spoke: NDArray[np.int8] | None = None
    channels: Rows | None = None
    edge: Floats | None = None

    def take(self, order: NDArray[np.intp]) -> "ScoreColumns":
        """These answers in another order."""
        return _take(self, order)


Columns = TypeVar("Columns", RowBatch, ScoreColumns)


def _take(columns: Columns, order: NDArray[np.intp]) -> Columns:
    parts: dict[str, Any] = {field.name: getattr(columns, field.name) for field in fields(columns)}
    return replace(columns, **{k: own[order] for k, own in parts.items() if own is not None})
