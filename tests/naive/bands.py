"""A band and a score in it, written out case by case."""

import numpy as np


def floor_of(expected):
    """The least half of a band around `expected`."""
    return max(1e-3 * abs(expected), 1e-9)


def band(x, expected, width):
    """Score and band around `expected`, half of it `width` or the floor."""
    half = max(width, floor_of(expected))
    return score_in(x, expected, expected - half, expected + half)


def score_in(x, expected, lower, upper):
    """Score of `x` in a band."""
    if not (np.isfinite(lower) and np.isfinite(upper)):
        return (np.nan, np.nan, np.nan, np.nan)
    edge = upper if x > expected else lower
    if not np.isfinite(x) or not np.isfinite(x - expected):
        return (np.nan, expected, lower, upper)
    if x == expected:
        return (0.0, expected, lower, upper)
    score = 1e6 if edge == expected else (x - expected) / (edge - expected)
    return (min(score, 1e6), expected, lower, upper)
