"""Isolation forest: how few random cuts part a sample from those of a window."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.base import Field
from detectors.kernels.points import place
from detectors.surprised import Surprised, check_ranges, check_surprise
from models.columns import Floats, RowBatch, Rows
from models.jit import kernel

VALUE_MAX = 1e30
_worker = ThreadPoolExecutor(1, thread_name_prefix="isolation-forest")

Singles = NDArray[np.float32]
Nodes = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class IsolationForestParams:
    """scikit-learn's isolation forest, refitted as the series goes on; for odd combinations."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    trees: int = 50
    """Trees, 1 to 500."""
    samples: int = 256
    """Samples of the window that each tree is grown from, 2 to 4096."""
    window: int = 2_000
    """The last samples that a forest is fitted to, 10 to 20000."""
    refit: int = 500
    """Samples between two fits; a fit judges from half of that after it was begun."""
    lags: int = 2
    """The last samples that make up a point, 1 to 32, standardised and squashed to 0 … 1."""
    seed: int = 1
    """For the same forests in every run."""
    threshold: float = 4.0
    """Surprise that scores 1, in powers of ten: 3 is an isolation that 1 in 1000 exceed."""
    record_threshold: float = 2.5
    """Record that scores 1 while there is little past: 3 is twice the tenth largest so far."""
    settle: int = 5_000
    """Samples before the tail begins to be trusted; wholly at 1.6 times as many."""
    refractory: int = 130
    """Samples after a record within which only a higher one is news."""
    warmup: int = 50
    """Samples after the first fit before the first score."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            trees=(1, 500),
            samples=(2, 4_096),
            window=(10, 20_000),
            refit=(10, 100_000),
            lags=(1, 32),
            seed=(0, 2**32 - 1),
        )
        check_surprise(self)


class Forest(NamedTuple):
    """Trees one behind the other. first: where each begins, and the end. feature: -1 in a leaf.
    length: in a leaf, the cuts down to it and those that would still part its samples. whole: the
    length that counts as no isolation."""

    first: Nodes
    feature: Nodes
    threshold: Floats
    left: Nodes
    right: Nodes
    length: Floats
    whole: float


def fit(points: Singles, trees: int, samples: int, seed: int) -> Forest:
    """A forest over the points; Liu, Ting & Zhou, Isolation Forest, ICDM 2008."""
    from sklearn.ensemble import IsolationForest as Sklearns  # Slow to import.

    own: Any = min(samples, len(points))
    model = Sklearns(n_estimators=trees, max_samples=own, random_state=seed).fit(points)
    parts = []
    for estimator in model.estimators_:
        tree = estimator.tree_
        depth = np.zeros(tree.node_count)
        for node in range(tree.node_count):
            for child in (tree.children_left[node], tree.children_right[node]):
                if child >= 0:
                    depth[child] = depth[node] + 1.0
        feature = np.where(tree.children_left < 0, -1, tree.feature)
        length = depth + average_length(tree.n_node_samples.astype(np.float64))
        parts.append((feature, tree.threshold, tree.children_left, tree.children_right, length))
    first = np.cumsum([0, *(len(part[0]) for part in parts)])
    feature, threshold, left, right, length = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    whole = float(average_length(np.array([float(model.max_samples_)]))[0]) * trees
    return Forest(
        first.astype(np.int32),
        feature.astype(np.int32),
        threshold.astype(np.float64),
        left.astype(np.int32),
        right.astype(np.int32),
        length,
        whole,
    )


def average_length(samples: Floats) -> Floats:
    """Cuts that part a sample from `samples` others on average, as in the paper's equation 1."""
    many = np.maximum(samples, 3.0)
    harmonic = np.log(many - 1.0) + np.euler_gamma
    length = 2.0 * harmonic - 2.0 * (many - 1.0) / many
    return np.where(samples > 2.0, length, np.where(samples == 2.0, 1.0, 0.0))


@kernel
def isolation(
    point: Singles,
    first: Nodes,
    feature: Nodes,
    threshold: Floats,
    left: Nodes,
    right: Nodes,
    length: Floats,
    whole: float,
) -> float:
    """The forest's anomaly score of a point, near 1 where few cuts part it, below 0.5 elsewhere."""
    total = 0.0
    for tree in range(len(first) - 1):
        base = first[tree]
        node = base
        while feature[node] >= 0:
            goes_left = point[feature[node]] <= threshold[node]
            node = base + (left[node] if goes_left else right[node])
        total += length[node]
    return float(2.0 ** (-total / whole))


class IsolationForest(Surprised):
    """How few random cuts part a sample from those of the last window.

    scikit-learn fits a forest every `refit` samples in a worker, while the one before goes on
    judging; which sample the new one begins with is fixed, so scores do not depend on how quick the
    worker is. Novelty is s / (1 - s) of the forest's score s; it is judged by the novelties before
    (see `auto`). A fit takes a tenth of a second: for hundreds of series, not for thousands. It has
    no band. Floor: a constant series cannot be cut, and any other value is then a record.
    """

    kind: ClassVar[str] = "isolation_forest"
    Params = IsolationForestParams

    def __init__(self, params: Any, step_ms: int) -> None:
        self._forests: dict[int, Forest] = {}
        self._coming: dict[int, Future[Forest]] = {}
        super().__init__(params, step_ms)

    def model_fields(self) -> tuple[Field, ...]:
        window = (self.params.window, self.params.lags)
        return (
            Field("moments", np.float64, (2,)),
            Field("points", np.float64, (self.params.lags,), 0.5),
            Field("seen", np.int64),
            Field("ring", np.float32, window),
            Field("fitted", np.float32, window),
            Field("fitted_count", np.int32),
            Field("coming", np.float32, window),
            Field("coming_count", np.int32),
        )

    def novelty(self, batch: RowBatch) -> Floats:
        out = np.full(len(batch), np.nan)
        moments, points, seen = (self.array(name) for name in ("moments", "points", "seen"))
        ring, refit, window = self.array("ring"), self.params.refit, self.params.window
        for i, (row, x) in enumerate(zip(batch.rows.tolist(), batch.values.tolist(), strict=True)):
            if not abs(x) <= VALUE_MAX:
                continue
            count = int(seen[row])
            place(x, count, moments[row], points[row])
            point = points[row].astype(np.float32)
            forest = self._forest(row)
            if forest is not None:
                score = isolation(point, *forest)
                out[i] = score / max(1.0 - score, 1e-12)
            ring[row, count % window] = point
            seen[row] = count + 1
            if (count + 1) % refit == 0:
                self._begin(row, count + 1)
            elif (count + 1) % refit == refit // 2:
                self._take_over(row)
        return out

    def forget(self, rows: Rows) -> None:
        super().forget(rows)
        for row in rows.tolist():
            self._forests.pop(row, None)
            self._coming.pop(row, None)

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave; forests are fitted anew to the samples they were of."""
        super().restore(state)
        self._forests = {}
        self._coming = {}

    def _begin(self, row: int, count: int) -> None:
        """Have the last window fitted."""
        kept = min(count, self.params.window)
        order = np.arange(count - kept, count) % self.params.window
        self.array("coming")[row, :kept] = self.array("ring")[row, order]
        self.array("coming_count")[row] = kept
        self._coming[row] = self._fit(self.array("coming")[row, :kept].copy())

    def _take_over(self, row: int) -> None:
        """Judge by the fit that was begun; wait for it where it is not done."""
        kept = int(self.array("coming_count")[row])
        if not kept:
            return
        self.array("fitted")[row] = self.array("coming")[row]
        self.array("fitted_count")[row] = kept
        self.array("coming_count")[row] = 0
        coming = self._coming.pop(row, None)
        if coming is None:
            self._forests.pop(row, None)
        else:
            self._forests[row] = coming.result()

    def _forest(self, row: int) -> Forest | None:
        """The forest that judges now."""
        forest = self._forests.get(row)
        kept = int(self.array("fitted_count")[row])
        if forest is None and kept:
            points = self.array("fitted")[row, :kept].copy()
            forest = self._forests[row] = self._fit(points).result()
        return forest

    def _fit(self, points: Singles) -> "Future[Forest]":
        params = self.params
        return _worker.submit(fit, points, params.trees, params.samples, params.seed)
