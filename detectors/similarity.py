"""Similarity: distance of the last samples to the most similar ones of the series' own past."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from detectors.base import Field
from detectors.kernels.shapes import BLOCK, PAD, distance, newest, remember
from detectors.surprised import JUDGED, Surprised, check_ranges, check_surprise
from detectors.window_index import WindowIndex
from models.columns import Floats, RowBatch, Rows, ScoreColumns
from models.jit import borrow, kernel

VALUE_MAX = 1e30
WINDOWS_MAX = 1_000_000
SCANNED_MOST = 100_000
"""Windows up to which a scan of all of them takes no longer than an index."""
SHAPES_MOST, NORMAL_MOST = 100, 1_000
CHUNK = 4_096

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SimilarityParams:
    """Shapes that were not seen before; for series whose past repeats in no fixed period."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    length: int = 24
    """Samples of a window, 2 to 64."""
    windows: int = 5_000
    """Samples of the past in which similar windows are looked for, up to 1000000."""
    search: Literal["auto", "scan", "index"] = "auto"
    """Whether all windows are compared, or an index (hnswlib) finds the nearest, within a percent
    and in the last one to two times `windows` samples; auto scans up to 100000 windows."""
    neighbours: int = 3
    """The how many-th nearest window counts: what happened so often before is known."""
    remove_mean: bool = True
    """Whether windows are compared without their mean, by shape and amplitude alone; if not, a
    level never seen is new too. Amplitude always counts: it is the signal in such metrics."""
    normal: dict[str, list[float]] | None = None
    """Shapes that are nothing new in any series, by name, oldest value first: every window of them
    is known. Give what comes before and after as well, or their beginning and end are still new."""
    incidents: dict[str, list[float]] | None = None
    """Windows of incidents, by name, `length` values each, that are told when they come again."""
    near: float = 0.3
    """Up to which distance a window is an incident's, as share of the incident's own deviation."""
    threshold: float = 4.0
    """Surprise that scores 1, in powers of ten: 3 is a distance that 1 in 1000 exceed."""
    record_threshold: float = 2.5
    """Record that scores 1 while there is little past: 3 is twice the tenth largest so far."""
    settle: int = 5_000
    """Samples before the tail begins to be trusted; wholly at 1.6 times as many."""
    refractory: int = 130
    """Samples after a record within which only a higher one is news."""
    warmup: int = 50
    """Distances of a series before its first score."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            length=(2, PAD + 1),
            windows=(max(self.length, PAD) + 1, WINDOWS_MAX),
            neighbours=(1, 20),
        )
        check_surprise(self)
        if not 0.0 < self.near < np.inf:
            raise ValueError(f"near must be above 0 and finite, got {self.near}")
        _check_shapes("normal", self.normal or {}, self.length, NORMAL_MOST)
        _check_shapes("incidents", self.incidents or {}, self.length, self.length)
        for name, values in (self.incidents or {}).items():
            if np.ptp(values) == 0.0:
                raise ValueError(f"incidents: {name!r} is flat, and so near to all that is at rest")


def _check_shapes(key: str, shapes: dict[str, list[float]], least: int, most: int) -> None:
    if len(shapes) > SHAPES_MOST:
        raise ValueError(f"{key} holds {len(shapes)} shapes; the most is {SHAPES_MOST}")
    for name, values in shapes.items():
        if not (least <= len(values) <= most and np.isfinite(values).all()):
            wanted = str(least) if least == most else f"{least} to {most}"
            raise ValueError(
                f"{key}: {name!r} must be {wanted} finite numbers (length is {least}), "
                f"got {len(values)}"
            )


@kernel
def between(query: Singles, center: float, known: Floats, remove_mean: bool) -> float:
    """Root mean square difference of `query`, newest first and less `center`, from a window."""
    length = len(known)
    total = square = 0.0
    for i in range(length):
        d = query[i] + center - known[length - 1 - i]
        total += d
        square += d * d
    if remove_mean:
        square -= total * total / length
    return float(np.sqrt(max(square, 0.0) / length))


@kernel
def _compare(
    query: Singles, center: float, normal: Floats, incidents: Floats, remove_mean: bool, own: Floats
) -> float:
    """Distance to the nearest normal window; into `own`, 1 and more for an incident's window.

    own: 2 - the share of the distance up to which a window is the incident's, 0 far from it.
    incidents: (k, 1 + length) that distance, then the values.
    """
    nearest = np.inf
    for k in range(len(normal)):
        nearest = min(nearest, between(query, center, normal[k], remove_mean))
    for k in range(len(incidents)):
        far = between(query, center, incidents[k, 1:], remove_mean)
        own[k] = max(2.0 - far / incidents[k, 0], 0.0)
    return nearest


@kernel
def _distances(
    rows: Rows,
    values: Floats,
    written: NDArray[np.int64],
    center: Floats,
    past: Singles,
    normal: Floats,
    incidents: Floats,
    length: int,
    neighbours: int,
    remove_mean: bool,
    out: Floats,
    own: Floats,
) -> None:
    """Each window's distance to its k-th nearest, then the window joins the past."""
    query, nearest = np.empty(length, np.float32), np.empty(neighbours, np.float32)
    scratch = np.empty((3, BLOCK), np.float32)
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        if not abs(x) <= VALUE_MAX:
            continue
        seen = int(written[row])
        if seen == 0:
            center[row] = x
        kept = borrow(past[row])
        value = np.float32(x - float(center[row]))
        newest(kept, seen, value, query)
        far = distance(kept, seen, query, length // 2, remove_mean, nearest, scratch)
        if seen + 1 >= length:
            known = _compare(query, center[row], normal, incidents, remove_mean, own[i])
            far = min(far, known) if far < np.inf else far
        out[i] = far if far < np.inf else np.nan
        remember(kept, seen, value)
        written[row] = seen + 1


def _windows(values: list[float], length: int) -> Floats:
    """All windows of a shape."""
    whole: Floats = np.array(values, np.float64)
    return np.lib.stride_tricks.sliding_window_view(whole, length)


class Similarity(Surprised):
    """Distance of the last samples to the k-th most similar ones of the series' own past.

    Euclidean distances, not z-normalised; windows that overlap by more than half do not count as
    neighbours. What is far is told by the distances before (see `auto`). Shapes can be given by
    name: what is near a `normal` one is no further than that, and what is near an incident's scores
    1 and more, whatever its distance, with the incident's name in the explanation. It has no band.
    Floor: windows of a constant series are at distance 0, and any other one is then a record.
    """

    kind: ClassVar[str] = "similarity"
    Params = SimilarityParams

    def __init__(self, params: Any, step_ms: int) -> None:
        auto = params.search == "auto" and params.windows > SCANNED_MOST
        self._indexed = params.search == "index" or auto
        self._indexes: dict[int, WindowIndex] = {}
        named = params.incidents or {}
        self.own_parts = tuple(f"incident {name}" for name in named)
        normal = [_windows(values, params.length) for values in (params.normal or {}).values()]
        self._normal = np.concatenate([np.empty((0, params.length)), *normal])
        shapes = np.array(list(named.values()), np.float64).reshape(-1, params.length)
        near = params.near * shapes.std(axis=1, keepdims=True)
        self._incidents = np.concatenate([near, shapes], axis=1)
        if self._indexed:
            WindowIndex(params.length, params.windows)
        super().__init__(params, step_ms)

    def described(self) -> dict[str, object]:
        """The parameters; of windows that were given, the names."""
        told = super().described()
        names = {key: sorted(getattr(self.params, key) or ()) for key in ("normal", "incidents")}
        return told | {key: own for key, own in names.items() if own}

    def model_fields(self) -> tuple[Field, ...]:
        params: Any = self.params
        samples = params.windows + params.length
        if self._indexed:
            # An index is built anew from its windows, of which there are two generations.
            samples = 2 * (params.windows + params.length)
        return (
            Field("written", np.int64),
            Field("center", np.float64),
            Field("past", np.float32, (PAD + samples,)),
        )

    def novelty(self, batch: RowBatch) -> Floats:
        params: Any = self.params
        out = np.full(len(batch), np.nan)
        own = np.full((len(batch), self.own_columns), np.nan)
        arrays = (self.array("written"), self.array("center"), self.array("past"))
        known = (self._normal, self._incidents)
        if self._indexed:
            self._look_up(batch, out, own)
        else:
            how = (params.length, params.neighbours, params.remove_mean)
            _distances(batch.rows, batch.values, *arrays, *known, *how, out, own)
        return np.column_stack([out, own])

    def step(self, batch: RowBatch) -> ScoreColumns:
        """Judge each window; one that is an incident's is told as that, also while it is early."""
        scores = super().step(batch)
        if not self.own_parts:
            return scores
        assert scores.parts is not None
        own = np.nan_to_num(scores.parts[:, len(JUDGED) :])
        alike, which = own.max(axis=1), own.argmax(axis=1).astype(np.int8)
        again = (alike >= 1.0) & ~(scores.score > alike)
        return replace(
            scores,
            score=np.where(again, alike, scores.score),
            spoke=np.where(again, which + len(JUDGED), -1).astype(np.int8),
        )

    def forget(self, rows: Rows) -> None:
        super().forget(rows)
        for row in rows.tolist():
            self._indexes.pop(row, None)

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave; an index is built when its series has its next sample."""
        super().restore(state)
        self._indexes = {}

    def _look_up(self, batch: RowBatch, out: Floats, own: Floats) -> None:
        """As `_distances` does, by an index for each row."""
        params: Any = self.params
        written, center, past = (self.array(name) for name in ("written", "center", "past"))
        query = np.empty(params.length, np.float32)
        for i, (row, x) in enumerate(zip(batch.rows.tolist(), batch.values.tolist(), strict=True)):
            if not abs(x) <= VALUE_MAX:
                continue
            seen = int(written[row])
            if seen == 0:
                center[row] = x
            value = np.float32(x - center[row])
            newest(past[row], seen, value, query)
            far = self._indexed_distance(row, seen, query)
            if seen + 1 >= params.length:
                windows = (self._normal, self._incidents)
                known = _compare(query, float(center[row]), *windows, params.remove_mean, own[i])
                far = min(far, known) if far < np.inf else far
            out[i] = far if far < np.inf else np.nan
            remember(past[row], seen, value)
            written[row] = seen + 1

    def _indexed_distance(self, row: int, seen: int, query: Singles) -> float:
        """Of the window whose last sample is number `seen` of the row and not written yet."""
        params: Any = self.params
        # Windows are numbered by their last sample; the newest are too alike to count.
        until = seen - params.length // 2
        if until < params.length:
            return float("inf")
        index = self._indexes.get(row)
        first = until - 1
        if index is None:
            index = self._indexes[row] = WindowIndex(params.length, params.windows)
            first = max(index.first_needed(until - 1), params.length - 1)
        while first < until:
            end = (first // params.windows + 1) * params.windows
            end = min(until, first + CHUNK, end)
            index.add(first, self._written_windows(row, first, end))
            first = end
        window = query - query.mean() if params.remove_mean else query
        squared = index.squared_distance(window, params.neighbours)
        return float(np.sqrt(squared / params.length))

    def _written_windows(self, row: int, first: int, end: int) -> Singles:
        """(end - first, length) those whose last sample has such a number, newest sample first."""
        past, length = self.array("past")[row], self.params.length
        places = np.arange(first, end)[:, np.newaxis] - np.arange(length)
        windows: Singles = past[PAD + places % (len(past) - PAD)]
        if self.params.remove_mean:
            windows -= windows.mean(axis=1, keepdims=True)
        return windows
