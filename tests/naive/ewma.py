"""Exponentially weighted mean and variance from their definition: every weight written out."""

import math

import numpy as np

from tests.naive.mad import band


def ewma_scores(values, *, alpha, threshold, warmup):
    """(n, 4) score, expected, lower, upper of one series, sample by sample."""
    past: list[float] = []
    out = []
    for x in values:
        if len(past) >= warmup:
            mean, variance = moments(past, alpha)
            out.append(band(x, mean, threshold * math.sqrt(variance)))
        else:
            out.append((np.nan, np.nan, np.nan, np.nan))
        if np.isfinite(x):
            past.append(x)
    return np.array(out, dtype=float).reshape(-1, 4)


def moments(past, alpha):
    """Weighted mean and variance."""
    weights = _weights(len(past), alpha)
    mean = math.fsum(w * v for w, v in zip(weights, past, strict=True))
    variance = math.fsum(w * (v - mean) ** 2 for w, v in zip(weights, past, strict=True))
    return mean, variance


def _weights(count, alpha):
    """Each sample's share of the mean after `count` samples; equal shares until 1/alpha are in."""
    weights: list[float] = []
    for n in range(count):
        newest = max(alpha, 1.0 / (n + 1))
        weights = [w * (1.0 - newest) for w in weights] + [newest]
    return weights
