"""Anomalies put into a recording, to see what a model would find."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from models.columns import Floats, SampleBatch
from models.errors import InvalidInput

SHAPES = ("spike", "shift", "ramp", "noise", "flat")
LENGTHS = {"spike": 2, "shift": 60, "ramp": 60, "noise": 60, "flat": 60}
"""Samples of each."""
SPACING = 300
"""Samples of a series for one of them: the next begins in a series that has settled again."""
SIZES = (4.0, 12.0)
"""From least to most, in deviations of the series' own noise."""
LEAST = 10
MAD_TO_DEVIATION = 1.4826


class Injected(NamedTuple):
    """One of them: `series` is an index of the recording's labels."""

    shape: str
    series: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Disturbed:
    """A recording with anomalies in it, and which."""

    batch: SampleBatch
    injected: list[Injected]


def disturb(batch: SampleBatch, after_ms: int, count: int, seed: int) -> Disturbed:
    """Put `count` anomalies of all shapes, or as many as there is room for, after that instant.

    spike: two samples away. shift: an hour of samples a minute on another level. ramp: rises to it.
    noise: louder. flat: the same value again and again. Sizes are drawn between 4 and 12 deviations
    of the series' own noise, as its steps from sample to sample have it; places are drawn as well,
    SPACING samples apart. Raises InvalidInput when there is room for fewer than LEAST.
    """
    rng = np.random.default_rng(seed)
    order = np.lexsort((batch.timestamps_ms, batch.series))
    edges = np.searchsorted(batch.series[order], np.arange(len(batch.labels) + 1))
    room: list[tuple[int, int]] = []
    for k in range(len(batch.labels)):
        own = order[edges[k] : edges[k + 1]]
        first = int(np.searchsorted(batch.timestamps_ms[own], after_ms, side="right"))
        room += [(k, at) for at in range(first, len(own) - SPACING + 1, SPACING)]
    if len(room) < LEAST:
        raise InvalidInput(
            f"there is room for {len(room)} anomalies in the half that is judged, and {LEAST} are "
            f"needed: {SPACING} samples of a series for each; give more history"
        )
    values = batch.values.copy()
    injected = []
    chosen = rng.permutation(len(room))[: max(count, LEAST)]
    for turn, place in enumerate(chosen.tolist()):
        k, begin = room[place]
        shape = SHAPES[turn % len(SHAPES)]
        length = LENGTHS[shape]
        own = order[edges[k] : edges[k + 1]]
        begin += int(rng.integers(SPACING // 4, SPACING // 2))
        here = own[begin : begin + length]
        values[here] = _shaped(shape, batch.values[here], _noise(batch.values[own]), rng)
        start_ms, end_ms = batch.timestamps_ms[here[[0, -1]]].tolist()
        injected.append(Injected(shape, k, start_ms, end_ms))
    return Disturbed(replace(batch, values=values), injected)


def _noise(values: Floats) -> float:
    """The deviation of a series' noise: of its steps, or of its values where most steps are 0."""
    known = values[np.isfinite(values)]
    steps = np.abs(np.diff(known))
    noise = MAD_TO_DEVIATION * float(np.median(steps)) / np.sqrt(2.0) if len(steps) else 0.0
    level = float(np.median(np.abs(known))) if len(known) else 0.0
    return noise or float(known.std() if len(known) else 0.0) or 0.05 * level or 1.0


def _shaped(shape: str, values: Floats, noise: float, rng: np.random.Generator) -> Floats:
    size = noise * float(rng.uniform(*SIZES)) * float(rng.choice([-1.0, 1.0]))
    if shape == "flat" and np.nanmax(values) > np.nanmin(values):
        return np.full(len(values), values[0])
    if shape == "ramp":
        return values + size * np.linspace(0.0, 1.0, len(values))
    if shape == "noise":
        return values + size * rng.normal(size=len(values))
    return values + size
