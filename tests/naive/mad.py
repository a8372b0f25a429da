"""Sliding median and MAD the slow way: the window written out and sorted again for each sample."""

import numpy as np

from tests.naive.bands import band
from tests.naive.windows import past_of


def mad_scores(timestamps_ms, values, *, step_ms, window, threshold, warmup):
    """(n, 4) score, expected, lower, upper of one series, sample by sample."""
    out = []
    for x, past in past_of(timestamps_ms, values, step_ms, window):
        if len(past) < min(warmup, window):
            out.append((np.nan,) * 4)
            continue
        median = float(np.median(past))
        spread = 1.4826 * float(np.median(np.abs(np.array(past) - median)))
        if spread == 0:
            total = 0.0
            for v in sorted(past):
                total += abs(v - median)
            spread = 1.2533 * (total / len(past))
        out.append(band(x, median, threshold * spread))
    return np.array(out, dtype=float).reshape(-1, 4)
