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
def place(x: float, count: int, moments: Floats, point: Floats) -> None:
    """Make sample number `count` the point's first coordinate, the ones before go back by one.

    moments: (2,) mean and variance of the samples before, which then learn this one.
    """
    mean = x if count == 0 else float(moments[0])
    deviation = math.sqrt(moments[1]) if moments[1] > 0.0 else 1.0
    z = (x - mean) / max(deviation, 1e-9 * abs(mean) + 1e-12)
    for k in range(len(point) - 1, 0, -1):
        point[k] = point[k - 1]
    point[0] = 1.0 / (1.0 + math.exp(-min(max(z, -Z_MOST), Z_MOST) / SQUASH))
    weight = max(1.0 / (count + 1), SLOWEST)
    most = math.inf if count <= FREE else FAR * deviation
    moved = min(max(x - mean, -most), most)
    moments[0] = mean + weight * moved
    moments[1] += weight * (moved * moved - float(moments[1]))
