import numpy as np

from models.columns import STALE, is_stale


def test_only_the_stale_marker_is_stale():
    values = np.array([1.0, np.nan, STALE, np.inf, -np.nan])
    assert is_stale(values).tolist() == [False, False, True, False, False]
    assert is_stale(values[::2]).tolist() == [False, True, False]
