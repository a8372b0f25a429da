"""Holt-Winters and a recursive autoregression with NumPy's matrices, as their textbooks read."""

import numpy as np

from tests.naive.bands import band, floor_of


def holt_winters_scores(
    timestamps_ms, values, *, step_ms, alpha, beta, gamma, damping, season, threshold, warmup
):
    """(n, 4) score, expected, lower, upper of one series; season in steps, 0 for none."""
    out, known = [], 0
    level = trend = variance = 0.0
    waves = np.zeros(max(season, 1))
    before = None
    for at, x in zip(timestamps_ms, values, strict=True):
        now = int(at) // step_ms
        ahead = 0 if before is None else max(now - before, 1)
        powers = sum(damping**k for k in range(1, ahead + 1))
        base, slope = level + powers * trend, trend * damping**ahead
        place = now % season if season else 0
        m = base + (waves[place] if season else 0.0)
        if known >= warmup:
            out.append(band(x, m, threshold * np.sqrt(variance)))
        else:
            out.append((np.nan,) * 4)
        if not np.isfinite(x):
            continue
        before = now
        if known == 0:
            level, trend = x, 0.0
        else:
            error = clip(x - m, m, variance, known < warmup)
            level, trend = base + alpha * error, slope + alpha * beta * error
            if season:
                waves[place] += gamma * (1 - alpha) * error
            variance += max(alpha / 4, 1 / known) * (error**2 - variance)
        known += 1
    return np.array(out, dtype=float)


def ar_scores(timestamps_ms, values, *, step_ms, order, forgetting, threshold, warmup):
    """(n, 4) score, expected, lower, upper of one series."""
    out, known, before, variance = [], 0, None, 0.0
    first: list[float] = []
    lags = weights = cov = None
    c = s = 0.0
    for at, x in zip(timestamps_ms, values, strict=True):
        now = int(at) // step_ms
        if known <= order:
            out.append((np.nan,) * 4)
            if np.isfinite(x):
                first.append(x)
                known, before = known + 1, now
            if known == order + 1 and lags is None:
                c, s = np.mean(first), np.std(first)
                s = max(s, floor_of(c))
                lags = (np.array(first[::-1]) - c)[:order] / s
                weights, cov = np.eye(order + 1)[0], np.eye(order + 1) * 1e3
            continue
        past = lags
        for _ in range(min(max(now - before, 1) - 1, order)):
            past = np.append(weights @ np.append(past, 1), past)[:order]
        phi = np.append(past, 1.0)
        z = weights @ phi
        m = c + s * z
        if known >= warmup:
            out.append(band(x, m, threshold * np.sqrt(variance)))
        else:
            out.append((np.nan,) * 4)
        if not np.isfinite(x):
            continue
        error = clip(x - m, m, variance, known < max(warmup, 2 * order + 2))
        gain = cov @ phi / (forgetting + phi @ cov @ phi)
        weights = weights + gain * error / s
        cov = (cov - np.outer(gain, phi @ cov)) / forgetting
        lags = np.append(z + error / s, past)[:order]
        variance += max(1 - forgetting, 1 / (known - order)) * (error**2 - variance)
        known, before = known + 1, now
    return np.array(out, dtype=float)


def clip(error, m, variance, free):
    most = np.inf if free else 3 * max(np.sqrt(variance), floor_of(m))
    return min(max(error, -most), most)
