"""From novelty to surprise: how rare a value is among those a stream gave before.

A stream is one number a sample, 0 or larger, larger for what is less like the past: the error of a
forecast, the distance to the nearest known window. Two measures make streams comparable.

The tail surprise is -log10 of the probability of a value as large. The stream's LEVEL quantile is
followed in small multiplicative steps; above it a Pareto tail, whose index is Hill's estimator (A
Simple General Approach to Inference About the Tail of a Distribution, 1975) over the last
exceedances, shrunk towards SHRINK_TO so that a few of them cannot make it extreme. Zeros are a
probability of their own: a stream that is hardly ever above 0 is surprising when it is. Values
beyond FAR_SURPRISE count a tenth, or a lasting anomaly would soon be usual: the probability is that
of undisturbed operation. Of a stream whose tail is heavy without disturbance it is too small (at a
surprise of 3 a Pareto tail of index 0.5 has 1 in 170, not 1 in 1000), which ranks streams right and
leaves the rate of alerts to the threshold.

The record is log2 of the distance to the TOP-th largest value so far, plus 2: it needs no tail and
so little history.

State of a stream: tail = (level, Hill's mean, exceedances, share above 0, values above 0 in the
tail, values, and the TOP largest of the tail's first FEW); top = (TOP,) the largest values above 0,
fading, largest first.
"""

import math

from models.columns import Floats
from models.jit import inlined, kernel

LEVEL = 0.95
STEP, STEP_FIRST = 3e-4, 3.0
"""Of the logarithm of the level: so slow that an hour's anomaly stays rare; STEP_FIRST / n after n
values where that is more, so that a level read from the first few is soon mended."""
EXCEEDANCES = 400.0
SHRINK_TO, SHRINK_BY = 0.5, 100.0
INDEX_LEAST = 0.2
LOG_MOST = 3.0
"""What one exceedance adds to Hill's mean at most, as logarithm."""
FAR_SURPRISE, FAR_WEIGHT = 2.0, 0.1
SURPRISE_MOST = 12.0
MEMORY = 20_000.0
TOP = 10
"""Largest values that are kept; a record is told by its distance to the last of them."""
TAIL = 6 + TOP
AGAIN = 0.6
ARMED = 0.87
"""A record of this share of its threshold is news, and starts the refractory time."""
RIPEN = 0.6
"""Share of `settle` that it takes from the first trust in the tail to the whole."""
READY = 300
"""Samples before tails begin: the first errors and distances are larger than they will be."""
OLD_NEWS = 0.85
FADING = 0.9999
FEW = 200.0
"""Up to so many values above 0 the level is read from the largest ones."""


@inlined
def tail_surprise(
    value: float, level: float, hill: float, exceedances: float, share: float
) -> float:
    """-log10 of the probability of `value` or more; at and below the level it falls to 0."""
    if not value > 0.0:
        return 0.0
    edge = -math.log10(share) - math.log10(1.0 - LEVEL)
    if not value > level:
        return edge * value / level
    if not level > 0.0:
        return min(edge, SURPRISE_MOST)
    index = (exceedances * hill + SHRINK_BY * SHRINK_TO) / (exceedances + SHRINK_BY)
    return min(edge + math.log10(value / level) / max(index, INDEX_LEAST), SURPRISE_MOST)


@inlined
def record_surprise(value: float, ranked: float, share: float) -> float:
    """2 + log2(value / the TOP-th largest before); by the rarity of values above 0 without one."""
    if not value > 0.0:
        return 0.0
    if ranked > 0.0:
        return min(max(2.0 + math.log2(value / ranked), 0.0), SURPRISE_MOST)
    return min(1.0 - math.log10(share), SURPRISE_MOST)


@kernel
def _rank(value: float, largest: Floats) -> None:
    """Let a value into the largest ones, largest first."""
    k = len(largest) - 1
    if value > largest[k]:
        while k > 0 and largest[k - 1] < value:
            largest[k] = largest[k - 1]
            k -= 1
        largest[k] = value


@kernel
def learn(value: float, surprise: float, ready: bool, tail: Floats, top: Floats) -> None:
    """Let a stream's value into its state; `surprise` is its tail surprise.

    ready: whether the stream's model has seen enough for its values to be of the size that they
    will have; before, the tail is not begun.
    """
    above = 1.0 if value > 0.0 else 0.0
    count = min(float(tail[5]) + 1.0, MEMORY)
    share = 0.5 if tail[5] == 0.0 else float(tail[3])
    tail[3] = max(share + (above - share) / (count + 1.0), 0.5 / MEMORY)
    tail[5] = count
    if above == 0.0:
        return
    for k in range(TOP):
        top[k] *= FADING
    _rank(value, top)
    if not ready:
        return
    level = float(tail[0])
    weight = FAR_WEIGHT if surprise > FAR_SURPRISE else 1.0
    if value > level > 0.0:
        tail[2] = min(float(tail[2]) + 1.0, EXCEEDANCES)
        most = min(math.log(value / level), LOG_MOST)
        tail[1] += weight * (most - float(tail[1])) / float(tail[2])
    tail[4] = min(float(tail[4]) + 1.0, MEMORY)
    if tail[4] < FEW:
        _rank(value, tail[6:])
        tail[0] = tail[6 + int((1.0 - LEVEL) * float(tail[4]))]
    else:
        step = max(STEP, STEP_FIRST / float(tail[4]))
        tail[0] = level * math.exp(step * (weight * LEVEL if value > level else LEVEL - 1.0))


@kernel
def drop_noise(novelty: Floats, noise: float) -> None:
    """No novelty below `noise`; NaN where it is not known yet."""
    for k in range(len(novelty)):
        if novelty[k] <= noise:
            novelty[k] = 0.0
        elif not novelty[k] < math.inf:
            novelty[k] = math.nan


@kernel
def combine(
    novelty: Floats,
    weights: Floats,
    tail: Floats,
    top: Floats,
    news: Floats,
    seen: int,
    warmup: int,
    settle: int,
    threshold: float,
    record_threshold: float,
    refractory: int,
    parts: Floats,
) -> tuple[float, int]:
    """Score and loudest stream, then learn.

    novelty: NaN for a stream that knows too little. seen: samples of the series before this one. A
    stream with less than `warmup` values behind it is not heard yet.
    """
    maturity = min(max((seen - settle) / (RIPEN * settle), 0.0), 1.0)
    squares, total, record = 0.0, 0.0, 0.0
    loudest, loudness = 0, -1.0
    for k in range(len(novelty)):
        value = float(novelty[k])
        if math.isnan(value) or weights[k] == 0.0:
            parts[k] = math.nan
            parts[len(novelty) + k] = math.nan
            continue
        share = float(tail[k, 3]) if tail[k, 5] > 0.0 else 0.5
        surprise = tail_surprise(value, tail[k, 0], tail[k, 1], tail[k, 2], share)
        recorded = record_surprise(value, top[k, TOP - 1], share)
        known = tail[k, 5] >= warmup
        learn(value, surprise, seen >= READY, tail[k], top[k])
        if not known:
            parts[k] = math.nan
            parts[len(novelty) + k] = math.nan
            continue
        parts[k] = surprise
        parts[len(novelty) + k] = recorded
        squares += (weights[k] * surprise) ** 2
        total += weights[k] ** 2
        record = max(record, weights[k] * recorded)
        loud = weights[k] * (
            maturity * surprise / threshold + (1.0 - maturity) * recorded / record_threshold
        )
        if loud > loudness:
            loudest, loudness = k, loud
    news[1] += 1.0
    if news[1] > refractory:
        news[0] = 0.0
    again = AGAIN if record <= news[0] else 1.0
    if record > max(float(news[0]), ARMED * record_threshold):
        news[0], news[1] = record, 0.0
    parts[2 * len(novelty)] = maturity
    parts[2 * len(novelty) + 1] = again
    young = again * record / record_threshold
    old = math.sqrt(squares / total) / threshold if total > 0.0 else 0.0
    old *= OLD_NEWS + (1.0 - OLD_NEWS) * min(1.0, young)
    return (1.0 - maturity) * young + maturity * old, loudest
