"""What a counter or a level did since the sample before."""

import math

from models.columns import Floats, Rows, Times
from models.jit import kernel

NEVER = -1


@kernel
def differences(
    rows: Rows,
    timestamps_ms: Times,
    values: Floats,
    last: Floats,
    last_ms: Times,
    counters: bool,
    out: Floats,
) -> None:
    """Each sample's difference from its row's sample before, NaN for the first.

    counters: the difference of a counter by the seconds in between; one that fell was reset and
    counts from 0. last, last_ms: (rows,) the newest sample with a number, NEVER when there was
    none; changed. A value that is not finite stays what it is and changes nothing. Samples of a row
    come in order of time.
    """
    for i in range(len(rows)):
        row, x = rows[i], values[i]
        out[i] = x
        if not math.isfinite(x):
            continue
        out[i] = math.nan
        if last_ms[row] != NEVER:
            difference = x - last[row]
            if counters:
                seconds = (timestamps_ms[i] - last_ms[row]) / 1000.0
                grown = x if difference < 0.0 else difference
                out[i] = grown / seconds if seconds > 0.0 else math.nan
            else:
                out[i] = difference
        last[row] = x
        last_ms[row] = timestamps_ms[i]
