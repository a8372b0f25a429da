"""Streams for tests: seeded, of the shapes that break detectors, and batches cut from them."""

from itertools import pairwise

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numba.core import config

from models.columns import RowBatch

STEP_MS = 1_000
SHAPES = ("random", "tied", "constant", "drifting", "gappy", "resetting", "huge", "tiny")


def values_of(shape, count, rng):
    """(count,) float64 of one shape; NaN where a sample carries no number."""
    noise = rng.normal(size=count)
    if shape == "tied":
        return rng.integers(0, 4, count).astype(float)
    if shape == "constant":
        return np.full(count, 7.25)
    if shape == "drifting":
        return np.cumsum(noise) + 0.3 * np.arange(count)
    if shape == "gappy":
        return np.where(rng.random(count) < 0.3, np.nan, noise)
    if shape == "resetting":
        return (np.cumsum(rng.random(count)) % 5.0) * 1e3
    if shape == "huge":
        return noise * 1e300
    if shape == "tiny":
        return noise * 5e-310
    return noise


def stream(shape, count, seed, *, drop=0.0):
    """Timestamps and values of one series; `drop` is the share of steps that are not there."""
    rng = np.random.default_rng(seed)
    values = values_of(shape, count, rng)
    times = np.arange(1, count + 1, dtype=np.int64) * STEP_MS
    kept = rng.random(count) >= drop
    return times[kept], values[kept]


def rows_of(streams):
    """Streams by row as one RowBatch, in order of time."""
    rows = np.concatenate([np.full(len(t), r, np.int32) for r, (t, _) in streams.items()])
    times = np.concatenate([t for t, _ in streams.values()])
    values = np.concatenate([v for _, v in streams.values()])
    order = np.lexsort((rows, times))
    return RowBatch(rows[order], times[order], values[order], np.zeros(len(rows), np.bool_))


def cut(batch, edges):
    """The batch in pieces."""
    places = [0, *sorted(edge % (len(batch) + 1) for edge in edges), len(batch)]
    return [
        RowBatch(batch.rows[a:b], batch.timestamps_ms[a:b], batch.values[a:b], batch.missing[a:b])
        for a, b in pairwise(places)
    ]


shapes = st.sampled_from(SHAPES)
seeds = st.integers(0, 2**32 - 1)


def examples(count):
    """So many examples of a law; a third of them where kernels run uncompiled, line by line."""
    return settings(max_examples=max(2, count // 3) if config.DISABLE_JIT else count)
