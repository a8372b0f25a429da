"""The contract of a detector kind; `tests/detectors/test_contract.py` holds every kind to its laws.

A detector owns one method's state for many series: arrays with one entry per row.
`step` scores each sample against its past and only then learns it. Scores are 0 at the expected
value, 1 at the edge of the band, above 1 outside and growing with distance; NaN is "no judgement"
(warming up, stale, missing), never a false 0. A kind without a band gives NaN for its edges and
maps its own measure so that 1 is its threshold; it gives the expected value where it has one, so
that a policy can tell above from below.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from models.columns import RowBatch, Rows, ScoreColumns


@dataclass(frozen=True, slots=True)
class Field:
    """One state array: (rows, *shape) of `dtype`, holding `fill` in a row that has seen nothing.

    rows_last: the array is (*shape, rows) instead, for state that a tick reads for all rows at one
    place: the neighbours in memory are then the neighbours in the tick.
    """

    name: str
    dtype: type[np.generic]
    shape: tuple[int, ...] = ()
    fill: float = 0
    rows_last: bool = False

    def array(self, rows: int) -> NDArray[Any]:
        """A fresh array with room for `rows`."""
        shape = (*self.shape, rows) if self.rows_last else (rows, *self.shape)
        return np.full(shape, self.fill, self.dtype)

    def by_row(self, array: NDArray[Any]) -> NDArray[Any]:
        """The same memory with the row as first axis."""
        return np.moveaxis(array, -1, 0) if self.rows_last else array


class Detector(ABC):
    """One kind of model over many series. A kind gives `kind`, `Params`, `fields` and `step`.

    params: an instance of `Params`, a frozen dataclass that checks itself. step_ms: distance
    between two samples of a series, in milliseconds.
    Raises ValueError when the parameters cannot be used at that distance.
    """

    kind: ClassVar[str]
    mends_resets: ClassVar[bool] = True
    """Whether a counter that starts again is shown to it as going on."""
    judges_groups: ClassVar[bool] = False
    """Whether a row is a group, and its sample all the group's channels."""
    reads_lines: ClassVar[bool] = False
    """Whether it judges whether a kind of log line is new, and so needs the lines."""
    compiled: ClassVar[bool] = True
    """Whether it has kernels that are best loaded before the first sample comes."""
    Params: ClassVar[type[Any]]

    def __init__(self, params: Any, step_ms: int) -> None:
        assert isinstance(params, self.Params)
        self.params = params
        self.step_ms = step_ms
        self.capacity = 0
        self._arrays: dict[str, NDArray[Any]] = {
            field.name: field.array(0) for field in self.fields()
        }

    @property
    def parts(self) -> tuple[str, ...]:
        """What the columns of its scores' parts are called."""
        return ()

    def described(self) -> dict[str, object]:
        """The parameters, as explanations have them."""
        return asdict(self.params)

    @property
    def channels_max(self) -> int:
        """How many channels of a group there is room for, where it judges groups."""
        return 0

    @abstractmethod
    def fields(self) -> tuple[Field, ...]:
        """The state arrays; called once, before `step`."""

    @abstractmethod
    def step(self, batch: RowBatch) -> ScoreColumns:
        """Score each sample against its past, then learn it. Rows must be below `capacity`."""

    def array(self, name: str) -> NDArray[Any]:
        """The state array of that name; valid until the next `grow` or `restore`."""
        return self._arrays[name]

    def grow(self, rows: int) -> None:
        """Make room for rows below `rows`; what is there keeps its values."""
        if rows <= self.capacity:
            return
        for field in self.fields():
            grown = field.array(rows)
            field.by_row(grown)[: self.capacity] = field.by_row(self._arrays[field.name])
            self._arrays[field.name] = grown
        self.capacity = rows

    def forget(self, rows: Rows) -> None:
        """Make these rows as if they had never seen a sample."""
        for field in self.fields():
            field.by_row(self._arrays[field.name])[rows] = field.fill

    def state(self) -> dict[str, NDArray[Any]]:
        """All that `restore` needs, copied; the row is every array's first axis."""
        return {
            field.name: np.array(field.by_row(self._arrays[field.name]), order="C")
            for field in self.fields()
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave. Raises ValueError when it does not fit these parameters."""
        arrays: dict[str, NDArray[Any]] = {}
        for field in self.fields():
            array = state.get(field.name)
            if array is None or array.shape[1:] != field.shape or array.dtype != field.dtype:
                raise ValueError(f"{self.kind}: saved state does not fit field {field.name!r}")
            arrays[field.name] = field.array(len(array))
            field.by_row(arrays[field.name])[:] = array
        counts = {len(field.by_row(arrays[field.name])) for field in self.fields()}
        if len(counts) != 1:
            raise ValueError(f"{self.kind}: saved arrays differ in their number of rows")
        self._arrays = arrays
        self.capacity = counts.pop()

    def train(self, history: Iterable[RowBatch]) -> None:
        """Learn a window of the past. A kind that fits on a whole window overrides this replay."""
        for batch in history:
            self.step(batch)
