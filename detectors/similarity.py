"""Similarity: distance of the last samples to the most similar ones of the series' own past."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Field
from detectors.kernels.shapes import BLOCK, PAD, distance, newest, remember
from detectors.surprised import Surprised, check_ranges, check_surprise
from models.columns import Floats, RowBatch, Rows
from models.jit import borrow, kernel

VALUE_MAX = 1e30
WINDOWS_MAX = 100_000

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SimilarityParams:
    """Shapes that were not seen before; for series whose past repeats in no fixed period."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    length: int = 24
    """Samples of a window, 2 to 64."""
    windows: int = 5_000
    """Samples of the past in which similar windows are looked for, up to 100000."""
    neighbours: int = 3
    """The how many-th nearest window counts: what happened so often before is known."""
    remove_mean: bool = True
    """Whether windows are compared without their mean, by shape and amplitude alone; with it, a
    level never seen is new too. Amplitude always counts: it is the signal in such metrics."""
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


@kernel
def _distances(
    rows: Rows,
    values: Floats,
    written: NDArray[np.int64],
    center: Floats,
    past: Singles,
    length: int,
    neighbours: int,
    remove_mean: bool,
    out: Floats,
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
        out[i] = far if far < np.inf else np.nan
        remember(kept, seen, value)
        written[row] = seen + 1


class Similarity(Surprised):
    """Distance of the last samples to the k-th most similar ones of the series' own past.

    Exact Euclidean distances, not z-normalised; windows that overlap by more than half do not
    count as neighbours. What is far is told by the distances before (see `auto`). It has no band.
    Floor: windows of a constant series are at distance 0, and any other one is then a record.
    """

    kind: ClassVar[str] = "similarity"
    Params = SimilarityParams

    def model_fields(self) -> tuple[Field, ...]:
        params: Any = self.params
        return (
            Field("written", np.int64),
            Field("center", np.float64),
            Field("past", np.float32, (PAD + params.windows + params.length,)),
        )

    def novelty(self, batch: RowBatch) -> Floats:
        params: Any = self.params
        out = np.full(len(batch), np.nan)
        _distances(
            batch.rows,
            batch.values,
            self.array("written"),
            self.array("center"),
            self.array("past"),
            params.length,
            params.neighbours,
            params.remove_mean,
            out,
        )
        return out
