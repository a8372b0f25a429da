"""Half-space trees: how few samples fell where this one falls, in random halvings of the space."""

import random
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.base import Field
from detectors.kernels.points import place
from detectors.surprised import Surprised, check_ranges, check_surprise
from models.columns import Floats, RowBatch, Rows
from models.jit import borrow, kernel

VALUE_MAX = 1e30
SIZE_LIMIT = 0.1
"""A branch with less than this share of a window's samples is not followed further."""
PADDING = 0.15
"""A half never begins nearer than this to the edge of what is halved."""

Masses = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class HalfSpaceTreesParams:
    """Random half-spaces that count samples; for values and steps that are rarely taken."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    trees: int = 10
    """Trees, 1 to 200."""
    height: int = 8
    """Halvings from root to leaf, 1 to 15; a tree takes 2 ** (height + 3) bytes of a series."""
    window: int = 250
    """Samples whose places are counted before they become what is compared with, 10 to 60000."""
    lags: int = 2
    """The last samples that make up a point, 1 to 32."""
    seed: int = 1
    """Which trees; the same for all series."""
    threshold: float = 4.0
    """Surprise that scores 1, in powers of ten: 3 is a sparsity that 1 in 1000 exceed."""
    record_threshold: float = 2.5
    """Record that scores 1 while there is little past: 3 is twice the tenth largest so far."""
    settle: int = 5_000
    """Samples before the tail begins to be trusted; wholly at 1.6 times as many."""
    refractory: int = 130
    """Samples after a record within which only a higher one is news."""
    warmup: int = 50
    """Samples after the first window before the first score."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            trees=(1, 200),
            height=(1, 15),
            window=(10, 60_000),
            lags=(1, 32),
            seed=(0, 2**63),
        )
        check_surprise(self)


def grow_trees(
    trees: int, height: int, features: int, seed: int
) -> tuple[NDArray[np.int32], Floats]:
    """Feature and threshold of each inner node, (trees, 2 ** height - 1), as a heap.

    Tan, Ting & Liu, Fast Anomaly Detection for Streaming Data, IJCAI 2011, with river's padding and
    its draws in its order: the same seed gives river's trees over features in [0, 1].
    """
    rng = random.Random(seed)  # noqa: S311  # Reproducible, and no secret.
    on = np.zeros((trees, 2**height - 1), np.int32)
    at = np.zeros((trees, 2**height - 1))

    def halve(tree: int, node: int, depth: int, edges: list[tuple[float, float]]) -> None:
        if depth == height:
            return
        sizes = [high - low for low, high in edges]
        feature = rng.choices(range(features), weights=sizes)[0]
        low, high = edges[feature]
        margin = PADDING * (high - low)
        threshold = rng.uniform(low + margin, high - margin)
        on[tree, node], at[tree, node] = feature, threshold
        for side, half in enumerate(((low, threshold), (threshold, high))):
            inner = [*edges[:feature], half, *edges[feature + 1 :]]
            halve(tree, 2 * node + 1 + side, depth + 1, inner)

    for tree in range(trees):
        halve(tree, 0, 0, [(0.0, 1.0)] * features)
    return on, at


@kernel
def sparsity(
    point: Floats,
    on: NDArray[np.int32],
    at: Floats,
    height: int,
    window: int,
    latest: Masses,
    reference: Masses,
) -> float:
    """1 - the share of samples near `point` in the window before; then count it in this one.

    latest, reference: (trees, 2 ** (height + 1) - 1) counts of this window, and of the one before.
    """
    total = 0.0
    for tree in range(len(on)):
        node, weight, followed = 0, 1.0, True
        for depth in range(height + 1):
            mass = float(reference[tree, node])
            if followed:
                total += mass * weight
                followed = not (depth < height and mass < SIZE_LIMIT * window)
            latest[tree, node] += 1
            weight *= 2.0
            if depth < height:
                right = point[on[tree, node]] >= at[tree, node]
                node = 2 * node + (2 if right else 1)
    return 1.0 - total / (len(on) * window * (2.0 ** (height + 1) - 1.0))


@kernel
def _novelties(
    rows: Rows,
    values: Floats,
    moments: Floats,
    points: Floats,
    seen: NDArray[np.int64],
    latest: Masses,
    reference: Masses,
    on: NDArray[np.int32],
    at: Floats,
    height: int,
    window: int,
    out: Floats,
) -> None:
    """How many times emptier than if it held all each sample's place is; then learn it.

    moments: mean and variance, slow. points: the last samples, standardised and squashed to 0 … 1.
    """
    most = len(on) * window * (2.0 ** (height + 1) - 1.0)
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        if not abs(x) <= VALUE_MAX:
            continue
        count = int(seen[row])
        point = borrow(points[row])
        place(x, count, borrow(moments[row]), point)
        rare = sparsity(point, on, at, height, window, borrow(latest[row]), borrow(reference[row]))
        seen[row] = count + 1
        if count >= window:
            out[i] = 1.0 / (1.0 - rare + 1.0 / most)
        if (count + 1) % window == 0:
            reference[row] = latest[row]
            latest[row] = 0


class HalfSpaceTrees(Surprised):
    """How few samples of the window before fell where this one falls, in random half-spaces.

    A point is the last samples, standardised by a slow mean and deviation and squashed to 0 … 1.
    Its novelty says how many times emptier its place is than if it held all samples; it is judged
    by the novelties before (see `auto`). It has no band. Floor: a constant series is all in one
    place, and any other value is then a record.
    """

    kind: ClassVar[str] = "half_space_trees"
    Params = HalfSpaceTreesParams

    def __init__(self, params: Any, step_ms: int) -> None:
        self._on, self._at = grow_trees(params.trees, params.height, params.lags, params.seed)
        super().__init__(params, step_ms)

    def model_fields(self) -> tuple[Field, ...]:
        params: Any = self.params
        nodes = (params.trees, 2 ** (params.height + 1) - 1)
        return (
            Field("moments", np.float64, (2,)),
            Field("points", np.float64, (params.lags,), 0.5),
            Field("seen", np.int64),
            Field("latest", np.uint16, nodes),
            Field("reference", np.uint16, nodes),
        )

    def novelty(self, batch: RowBatch) -> Floats:
        params: Any = self.params
        out = np.full(len(batch), np.nan)
        _novelties(
            batch.rows,
            batch.values,
            self.array("moments"),
            self.array("points"),
            self.array("seen"),
            self.array("latest"),
            self.array("reference"),
            self._on,
            self._at,
            params.height,
            params.window,
            out,
        )
        return out
