import pickle

import numpy as np
import pytest

from detectors.river import River, RiverParams
from tests.streams import STEP_MS, rows_of, stream

NAMES = (
    "GaussianScorer",
    "HalfSpaceTrees",
    "LODA",
    "LocalOutlierFactor",
    "OneClassSVM",
    "PredictiveAnomalyDetection",
    "StandardAbsoluteDeviation",
)


def made(**parameters):
    detector = River(RiverParams(**parameters), STEP_MS)
    detector.grow(2)
    return detector


def batch(first, last, seed=3):
    times, values = stream("random", 400, seed)
    return rows_of({1: (times[first:last], values[first:last])})


@pytest.mark.parametrize("name", NAMES)
def test_every_detector_of_river_runs_and_comes_back_as_it_was(name):
    undisturbed, restored = made(detector=name, warmup=10), made(detector=name, warmup=10)
    undisturbed.step(batch(0, 300))
    restored.restore(undisturbed.state())
    left, right = (d.step(batch(300, 400)).score for d in (undisturbed, restored))
    assert np.isfinite(left).any()
    np.testing.assert_array_equal(left, right)


def test_a_value_far_away_is_told():
    detector = made(detector="StandardAbsoluteDeviation")
    times = STEP_MS * np.arange(1, 3_001)
    values = np.random.default_rng(1).normal(size=3_000)
    values[2_900] = 40
    score = detector.step(rows_of({0: (times, values)})).score
    assert score[2_900] == np.nanmax(score[500:]) > 1


class Evil:
    def __reduce__(self):
        return (eval, ("1 / 0",))


def test_a_state_that_names_anything_else_is_refused():
    detector = made()
    detector.step(batch(0, 20))
    state = detector.state()
    evil = np.frombuffer(pickle.dumps(Evil()), np.uint8)
    edges = np.array([0, 0, len(evil)])
    with pytest.raises(ValueError, match=r"holds builtins\.eval"):
        made().restore(state | {"instances": evil, "edges": edges})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"detector": "QuantileFilter"}, "must be one of GaussianScorer, HalfSpaceTrees"),
        ({"detector": "os"}, "must be one of"),
        ({"parameters": {"trees": 3}}, "parameters of HalfSpaceTrees"),
        ({"lags": 0}, "lags must be between"),
    ],
)
def test_what_river_does_not_have_is_said(wrong, words):
    with pytest.raises(ValueError, match=words):
        RiverParams(**wrong)
