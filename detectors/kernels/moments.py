"""Mean and variance that forget exponentially."""

import math

from detectors.kernels.jit import kernel
from models.columns import Floats, Rows

COUNT_MAX = 2_000_000_000


@kernel
def learn(
    mean: Floats, variance: Floats, count: Rows, row: int, value: float, alpha: float
) -> None:
    """Let a finite sample into the moments of `row`.

    West's incremental form (Updating mean and variance estimates, CACM 1979): the sum of squares
    would lose all digits at 1e9 ± 1. Until 1/alpha samples are in, each weighs the same, so that
    the first one does not dominate. A value whose square is not finite starts the row afresh.
    """
    m = float(mean[row])
    weight = max(alpha, 1.0 / (int(count[row]) + 1))
    difference = value - m
    increment = weight * difference
    spread = (1.0 - weight) * (float(variance[row]) + difference * increment)
    if math.isfinite(spread) and math.isfinite(m + increment):
        mean[row] = m + increment
        variance[row] = spread
        count[row] = min(count[row] + 1, COUNT_MAX)
    else:
        mean[row] = value
        variance[row] = 0.0
        count[row] = 1
