"""Counters that start again: their values go on as if they had not."""

from detectors.kernels.moments import VALUE_MAX
from models.columns import Floats, Rows
from models.jit import kernel

RISES = 30
"""Strict rises without a fall, after which a row counts as a counter."""
RESTART = 0.5
"""A counter starts again when its value falls below this share of the one before."""


@kernel
def absorb(
    rows: Rows,
    values: Floats,
    last: Floats,
    rises: Rows,
    lost: Floats,
    lossy: bool,
    added: Floats,
) -> bool:
    """Say what is to be added to each sample, so that a counter goes on where it was.

    last: (rows,) newest value. rises: (rows,) int32, strict rises since the last fall, up to RISES.
    lost: (rows,) what the row's counter had reached whenever it started again. lossy: whether any
    row has lost something. added: (n,) filled when there is anything to add, which is returned.
    Samples of a row come in order of time.
    """
    first = rows[0] if len(rows) > 0 else 0
    near = slice(first, first + len(rows))
    if not lossy and _follow(rows, values, last[near], rises[near]):
        return False
    for i in range(len(rows)):
        row, x = rows[i], float(values[i])
        before, risen = float(last[row]), int(rises[row])
        there = abs(x) <= VALUE_MAX
        fell = x < before
        if risen >= RISES and fell and 0.0 <= x < RESTART * before:
            lost[row] += before
            if not lossy:
                added[:i] = 0.0
                lossy = True
        elif there:
            risen = 0 if fell else min(risen + (x > before), RISES)
        last[row] = x if there else before
        rises[row] = risen
        if lossy:
            added[i] = lost[row]
    return lossy


@kernel
def _follow(rows: Rows, values: Floats, last: Floats, rises: Rows) -> bool:
    """The same for neighbouring rows of which none starts again: without a branch, so vectorised.

    last, rises: of these rows. False when they are not such rows; then nothing has changed.
    """
    odd = len(values) - len(last)
    for i in range(len(last)):
        falls_far = (values[i] >= 0.0) & (values[i] < RESTART * last[i])
        odd += (rows[i] != rows[0] + i) | ((rises[i] >= RISES) & falls_far)
    if odd:
        return False
    for i in range(len(last)):
        x, before = float(values[i]), float(last[i])
        there = abs(x) <= VALUE_MAX
        risen = 0 if x < before else min(rises[i] + (x > before), RISES)
        rises[i] = risen if there else rises[i]
        last[i] = x if there else before
    return True
