import numpy as np
import pytest

from detectors.zscore import Zscore, ZscoreParams
from tests.naive.windows import zscore_scores
from tests.streams import STEP_MS, rows_of, stream

SHAPES = ["random", "tied", "constant", "drifting", "gappy", "resetting"]


def scores(times, values, window, warmup=3):
    detector = Zscore(ZscoreParams(f"{window}s", 4.0, warmup), STEP_MS)
    detector.grow(1)
    out = detector.step(rows_of({0: (times, values)}))
    return np.stack([out.score, out.expected, out.lower, out.upper], axis=1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", [1, 2, 7, 60])
@pytest.mark.parametrize("level", [0.0, 1e9])
def test_equals_the_naive_reference(shape, window, level):
    times, values = stream(shape, 400, window, drop=0.1)
    expected = zscore_scores(
        times, values + level, step_ms=STEP_MS, window=window, threshold=4.0, warmup=3
    )
    got = scores(times, values + level, window)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)


def test_rounding_does_not_gather_over_many_windows():
    times, values = stream("random", 20_000, 3)
    values[:50] += 1e8
    expected = zscore_scores(
        times[-80:], values[-80:], step_ms=STEP_MS, window=20, threshold=4.0, warmup=3
    )
    np.testing.assert_allclose(scores(times, values, 20)[-60:], expected[-60:], rtol=1e-9)


def test_a_value_too_large_to_square_is_judged_and_not_learned():
    times, values = stream("random", 100, 3)
    values[30] = 1e200
    got = scores(times, values, 20)
    assert got[30, 0] == 1e6
    assert (np.abs(got[31:, 1]) < 2).all()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [({"threshold": 0.0}, "threshold must be"), ({"warmup": 0}, "warmup must be between")],
)
def test_impossible_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        ZscoreParams(**parameters)
