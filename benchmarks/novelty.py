"""What do the detectors that compare with a past cost beside those that people know them by?

One series, sample by sample in order of time. Ours goes through `step`: the model, the judgement of
its novelty, and what the explanation says. river's half-space trees score and learn; rrcf's trees
take a point in, give its displacement and let the oldest go; rcf3 (a port of Amazon's random cut
forest to Rust) scores and learns, without the attribution that ours has; stumpi extends a matrix
profile by a point. A scan of all windows stands beside hnswlib's index of them.
"""

# pyright: reportMissingImports=false
# Peers come with `make bench` alone.
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import rcf3
import rrcf
import stumpy
from numpy.typing import NDArray
from river.anomaly import HalfSpaceTrees

from benchmarks.measure import Row, arguments, compare, interleave, report, timed
from detectors.base import Detector
from detectors.catalog import kinds
from detectors.half_space_trees import grow_trees, sparsity
from detectors.kernels.shapes import remember
from models.columns import Floats, RowBatch
from models.jit import kernel

STEP_MS = 60_000
WARM = 3_000
LAGS = 8
WINDOW = 24


def signal(count: int) -> Floats:
    """A daily wave with noise and now and then a burst."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=count) + 30 * (rng.random(count) < 0.001)
    wave: Floats = 100 + 10 * np.sin(np.arange(count) * (2 * np.pi / 1_440)) + noise
    return wave


class Ours:
    """One kind over one series."""

    def __init__(self, kind: str, **parameters: Any) -> None:
        made = kinds()[kind]
        self.detector: Detector = made(made.Params(**parameters), STEP_MS)
        self.detector.grow(1)
        self.at = 0

    def run(self, values: Floats) -> None:
        """The next samples."""
        count = len(values)
        times = STEP_MS * np.arange(self.at + 1, self.at + count + 1)
        self.at += count
        none = np.zeros(count, np.bool_)
        self.detector.step(RowBatch(np.zeros(count, np.int32), times, values, none))

    def fill(self, values: Floats) -> "Ours":
        """Make a similarity's past these samples, without judging them."""
        state = self.detector.state()
        for k, value in enumerate(values):
            remember(state["past"][0], k, np.float32(value))
        state["written"][0] = len(values)
        self.detector.restore(state)
        self.run(values[:1])
        return self


def shingles(values: Floats) -> list[Any]:
    """Each sample with those before it."""
    return list(np.lib.stride_tricks.sliding_window_view(values, LAGS))


class Rrcf:
    """As its documentation streams: trees of fixed size, the oldest point goes."""

    def __init__(self, trees: int, samples: int) -> None:
        self.trees = [rrcf.RCTree() for _ in range(trees)]
        self.samples = samples
        self.at = 0

    def run(self, points: list[Any]) -> None:
        """The next points."""
        for point in points:
            for tree in self.trees:
                if len(tree.leaves) >= self.samples:
                    tree.forget_point(self.at - self.samples)
                tree.insert_point(point, index=self.at)
                tree.codisp(self.at)
            self.at += 1


def each(work: Callable[[Any], None], samples: Any) -> float:
    """Nanoseconds a sample."""
    return timed(lambda: work(samples)) * 1e9 / len(samples)


@kernel
def _score_all(
    points: Floats,
    on: NDArray[np.int8],
    at: Floats,
    window: int,
    masses: NDArray[np.uint16],
    nodes: NDArray[np.int64],
    followed: Floats,
) -> None:
    for i in range(len(points)):
        odd = i // window % 2
        sparsity(points[i], on, at, window, masses[odd], masses[1 - odd], nodes, followed)
        if (i + 1) % window == 0:
            masses[1 - odd] = 0


class TreesAlone:
    """Score and learn as river's trees do, without judging the scores."""

    def __init__(self, count: int, height: int) -> None:
        self.trees = grow_trees(count, height, 2, 1)
        self.masses = np.zeros((2, 2 ** (height + 1) - 1, count), np.uint16)
        self.scratch = np.zeros(count, np.int64), np.zeros(count)

    def run(self, points: Floats) -> None:
        """The next points."""
        _score_all(points, *self.trees, 250, self.masses, *self.scratch)


def trees(count: int, height: int, samples: int, rounds: int) -> list[Row]:
    """Half-space trees beside river's."""
    values = signal(WARM + samples)
    ours = Ours("half_space_trees", trees=count, height=height)
    alone = TreesAlone(count, height)
    theirs: Any = HalfSpaceTrees(n_trees=count, height=height, window_size=250, seed=1)
    pairs = np.array(shingles((values - 50) / 150))[:, :2].copy()
    points = [dict(enumerate(pair.tolist())) for pair in pairs]

    def river(asked: list[Any]) -> None:
        for point in asked:
            theirs.score_one(point)
            theirs.learn_one(point)

    ours.run(values[:WARM])
    alone.run(pairs[:300])
    river(points[:300])
    few = points[300 : 300 + min(len(points), 600)]
    judged, scored, other = interleave(
        [
            partial(each, ours.run, values),
            partial(each, alone.run, pairs),
            lambda: each(river, few),
        ],
        rounds,
    )
    what = f"half-space trees, {count} of height {height}"
    return [
        compare(f"{what}, scores alone", "river", "ns", scored, other),
        compare(f"{what}, judged", "river, not judged", "ns", judged, other),
    ]


def forests(samples: int, rounds: int) -> list[Row]:
    """The random cut forest beside rrcf and rcf3."""
    values = signal(WARM + samples)
    ours = Ours("random_cut_forest", trees=40, samples=256, lags=LAGS)
    python = Rrcf(40, 256)
    rust = rcf3.Forest(1, LAGS, num_trees=40, capacity=256, seed=1)

    def rcf(asked: list[list[float]]) -> None:
        for point in asked:
            rust.update_and_score(point)

    ours.run(values[:WARM])
    rcf([[x] for x in values[:WARM].tolist()])
    python.run(shingles(values[:300]))
    plain = [[x] for x in values[WARM:].tolist()]
    few = shingles(values[300:340])
    mine, of_python, of_rust = interleave(
        [
            partial(each, ours.run, values[WARM:]),
            lambda: each(python.run, few),
            lambda: each(rcf, plain),
        ],
        rounds,
    )
    what = "random cut forest, 40 trees of 256 points of 8"
    return [
        compare(what, "rrcf", "ns", mine, of_python),
        compare(what, "rcf3 (Rust), no attribution", "ns", mine, of_rust),
    ]


def similarity(windows: int, samples: int, rounds: int) -> Row:
    """Exact distances beside stumpi's."""
    values = signal(windows + samples)
    ours = Ours("similarity", windows=windows, length=WINDOW).fill(values[:windows])
    theirs = stumpy.stumpi(values[:windows], m=WINDOW, egress=True)

    def stumpi(asked: Floats) -> None:
        for value in asked:
            theirs.update(value)

    few = values[windows : windows + min(samples, 200)]
    stumpi(few[:5])  # Compiled at its first sample.
    mine, other = interleave(
        [partial(each, ours.run, values[windows:]), lambda: each(stumpi, few)], rounds
    )
    return compare(f"nearest of {windows} windows of {WINDOW}", "stumpi", "ns", mine, other)


def index(windows: int, samples: int, rounds: int) -> Row:
    """The index beside a scan of all windows."""
    values = signal(2 * windows + samples)
    own = {"windows": windows, "length": WINDOW}
    looked = Ours("similarity", search="index", **own).fill(values[: 2 * windows])
    scan = Ours("similarity", search="scan", **own).fill(values[windows : 2 * windows])
    asked = values[2 * windows :]
    mine, other = interleave([partial(each, o.run, asked) for o in (looked, scan)], rounds)
    return compare(f"index of {windows} windows of {WINDOW}", "scan of all", "ns", mine, other)


def main() -> None:
    """Print the JSON object."""
    question = "What do detectors that compare with a past cost?"
    quick = arguments(question).quick
    rounds, samples = (3, 1_000) if quick else (7, 5_000)
    rows = [
        *trees(10, 8, samples, rounds),
        *trees(25, 15, samples, rounds),
        *forests(samples, rounds),
        similarity(10_000, samples, rounds),
        similarity(30_000, samples, rounds),
        *(index(n, 1_000, rounds) for n in ([30_000] if quick else [30_000, 100_000, 300_000])),
    ]
    report(question, rows, ("river", "rrcf", "rcf3", "stumpy", "hnswlib"))


if __name__ == "__main__":
    main()
