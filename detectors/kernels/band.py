"""From distance to score: the meaning of 0 and 1 that all kinds with a band share."""

import math

from models.columns import Floats
from models.jit import inlined

SCORE_MAX = 1e6
"""Scores end here, so that they stay finite whatever the input."""
FLOOR_RELATIVE = 1e-3
FLOOR_ABSOLUTE = 1e-9


@inlined
def half_width(expected: float, width: float) -> float:
    """Half the band: `width`, but never under its floor.

    The floor is 0.1 % of the expected value and at least 1e-9 in the unit of the series. It is what
    a constant series is judged by, whose spread is 0; a policy's `min_deviation` raises it.

    >>> half_width(200.0, 0.0), half_width(200.0, 5.0)
    (0.2, 5.0)
    """
    return max(width, FLOOR_RELATIVE * abs(expected), FLOOR_ABSOLUTE)


@inlined
def band_score(value: float, expected: float, lower: float, upper: float) -> float:
    """Distance of `value` from `expected`, in distances of the band's edge on that side.

    0 at the expected value, 1 at the edge, at most SCORE_MAX; NaN when any argument is not finite.
    Computed from the edges as they are reported, so that a reader's own division gives these bits.

    >>> band_score(14.0, 10.0, 8.0, 12.0)
    2.0
    """
    edge = upper if value >= expected else lower
    distance = value - expected
    reach = edge - expected
    if not (math.isfinite(distance) and math.isfinite(reach)):
        return math.nan
    if distance == 0.0:
        return 0.0
    if reach == 0.0:
        return SCORE_MAX
    return min(distance / reach, SCORE_MAX)


@inlined
def edge_score(value: float, expected: float, lower: float, upper: float) -> float:
    """`band_score` where `half_width` made the edges and nothing can overflow: without a branch.

    >>> edge_score(14.0, 10.0, 8.0, 12.0)
    2.0
    """
    reach = (upper if value >= expected else lower) - expected
    return min((value - expected) / reach, SCORE_MAX)


@inlined
def judge(
    score: Floats,
    expected: Floats,
    lower: Floats,
    upper: Floats,
    i: int,
    value: float,
    m: float,
    low: float,
    high: float,
) -> None:
    """Write what is to be said of sample `i` against the band from `low` to `high` around `m`.

    A band with an edge that is not finite is no judgement: the columns stay as they are.
    """
    if math.isfinite(low) and math.isfinite(high):
        score[i] = band_score(value, m, low, high)
        expected[i] = m
        lower[i] = low
        upper[i] = high
