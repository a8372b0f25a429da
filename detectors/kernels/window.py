"""A window that slides by time: one place for each step, the newest sample of a step in it.

ring: (window, rows); the sample of step number k stands at k modulo window, +inf where there is
none. So all rows of a tick are neighbours, and the sample that leaves stands where the new one
goes. newest: (rows,) int64, step number of the newest sample. count: (rows,) int32, samples in the
window.
"""

import math

from detectors.kernels.order import Counts, Entries, replace
from models.columns import Floats, Rows, Times
from models.jit import inlined, kernel

SINGLE_MAX = 1e37
"""Single precision learns no larger values."""
DOUBLE_MAX = 1.7e308
CENTER_REACH = 16.0
CENTER_FLOOR = 1e-5


@inlined
def enter(
    rows: Rows,
    values: Floats,
    now: int,
    ring: Entries,
    newest: Times,
    count: Rows,
    offset: Floats,
    entries: Entries,
    low: Entries,
    before: Counts | None,
    spare: Entries,
) -> None:
    """Bring the windows of a tick's rows to the step `now`, before its samples are judged.

    What left a window while no sample came is taken out: a gap empties it, and does not stretch it.
    In single precision, a window that the new value asks for counts from there.
    """
    for i in range(len(rows)):
        row = int(rows[i])
        known = int(count[row])
        if known > 0 and newest[row] + 1 < now:
            _skip(ring, newest, count, row, now, entries, low, before, spare)
        if entries.itemsize == 4 and _is_far(float(values[i]), float(offset[row]), known):
            _center(ring, offset, count, row, float(values[i]), entries, low)


@inlined
def learn(
    ring: Entries,
    newest: Times,
    count: Rows,
    offset: Floats,
    row: int,
    step: int,
    place: int,
    value: float,
    entries: Entries,
    low: Entries,
    before: Counts | None,
    spare: Entries,
) -> None:
    """Let `value` stand for `step`, whose place in the ring is `place`.

    What stood there a window ago leaves, even when the value is none to learn. Of two samples in
    one step the newer one stays.
    """
    there = abs(value) <= (SINGLE_MAX if entries.itemsize == 4 else DOUBLE_MAX)
    known = int(count[row])
    if there or (known > 0 and newest[row] < step):
        new = entries.dtype.type(value - float(offset[row]) if there else math.inf)
        old = ring[place, row]
        replace(entries, low, before, old, new, spare)
        ring[place, row] = new
        count[row] = known + (new < math.inf) - (old < math.inf)
        newest[row] = step


@kernel
def _skip(
    ring: Entries,
    newest: Times,
    count: Rows,
    row: int,
    step: int,
    entries: Entries,
    low: Entries,
    before: Counts | None,
    spare: Entries,
) -> None:
    window = ring.shape[0]
    for missed in range(max(int(newest[row]) + 1, step - window), step):
        if count[row] == 0:
            break
        place = missed % window
        left = ring[place, row]
        if left < math.inf:
            own_low = None if low is None else low[row]
            own_before = None if before is None else before[row]
            replace(entries[row], own_low, own_before, left, entries.dtype.type(math.inf), spare)
            ring[place, row] = math.inf
            count[row] -= 1


@inlined
def _is_far(value: float, offset: float, count: int) -> bool:
    """Whether a row's entries should count from `value` instead of `offset`; see `_center`."""
    far = abs(value - offset) > max(CENTER_REACH * abs(value), CENTER_FLOOR)
    return abs(value) <= SINGLE_MAX and (count == 0 or far)


@kernel
def _center(
    ring: Entries,
    offset: Floats,
    count: Rows,
    row: int,
    value: float,
    entries: Entries,
    low: Entries,
) -> None:
    """Let the entries of `row` count from `value`.

    In single precision they are differences to an offset, the first value of a window, so that a
    counter at 1e12 keeps its last digits. The offset moves to a value that is small against its
    distance: from there every entry keeps 24 bits of its own size, and nothing is ever lost against
    half a band, which is at least 0.1 % of the expected value (see `band.py`). A spike does not
    move it.
    """
    moved = float(offset[row]) - value
    offset[row] = value
    if count[row] > 0:
        for place in range(ring.shape[0]):
            ring[place, row] = entries.dtype.type(float(ring[place, row]) + moved)
        for k in range(entries.shape[1]):
            entries[row, k] = entries.dtype.type(float(entries[row, k]) + moved)
        if low is not None:
            for k in range(low.shape[1]):
                low[row, k] = entries.dtype.type(float(low[row, k]) + moved)
