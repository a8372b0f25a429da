"""Tail surprise and record of each value of a stream, with the past kept whole."""

import math


def surprises(values, *, level_of, exceedances, few, ready):
    """(tail surprise, record) of each value.

    level_of: quantile that the tail begins at. ready: values before the tail begins.
    """
    out = []
    level, hill, far_out = 0.0, 0.0, 0
    share = 0.5
    positive, ripe = [], []
    for count, value in enumerate(values):
        edge = -math.log10(share) - math.log10(1 - level_of)
        index = max((far_out * hill + 100 * 0.5) / (far_out + 100), 0.2)
        if value <= 0:
            surprise = 0.0
        elif value <= level:
            surprise = edge * value / level
        elif level > 0:
            surprise = min(edge + math.log10(value / level) / index, 12)
        else:
            surprise = min(edge, 12)
        ranked = sorted(positive, reverse=True)
        if value <= 0:
            record = 0.0
        elif len(ranked) >= 10:
            record = min(max(2 + math.log2(value / ranked[9]), 0), 12)
        else:
            record = min(1 - math.log10(share), 12)
        out.append((surprise, record))
        share += ((value > 0) - share) / (min(count + 1, 20_000) + 1)
        share = max(share, 0.5 / 20_000)
        if value <= 0:
            continue
        positive = [p * 0.9999 for p in positive] + [value]
        if count < ready:
            continue
        ripe.append(value)
        weight = 0.1 if surprise > 2 else 1.0
        if value > level > 0:
            far_out = min(far_out + 1, exceedances)
            hill += weight * (min(math.log(value / level), 3) - hill) / far_out
        if len(ripe) < few:
            level = sorted(ripe, reverse=True)[int((1 - level_of) * len(ripe))]
        else:
            step = max(3e-4, 3 / min(len(ripe), 20_000))
            level *= math.exp(step * (weight * level_of if value > level else level_of - 1))
    return out
