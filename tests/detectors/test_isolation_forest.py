import numpy as np
import pytest
from sklearn.ensemble import IsolationForest as Sklearns

from detectors.isolation_forest import IsolationForest, IsolationForestParams, fit, isolation
from tests.streams import STEP_MS, rows_of

pytestmark = pytest.mark.compiled


@pytest.mark.parametrize(("count", "trees", "samples"), [(500, 20, 256), (40, 5, 64), (3, 2, 2)])
def test_scores_equal_those_of_scikit_learn(count, trees, samples):
    rng = np.random.default_rng(1)
    points = rng.random((count, 3)).astype(np.float32)
    theirs = Sklearns(n_estimators=trees, max_samples=min(samples, count), random_state=5)
    theirs.fit(points)
    asked = rng.random((200, 3)).astype(np.float32) * 1.5
    forest = fit(points, trees, samples, 5)
    got = [isolation(point, *forest) for point in asked]
    np.testing.assert_allclose(got, -theirs.score_samples(asked), rtol=1e-12)


def made(**parameters):
    detector = IsolationForest(IsolationForestParams(**parameters), STEP_MS)
    detector.grow(1)
    return detector


def batch(values, first=0):
    return rows_of({0: (STEP_MS * np.arange(first + 1, first + len(values) + 1), values)})


def test_a_value_far_away_is_most_novel():
    values = np.random.default_rng(1).normal(size=4_000)
    values[3_900] = 30
    novelty = made().novelty(batch(values))
    assert np.isnan(novelty[:749]).all()
    assert novelty[3_900] == np.nanmax(novelty)
    assert np.isnan(made().step(batch(values)).score[:799]).all()


def test_a_fit_that_was_begun_is_taken_over_after_a_restart_as_well():
    values = np.random.default_rng(2).normal(size=900)
    own = {"refit": 200, "window": 300, "trees": 5, "warmup": 10}
    undisturbed, restored = made(**own), made(**own)
    undisturbed.step(batch(values[:450]))
    restored.restore(undisturbed.state())
    left, right = (d.step(batch(values[450:], 450)).score for d in (undisturbed, restored))
    assert np.isfinite(left).all()
    np.testing.assert_array_equal(left, right)


def test_parameters_that_make_no_forest_are_named():
    with pytest.raises(ValueError, match="refit must be between 10"):
        IsolationForestParams(refit=1)
    with pytest.raises(ValueError, match="samples must be between 2"):
        IsolationForestParams(samples=1)
