"""Level and spread by time of day or hour of week, a dictionary of slots, sample by sample."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from tests.naive.bands import floor_of, score_in


def seasonal_scores(
    timestamps_ms, values, *, period, slot_ms, zone, neighbours, memory, threshold, warmup
):
    """(n, 4) score, expected, lower, upper of one series; memory: samples that a slot remembers."""
    known: dict[int, tuple[float, float, int]] = {}
    slots = (7 if period == "week" else 1) * 86_400_000 // slot_ms
    out = []
    for at, x in zip(timestamps_ms, values, strict=True):
        slot = slot_of(at, period, slot_ms, zone)
        level, spread, count = known.get(slot, (0.0, 0.0, 0))
        if count >= warmup:
            beside = [known.get((slot + k) % slots) for k in range(-neighbours, neighbours + 1)]
            bands = [band_of(*own[:2], threshold) for own in beside if own and own[2] >= warmup]
            lower, upper = min(b[0] for b in bands), max(b[1] for b in bands)
            out.append(score_in(x, level, lower, upper))
        else:
            out.append((np.nan,) * 4)
        if np.isfinite(x):
            known[slot] = learn(level, spread, count, x, memory)
    return np.array(out, dtype=float)


def slot_of(at_ms, period, slot_ms, zone):
    """By the wall clock."""
    local = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
    since = ((local.hour * 60 + local.minute) * 60 + local.second) * 1000 + int(at_ms) % 1000
    if period == "week":
        since += local.weekday() * 86_400_000
    return since // slot_ms


def band_of(level, spread, threshold):
    half = max(threshold * 1.2533 * spread, floor_of(level))
    return level - half, level + half


def learn(level, spread, count, x, memory):
    """The clipped averages; the first 16 samples count whole."""
    if count == 0:
        return x, 0.0, 1
    share = 1 / min(count + 1, memory)
    sigma = np.inf if count < 16 else max(1.2533 * spread, floor_of(level))
    step = float(np.clip(x - level, -3 * sigma, 3 * sigma))
    far = min(abs(x - level), 10 * sigma)
    return level + share * step, spread + share * (far - spread), min(count + 1, memory)
