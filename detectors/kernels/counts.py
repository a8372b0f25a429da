"""How large a count may be: quantiles of the negative binomial distribution."""

import math

from models.jit import inlined, kernel

SMALL = 200.0
"""Means up to this are summed term by term; beyond, a gamma distribution is as good."""
TERMS_MAX = 20_000


@kernel
def quantiles(
    mean: float, variance: float, known: int, tail: float, z: float
) -> tuple[float, float]:
    """Below the first and above the second lies the next count with probability `tail` each.

    mean, variance: of `known` counts; what they leave open about the true mean widens the band.
    z: the standard normal's quantile at 1 - tail. The edges lie half a count outside of what is
    expected, so that a count at the edge is within.
    Source: moments of the negative binomial, Bliss & Fisher, Biometrics 1953; for large means the
    cube root of a gamma variable as normal, Wilson & Hilferty, PNAS 1931.

    >>> quantiles(0.0, 0.0, 60, 0.0005, 3.29)
    (-0.5, 1.5)
    """
    m = mean + 0.5 / known
    spread = max(variance, m) * (1.0 + 1.0 / known)
    if not spread < math.inf:
        return math.nan, math.nan
    if m > SMALL:
        return _gamma(m, spread, mean, -z), _gamma(m, spread, mean, z)
    size = m * m / (spread - m)
    grows = m / (m + size)
    # log1p: with little overdispersion `size` is large and the probability of 0 is exp(-m).
    probability = math.exp(-size * math.log1p(m / size))
    if probability < 1e-300:
        return _gamma(m, spread, mean, -z), _gamma(m, spread, mean, z)
    below, k, low = probability, 0, -0.5
    while below < 1.0 - tail and k < TERMS_MAX:
        if below < tail:
            low = k + 0.5
        probability *= (k + size) / (k + 1.0) * grows
        below += probability
        k += 1
    # Moments that no count has put the mean itself outside.
    return min(low, mean - 0.5), max(k + 0.5, mean + 0.5)


@inlined
def _gamma(m: float, variance: float, mean: float, z: float) -> float:
    """The edge at the gamma distribution's quantile where the normal one's is z."""
    ninth = variance / (9.0 * m * m)
    edge = m * max(1.0 - ninth + z * math.sqrt(ninth), 0.0) ** 3
    return min(edge, mean) - 0.5 if z < 0.0 else max(edge, mean) + 0.5
