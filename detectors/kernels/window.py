"""A window that slides by time: values in order of arrival, and the same in order of size."""

from detectors.kernels.jit import kernel
from detectors.kernels.order import insert, remove, replace
from models.columns import Floats, Rows, Times


@kernel
def expire(
    ring: Floats,
    ring_ms: Times,
    ordered: Floats,
    head: Rows,
    count: Rows,
    row: int,
    oldest_ms: int,
) -> None:
    """Take the samples of `row` that are older than `oldest_ms` out of its window.

    ring, ring_ms: (rows, window), the oldest sample at `head`. ordered: (rows, window) ascending.
    So a gap empties the window instead of stretching it.
    """
    while count[row] > 0 and ring_ms[row, head[row]] < oldest_ms:
        remove(ordered[row], count[row], ring[row, head[row]])
        head[row] = (head[row] + 1) % ring.shape[1]
        count[row] -= 1


@kernel
def push(
    ring: Floats,
    ring_ms: Times,
    ordered: Floats,
    head: Rows,
    count: Rows,
    row: int,
    at_ms: int,
    value: float,
) -> None:
    """Put a finite sample into the window of `row`; a full window loses its oldest one."""
    capacity = ring.shape[1]
    if count[row] == capacity:
        place = head[row]
        replace(ordered[row], capacity, ring[row, place], value)
        head[row] = (place + 1) % capacity
    else:
        place = (head[row] + count[row]) % capacity
        insert(ordered[row], count[row], value)
        count[row] += 1
    ring[row, place] = value
    ring_ms[row, place] = at_ms
