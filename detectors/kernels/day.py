"""What a series was at this time of day, over the last days.

A row's days are a ring of slots, each the mean of its samples as distance from the row's center,
NaN where there was none. A slot is named by its number since the Unix epoch; the day is UTC's.
"""

import math

import numpy as np
from numpy.typing import NDArray

from models.columns import Floats, Times
from models.jit import kernel

DAY_MS = 86_400_000
SLOT_MS = 300_000
NEIGHBOURS = 1
"""Slots on either side of the same time of day that count too."""

Singles = NDArray[np.float32]


def slots(step_ms: int) -> tuple[int, int]:
    """Length of a slot in milliseconds, and slots of a day; none where a step is half a day."""
    length = max(SLOT_MS, step_ms)
    count = DAY_MS // length
    return (DAY_MS // count, count) if count > 2 * NEIGHBOURS + 1 else (length, 0)


def ring_size(days: int, per_day: int) -> int:
    """Slots that a row keeps."""
    return days * per_day + 2 * NEIGHBOURS + 2


@kernel
def enter(
    slot: int,
    days: int,
    per_day: int,
    ring: Singles,
    place: Times,
    usual: Floats,
    known: Floats,
) -> None:
    """Go on to `slot`: write the mean of the one before, find what is usual now.

    place: (2,) current slot and first slot of the row. usual: (3,) the median of this time of day
    on the days before, NaN when fewer than a day is known; sum and count of the current slot.
    known: scratch, (days * (2 * NEIGHBOURS + 1),).
    """
    size = len(ring)
    before = int(place[0])
    if usual[2] > 0.0:
        ring[before % size] = np.float32(usual[1] / usual[2])
    else:
        place[1] = slot
    for gone in range(max(before + 1, slot - size + 1), slot + 1):
        ring[gone % size] = np.float32(np.nan)
    place[0] = slot
    usual[1] = 0.0
    usual[2] = 0.0
    count = 0
    for day in range(1, days + 1):
        for near in range(-NEIGHBOURS, NEIGHBOURS + 1):
            at = slot - day * per_day + near
            if place[1] <= at < slot and slot - at < size:
                value = float(ring[at % size])
                if not math.isnan(value):
                    known[count] = value
                    count += 1
    enough = count > 2 * NEIGHBOURS and slot - int(place[1]) >= per_day + NEIGHBOURS
    usual[0] = np.median(known[:count]) if enough else np.nan
