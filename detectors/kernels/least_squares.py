"""A forecast one step ahead from the last samples, its weights by recursive least squares.

lags: (order,) the last samples, the newest first. weights: (order + 1,), the constant last.
covariance: (order + 1, order + 1), symmetric.
"""

import numpy as np

from models.columns import Floats
from models.jit import kernel

COVARIANCE_FIRST = 1e3
COVARIANCE_MAX = 1e9
"""Beyond, the least squares have forgotten more than they were told, and start afresh."""


@kernel
def predict(weights: Floats, lags: Floats) -> float:
    """The next sample from the last ones and a constant."""
    z = float(weights[len(lags)])
    for k in range(len(lags)):
        z += float(weights[k]) * float(lags[k])
    return z


@kernel
def push(lags: Floats, value: float) -> None:
    """Put the newest sample before the others; the oldest one goes."""
    for k in range(len(lags) - 1, 0, -1):
        lags[k] = lags[k - 1]
    lags[0] = value


@kernel
def update(
    weights: Floats, covariance: Floats, lags: Floats, error: float, forgetting: float
) -> None:
    """Recursive least squares with forgetting; Haykin, Adaptive Filter Theory, ch. 10.

    covariance: (order + 1, order + 1), symmetric; the constant comes last.
    """
    order = len(lags)
    gain = np.zeros(order + 1)
    scale = forgetting
    for j in range(order + 1):
        total = float(covariance[j, order])
        for k in range(order):
            total += float(covariance[j, k]) * float(lags[k])
        gain[j] = total
        scale += total * (float(lags[j]) if j < order else 1.0)
    trace = 0.0
    for j in range(order + 1):
        weights[j] = float(weights[j]) + float(gain[j]) / scale * error
        for k in range(j + 1):
            less = float(gain[j]) * float(gain[k]) / scale
            covariance[j, k] = (float(covariance[j, k]) - less) / forgetting
            covariance[k, j] = covariance[j, k]
        trace += float(covariance[j, j])
    if not trace < COVARIANCE_MAX:
        covariance[:] = np.eye(order + 1) * COVARIANCE_FIRST
