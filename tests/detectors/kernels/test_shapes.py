import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.kernels.shapes import BLOCK, PAD, distance, newest, remember
from tests.naive.shapes import nearest_distances
from tests.streams import examples, seeds, shapes, stream


def run(values, length, kept, neighbours, exclude, centered):
    past = np.zeros(PAD + kept, np.float32)
    query, nearest = np.zeros(length, np.float32), np.zeros(neighbours, np.float32)
    scratch = np.zeros((3, BLOCK), np.float32)
    out = []
    for written, value in enumerate(values.astype(np.float32)):
        newest(past, written, value, query)
        out.append(distance(past, written, query, exclude, centered, nearest, scratch))
        remember(past, written, value)
    return np.array(out)


@examples(40)
@given(
    shape=shapes,
    seed=seeds,
    length=st.integers(1, 20),
    kept=st.integers(70, 200),
    neighbours=st.integers(1, 4),
    exclude=st.integers(0, 10),
    centered=st.booleans(),
)
def test_distances_equal_those_to_every_window(
    shape, seed, length, kept, neighbours, exclude, centered
):
    values = np.clip(np.nan_to_num(stream(shape, 260, seed)[1]), -1e15, 1e15)
    values = values.astype(np.float32).astype(float)
    got = run(values, length, kept, neighbours, exclude, centered)
    expected = nearest_distances(values, length, kept, neighbours, exclude, centered)
    scale = np.abs(values).max() + 1
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3 * scale)


@pytest.mark.parametrize("length", [1, 7, 8, 24, PAD + 1])
def test_a_window_that_was_there_before_is_at_distance_0(length):
    values = np.tile(np.random.default_rng(1).normal(size=100), 3)
    assert run(values, length, 200, 1, length // 2, True)[220:].max() == 0.0


def test_only_centered_windows_forget_their_level():
    rng = np.random.default_rng(1)
    values = rng.normal(size=400)
    values[200:] = values[:200] + 50
    assert run(values, 8, 400, 1, 4, True)[210:].max() < 1e-4
    assert run(values, 8, 400, 3, 4, False)[202] > 5
