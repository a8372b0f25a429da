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
Sides = NDArray[np.int8]


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


def grow_trees(trees: int, height: int, features: int, seed: int) -> tuple[Sides, Floats]:
    """Feature and threshold of each inner node, (2 ** height - 1, trees), as heaps.

    Tan, Ting & Liu, Fast Anomaly Detection for Streaming Data, IJCAI 2011, with river's padding and
    its draws in its order: the same seed gives river's trees over features in [0, 1].
    """
    rng = random.Random(seed)  # noqa: S311  # Reproducible, and no secret.
    on = np.zeros((2**height - 1, trees), np.int8)
    at = np.zeros((2**height - 1, trees))

    def halve(tree: int, node: int, depth: int, edges: list[tuple[float, float]]) -> None:
        if depth == height:
            return
        sizes = [high - low for low, high in edges]
        feature = rng.choices(range(features), weights=sizes)[0]
        low, high = edges[feature]
        margin = PADDING * (high - low)
        threshold = rng.uniform(low + margin, high - margin)
        on[node, tree], at[node, tree] = feature, threshold
        for side, half in enumerate(((low, threshold), (threshold, high))):
            inner = [*edges[:feature], half, *edges[feature + 1 :]]
            halve(tree, 2 * node + 1 + side, depth + 1, inner)

    for tree in range(trees):
        halve(tree, 0, 0, [(0.0, 1.0)] * features)
    return on, at


@kernel
def sparsity(
    point: Floats,
    on: Sides,
    at: Floats,
    window: int,
    latest: Masses,
    reference: Masses,
    nodes: NDArray[np.int64],
    followed: Floats,
) -> float:
    """1 - the share of samples near `point` in the window before; then count it in this one.

    latest, reference: (2 ** (height + 1) - 1, trees) counts of this window, and of the one before.
    nodes, followed: (trees,) scratch. It goes level by level, for no tree waits for another; the
    sums are of whole numbers, and so the same in any order.
    """
    trees, inner = len(nodes), len(on)
    nodes[:] = 0
    followed[:] = 1.0
    total, weight, least = 0.0, 1.0, SIZE_LIMIT * window
    first = 0
    while first < inner:
        here = 0.0
        for tree in range(trees):
            node = nodes[tree]
            mass = np.float64(reference[node, tree])
            here += mass * followed[tree]
            followed[tree] = followed[tree] if mass >= least else 0.0
            latest[node, tree] += 1
            right = point[on[node, tree]] >= at[node, tree]
            nodes[tree] = 2 * node + 1 + right
        total += here * weight
        weight *= 2.0
        first = 2 * first + 1
    for tree in range(trees):
        total += np.float64(reference[nodes[tree], tree]) * weight * followed[tree]
        latest[nodes[tree], tree] += 1
    return 1.0 - total / (trees * window * (2.0 * weight - 1.0))


@kernel
def _novelties(
    rows: Rows,
    values: Floats,
    moments: Floats,
    points: Floats,
    seen: NDArray[np.int64],
    masses: Masses,
    on: Sides,
    at: Floats,
    window: int,
    out: Floats,
) -> None:
    """How many times emptier than if it held all each sample's place is; then learn it.

    moments: mean and variance, slow. points: the last samples, standardised and squashed to 0 … 1.
    masses: of windows with an even number, and of those with an odd one.
    """
    trees = on.shape[1]
    most = trees * window * (2.0 * (len(on) + 1) - 1.0)
    nodes, followed = np.empty(trees, np.int64), np.empty(trees)
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        if not abs(x) <= VALUE_MAX:
            continue
        count = int(seen[row])
        point = borrow(points[row])
        place(x, count, borrow(moments[row]), point)
        odd = count // window % 2
        latest, reference = borrow(masses[row, odd]), borrow(masses[row, 1 - odd])
        rare = sparsity(point, on, at, window, latest, reference, nodes, followed)
        seen[row] = count + 1
        if count >= window:
            out[i] = 1.0 / (1.0 - rare + 1.0 / most)
        if (count + 1) % window == 0:
            reference[:] = 0


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
        nodes = 2 ** (params.height + 1) - 1
        return (
            Field("moments", np.float64, (2,)),
            Field("points", np.float64, (params.lags,), 0.5),
            Field("seen", np.int64),
            Field("masses", np.uint16, (2, nodes, params.trees)),
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
            self.array("masses"),
            self._on,
            self._at,
            params.window,
            out,
        )
        return out
