"""Sums over a sliding window, of distances from a center and of their squares, and their bands."""

import math

from detectors.kernels.band import half_width, judge
from detectors.kernels.counts import quantiles
from detectors.kernels.moments import VALUE_MAX
from models.columns import Floats, Rows, Times
from models.jit import inlined, kernel


@inlined
def moved(
    center: float, total: float, squares: float, value: float, sign: int
) -> tuple[float, float]:
    """The sums with a value let in or, with sign -1, taken out; +inf is no value."""
    if value == math.inf:
        return total, squares
    distance = value - center
    return total + sign * distance, squares + sign * (distance * distance)


@kernel
def sum_again(
    ring: Floats, row: int, count: Rows, center: Floats, total: Floats, squares: Floats
) -> None:
    """Sum the window of `row` anew around its newest mean: what rounding took comes back."""
    if count[row] > 0:
        center[row] += float(total[row]) / int(count[row])
    c, t, s = float(center[row]), 0.0, 0.0
    for place in range(ring.shape[0]):
        t, s = moved(c, t, s, float(ring[place, row]), 1)
    total[row] = t
    squares[row] = s


@kernel
def judge_moments(
    edges: Times,
    rows: Rows,
    timestamps_ms: Times,
    values: Floats,
    ring: Floats,
    newest: Times,
    count: Rows,
    center: Floats,
    total: Floats,
    squares: Floats,
    step_ms: int,
    threshold: float,
    tail: float,
    z: float,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn, tick by tick; out: (4, n) score, expected, lower, upper.

    threshold: standard deviations to the edge; 0 for counts, whose edges leave the probability
    `tail` outside on each side, z standard deviations out in a normal distribution.
    See `kernels/window.py` for the arrays of the window. total, squares: sums of distances from
    `center` and of their squares. They are made anew each time the ring wraps, so rounding never
    gathers over more than a window.
    """
    score, expected, lower, upper = out[0], out[1], out[2], out[3]
    window = ring.shape[0]
    for tick in range(len(edges) - 1):
        now = int(timestamps_ms[edges[tick]]) // step_ms
        for i in range(edges[tick], edges[tick + 1]):
            row = int(rows[i])
            x = float(values[i])
            step = max(now, int(newest[row])) if count[row] > 0 else now
            c, t, s = float(center[row]), float(total[row]), float(squares[row])
            for missed in range(max(int(newest[row]) + 1, step - window), step):
                if count[row] == 0:
                    break
                left = float(ring[missed % window, row])
                t, s = moved(c, t, s, left, -1)
                ring[missed % window, row] = math.inf
                count[row] -= left < math.inf
            known = int(count[row])
            score[i] = expected[i] = lower[i] = upper[i] = math.nan
            if known >= warmup:
                m = t / known
                variance = max(s / known - m * m, 0.0)
                m = c + m
                if threshold > 0.0:
                    half = half_width(m, threshold * math.sqrt(variance))
                    low, high = m - half, m + half
                else:
                    m = max(m, 0.0)
                    low, high = quantiles(m, variance * known / max(known - 1, 1), known, tail, z)
                judge(score, expected, lower, upper, i, x, m, low, high)
            there = abs(x) <= VALUE_MAX
            if there or (known > 0 and newest[row] < step):
                place = step % window
                old = float(ring[place, row])
                new = x if there else math.inf
                if known == 0:
                    c, t, s = x, 0.0, 0.0
                t, s = moved(c, t, s, old, -1)
                t, s = moved(c, t, s, new, 1)
                wraps = newest[row] // window != step // window
                ring[place, row] = new
                count[row] = known + (new < math.inf) - (old < math.inf)
                newest[row] = step
                center[row], total[row], squares[row] = c, t, s
                if wraps:
                    sum_again(ring, row, count, center, total, squares)
