import numpy as np
import pytest
from river.anomaly import HalfSpaceTrees as Rivers

from detectors.half_space_trees import (
    HalfSpaceTrees,
    HalfSpaceTreesParams,
    grow_trees,
    sparsity,
)
from models.columns import RowBatch
from tests.streams import STEP_MS

pytestmark = pytest.mark.compiled


@pytest.mark.parametrize(("trees", "height", "window"), [(10, 8, 250), (3, 4, 40), (25, 10, 100)])
def test_the_same_seed_gives_the_scores_of_river(trees, height, window):
    points = np.random.default_rng(1).random((800, 3)) ** 2
    theirs = Rivers(n_trees=trees, height=height, window_size=window, seed=7)
    on, at = grow_trees(trees, height, 3, 7)
    latest = np.zeros((2 ** (height + 1) - 1, trees), np.uint16)
    reference = np.zeros_like(latest)
    scratch = np.zeros(trees, np.int64), np.zeros(trees)
    for k, point in enumerate(points):
        named = dict(enumerate(point.tolist()))
        expected = theirs.score_one(named)
        got = sparsity(point, on, at, window, latest, reference, *scratch)
        if k >= window:
            assert got == expected
        theirs.learn_one(named)
        if (k + 1) % window == 0:
            reference[:], latest[:] = latest, 0


def judge(values, **parameters):
    detector = HalfSpaceTrees(HalfSpaceTreesParams(**parameters), STEP_MS)
    detector.grow(1)
    count = len(values)
    times = STEP_MS * np.arange(1, count + 1)
    none = np.zeros(count, np.bool_)
    return detector.step(RowBatch(np.zeros(count, np.int32), times, values, none)).score


def test_a_place_where_nothing_was_is_told():
    values = np.random.default_rng(2).normal(100, 1, 6_000)
    values[5_500] = 130
    score = judge(values)
    assert score[5_500] > 1
    assert (score[400:5_500] > 1).mean() < 0.01


def test_nothing_is_judged_before_a_whole_window():
    score = judge(np.random.default_rng(2).normal(size=400), window=250, warmup=20)
    assert np.isnan(score[:270]).all()
    assert np.isfinite(score[270:]).all()
