import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.kernels.order import (
    insert,
    mean_deviation,
    median,
    median_deviation,
    rank,
    remove,
    replace,
)

numbers = st.floats(-1e6, 1e6).map(lambda x: x + 0.0) | st.integers(-3, 3).map(float)
windows = st.lists(numbers, min_size=1, max_size=40)


@given(windows, numbers)
def test_rank_counts_what_is_below(window, value):
    assert rank(np.sort(np.array(window)), len(window), value) == sum(v < value for v in window)


@given(windows, numbers)
def test_insert_and_remove_keep_the_order(window, value):
    ordered = np.append(np.sort(np.array(window)), np.nan)
    insert(ordered, len(window), value)
    np.testing.assert_array_equal(ordered, np.sort(np.array([*window, value])))
    remove(ordered, len(window) + 1, value)
    np.testing.assert_array_equal(ordered[:-1], np.sort(np.array(window)))


@given(windows, numbers, st.integers(0, 1000))
def test_replace_is_remove_and_insert(window, value, place):
    ordered = np.sort(np.array(window))
    old = window[place % len(window)]
    replace(ordered, len(window), old, value)
    rest = list(window)
    rest.remove(old)
    np.testing.assert_array_equal(ordered, np.sort(np.array([*rest, value])))


@given(windows)
def test_median_and_median_deviation_are_numpys(window):
    ordered = np.sort(np.array(window))
    center = median(ordered, len(window))
    assert center == np.median(ordered)
    assert median_deviation(ordered, len(window), center) == np.median(np.abs(ordered - center))
    mean = np.mean(np.abs(ordered - center))
    np.testing.assert_allclose(mean_deviation(ordered, len(window), center), mean, rtol=1e-12)
