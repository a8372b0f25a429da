import numpy as np

from detectors.kernels.gaps import carry_previous, count_missing

ROWS = np.array([0, 1, 0, 1, 0], np.int32)
MISSING = np.array([False, True, True, True, True])


def test_a_missing_sample_takes_the_value_before_it_in_its_row():
    values = np.array([5.0, np.nan, np.nan, np.nan, np.nan])
    last = np.array([1.0, 2.0])
    carry_previous(ROWS, values, MISSING, last)
    assert values.tolist() == [5.0, 2.0, 5.0, 2.0, 5.0]
    assert last.tolist() == [5.0, 2.0]


def test_missing_samples_are_counted_in_a_row_and_across_batches():
    run = np.array([3, 1], np.int32)
    out = np.empty(5)
    count_missing(ROWS, MISSING, run, out)
    assert out.tolist() == [0, 2, 1, 3, 2]
    assert run.tolist() == [2, 3]
