"""How much faster is a median and MAD that is carried over than one computed anew each tick?

Ours goes through `Mad.step`, several ticks of all series a call, as in catching up; band and score
included. Sizes are chosen so that the state of all series stays in the second cache; "as they grow"
shows what it costs beyond. The first
peer does what one must without such a structure: bottleneck's median over each window, twice. The
second has it easier: bottleneck.move_median over a whole series at once, and no MAD.
"""

from functools import partial
from typing import Any

import bottleneck
import numpy as np

from benchmarks.measure import Row, arguments, compare, interleave, report, timed
from detectors.mad import Mad, MadParams
from models.columns import Floats, RowBatch

STEP_MS = 15_000
TICKS = 5


class Ours:
    """`Mad` over `series` rows, windows full."""

    def __init__(self, window: int, series: int) -> None:
        self.detector = Mad(MadParams(f"{window * STEP_MS}ms"), STEP_MS)
        self.detector.grow(series)
        self.rows = np.arange(series, dtype=np.int32)
        self.tick = 0

    def batches(self, values: Floats) -> list[RowBatch]:
        """(ticks, series), TICKS of them a batch."""
        made = []
        for part in np.split(values, range(TICKS, len(values), TICKS)):
            times = np.repeat(self.tick + 1 + np.arange(len(part)), len(self.rows)) * STEP_MS
            self.tick += len(part)
            rows = np.tile(self.rows, len(part))
            made.append(RowBatch(rows, times, part.ravel(), np.zeros(part.size, np.bool_)))
        return made

    def run(self, batches: list[RowBatch]) -> None:
        """A call each."""
        for batch in batches:
            self.detector.step(batch)


class Bottleneck:
    """The window kept in a ring, median and MAD over all of it each tick."""

    def __init__(self, window: int, fill: Floats) -> None:
        self.ring = np.ascontiguousarray(fill[-window:].T)
        self.tick = 0

    def batches(self, values: Floats) -> Floats:
        """As they are."""
        return values

    def run(self, batches: Floats) -> None:
        """(ticks, series)."""
        for now in batches:
            median = bottleneck.median(self.ring, axis=1)
            bottleneck.median(np.abs(self.ring - median[:, None]), axis=1)
            self.ring[:, self.tick % self.ring.shape[1]] = now
            self.tick += 1


def recomputed(window: int, series: int, ticks: int, rounds: int) -> Row:
    """Nanoseconds a sample, windows full."""
    rng = np.random.default_rng(window)
    fill = rng.normal(size=(window + 1, series))
    ours, theirs = Ours(window, series), Bottleneck(window, fill)
    ours.run(ours.batches(fill))
    few = max(1, 20_000 // (window * series // 100))

    def once(peer: Ours | Bottleneck, count: int) -> float:
        fresh: Any = peer.batches(rng.normal(size=(count, series)))
        return timed(lambda: peer.run(fresh)) * 1e9 / (count * series)

    mine, other = interleave([partial(once, ours, ticks), partial(once, theirs, few)], rounds)
    return compare(f"median + MAD, window {window}", "bottleneck.median twice", "ns", mine, other)


def offline(window: int, rounds: int) -> Row:
    """One hot series, many samples at once: eight rows of ours, one array of theirs."""
    rng = np.random.default_rng(window)
    ours, count = Ours(window, 1), 20_000
    times = np.empty(0, np.int64)
    flags, rows = np.zeros(count, np.bool_), np.zeros(count, np.int32)

    def mine() -> float:
        nonlocal times
        times = (ours.tick + 1 + np.arange(count)) * STEP_MS
        ours.tick += count
        batch = RowBatch(rows, times, rng.normal(size=count), flags)
        return timed(lambda: ours.detector.step(batch)) * 1e9 / count

    def theirs() -> float:
        values = rng.normal(size=count)
        return timed(lambda: bottleneck.move_median(values, window)) * 1e9 / count

    mine()
    results = interleave([mine, theirs], rounds)
    what = f"one series, window {window}, MAD included"
    return compare(what, "bottleneck.move_median, no MAD", "ns", *results)


def growing(series: int, window: int, rounds: int) -> Row:
    """What a sample costs as the series grow, beside the same with a thousand."""
    rng = np.random.default_rng(window)
    cases = [Ours(window, 1_000), Ours(window, series)]
    for case in cases:
        case.run(case.batches(rng.normal(size=(window + 1, len(case.rows)))))

    def once(case: Ours) -> float:
        fresh = case.batches(rng.normal(size=(4, len(case.rows))))
        return timed(lambda: case.run(fresh)) * 1e9 / (4 * len(case.rows))

    small, large = interleave([partial(once, case) for case in cases], rounds)
    return compare(f"window {window}, {series} series", "with 1000 series", "ns", large, small)


def main() -> None:
    """Run it."""
    question = "exact sliding median and MAD: carried over against recomputed each tick"
    quick = arguments(question).quick
    rounds = 3 if quick else 9
    cases = ((60, 2_000, 40), (288, 500, 100), (1_440, 100, 200), (10_080, 20, 400))
    rows = [recomputed(*case, rounds) for case in cases[: 3 if quick else 4]]
    rows += [offline(window, rounds) for window in (60, 288, 1_440, 10_080)]
    sizes = (10_000,) if quick else (10_000, 100_000, 1_000_000)
    rows += [growing(size, 60, rounds) for size in sizes]
    rows += [growing(size, 1_440, rounds) for size in sizes if size < 1_000_000]
    report(question, rows, ("numpy", "numba", "bottleneck"))


if __name__ == "__main__":
    main()
