"""An autoregression that lives as long as its series: slow to move, quick to forget one outlier.

Samples are standardised by a slow mean and deviation, forecast by recursive least squares from the
last ones, and errors beyond CLIP mean absolute errors teach no more than that.
"""

import math

import numpy as np

from detectors.kernels.least_squares import COVARIANCE_FIRST, predict, push, update
from models.columns import Floats
from models.jit import kernel

FORGETTING = 0.9995
SLOWEST = 1e-3
"""Weight of a sample in mean, deviation and error, once there are many."""
LAG_MOST = 50.0
"""Standardised samples count at most so much."""
CLIP = 4.0
FREE = 50
"""Samples that move mean and deviation whole; later ones do so by FAR deviations at most."""
FAR = 5.0


@kernel
def foretell(
    x: float,
    gap: int,
    count: int,
    moments: Floats,
    lags: Floats,
    weights: Floats,
    covariance: Floats,
) -> float:
    """What sample number `count` was expected to be; then it is learned.

    gap: steps since the sample before; those between are taken to be as foretold. moments: (3,)
    mean, variance, mean absolute standardised error. The others as in `least_squares.py`.
    """
    order = len(lags)
    if count == 0:
        moments[0] = x
        covariance[:] = np.eye(order + 1) * COVARIANCE_FIRST
    mean = float(moments[0])
    deviation = math.sqrt(moments[1]) if moments[1] > 0.0 else 1.0
    deviation = max(deviation, 1e-9 * abs(mean) + 1e-12)
    z = min(max((x - mean) / deviation, -LAG_MOST), LAG_MOST)
    for _ in range(min(gap - 1, order) if count > order else 0):
        push(lags, min(max(predict(weights, lags), -LAG_MOST), LAG_MOST))
    foretold = predict(weights, lags)
    error, usual = z - foretold, max(float(moments[2]), 1e-6)
    free = count < 2 * order + 4
    most = math.inf if free else CLIP * usual
    update(weights, covariance, lags, min(max(error, -most), most), FORGETTING)
    push(lags, z)
    share = max(1.0 / (count + 1), SLOWEST)
    moments[2] += share * (min(abs(error), 1.5 * most) - float(moments[2]))
    most = math.inf if count <= FREE else FAR * deviation
    moved = min(max(x - mean, -most), most)
    moments[0] = mean + share * moved
    moments[1] += share * (moved * moved - float(moments[1]))
    return mean + deviation * foretold
