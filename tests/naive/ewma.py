"""Exponentially weighted mean and variance from their definition: every weight written out."""

import math

import numpy as np

from tests.naive.bands import band


def ewma_scores(timestamps_ms, values, *, step_ms, alpha, threshold, warmup):
    """(n, 4) score, expected, lower, upper of one series, sample by sample."""
    elapsed: list[int] = []
    past: list[float] = []
    before = None
    out = []
    for at, x in zip(timestamps_ms, values, strict=True):
        if len(past) >= warmup:
            mean, variance = moments(elapsed, past, alpha)
            out.append(band(x, mean, threshold * math.sqrt(variance)))
        else:
            out.append((np.nan, np.nan, np.nan, np.nan))
        if np.isfinite(x):
            elapsed.append(1 if before is None else (at - before) // step_ms)
            before = at
            past.append(x)
    return np.array(out, dtype=float).reshape(-1, 4)


def moments(elapsed, past, alpha):
    """Weighted mean and variance; elapsed: steps from the sample before to each one."""
    weights = _weights(elapsed, alpha)
    mean = math.fsum(w * v for w, v in zip(weights, past, strict=True))
    variance = math.fsum(w * (v - mean) ** 2 for w, v in zip(weights, past, strict=True))
    return mean, variance


def _weights(elapsed, alpha):
    """Each sample's share of the mean; equal shares until 1/alpha samples are in.

    A sample that comes k steps after the one before weighs as much as k samples would.
    """
    weights: list[float] = []
    for n, steps in enumerate(elapsed):
        newest = max(1.0 - (1.0 - alpha) ** steps, 1.0 / (n + 1))
        weights = [w * (1.0 - newest) for w in weights] + [newest]
    return weights
