import numpy as np
import pytest

from detectors.threshold import Threshold, ThresholdParams
from tests.streams import STEP_MS, rows_of


def run(values, **parameters):
    detector = Threshold(ThresholdParams(**parameters), STEP_MS)
    detector.grow(1)
    times = np.arange(len(values)) * STEP_MS
    return detector.step(rows_of({0: (times, np.array(values, float))}))


def test_two_bounds_make_a_band_around_their_middle():
    out = run([50, 75, 100, 150, 0, -50], lower=0.0, upper=100.0)
    assert out.score.tolist() == [0, 0.5, 1, 2, 1, 2]
    assert (out.expected == 50).all()
    assert (out.lower == 0).all()
    assert (out.upper == 100).all()


def test_one_bound_knows_no_too_little():
    out = run([-5, 0, 50, 100, 250], lower=None, upper=100.0)
    assert out.score.tolist() == [0, 0, 0.5, 1, 2.5]
    assert out.expected.tolist() == [-5, 0, 0, 0, 0]
    assert np.isnan(out.lower).all()


def test_a_lower_bound_alone():
    out = run([3, 2, 1, 0], lower=2.0, upper=None, margin=1.0)
    assert out.score.tolist() == [0, 1, 2, 3]
    assert np.isnan(out.upper).all()


def test_a_bound_at_0_has_a_margin_of_1():
    assert run([-1, 0, 2], lower=None, upper=0.0).score.tolist() == [0, 1, 3]


def test_a_margin_says_where_unease_begins():
    assert run([70, 90, 100, 110], upper=100.0, margin=10.0).score.tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"lower": None, "upper": None}, "give at least one bound"),
        ({"upper": float("inf")}, "upper must be finite"),
        ({"lower": 2.0}, "must be below upper"),
        ({"margin": 0.0}, "margin must be above 0"),
        ({"margin": 0.7}, "over half the distance"),
    ],
)
def test_impossible_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        ThresholdParams(**parameters)
