"""Counts the slow way: the window written out, every probability on its own, silences listed."""

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from tests.naive.bands import score_in
from tests.naive.windows import past_of


def negative_binomial(mean, variance, k):
    """P(X = k)."""
    size = mean**2 / (variance - mean)
    return math.exp(
        math.lgamma(k + size) - math.lgamma(size) - math.lgamma(k + 1)
        + size * math.log(size / (size + mean)) + k * math.log(mean / (size + mean))
    )  # fmt: skip


def edges_of(past, tail):
    mean = max(math.fsum(past) / len(past), 0.0)
    variance = math.fsum((v - math.fsum(past) / len(past)) ** 2 for v in past) / max(
        len(past) - 1, 1
    )
    mean_next = mean + 0.5 / len(past)
    variance_next = max(variance, mean_next) * (1 + 1 / len(past))
    if mean_next > 200:
        ninth = variance_next / (9 * mean_next**2)
        z = NormalDist().inv_cdf(1 - tail) * math.sqrt(ninth)
        lower, upper = (mean_next * max(1 - ninth + side, 0.0) ** 3 for side in (-z, z))
        return mean, min(lower, mean) - 0.5, max(upper, mean) + 0.5
    terms = [negative_binomial(mean_next, variance_next, k) for k in range(3_000)]
    sums = np.cumsum(terms)
    lower, upper = (int(np.argmax(sums >= share)) for share in (tail, 1 - tail))
    return mean, min(lower, mean) - 0.5, max(upper, mean) + 0.5


def log_rate_scores(timestamps_ms, values, *, step_ms, window, rarity, warmup):
    """(n, 4) score, expected, lower, upper of one series."""
    out = []
    for x, past in past_of(timestamps_ms, values, step_ms, window):
        if len(past) < min(warmup, window):
            out.append((np.nan,) * 4)
        else:
            out.append(score_in(x, *edges_of(past, rarity / 2)))
    return np.array(out, dtype=float).reshape(-1, 4)


def log_silence_scores(timestamps_ms, values, *, step_ms, factor, memory_ms, warmup):
    """(n,) score of one series."""
    out, arrivals = [], []
    for at, x in zip(timestamps_ms.tolist(), values.tolist(), strict=True):
        if not math.isfinite(x):
            out.append(np.nan)
            continue
        silence = at - arrivals[-1] if arrivals else 0
        # A silence fades with the time that passes until later events.
        gaps = [(b - a) * 0.5 ** ((arrivals[-1] - b) / memory_ms) for a, b in pairwise(arrivals)]
        if len(arrivals) < warmup:
            out.append(np.nan)
        else:
            out.append(0.0 if x > 0 else silence / (factor * max([*gaps, step_ms])))
        if x > 0:
            arrivals.append(at)
    return np.array(out)
