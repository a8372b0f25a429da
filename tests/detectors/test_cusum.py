import numpy as np
import pytest

from detectors.cusum import Cusum, CusumParams
from tests.naive.cusum import cusum_scores
from tests.streams import STEP_MS, rows_of, stream

PARAMETERS = {"alpha": 0.05, "slack": 0.5, "threshold": 6.0, "rebase": 20, "warmup": 10}


def run(times, values):
    detector = Cusum(CusumParams(**PARAMETERS), STEP_MS)
    detector.grow(1)
    return detector.step(rows_of({0: (times, values)}))


@pytest.mark.parametrize("shape", ["random", "tied", "constant", "drifting", "resetting"])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_equals_the_naive_reference(shape, shift):
    times, values = stream(shape, 200, 4, drop=0.1)
    values[90:] += shift
    out = run(times, values)
    expected = cusum_scores(times, values, step_ms=STEP_MS, **PARAMETERS)
    got = np.stack([out.score, out.expected], axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)


def test_a_shift_of_two_sigma_is_seen_and_then_is_the_new_normal():
    times, values = stream("random", 300, 4)
    values[150:] += 2.0
    score = run(times, values).score
    above = np.flatnonzero(score > 1)
    assert 150 <= above[0] < 165
    assert len(above) == PARAMETERS["rebase"]
    assert (score[above[-1] + 1 :] <= 1).all()


def test_one_spike_alone_never_passes_the_threshold():
    times, values = stream("random", 100, 4)
    quiet = run(times, values.copy()).score[59]
    values[60] += 1e6
    assert run(times, values).score[60] <= 1 + quiet


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"alpha": 0.0}, "alpha must be in"),
        ({"slack": -1.0}, "slack must be at least 0"),
        ({"threshold": 0.0}, "threshold must be above 0"),
        ({"rebase": 0}, "rebase must be between"),
        ({"warmup": 0}, "warmup must be between"),
    ],
)
def test_impossible_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        CusumParams(**parameters)
