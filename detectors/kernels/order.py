"""A sorted window that slides: order statistics without sorting again.

Two structures, chosen by the size of the window, in the same arrays and behind the same functions:

- Up to REWRITE_MAX entries, one leaf: the whole sorted row is rewritten for each sample, which has
  no branch to mispredict and is vectorised; 20 ns at 60 entries, 60 ns at 288.
- Above, leaves of LEAF entries with fixed lower bounds and counts of what stands before each. A
  sample rewrites one or two leaves; 90 ns at 1,440 entries, 120 ns at 10,080. A leaf that is full
  has all of them filled evenly again.

A row of the structure is
entries: (size,) ascending within each leaf, +inf where there is none. low: (padded,) the lower
bounds of all leaves but the first. before: (padded,) int16, entries in the leaves before; the
last leaf's successors hold the number of all. near: (4,) int32, where the last look found the
median, both ends of the MAD's window (as leaves), and the latter's rank; a look starts there.
With one leaf, `low`, `before` and `near` are None: what is compiled then knows nothing of leaves.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.jit import inlined, kernel

REWRITE_MAX = 384
LEAF = 64
LEAF_FILL = 40
LANES = 32
"""Loops over entries run in multiples of this, so that nothing is left over after vectors."""
SPARE = 16
"""Entries at the end of a row that stay +inf, for loops that look one ahead."""

Entries = Any
"""A contiguous array, float32 or float64 by the precision asked for; types cannot say which."""
Counts = NDArray[np.int16]
Places = NDArray[np.int32]


def sizes(window: int) -> tuple[int, int]:
    """Length of `entries` for a window, and of `low` and `before`; the latter 0 for one leaf.

    >>> sizes(60), sizes(10_080)
    ((80, 0), (16144, 256))
    """
    if window <= REWRITE_MAX:
        return _padded(window) + SPARE, 0
    leaves = -(-window // LEAF_FILL)
    return leaves * LEAF + SPARE, _padded(leaves + 1)


def _padded(count: int) -> int:
    return -(-count // LANES) * LANES


@inlined
def replace(
    entries: Entries,
    low: Entries,
    before: Counts | None,
    old: float,
    new: float,
    spare: Entries,
) -> None:
    """Take out one `old`, which must be there, put in `new`; +inf for either is none.

    old, new: of the entries' own type. spare: (entries,), written over.
    """
    if low is None or before is None:
        _rewrite(entries, len(entries) - SPARE, old, new)
    else:
        source = target = len(before)
        if old < math.inf:
            source = _leaf_with(entries, low, before, old)
            _take_out(entries, source * LEAF, old)
        if new < math.inf:
            target = _leaf_of(low, new)
            _put_in(entries, target * LEAF, new)
        _recount(before, source, target)
        if new < math.inf and before[target + 1] - before[target] >= LEAF - 1:
            _even_out(entries, low, before, spare)


@inlined
def median(entries: Entries, before: Counts | None, near: Places | None, count: int) -> float:
    """Median of the `count` ≥ 1 entries; the mean of the middle two when `count` is even."""
    half = count >> 1
    if before is None or near is None:
        high = entries[half]
        low = entries[half - 1] if half > 0 else high
    else:
        leaf = _holding(before, near[0], half)
        near[0] = leaf
        high = entries[leaf * LEAF + half - before[leaf]]
        low = high
        if count & 1 == 0:
            leaf = _holding(before, leaf, half - 1)
            low = entries[leaf * LEAF + half - 1 - before[leaf]]
    return float(high) if count & 1 else _middle(entries, low, high)


@inlined
def median_deviation(
    entries: Entries, before: Counts | None, near: Places | None, count: int, center: float
) -> float:
    """Median of |entry - center| over the `count` ≥ 1 entries, unscaled.

    The smaller half of all deviations belongs to neighbouring entries. Where this run starts, its
    rank, is remembered: it moves little from one sample to the next. `center` is rounded to the
    entries' type first, so that all deviations are.
    """
    m = entries.dtype.type(center)
    half = count >> 1
    if half == 0:
        return abs(entry(entries, before, near, 0) - float(m))
    if before is None or near is None:
        first = _run_start(entries, half, m)
        lowest, highest = entries[first], entries[first + half - 1]
        above = m - entries[first - 1] if first > 0 else math.inf
        if first + half < count:
            above = min(above, entries[first + half] - m)
    else:
        first = min(int(near[3]), count - half)
        left = _holding(before, near[1], first)
        right = _holding(before, near[2], first + half - 1)
        # Forwards while the entry after the run is closer than its first.
        while first + half < count:
            after = _holding(before, right, first + half)
            if not m - _at(entries, before, left, first) > (
                _at(entries, before, after, first + half) - m
            ):
                break
            right = after
            first += 1
            left = _holding(before, left, first)
        while first > 0:
            ahead = _holding(before, left, first - 1)
            if m - _at(entries, before, ahead, first - 1) > (
                _at(entries, before, right, first + half - 1) - m
            ):
                break
            left = ahead
            first -= 1
            right = _holding(before, right, first + half - 1)
        lowest = _at(entries, before, left, first)
        highest = _at(entries, before, right, first + half - 1)
        above = math.inf
        if first > 0:
            ahead = _holding(before, left, first - 1)
            above = m - _at(entries, before, ahead, first - 1)
        if first + half < count:
            after = _holding(before, right, first + half)
            above = min(above, _at(entries, before, after, first + half) - m)
        near[1], near[2], near[3] = left, right, first
    if count & 1:
        return float(above)
    return _middle(entries, max(m - lowest, highest - m), above)


@kernel
def mean_deviation(entries: Entries, before: Counts | None, count: int, center: float) -> float:
    """Mean of |entry - center| over the `count` ≥ 1 entries, unscaled, summed in order."""
    m = entries.dtype.type(center)
    total = 0.0
    if before is None:
        for k in range(count):
            total += abs(float(entries[k]) - float(m))
    else:
        for leaf in range(len(entries) // LEAF):
            begin = leaf * LEAF
            end = begin + before[leaf + 1] - before[leaf]
            # A leaf full of the center adds nothing; of a series that hardly moves that is most.
            if end > begin and not entries[begin] == m == entries[end - 1]:
                for k in range(begin, end):
                    total += abs(float(entries[k]) - float(m))
    return total / count


@kernel
def entry(entries: Entries, before: Counts | None, near: Places | None, rank: int) -> float:
    """The entry of that rank, from 0."""
    if before is None or near is None:
        return float(entries[rank])
    leaf = _holding(before, near[0], rank)
    return float(entries[leaf * LEAF + rank - before[leaf]])


@kernel
def quantile(
    entries: Entries, before: Counts | None, near: Places | None, count: int, share: float
) -> float:
    """The `share` quantile of the `count` ≥ 1 entries, linear between two neighbours.

    share: in [0, 1]. Hyndman & Fan's definition 7 (Sample Quantiles in Statistical Packages, The
    American Statistician 1996), which NumPy takes too.
    """
    place = share * (count - 1)
    below = int(place)
    low = entry(entries, before, near, below)
    if below + 1 >= count:
        return low
    return low + (entry(entries, before, near, below + 1) - low) * (place - below)


@inlined
def _rewrite(entries: Entries, width: int, old: float, new: float) -> None:
    """`replace` in one leaf. width: a multiple of LANES; what is beyond stays +inf."""
    ahead = entries.dtype.type(-math.inf)
    for k in range(width):
        here = entries[k]
        left = ahead if ahead < old else here
        right = here if here < old else entries[k + 1]
        entries[k] = max(left, min(right, new))
        ahead = here


@inlined
def _run_start(entries: Entries, half: int, m: float) -> int:
    """First rank of the `half` entries closest to `m` in one leaf: how many runs lie too far down.

    A run lies too far down when its first entry is farther away than the one after its last.
    """
    width = len(entries) - SPARE
    reach = ((width >> 1) + LANES - 1) // LANES * LANES
    down, up = entries[:reach], entries[half : half + reach]
    far = np.int32(0)
    for k in range(reach):
        far = np.int32(far + np.int32((m - down[k]) > (up[k] - m)))
    return int(far)


@inlined
def _middle(entries: Entries, low: float, high: float) -> float:
    """The mean of two, rounded to the entries' type."""
    return float(entries.dtype.type((low + high) * entries.dtype.type(0.5)))


@inlined
def _at(entries: Entries, before: Counts, leaf: int, rank: int) -> Any:
    """The entry of that rank, which is in that leaf; in its own type."""
    return entries[leaf * LEAF + rank - before[leaf]]


@inlined
def _holding(before: Counts, leaf: int, rank: int) -> int:
    """The leaf with the entry of that rank, sought from `leaf` on."""
    while before[leaf + 1] <= rank:
        leaf += 1
    while before[leaf] > rank:
        leaf -= 1
    return leaf


@kernel
def _leaf_of(low: Entries, value: float) -> int:
    """The last leaf whose lower bound is at most `value`."""
    bounds = np.int32(0)
    for k in range(len(low)):
        bounds = np.int32(bounds + np.int32(low[k] <= value))
    return int(bounds)


@kernel
def _leaf_with(entries: Entries, low: Entries, before: Counts, value: float) -> int:
    """The last leaf that holds `value`; ties may fill several leaves."""
    leaf = _leaf_of(low, value)
    while before[leaf + 1] == before[leaf] or entries[leaf * LEAF] > value:
        leaf -= 1
    return leaf


@kernel
def _take_out(entries: Entries, begin: int, value: float) -> None:
    leaf = entries[begin : begin + LEAF + 1]
    for k in range(LEAF):
        leaf[k] = leaf[k] if leaf[k] < value else leaf[k + 1]
    leaf[LEAF - 1] = math.inf


@kernel
def _put_in(entries: Entries, begin: int, value: float) -> None:
    leaf = entries[begin : begin + LEAF]
    ahead = entries.dtype.type(-math.inf)
    for k in range(LEAF):
        here = leaf[k]
        leaf[k] = max(ahead, min(here, value))
        ahead = here


@kernel
def _recount(before: Counts, source: int, target: int) -> None:
    """One entry fewer before each leaf after `source`, one more after `target`."""
    for k in range(len(before)):
        before[k] += np.int16(k > target) - np.int16(k > source)


@kernel
def _even_out(entries: Entries, low: Entries, before: Counts, spare: Entries) -> None:
    """Fill all leaves alike and set their bounds anew."""
    leaves = len(entries) // LEAF
    count = 0
    for leaf in range(leaves):
        for k in range(before[leaf + 1] - before[leaf]):
            spare[count + k] = entries[leaf * LEAF + k]
        count += before[leaf + 1] - before[leaf]
    entries[:] = math.inf
    for leaf in range(leaves):
        begin, end = leaf * count // leaves, (leaf + 1) * count // leaves
        for k in range(begin, end):
            entries[leaf * LEAF + k - begin] = spare[k]
        before[leaf] = begin
        if leaf > 0:
            low[leaf - 1] = spare[begin] if begin < count else math.inf
    before[leaves:] = count
