import numpy as np
import pytest

from detectors.similarity import Similarity, SimilarityParams
from models.columns import RowBatch
from tests.naive.shapes import nearest_distances
from tests.streams import STEP_MS, cut

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
    got = made(**own).novelty(batch(values))[:, 0]
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


def with_bursts(places, count=12_000):
    rng = np.random.default_rng(3)
    values = 50 + 10 * np.sin(np.arange(count) / 15) + rng.normal(size=count)
    for at in places:
        values[at : at + 24] = BURST
    return values


BURST = 60 + 40 * np.sin(np.arange(24) * 1.2)


def test_a_shape_given_as_normal_is_nothing_new_in_any_series():
    values = with_bursts([9_000])
    shape = values[8_970:9_060].tolist()
    plain = made().step(batch(values)).score
    known = made(normal={"deploy": shape}).step(batch(values)).score
    assert plain[9_000:9_047].max() > 1
    assert known[9_000:9_047].max() < 0.1
    assert np.nanmax(known[9_100:]) == pytest.approx(np.nanmax(plain[9_100:]), abs=0.1)


@pytest.mark.parametrize("level", [0, 1_000])
def test_a_window_of_an_incident_is_told_by_its_name(level):
    values = with_bursts([8_000, 9_000, 10_000, 11_000]) + level
    detector = made(incidents={"leak": BURST.tolist(), "rise": list(range(24))})
    scores = detector.step(batch(values))
    for at in (9_023, 11_023):
        assert 1.9 < scores.score[at] < 2.5
        assert detector.parts[scores.spoke[at]] == "incident leak"
    told = detector.parts.index("incident leak")
    assert scores.parts[9_023, told] == pytest.approx(2)
    assert (scores.parts[100:7_900, told] < 1).all()
    assert detector.described()["incidents"] == ["leak", "rise"]


def test_an_incident_is_told_before_the_series_is_warm():
    values = with_bursts([40], 100)
    score = made(incidents={"leak": BURST.tolist()}).step(batch(values)).score
    assert score[63] == pytest.approx(2)
    assert np.isnan(score[62])


def test_with_levels_an_incident_is_one_at_its_own_level_only():
    shapes = {"incidents": {"leak": BURST.tolist()}, "remove_mean": False}
    here, elsewhere = (
        made(**shapes).step(batch(with_bursts([40], 100) + up)).score for up in (0, 1_000)
    )
    assert here[63] == pytest.approx(2)
    assert np.isnan(elsewhere[63])


def test_windows_that_cannot_be_known_are_named():
    with pytest.raises(ValueError, match="incidents: 'leak' must be 24 finite numbers"):
        SimilarityParams(incidents={"leak": [1.0]})
    with pytest.raises(ValueError, match="normal: 'odd' must be 24 to 1000 finite numbers"):
        SimilarityParams(normal={"odd": [np.nan] * 30})
    with pytest.raises(ValueError, match="'flat' is flat"):
        SimilarityParams(incidents={"flat": [1.0] * 24})
    with pytest.raises(ValueError, match="near must be above 0"):
        SimilarityParams(near=0)


def indexed(**parameters):
    pytest.importorskip("hnswlib", reason="hnswlib could not be compiled")
    return made(**parameters | {"search": "index"})


@pytest.mark.parametrize("remove_mean", [True, False])
def test_an_index_finds_distances_within_a_percent(remove_mean):
    values = with_bursts([9_000])
    own = {"windows": 20_000, "remove_mean": remove_mean}
    exact = made(**own).novelty(batch(values))[:, 0]
    near = indexed(**own).novelty(batch(values))[:, 0]
    assert (np.isnan(near) == np.isnan(exact)).all()
    known = ~np.isnan(exact)
    assert (near[known] > exact[known] * (1 - 1e-3)).all()
    assert np.mean(near[known] / exact[known]) < 1.01


@pytest.mark.parametrize("edge", [10, 500, 700, 1_400])
def test_an_index_built_anew_gives_the_same_scores(edge):
    values = with_bursts([1_200], 1_500)
    own = {"windows": 600, "length": 10}
    undisturbed, restored = indexed(**own), indexed(**own)
    whole = batch(values)
    first, second = cut(whole, [edge])
    undisturbed.step(first)
    restored.restore(undisturbed.state())
    left, right = undisturbed.step(second).score, restored.step(second).score
    np.testing.assert_array_equal(left, right)
    again = indexed(**own).step(whole).score
    np.testing.assert_array_equal(again[edge:], left)


def test_an_index_forgets_what_is_older_than_two_generations():
    rng = np.random.default_rng(1)
    values = rng.normal(size=1_000)
    values[100:110] += 30
    values[[*range(305, 315), *range(900, 910)]] += np.tile(values[100:110] - values[305:315], 2)
    novelty = indexed(windows=200, length=10, neighbours=1).novelty(batch(values))[:, 0]
    assert novelty[314] < 0.3 * novelty[909]
