"""Windows of a series' own past, and how far the newest window is from the nearest of them.

A row's past is a ring of C single-precision samples, kept as distances from the row's center, with
the ring's last PAD samples written once more before its first: a window of up to PAD + 1 samples
that ends anywhere in the ring then stands in memory in one piece. Position p of the ring is
`past[PAD + p]`; how many samples were ever written tells where the newest is.

Distances are Euclidean between raw values, or between values with each window's mean removed. They
are not z-normalised: the amplitude of a shape is the signal in metrics of operations.
"""

import math

import numpy as np
from numpy.typing import NDArray

from models.jit import borrow, kernel

PAD = 63
"""A window has at most PAD + 1 samples."""
BLOCK = 128
"""Candidates that are given up together."""
FAR = np.float32(3.4e38)

Singles = NDArray[np.float32]
Whole = NDArray[np.int32]


@kernel
def remember(past: Singles, written: int, value: np.float32) -> None:
    """Write the sample number `written` of the row."""
    size = len(past) - PAD
    place = written % size
    past[PAD + place] = value
    if place >= size - PAD:
        past[place - (size - PAD)] = value


@kernel
def newest(past: Singles, written: int, value: np.float32, query: Singles) -> None:
    """Fill `query` with `value`, which is not written yet, and the samples before it."""
    size = len(past) - PAD
    query[0] = value
    for i in range(1, len(query)):
        query[i] = past[PAD + (written - i) % size]


@kernel
def _add_eight(here: Singles, query: Singles, total: Singles, square: Singles) -> None:
    """Add eight terms to each candidate's sum, and sum of squares, of differences.

    Term i of candidate p is query[i] - here[p + 7 - i].
    """
    q0, q1, q2, q3 = query[0], query[1], query[2], query[3]
    q4, q5, q6, q7 = query[4], query[5], query[6], query[7]
    for p in range(len(total)):
        d0, d1 = q0 - here[p + 7], q1 - here[p + 6]
        d2, d3 = q2 - here[p + 5], q3 - here[p + 4]
        d4, d5 = q4 - here[p + 3], q5 - here[p + 2]
        d6, d7 = q6 - here[p + 1], q7 - here[p]
        total[p] += ((d0 + d1) + (d2 + d3)) + ((d4 + d5) + (d6 + d7))
        square[p] += ((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)) + (
            (d4 * d4 + d5 * d5) + (d6 * d6 + d7 * d7)
        )


@kernel
def _add_one(here: Singles, query: np.float32, total: Singles, square: Singles) -> None:
    """Add a term, where fewer than eight are left."""
    for p in range(len(total)):
        d = query - here[p]
        total[p] += d
        square[p] += d * d


@kernel
def _keep_least(candidates: Whole, nearest: Whole) -> None:
    """Let candidates into the sorted `nearest`; as whole numbers, positive floats keep order."""
    last = len(nearest) - 1
    for p in range(len(candidates)):
        bits = candidates[p]
        if bits < nearest[last]:
            i = last
            while i > 0 and nearest[i - 1] > bits:
                nearest[i] = nearest[i - 1]
                i -= 1
            nearest[i] = bits


@kernel
def distance(
    past: Singles,
    written: int,
    query: Singles,
    exclude: int,
    centered: bool,
    nearest: Singles,
    scratch: Singles,
) -> float:
    """Root mean square difference between `query` and the k-th nearest window of the past.

    query: the window's samples, the newest first; it is not written yet. exclude: windows that end
    at most so many samples before the newest are too alike to count. nearest: (k,), overwritten.
    scratch: (3, BLOCK). Infinite when there are fewer than k windows.
    Exact: a block is given up only where no candidate's distance, which grows with every term,
    can still be among the k least.
    """
    past, query, scratch = borrow(past), borrow(query), borrow(scratch)
    size = len(past) - PAD
    length = len(query)
    reach = min(written, size) - length + 1
    nearest[:] = FAR
    best = borrow(nearest.view(np.int32))
    last = len(nearest) - 1
    first, end = written - reach, written - exclude
    while first < end:
        place = first % size
        count = min(BLOCK, end - first, size - place)
        total, square, within = scratch[0, :count], scratch[1, :count], scratch[2, :count]
        bits = borrow(within.view(np.int32))
        total[:] = np.float32(0.0)
        square[:] = np.float32(0.0)
        at = 0
        alive = True
        while alive and at < length:
            if at + 8 <= length:
                _add_eight(past[PAD + place - at - 7 :], query[at:], total, square)
                at += 8
            else:
                _add_one(past[PAD + place - at :], query[at], total, square)
                at += 1
            share = np.float32(1.0 / at) if centered else np.float32(0.0)
            for p in range(count):
                within[p] = max(square[p] - total[p] * total[p] * share, np.float32(0.0))
            least = bits[0]
            for p in range(count):
                least = min(least, bits[p])
            alive = least < best[last]
        if alive:
            _keep_least(bits, best)
        first += count
    if nearest[last] >= FAR:
        return math.inf
    return math.sqrt(float(nearest[last]) / length)
