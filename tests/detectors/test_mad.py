import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.mad import Mad, MadParams
from tests.naive.mad import mad_scores
from tests.streams import SHAPES, STEP_MS, rows_of, seeds, shapes, stream


def scores(times, values, *, window, threshold=5.0, warmup=1, precision="double"):
    detector = Mad(MadParams(f"{window}s", threshold, warmup, precision), STEP_MS)
    detector.grow(1)
    out = detector.step(rows_of({0: (times, values)}))
    return np.stack([out.score, out.expected, out.lower, out.upper], axis=1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", [1, 2, 3, 8, 59, 60])
def test_equals_the_naive_reference(shape, window):
    times, values = stream(shape, 300, window, drop=0.1)
    expected = mad_scores(times, values, step_ms=STEP_MS, window=window, threshold=5.0, warmup=1)
    np.testing.assert_array_equal(scores(times, values, window=window), expected)


@pytest.mark.compiled
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", [288, 400, 2000])
def test_equals_the_naive_reference_with_large_windows(shape, window):
    times, values = stream(shape, window + 300, 5, drop=0.02)
    expected = mad_scores(times, values, step_ms=STEP_MS, window=window, threshold=3.0, warmup=30)
    got = scores(times, values, window=window, threshold=3.0, warmup=30)
    np.testing.assert_array_equal(got, expected)


@settings(max_examples=60)
@given(shape=shapes, seed=seeds, window=st.integers(1, 40), drop=st.floats(0, 0.9))
def test_equals_the_naive_reference_on_any_stream(shape, seed, window, drop):
    times, values = stream(shape, 80, seed, drop=drop)
    expected = mad_scores(times, values, step_ms=STEP_MS, window=window, threshold=4.0, warmup=3)
    got = scores(times, values, window=window, threshold=4.0, warmup=3)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s != "huge"])
@pytest.mark.parametrize("level", [0.0, 1e6, 1e12])
@pytest.mark.parametrize("window", [60, pytest.param(600, marks=pytest.mark.compiled)])
def test_single_precision_is_good_to_a_thousandth_of_half_the_band(shape, level, window):
    times, values = stream(shape, window + 300, 5, drop=0.02)
    values = values + level
    exact = mad_scores(times, values, step_ms=STEP_MS, window=window, threshold=5.0, warmup=5)
    got = scores(times, values, window=window, warmup=5, precision="single")
    half = (exact[:, 3] - exact[:, 2]) / 2
    np.testing.assert_array_equal(np.isnan(got), np.isnan(exact))
    assert (np.abs(got[:, 1:] - exact[:, 1:]) <= 1e-3 * half[:, None])[~np.isnan(half)].all()
    np.testing.assert_allclose(got[:, 0], exact[:, 0], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("window", [60, pytest.param(600, marks=pytest.mark.compiled)])
def test_single_precision_keeps_its_digits_when_a_counter_starts_again(window):
    times, values = stream("random", 4 * window, 6)
    values[: 2 * window] += 1e12
    values[2 * window :] = 5.0 + 0.1 * values[2 * window :]
    exact = mad_scores(times, values, step_ms=STEP_MS, window=window, threshold=5.0, warmup=5)
    got = scores(times, values, window=window, warmup=5, precision="single")[:, 0]
    # While both levels share the window, the old one's spread of 1e-12 of its size rounds to 0.
    shared = slice(2 * window, 3 * window)
    assert got[2 * window] > 1
    got[shared] = exact[shared, 0]
    np.testing.assert_allclose(got, exact[:, 0], rtol=2e-3, atol=2e-3)


def test_single_precision_judges_a_value_beyond_its_range_and_does_not_learn_it():
    times, values = stream("random", 60, 6)
    values[40] = 1e200
    got = scores(times, values, window=30, warmup=5, precision="single")
    assert got[40, 0] == 1e6
    assert (np.abs(got[41:, 1]) < 1).all()


def test_of_two_samples_in_one_step_the_newer_one_stays():
    times, values = stream("random", 80, 6)
    times = np.sort(np.concatenate([times, times[::3] + STEP_MS // 2]))
    values = np.random.default_rng(1).normal(size=len(times))
    expected = mad_scores(times, values, step_ms=STEP_MS, window=20, threshold=5.0, warmup=3)
    np.testing.assert_array_equal(scores(times, values, window=20, warmup=3), expected)


@pytest.mark.compiled
@pytest.mark.parametrize("shape", ["drifting", "tied", "constant", "random"])
def test_thousands_of_samples_go_through_leaves_that_fill_and_empty(shape):
    times, values = stream(shape, 6000, 8, drop=0.01)
    values[3000:3200] *= 50
    expected = mad_scores(times, values, step_ms=STEP_MS, window=900, threshold=5.0, warmup=3)
    np.testing.assert_array_equal(scores(times, values, window=900, warmup=3), expected)


def test_a_jump_from_a_constant_is_anomalous_and_finite():
    times, values = stream("constant", 40, 0)
    values[-1] = 8.0
    assert scores(times, values, window=30)[-1, 0] == pytest.approx(0.75 / (1e-3 * 7.25))


def test_a_long_gap_empties_the_window():
    times, values = stream("random", 40, 1)
    times[-1] += 60 * STEP_MS
    assert np.isnan(scores(times, values, window=30, warmup=5)[-1, 0])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"window": "soon"}, "not a duration"),
        ({"threshold": 0.0}, "threshold must be above 0"),
        ({"threshold": float("nan")}, "threshold must be above 0"),
        ({"warmup": 0}, "warmup must be between"),
        ({"precision": "half"}, "precision must be single or double"),
    ],
)
def test_impossible_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        MadParams(**parameters)


@pytest.mark.parametrize("window", ["500ms", "7d"])
def test_windows_that_hold_too_little_or_too_much_are_refused(window):
    with pytest.raises(ValueError, match="must hold between 1 and 20000"):
        Mad(MadParams(window), STEP_MS)
