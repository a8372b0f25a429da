"""How much cheaper is an exact sliding median and MAD that carries over than one made each tick?

The peer keeps the same window in a ring and asks bottleneck for the median and for the median of
the absolute deviations at every tick: what a detector built on NumPy does. Ours also scores.
"""

import bottleneck
import numpy as np

from benchmarks.measure import Row, arguments, compare, interleave, report, timed
from detectors.mad import Mad, MadParams
from models.columns import RowBatch

STEP_MS = 1_000


class Ours:
    """The detector as the engine runs it, one batch of all series a tick."""

    def __init__(self, window: int, values: np.ndarray) -> None:
        self.detector = Mad(MadParams(f"{window}s", warmup=1), STEP_MS)
        self.detector.grow(values.shape[1])
        self.rows = np.arange(values.shape[1], dtype=np.int32)
        self.missing = np.zeros(values.shape[1], np.bool_)
        self.tick = 0

    def run(self, values: np.ndarray) -> None:
        """One row of `values` after the other."""
        for now in values:
            self.tick += 1
            times = np.full(len(now), self.tick * STEP_MS, np.int64)
            self.detector.step(RowBatch(self.rows, times, now, self.missing))


class Bottleneck:
    """Median and MAD of the whole ring at every tick."""

    def __init__(self, window: int, values: np.ndarray) -> None:
        self.ring = np.zeros((values.shape[1], window))
        self.tick = 0

    def run(self, values: np.ndarray) -> None:
        """One row of `values` after the other."""
        for now in values:
            median = bottleneck.median(self.ring, axis=1)
            bottleneck.median(np.abs(self.ring - median[:, None]), axis=1)
            self.ring[:, self.tick % self.ring.shape[1]] = now
            self.tick += 1


def measure(window: int, series: int, ticks: int, rounds: int) -> Row:
    """Nanoseconds a sample, windows full."""
    rng = np.random.default_rng(window)
    fill = rng.normal(size=(window + 1, series))
    fresh = rng.normal(size=(ticks, series))
    ours, theirs = Ours(window, fill), Bottleneck(window, fill)
    ours.run(fill)
    theirs.run(fill[-window:])
    per_sample = 1e9 / (ticks * series)
    mine, other = interleave(
        [
            lambda: timed(lambda: ours.run(fresh)) * per_sample,
            lambda: timed(lambda: theirs.run(fresh)) * per_sample,
        ],
        rounds,
    )
    return compare(f"median + MAD, window {window}", "bottleneck.median twice", "ns", mine, other)


def main() -> None:
    """Run it."""
    question = "exact sliding median and MAD: carried over against recomputed each tick"
    quick = arguments(question).quick
    rounds = 3 if quick else 9
    cases = ((60, 5_000, 20), (288, 2_000, 20), (1_440, 500, 20), (10_080, 50, 20))
    rows = [measure(*case, rounds) for case in cases[: 3 if quick else 4]]
    report(question, rows, ("numpy", "numba", "bottleneck"))


if __name__ == "__main__":
    main()
