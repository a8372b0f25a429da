import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.mad import Mad, MadParams
from tests.naive.mad import mad_scores
from tests.streams import SHAPES, STEP_MS, rows_of, seeds, shapes, stream


def scores(times, values, *, window, threshold=5.0, warmup=1):
    detector = Mad(MadParams(f"{window}s", threshold, warmup), STEP_MS)
    detector.grow(1)
    out = detector.step(rows_of({0: (times, values)}))
    return np.stack([out.score, out.expected, out.lower, out.upper], axis=1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", [1, 2, 3, 8, 59, 60])
def test_equals_the_naive_reference(shape, window):
    times, values = stream(shape, 300, window, drop=0.1)
    expected = mad_scores(
        times, values, window_ms=window * STEP_MS, window=window, threshold=5.0, warmup=1
    )
    np.testing.assert_array_equal(scores(times, values, window=window), expected)


@pytest.mark.compiled
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", [288, 2000])
def test_equals_the_naive_reference_with_large_windows(shape, window):
    times, values = stream(shape, window + 300, 5, drop=0.02)
    expected = mad_scores(
        times, values, window_ms=window * STEP_MS, window=window, threshold=3.0, warmup=30
    )
    got = scores(times, values, window=window, threshold=3.0, warmup=30)
    np.testing.assert_array_equal(got, expected)


@settings(max_examples=60)
@given(shape=shapes, seed=seeds, window=st.integers(1, 40), drop=st.floats(0, 0.9))
def test_equals_the_naive_reference_on_any_stream(shape, seed, window, drop):
    times, values = stream(shape, 80, seed, drop=drop)
    expected = mad_scores(
        times, values, window_ms=window * STEP_MS, window=window, threshold=4.0, warmup=3
    )
    got = scores(times, values, window=window, threshold=4.0, warmup=3)
    np.testing.assert_array_equal(got, expected)


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
    ],
)
def test_impossible_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        MadParams(**parameters)


@pytest.mark.parametrize("window", ["500ms", "7d"])
def test_windows_that_hold_too_little_or_too_much_are_refused(window):
    with pytest.raises(ValueError, match="must hold between 1 and 20000"):
        Mad(MadParams(window), STEP_MS)
