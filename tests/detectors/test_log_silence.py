import numpy as np
import pytest

from detectors.log_silence import LogSilence, LogSilenceParams
from tests.naive.counts import log_silence_scores
from tests.streams import STEP_MS, rows_of


def scores(values, **parameters):
    times = np.arange(1, len(values) + 1, dtype=np.int64) * STEP_MS
    detector = LogSilence(LogSilenceParams(**parameters), STEP_MS)
    detector.grow(1)
    return times, detector.step(rows_of({0: (times, np.asarray(values, float))}))


@pytest.mark.parametrize("rate", [0.05, 0.6, 1.0])
def test_equals_the_naive_reference(rate):
    rng = np.random.default_rng(3)
    values = rng.poisson(rate, 600).astype(float)
    values[50] = np.nan
    times, got = scores(values, memory="100s", warmup=5)
    expected = log_silence_scores(
        times, values, step_ms=STEP_MS, factor=3.0, memory_ms=100_000, warmup=5
    )
    np.testing.assert_allclose(got.score, expected, rtol=1e-9)


def test_a_heartbeat_that_stops_is_told_after_three_beats():
    values = [float(k % 10 == 0) for k in range(400)] + [0.0] * 60
    _, got = scores(values)
    outside = np.flatnonzero(got.score > 1)
    assert outside[0] == 390 + 31
    assert (got.expected[outside] == 1.0).all()


def test_when_it_comes_back_the_score_is_0_and_the_gap_is_known():
    values = [1.0] * 50 + [0.0] * 20 + [1.0] * 5 + [0.0] * 20
    _, got = scores(values)
    assert got.score[60] > 1
    assert got.score[70] == 0.0
    assert (got.score[75:] < 1).all()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"factor": 0.5}, "factor must be"),
        ({"memory": "0s"}, "memory|duration"),
        ({"warmup": 1}, "warmup"),
    ],
)
def test_impossible_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        LogSilenceParams(**parameters)
