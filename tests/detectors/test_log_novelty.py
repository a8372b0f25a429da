import numpy as np
import pytest

from detectors.log_novelty import LogNovelty, LogNoveltyParams
from tests.streams import STEP_MS, rows_of


def scores(values, min_distance=0.0):
    times = np.arange(1, len(values) + 1, dtype=np.int64) * STEP_MS
    detector = LogNovelty(LogNoveltyParams(min_distance), STEP_MS)
    detector.grow(1)
    return detector.step(rows_of({0: (times, np.array(values))})).score


def test_a_first_line_is_above_1_by_its_distance_and_a_known_one_is_0():
    np.testing.assert_allclose(scores([0.0, 1.4, 0.0, np.nan]), [0.0, 1.4, 0.0, np.nan])


def test_near_templates_stay_within_the_least_distance():
    np.testing.assert_array_equal(scores([1.2, 1.31], 0.3) > 1, [False, True])


def test_an_impossible_distance_is_refused():
    with pytest.raises(ValueError, match="min_distance must be"):
        LogNoveltyParams(1.0)
