"""Two-sided cumulative sum, step by step as its definition reads."""

import math

import numpy as np

from tests.naive.ewma import moments


def cusum_scores(timestamps_ms, values, *, step_ms, alpha, slack, threshold, rebase, warmup):
    """(n, 2) score and baseline of one series; finite values."""
    learned, offset, up, down, beyond = [], 0.0, 0.0, 0.0, []
    elapsed, before = [], None
    out = []
    for at, x in zip(timestamps_ms, values, strict=True):
        steps = 1 if before is None else (at - before) // step_ms
        before = at
        if len(learned) < warmup:
            out.append((np.nan, np.nan))
            learned.append(x - offset)
            elapsed.append(steps)
            continue
        mean, variance = moments(elapsed, learned, alpha)
        mean += offset
        sigma = max(math.sqrt(variance), 1e-3 * abs(mean), 1e-9)
        z = float(np.clip((x - mean) / sigma, -(threshold + slack), threshold + slack))
        up = max(0.0, up + z - slack)
        down = max(0.0, down - z - slack)
        score = max(up, down) / threshold
        out.append((score, mean))
        if score <= 1:
            beyond = []
            learned.append(x - offset)
            elapsed.append(steps)
            continue
        beyond.append(x)
        if len(beyond) == rebase:
            # The shape that was learned stays, moved to the new level.
            offset += sum(beyond) / rebase - mean
            up, down, beyond = 0.0, 0.0, []
    return np.array(out)
