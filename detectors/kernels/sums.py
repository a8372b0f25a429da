"""Sums over a sliding window: of distances from a center, and of their squares."""

import math

from models.columns import Floats, Rows
from models.jit import inlined, kernel


@inlined
def moved(
    center: float, total: float, squares: float, value: float, sign: int
) -> tuple[float, float]:
    """The sums with a value let in or, with sign -1, taken out; +inf is no value."""
    if value == math.inf:
        return total, squares
    distance = value - center
    return total + sign * distance, squares + sign * (distance * distance)


@kernel
def sum_again(
    ring: Floats, row: int, count: Rows, center: Floats, total: Floats, squares: Floats
) -> None:
    """Sum the window of `row` anew around its newest mean: what rounding took comes back."""
    if count[row] > 0:
        center[row] += float(total[row]) / int(count[row])
    c, t, s = float(center[row]), 0.0, 0.0
    for place in range(ring.shape[0]):
        t, s = moved(c, t, s, float(ring[place, row]), 1)
    total[row] = t
    squares[row] = s
