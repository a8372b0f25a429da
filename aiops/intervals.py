"""Where a count or a share may well lie: exact intervals of 95 %."""

from scipy.special import betaincinv, gammaincinv

TAIL = 0.025


def of_count(count: int) -> tuple[float, float]:
    """Of a Poisson process that gave `count`: Garwood, Biometrika 28 (1936).

    >>> [round(edge, 2) for edge in of_count(0)]
    [0.0, 3.69]
    """
    low = float(gammaincinv(count, TAIL)) if count else 0.0
    return low, float(gammaincinv(count + 1, 1.0 - TAIL))


def of_share(count: int, whole: int) -> tuple[float, float]:
    """Of the chance behind `count` of `whole`: Clopper & Pearson, Biometrika 26 (1934).

    >>> [round(edge, 2) for edge in of_share(5, 10)]
    [0.19, 0.81]
    """
    low = float(betaincinv(count, whole - count + 1, TAIL)) if count else 0.0
    high = float(betaincinv(count + 1, whole - count, 1.0 - TAIL)) if count < whole else 1.0
    return low, high
