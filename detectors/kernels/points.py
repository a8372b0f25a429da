"""A series as points: its last samples, standardised by slow moments and squashed to 0 … 1."""

import math

from models.columns import Floats
from models.jit import kernel

SLOWEST = 1e-3
"""Weight of a sample in mean and deviation, once there are many."""
SQUASH = 3.0
"""Standard deviations that take a coordinate from 0.5 to 0.73."""
FREE, FAR = 50, 5.0
"""Samples that move the moments whole; later ones do so by FAR deviations at most."""
Z_MOST = 50.0


@kernel
def standardise(x: float, count: int, moments: Floats) -> tuple[float, float, float]:
    """`x` in deviations from the mean, then learned; mean and deviation of the samples before.

    count: samples before. moments: mean and variance come first.
    """
    if count == 0:
        moments[0] = x
    mean = float(moments[0])
    deviation = math.sqrt(moments[1]) if moments[1] > 0.0 else 1.0
    deviation = max(deviation, 1e-9 * abs(mean) + 1e-12)
    weight = max(1.0 / (count + 1), SLOWEST)
    most = math.inf if count <= FREE else FAR * deviation
    moved = min(max(x - mean, -most), most)
    moments[0] = mean + weight * moved
    moments[1] += weight * (moved * moved - float(moments[1]))
    return min(max((x - mean) / deviation, -Z_MOST), Z_MOST), mean, deviation


@kernel
def place(x: float, count: int, moments: Floats, point: Floats) -> None:
    """Make sample number `count` the point's first coordinate, the ones before go back by one."""
    z, _, _ = standardise(x, count, moments)
    for k in range(len(point) - 1, 0, -1):
        point[k] = point[k - 1]
    point[0] = 1.0 / (1.0 + math.exp(-z / SQUASH))
