"""Mean and variance that forget exponentially, by elapsed time."""

from models.columns import Rows, Times
from models.jit import inlined, kernel

VALUE_MAX = 1e150
"""A sample beyond this, whose square would not be finite, is not learned."""
BLOCK = 4096
"""Neighbouring rows that take the quick road together, or the plain one when one of them is odd."""


@inlined
def weight_of(alpha: float, elapsed: int, count: int) -> float:
    """The weight of a sample that comes `elapsed` ≥ 1 steps after the one before.

    What was known keeps (1 - alpha)^elapsed of its weight, so a gap forgets as much as the samples
    that it lacks would have. Until 1/alpha samples are in, each weighs the same, so that the first
    one does not dominate.

    >>> weight_of(0.25, 1, 100), weight_of(0.25, 2, 100), weight_of(0.25, 1, 1)
    (0.25, 0.4375, 0.5)
    """
    newest = alpha
    if elapsed > 1:
        # Squaring by hand: `**` gives other last digits compiled than interpreted.
        kept, base, left = 1.0, 1.0 - alpha, elapsed
        while left > 0:
            if left & 1:
                kept *= base
            base *= base
            left >>= 1
        newest = 1.0 - kept
    return max(newest, 1.0 / (count + 1))


@inlined
def elapsed_steps(newest_ms: int, at_ms: int, step_ms: int) -> int:
    """Steps since the newest sample, rounded, at least 1.

    >>> elapsed_steps(0, 1_000, 1_000), elapsed_steps(0, 2_600, 1_000), elapsed_steps(0, 1, 1_000)
    (1, 3, 1)
    """
    passed = at_ms - newest_ms
    # The usual step is told apart first: a division takes as long as all the rest.
    return 1 if 2 * passed < 3 * step_ms else (2 * passed + step_ms) // (2 * step_ms)


@inlined
def learned(mean: float, variance: float, value: float, weight: float) -> tuple[float, float]:
    """Mean and variance with a sample of at most VALUE_MAX let in.

    West's incremental form (Updating mean and variance estimates, CACM 1979): the sum of squares
    would lose all digits at 1e9 ± 1.

    >>> learned(10.0, 4.0, 14.0, 0.5)
    (12.0, 6.0)
    """
    difference = value - mean
    increment = weight * difference
    return mean + increment, (1.0 - weight) * (variance + difference * increment)


@kernel
def are_steady(newest_ms: Times, count: Rows, at_ms: int, step_ms: int, settled: int) -> bool:
    """Whether every row has `settled` samples and its newest one about a step ago.

    newest_ms, count: of neighbouring rows, which then all weigh their next sample alike.
    """
    from_ms = at_ms - step_ms - step_ms // 2
    unsteady = 0
    for k in range(len(count)):
        unsteady += (count[k] < settled) | (newest_ms[k] <= from_ms)
    return unsteady == 0
