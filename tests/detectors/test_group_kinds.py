import numpy as np
import pytest

from detectors.group_forest import GroupForest, GroupForestParams
from detectors.group_pca import GroupPca, GroupPcaParams
from detectors.kernels.points import standardise
from models.columns import RowBatch
from tests.naive.vectors import distances
from tests.streams import STEP_MS

pytestmark = pytest.mark.compiled


def batch(values):
    """One group's instants."""
    count = len(values)
    times = STEP_MS * np.arange(1, count + 1)
    none = np.zeros(count, np.bool_)
    return RowBatch(np.zeros(count, np.int32), times, np.ones(count), none, values)


def pca(**parameters):
    detector = GroupPca(GroupPcaParams(**parameters), STEP_MS)
    detector.grow(1)
    return detector


def forest(**parameters):
    detector = GroupForest(GroupForestParams(**parameters), STEP_MS)
    detector.grow(1)
    return detector


def together(count, channels, seed=1):
    """Channels that follow one load, each in its own unit."""
    rng = np.random.default_rng(seed)
    load = np.cumsum(rng.normal(size=count)) * 0.1 + 5 * np.sin(np.arange(count) / 50)
    units = 10.0 ** rng.integers(-3, 4, channels)
    return (load[:, None] + 0.3 * rng.normal(size=(count, channels))) * units


def standardised(values):
    """As the kinds see them."""
    out = np.empty_like(values)
    for c in range(values.shape[1]):
        moments = np.zeros(2)
        for k, x in enumerate(values[:, c]):
            out[k, c] = np.arcsinh(standardise(x, k, moments)[0])
    return out


def test_distances_and_shares_are_those_of_the_plain_reference():
    values = together(400, 5)
    told = pca(channels=5, refit=30, memory=200, ridge=0.05).novelty(batch(values))
    out, shares = distances(standardised(values), 200, 30, 0.05)
    np.testing.assert_allclose(told[:, 0], out, rtol=1e-6)
    np.testing.assert_allclose(told[:, 1:], shares, rtol=1e-5, atol=1e-9)


def test_a_channel_that_stops_following_the_others_is_told_and_named():
    values = together(6_000, 6)
    alone = values.copy()
    alone[5_000:5_020, 2] = 2 * values[:5_000, 2].mean() - values[5_000:5_020, 2]
    scores = pca(channels=6).step(batch(alone))
    assert np.nanmax(scores.score[5_000:5_020]) > 1
    assert scores.score[5_000:5_020].max() > 2 * np.nanmax(scores.score[1_000:5_000])
    assert scores.channels[5_010, 0] == 2


def test_an_odd_combination_is_told_where_each_channel_is_within_its_range():
    rng = np.random.default_rng(5)
    side = rng.choice([-1.0, 1.0], 6_000)
    values = side[:, None] * [10, 3, -7] + rng.normal(0, 0.2, (6_000, 3))
    values[5_500] = [10, -3, -7]
    scores = forest(channels=3).step(batch(values))
    assert scores.score[5_500] > 1 > np.nanmax(scores.score[1_000:5_500])
    assert scores.channels[5_500, 0] == 1


@pytest.mark.parametrize("made", [pca, forest])
def test_a_channel_that_is_missing_now_and_then_is_no_anomaly(made):
    values = together(4_000, 6)
    whole = made(channels=6).step(batch(values)).score
    values[np.random.default_rng(2).random(values.shape) < 0.1] = np.nan
    gappy = made(channels=6).step(batch(values)).score
    assert (gappy[500:] > 1).mean() < (whole[500:] > 1).mean() + 0.002


@pytest.mark.parametrize("made", [pca, forest])
def test_an_instant_without_any_channel_has_no_judgement(made):
    values = together(400, 3)
    values[300] = np.nan
    score = made(channels=3).step(batch(values)).score
    assert np.isnan(score[300])
    assert np.isfinite(score[301])


def test_parameters_that_make_no_model_are_named():
    with pytest.raises(ValueError, match="ridge must be above 0"):
        GroupPcaParams(ridge=0)
    with pytest.raises(ValueError, match="channels must be between 1 and 256"):
        GroupForestParams(channels=300)
