"""How far is a step of the small detectors from what the machine's memory allows?

Ours goes through `step`, one call a tick for all series: score, expected value and both edges. The
peers do the same job: NumPy in single precision, whole columns at a time; river's moving mean and
variance, series by series. "update" walks the same columns with the least arithmetic that reads
and writes them all: what this machine's memory allows.
"""

import math
from functools import partial
from typing import Any

import numpy as np
from river.stats import EWMean, EWVar

from benchmarks.measure import Row, arguments, compare, interleave, report, timed
from detectors.base import Detector
from detectors.catalog import kinds
from models.columns import Floats, RowBatch, Rows, Times
from models.jit import kernel

STEP_MS = 15_000
ALPHA, THRESHOLD = 0.05, 4.0


class Ours:
    """Some kinds, each over `series` rows, warm."""

    def __init__(self, names: tuple[str, ...], series: int, gaps: float = 0.0) -> None:
        self.detectors: list[Detector] = [kinds()[n](kinds()[n].Params(), STEP_MS) for n in names]
        for detector in self.detectors:
            detector.grow(series)
        rng = np.random.default_rng(1)
        self.rows = np.arange(series, dtype=np.int32)
        self.values = rng.normal(100, 5, (4, series))
        self.values[rng.random((4, series)) < gaps] = np.nan
        self.times = np.zeros(series, np.int64)
        self.absent = np.zeros(series, np.bool_)
        self.tick = 100_000_000
        for _ in range(90):
            self.run()

    def run(self) -> None:
        """One tick."""
        self.tick += 1
        self.times[:] = self.tick * STEP_MS
        batch = RowBatch(self.rows, self.times, self.values[self.tick % 4], self.absent)
        for detector in self.detectors:
            detector.step(batch)


class Numpy:
    """The same in float32 columns."""

    def __init__(self, series: int) -> None:
        self.values = np.random.default_rng(1).normal(100, 5, series).astype(np.float32)
        self.mean = np.full(series, 100, np.float32)
        self.variance = np.full(series, 25, np.float32)

    def run(self) -> None:
        """One tick."""
        one = np.float32
        floor = np.maximum(one(1e-3) * np.abs(self.mean), one(1e-9))
        half = np.maximum(one(THRESHOLD) * np.sqrt(self.variance), floor)
        self.lower, self.upper = self.mean - half, self.mean + half
        difference = self.values - self.mean
        self.score = np.minimum(np.abs(difference) / half, one(1e6))
        there = np.isfinite(self.values)
        increment = one(ALPHA) * difference
        spread = one(1 - ALPHA) * (self.variance + difference * increment)
        self.variance = np.where(there, spread, self.variance)
        self.mean = np.where(there, self.mean + increment, self.mean)


class River:
    """The same with river's statistics, one object each a series."""

    def __init__(self, series: int) -> None:
        self.values = np.random.default_rng(1).normal(100, 5, series).tolist()
        self.state = [(EWMean(ALPHA), EWVar(ALPHA)) for _ in range(series)]
        self.out: list[Any] = [None] * series

    def run(self) -> None:
        """One tick."""
        for k, ((mean, variance), x) in enumerate(zip(self.state, self.values, strict=True)):
            m = mean.get()
            half = max(THRESHOLD * math.sqrt(max(variance.get(), 0.0)), 1e-3 * abs(m), 1e-9)
            self.out[k] = (min(abs(x - m) / half, 1e6), m, m - half, m + half)
            mean.update(x)
            variance.update(x)


@kernel
def _update(
    x: Floats,
    mean: Floats,
    variance: Floats,
    newest: Times,
    count: Rows,
    o: Floats,
    p: Floats,
    q: Floats,
    r: Floats,
) -> None:
    for i in range(len(x)):
        mean[i] = mean[i] + x[i]
        variance[i] = variance[i] + count[i]
        newest[i] = newest[i] + 1
        o[i] = x[i]
        p[i] = mean[i]
        q[i] = variance[i]
        r[i] = x[i]


class Update:
    """The columns that an `ewma` step reads and writes, with next to no arithmetic."""

    def __init__(self, series: int) -> None:
        self.x, self.mean, self.variance = (np.ones(series) for _ in range(3))
        self.newest, self.count = np.zeros(series, np.int64), np.zeros(series, np.int32)
        self.rows, self.times = np.arange(series, dtype=np.int32), np.zeros(series, np.int64)
        self.tick = 0

    def run(self) -> None:
        """One tick: the batch's rows and times too, which a step reads to know that it is dense."""
        self.tick += 1
        self.times[:] = self.tick
        self.rows.max()
        out = np.empty((4, len(self.newest)))
        score, expected, lower, upper = out
        state = self.mean, self.variance, self.newest, self.count
        _update(self.x, *state, score, expected, lower, upper)


def against(what: str, ours: Any, peers: dict[str, Any], series: int, rounds: int) -> list[Row]:
    """Nanoseconds a sample."""

    def once(case: Any) -> float:
        return (
            timed(case.run) * 1e9 / len(case.values if isinstance(case, River) else range(series))
        )

    for peer in peers.values():
        peer.run()
    results = interleave([partial(once, case) for case in (ours, *peers.values())], rounds)
    return [
        compare(f"{what}, {series} series", name, "ns", results[0], result)
        for name, result in zip(peers, results[1:], strict=True)
    ]


def main() -> None:
    """Run it."""
    question = "ewma, cusum and seasonal against numpy, river and the machine's memory"
    quick = arguments(question).quick
    series, rounds = (100_000, 3) if quick else (1_000_000, 11)
    ewma = Ours(("ewma",), series)
    peers = {
        "update of the same columns": Update(series),
        "numpy, float32": Numpy(series),
        "river EWMean + EWVar": River(20_000),
    }
    rows = against("ewma", ewma, peers, series, rounds)
    three = Ours(("ewma", "cusum", "seasonal"), series)
    rows += against("ewma + cusum + seasonal", three, {"ewma alone": ewma}, series, rounds)
    gappy = Ours(("ewma",), series, gaps=0.01)
    rows += against("ewma, 1 % gaps", gappy, {"ewma without": ewma}, series, rounds)
    for size in (1_000, 10_000, 100_000):
        rows += against(
            "ewma", Ours(("ewma",), size), {"numpy, float32": Numpy(size)}, size, rounds
        )
    report(question, rows, ("numpy", "numba", "river"))


if __name__ == "__main__":
    main()
