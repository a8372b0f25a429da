"""Random cut forest: how soon random cuts part the last samples from those of the past."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from detectors.base import Field
from detectors.kernels.cut_trees import SAMPLES_MAX, Forest, Singles, novelty
from detectors.surprised import Surprised, check_ranges, check_surprise
from models.columns import Floats, RowBatch, Rows
from models.jit import borrow, kernel

VALUE_MAX = 1e30


@dataclass(frozen=True, slots=True)
class RandomCutForestParams:
    """Combinations of the last samples that stand apart; says which of them do."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    trees: int = 40
    """Trees, 1 to 200."""
    samples: int = 256
    """Points that each tree holds, 4 to 4096, newer ones more likely."""
    memory: int = 2_560
    """Samples after which a point is e times less likely to be held, 10 to 1000000."""
    lags: int = 8
    """The last samples that make up a point, 1 to 32; a tree takes samples * (12 * lags + 30)
    bytes of a series."""
    seed: int = 1
    """Which cuts; the same for all series."""
    threshold: float = 4.0
    """Surprise that scores 1, in powers of ten: 3 is an oddness that 1 in 1000 exceed."""
    record_threshold: float = 2.5
    """Record that scores 1 while there is little past: 3 is twice the tenth largest so far."""
    settle: int = 5_000
    """Samples before the tail begins to be trusted; wholly at 1.6 times as many."""
    refractory: int = 130
    """Samples after a record within which only a higher one is news."""
    warmup: int = 50
    """Points of a series before its first score."""

    def __post_init__(self) -> None:
        check_ranges(self, lags=(1, 32))
        check_forest(self)


def check_forest(params: Any) -> None:
    """Raise ValueError for what makes no forest, or cannot be judged by."""
    check_ranges(
        params,
        trees=(1, 200),
        samples=(4, SAMPLES_MAX),
        memory=(10, 1_000_000),
        seed=(0, 2**31 - 1),
    )
    check_surprise(params)


def forest_fields(trees: int, samples: int, size: int) -> tuple[Field, ...]:
    """What a row's trees over points of `size` coordinates keep; see `kernels.cut_trees`."""
    return (
        Field("seen", np.int64),
        Field("drawn", np.int64),
        Field("head", np.int16, (trees, 4)),
        Field("inner", np.int16, (trees, samples, 4)),
        Field("cut", np.float32, (trees, samples)),
        Field("box", np.float32, (trees, samples, 2, size)),
        Field("leaf", np.int16, (trees, samples, 2)),
        Field("point", np.float32, (trees, samples, size)),
        Field("held", np.int16, (trees, samples)),
        Field("key", np.float64, (trees, samples)),
        Field("spare", np.int16, (trees, samples, 2)),
    )


@kernel
def _novelties(
    rows: Rows,
    values: Floats,
    center: Floats,
    last: Singles,
    memory: float,
    seed: int,
    forest: Forest,
    out: Floats,
    shares: Floats,
) -> None:
    """Each sample's, with those before it as one point, the newest first."""
    for i in range(len(rows)):
        row = int(rows[i])
        value = float(values[i])
        if not abs(value) <= VALUE_MAX:
            continue
        x = borrow(last[row])
        if forest.seen[row] == 0:
            center[row] = value
        for d in range(len(x) - 1, 0, -1):
            x[d] = x[d - 1]
        x[0] = np.float32(value - float(center[row]))
        out[i] = novelty(x, row, memory, seed, forest, borrow(shares[i]))


class RandomCutForest(Surprised):
    """How soon random cuts part the last samples from a sample of the past.

    Each tree holds its own sample of the points so far, newer ones more likely. How odd a point is
    is judged by the oddness before (see `auto`); the explanation says what each of the last samples
    contributed, `lag 0` being the newest. It has no band. Floor: in a constant series all points
    are one, and any other value is then a record.
    """

    kind: ClassVar[str] = "random_cut_forest"
    Params = RandomCutForestParams

    def __init__(self, params: Any, step_ms: int) -> None:
        self.own_parts = tuple(f"lag {k}" for k in range(params.lags))
        super().__init__(params, step_ms)

    def model_fields(self) -> tuple[Field, ...]:
        params: Any = self.params
        return (
            Field("center", np.float64),
            Field("last", np.float32, (params.lags,)),
            *forest_fields(params.trees, params.samples, params.lags),
        )

    def novelty(self, batch: RowBatch) -> Floats:
        params: Any = self.params
        out = np.full(len(batch), np.nan)
        shares = np.full((len(batch), params.lags), np.nan)
        _novelties(
            batch.rows,
            batch.values,
            self.array("center"),
            self.array("last"),
            params.memory,
            params.seed,
            Forest(*(self.array(name) for name in Forest._fields)),
            out,
            shares,
        )
        return np.column_stack([out, shares])
