"""A sorted array that slides: order statistics without sorting again."""

import numpy as np

from detectors.kernels.jit import kernel
from models.columns import Floats


@kernel
def rank(ordered: Floats, count: int, value: float) -> int:
    """How many of the first `count` entries are below `value`; `ordered` ascends.

    >>> rank(np.array([1.0, 2.0, 2.0, 5.0]), 4, 2.0)
    1
    """
    low = 0
    high = count
    while low < high:
        middle = (low + high) >> 1
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def insert(ordered: Floats, count: int, value: float) -> None:
    """Put `value` in its place among the first `count` entries; there is room for one more."""
    place = rank(ordered, count, value)
    for k in range(count, place, -1):
        ordered[k] = ordered[k - 1]
    ordered[place] = value


@kernel
def remove(ordered: Floats, count: int, value: float) -> None:
    """Take one entry equal to `value` out of the first `count`; it must be there."""
    for k in range(rank(ordered, count, value), count - 1):
        ordered[k] = ordered[k + 1]


@kernel
def replace(ordered: Floats, count: int, old: float, new: float) -> None:
    """Take out one `old`, put in `new`; only the entries between the two move."""
    place = rank(ordered, count, old)
    while place + 1 < count and ordered[place + 1] < new:
        ordered[place] = ordered[place + 1]
        place += 1
    while place > 0 and ordered[place - 1] > new:
        ordered[place] = ordered[place - 1]
        place -= 1
    ordered[place] = new


@kernel
def median(ordered: Floats, count: int) -> float:
    """Median of the first `count` ≥ 1 entries; the mean of the middle two when `count` is even.

    >>> median(np.array([1.0, 2.0, 4.0, 9.0]), 4)
    3.0
    """
    half = count >> 1
    if count & 1:
        return float(ordered[half])
    return (float(ordered[half - 1]) + float(ordered[half])) * 0.5


@kernel
def median_deviation(ordered: Floats, count: int, center: float) -> float:
    """Median of |entry - center| over the first `count` ≥ 1 entries, unscaled; O(log count).

    The deviations are two ascending runs, leftwards and rightwards from `center`. A binary search
    splits the smaller half of all deviations between the runs; the median lies at the cut.

    >>> median_deviation(np.array([1.0, 2.0, 3.0, 4.0, 100.0]), 5, 3.0)
    1.0
    """
    right = rank(ordered, count, center)
    left = right
    half = count >> 1
    low = max(0, half - (count - right))
    high = min(half, left)
    while low < high:
        # Take `taken` deviations from the left run, `half - taken` from the right one.
        taken = (low + high) >> 1
        if center - ordered[left - 1 - taken] < ordered[right + half - taken - 1] - center:
            low = taken + 1
        else:
            high = taken
    taken = low
    from_right = half - taken
    above = np.inf
    if taken < left:
        above = center - float(ordered[left - 1 - taken])
    if right + from_right < count:
        above = min(above, float(ordered[right + from_right]) - center)
    if count & 1:
        return above
    below = -np.inf
    if taken > 0:
        below = center - float(ordered[left - taken])
    if from_right > 0:
        below = max(below, float(ordered[right + from_right - 1]) - center)
    return (below + above) * 0.5


@kernel
def mean_deviation(ordered: Floats, count: int, center: float) -> float:
    """Mean of |entry - center| over the first `count` ≥ 1 entries, unscaled, summed in order.

    >>> mean_deviation(np.array([1.0, 2.0, 2.0, 5.0]), 4, 2.0)
    1.0
    """
    if ordered[0] == ordered[count - 1]:
        return abs(float(ordered[0]) - center)
    total = 0.0
    for k in range(count):
        total += abs(float(ordered[k]) - center)
    return total / count


@kernel
def quantile(ordered: Floats, count: int, share: float) -> float:
    """The `share` quantile of the first `count` ≥ 1 entries, linear between two neighbours.

    share: in [0, 1]. Hyndman & Fan's definition 7 (Sample Quantiles in Statistical Packages, The
    American Statistician 1996), which NumPy takes too.

    >>> quantile(np.array([1.0, 2.0, 4.0, 9.0]), 4, 0.5)
    3.0
    """
    place = share * (count - 1)
    below = int(place)
    if below + 1 >= count:
        return float(ordered[count - 1])
    low = float(ordered[below])
    return low + (float(ordered[below + 1]) - low) * (place - below)
