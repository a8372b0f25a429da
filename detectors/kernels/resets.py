"""Counters that start again: their values go on as if they had not."""

from models.columns import Floats, Rows
from models.jit import kernel

RISES = 30
"""Strict rises without a fall, after which a row counts as a counter."""
RESTART = 0.5
"""A counter starts again when its value falls below this share of the one before."""


@kernel
def absorb(
    rows: Rows, values: Floats, last: Floats, rises: Rows, lost: Floats, added: Floats
) -> bool:
    """Say what is to be added to each sample, so that a counter goes on where it was.

    last: (rows,) newest value. rises: (rows,) int32, strict rises since the last fall, up to RISES.
    lost: (rows,) what the row's counter had reached whenever it started again. added: (n,) filled.
    Returns whether there is anything to add. Samples of a row come in order of time.
    """
    any_lost = 0
    for i in range(len(rows)):
        row, x = rows[i], values[i]
        if abs(x) <= 1e150:
            before = last[row]
            if x > before:
                rises[row] = min(rises[row] + 1, RISES)
            elif x < before:
                if rises[row] >= RISES and 0.0 <= x < RESTART * before:
                    lost[row] += before
                else:
                    rises[row] = 0
            last[row] = x
        added[i] = lost[row]
        any_lost += lost[row] != 0.0
    return any_lost > 0
