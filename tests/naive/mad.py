"""Sliding median and MAD the slow way: the window written out and sorted again for each sample."""

import numpy as np


def mad_scores(timestamps_ms, values, *, window_ms, window, threshold, warmup):
    """(n, 4) score, expected, lower, upper of one series, sample by sample."""
    seen: list[tuple[int, float]] = []
    out = []
    for at, x in zip(timestamps_ms, values, strict=True):
        past = [v for t, v in seen if t >= at - window_ms][-window:]
        if len(past) >= min(warmup, window):
            median = float(np.median(past))
            spread = 1.4826 * float(np.median(np.abs(np.array(past) - median)))
            if spread == 0:
                total = 0.0
                for v in sorted(past):
                    total += abs(v - median)
                spread = 1.2533 * (total / len(past))
            out.append(band(x, median, threshold * spread))
        else:
            out.append((np.nan, np.nan, np.nan, np.nan))
        if np.isfinite(x):
            seen.append((at, x))
    return np.array(out, dtype=float).reshape(-1, 4)


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
