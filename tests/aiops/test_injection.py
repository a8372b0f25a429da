import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.injection import LENGTHS, SHAPES, SPACING, disturb
from models.columns import SampleBatch
from models.errors import InvalidInput
from models.labels import Labels
from tests.streams import examples

STEP_MS = 60_000


def recording(count, series=2, seed=1):
    """Noise of deviation 1 around 100, in order of time."""
    times = np.repeat(STEP_MS * np.arange(1, count + 1), series)
    labels = tuple(Labels({"host": str(k)}) for k in range(series))
    index = np.tile(np.arange(series, dtype=np.int32), count)
    values = np.random.default_rng(seed).normal(100, 1, len(times))
    end_ms = count * STEP_MS
    return SampleBatch(labels, index, times, values, STEP_MS, end_ms, STEP_MS, end_ms)


@examples(25)
@given(seed=st.integers(0, 1_000), count=st.integers(10, 60), series=st.integers(1, 4))
def test_what_was_put_in_is_all_that_changed(seed, count, series):
    batch = recording(12_000, series, seed)
    half_ms = 6_000 * STEP_MS
    disturbed = disturb(batch, half_ms, count, seed)
    changed = disturbed.batch.values != batch.values
    within = np.zeros(len(batch), np.bool_)
    for one in disturbed.injected:
        assert one.start_ms > half_ms
        assert (one.end_ms - one.start_ms) // STEP_MS + 1 == LENGTHS[one.shape]
        at = (batch.timestamps_ms >= one.start_ms) & (batch.timestamps_ms <= one.end_ms)
        here = at & (batch.series == one.series)
        assert changed[here].any()
        within |= here
    assert not changed[~within].any()
    assert len(disturbed.injected) == min(count, 6_000 // SPACING * series)
    for k in range(series):
        starts = np.sort([one.start_ms for one in disturbed.injected if one.series == k])
        assert (np.diff(starts) > SPACING // 2 * STEP_MS).all()


def test_every_shape_comes_and_has_its_look():
    batch = recording(30_000)
    disturbed = disturb(batch, 15_000 * STEP_MS, 50, 3)
    assert {one.shape for one in disturbed.injected} == set(SHAPES)
    for one in disturbed.injected:
        at = (batch.timestamps_ms >= one.start_ms) & (batch.timestamps_ms <= one.end_ms)
        here = at & (batch.series == one.series)
        moved = disturbed.batch.values[here] - batch.values[here]
        if one.shape in ("spike", "shift"):
            assert np.ptp(moved) == pytest.approx(0, abs=1e-9)
            assert 3 < abs(moved[0]) < 14
        if one.shape == "ramp":
            assert (np.diff(np.abs(moved)) > 0).all()
        if one.shape == "flat":
            assert np.ptp(disturbed.batch.values[here]) == 0
        if one.shape == "noise":
            assert 2 < moved.std() < 20


def test_the_same_seed_puts_the_same_in():
    batch = recording(12_000)
    first, again = (disturb(batch, 6_000 * STEP_MS, 30, 5) for _ in range(2))
    other = disturb(batch, 6_000 * STEP_MS, 30, 6)
    np.testing.assert_array_equal(first.batch.values, again.batch.values)
    assert first.injected == again.injected != other.injected


@pytest.mark.parametrize("values", [0.0, 7.0])
def test_a_constant_series_is_disturbed_too(values):
    batch = recording(12_000, 1)
    batch.values[:] = values
    disturbed = disturb(batch, 6_000 * STEP_MS, 10, 1)
    assert (disturbed.batch.values != values).sum() > 100


def test_too_little_history_is_said():
    with pytest.raises(InvalidInput, match=r"room for 2 anomalies .* give more history"):
        disturb(recording(800), 400 * STEP_MS, 10, 1)
