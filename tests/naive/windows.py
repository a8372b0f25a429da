"""Quantile band and z-score the slow way: the window written out anew for each sample."""

import math

import numpy as np

from tests.naive.bands import floor_of, score_in


def past_of(timestamps_ms, values, step_ms, window):
    """For each sample, what the `window` steps before it hold: the newest finite value of each.

    A sample earlier in the same step belongs to the past too, in the place of the oldest step.
    """
    seen: dict[int, float] = {}
    for at, x in zip(timestamps_ms, values, strict=True):
        step = int(at) // step_ms
        first = step - window + (step in seen)
        yield x, [v for k, v in seen.items() if first <= k <= step]
        if np.isfinite(x):
            seen[step] = x


def quantile_scores(timestamps_ms, values, *, step_ms, window, low, high, margin, warmup):
    """(n, 4) score, expected, lower, upper of one series."""
    out = []
    for x, past in past_of(timestamps_ms, values, step_ms, window):
        if len(past) < min(warmup, window):
            out.append((np.nan,) * 4)
            continue
        median = float(np.median(past))
        spread = float(np.quantile(past, 0.75) - np.quantile(past, 0.25))
        floor = floor_of(median)
        lower = median - max(median - float(np.quantile(past, low)) + margin * spread, floor)
        upper = median + max(float(np.quantile(past, high)) - median + margin * spread, floor)
        out.append(score_in(x, median, lower, upper))
    return np.array(out, dtype=float).reshape(-1, 4)


def zscore_scores(timestamps_ms, values, *, step_ms, window, threshold, warmup):
    """(n, 4) score, expected, lower, upper of one series."""
    out = []
    for x, past in past_of(timestamps_ms, values, step_ms, window):
        if len(past) < min(warmup, window):
            out.append((np.nan,) * 4)
            continue
        mean = math.fsum(past) / len(past)
        variance = math.fsum((v - mean) ** 2 for v in past) / len(past)
        half = max(threshold * math.sqrt(variance), floor_of(mean))
        out.append(score_in(x, mean, mean - half, mean + half))
    return np.array(out, dtype=float).reshape(-1, 4)
