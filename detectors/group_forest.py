"""Random cut forest over the channels of a group: how soon random cuts part this instant from past
ones."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Field
from detectors.grouped import Grouped
from detectors.kernels.cut_trees import Forest, novelty
from detectors.kernels.vectors import place
from detectors.random_cut_forest import check_forest, forest_fields
from detectors.surprised import check_ranges
from models.columns import Floats, RowBatch, Rows
from models.jit import borrow, kernel


@dataclass(frozen=True, slots=True)
class GroupForestParams:
    """Combinations of channels that stand apart, for groups of a few dozen series."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    channels: int = 40
    """Channels of a group that are judged, 1 to 256, the first to come; a tree takes
    samples * (12 * channels + 30) bytes of a group."""
    trees: int = 40
    """Trees, 1 to 200."""
    samples: int = 256
    """Instants that each tree holds, 4 to 4096, newer ones more likely."""
    memory: int = 10_000
    """Instants after which one is e times less likely to be held, 10 to 1000000."""
    seed: int = 1
    """Which cuts; the same for all groups."""
    threshold: float = 4.0
    """Surprise that scores 1, in powers of ten: 3 is an oddness that 1 in 1000 exceed."""
    record_threshold: float = 2.5
    """Record that scores 1 while there is little past: 3 is twice the tenth largest so far."""
    settle: int = 5_000
    """Instants before the tail begins to be trusted; wholly at 1.6 times as many."""
    refractory: int = 130
    """Instants after a record within which only a higher one is news."""
    warmup: int = 50
    """Instants of a group before its first score."""

    def __post_init__(self) -> None:
        check_ranges(self, channels=(1, 256))
        check_forest(self)


@kernel
def _distances(
    rows: Rows,
    values: Floats,
    seen: NDArray[np.int64],
    moments: Floats,
    places: Floats,
    memory: float,
    seed: int,
    forest: Forest,
    out: Floats,
    shares: Floats,
) -> None:
    """Each instant's oddness among those held."""
    point = np.empty(values.shape[1], np.float32)
    for i in range(len(rows)):
        row = int(rows[i])
        here = borrow(places[row])
        if place(borrow(values[i]), borrow(seen[row]), borrow(moments[row]), here) > 0:
            point[:] = here
            out[i] = novelty(point, row, memory, seed, forest, borrow(shares[i]))


class GroupForest(Grouped):
    """How soon random cuts part a group's channels at this instant from those of the past.

    Channels are standardised by slow moments; one without a sample stays where it was and fades to
    its mean. How odd an instant is is judged by the oddness before (see `auto`); the explanation
    has the share of each channel. It has no band. Floor: a group of constant channels is one point,
    and any other is then a record.
    """

    kind: ClassVar[str] = "group_forest"
    Params = GroupForestParams

    def model_fields(self) -> tuple[Field, ...]:
        params: Any = self.params
        trees = forest_fields(params.trees, params.samples, params.channels)
        return (*self.point_fields(), *trees)

    def distances(self, batch: RowBatch, values: Floats, out: Floats, shares: Floats) -> None:
        params: Any = self.params
        _distances(
            batch.rows,
            values,
            self.array("seen_by_channel"),
            self.array("moments"),
            self.array("place"),
            params.memory,
            params.seed,
            Forest(*(self.array(name) for name in Forest._fields)),
            out,
            shares,
        )
