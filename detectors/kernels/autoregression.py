"""An autoregression that lives as long as its series: slow to move, quick to forget one outlier.

Samples are standardised by a slow mean and deviation, forecast by recursive least squares from the
last ones, and errors beyond CLIP mean absolute errors teach no more than that.
"""

import math

import numpy as np

from detectors.kernels.least_squares import COVARIANCE_FIRST, predict, push, update
from detectors.kernels.points import SLOWEST, Z_MOST, standardise
from models.columns import Floats
from models.jit import kernel

FORGETTING = 0.9995
CLIP = 4.0
"""Errors beyond so many mean absolute errors teach no more than that."""


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
        covariance[:] = np.eye(order + 1) * COVARIANCE_FIRST
    z, mean, deviation = standardise(x, count, moments)
    for _ in range(min(gap - 1, order) if count > order else 0):
        push(lags, min(max(predict(weights, lags), -Z_MOST), Z_MOST))
    foretold = predict(weights, lags)
    error, usual = z - foretold, max(float(moments[2]), 1e-6)
    free = count < 2 * order + 4
    most = math.inf if free else CLIP * usual
    update(weights, covariance, lags, min(max(error, -most), most), FORGETTING)
    push(lags, z)
    share = max(1.0 / (count + 1), SLOWEST)
    moments[2] += share * (min(abs(error), 1.5 * most) - float(moments[2]))
    return mean + deviation * foretold
