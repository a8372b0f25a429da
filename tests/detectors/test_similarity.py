import numpy as np
import pytest

from detectors.similarity import Similarity, SimilarityParams
from models.columns import RowBatch
from tests.naive.shapes import nearest_distances
from tests.streams import STEP_MS

pytestmark = pytest.mark.compiled


def batch(values):
    count = len(values)
    times = STEP_MS * np.arange(1, count + 1)
    return RowBatch(np.zeros(count, np.int32), times, values, np.zeros(count, np.bool_))


def made(**parameters):
    detector = Similarity(SimilarityParams(**parameters), STEP_MS)
    detector.grow(1)
    return detector


@pytest.mark.parametrize("remove_mean", [True, False])
def test_novelty_is_the_distance_to_the_kth_nearest_window(remove_mean):
    values = np.random.default_rng(1).normal(50, 3, 400)
    own = {"length": 10, "windows": 120, "neighbours": 2, "remove_mean": remove_mean}
    got = made(**own).novelty(batch(values))
    expected = nearest_distances(values, 10, 130, 2, 5, remove_mean)
    np.testing.assert_allclose(got, np.where(np.isinf(expected), np.nan, expected), rtol=1e-4)


def test_a_shape_never_seen_is_told_and_once_seen_three_times_it_is_not():
    rng = np.random.default_rng(3)
    values = 50 + 10 * np.sin(np.arange(20_000) / 15) + rng.normal(size=20_000)
    burst = 60 * np.sin(np.arange(30) * 1.2)
    places = (12_000, 13_000, 14_000, 15_000, 16_000)
    for at in places:
        values[at : at + 30] += burst
    score = made().step(batch(values)).score
    heights = [score[at : at + 40].max() for at in places]
    assert heights[0] > 1
    assert heights[-1] < 0.7 * heights[0]


def test_parameters_that_make_no_window_are_named():
    with pytest.raises(ValueError, match="length must be between 2 and 64"):
        SimilarityParams(length=100)
    with pytest.raises(ValueError, match="windows must be between 64"):
        SimilarityParams(windows=10)
    with pytest.raises(ValueError, match="threshold must be above 0"):
        SimilarityParams(threshold=0)
