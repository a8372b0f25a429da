import numpy as np
import pytest

from detectors.ewma import Ewma, EwmaParams
from tests.naive.ewma import ewma_scores
from tests.streams import STEP_MS, rows_of, stream


@pytest.mark.parametrize("shape", ["random", "tied", "constant", "drifting", "gappy", "resetting"])
@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0])
def test_equals_the_naive_reference(shape, alpha):
    times, values = stream(shape, 200, 3)
    detector = Ewma(EwmaParams(alpha, 4.0, 5), STEP_MS)
    detector.grow(1)
    out = detector.step(rows_of({0: (times, values)}))
    expected = ewma_scores(values, alpha=alpha, threshold=4.0, warmup=5)
    got = np.stack([out.score, out.expected, out.lower, out.upper], axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-9)


def test_a_value_too_large_to_square_starts_the_row_afresh():
    times, values = stream("random", 60, 3)
    values[30] = 1e300
    detector = Ewma(EwmaParams(0.1, 4.0, 5), STEP_MS)
    detector.grow(1)
    score = detector.step(rows_of({0: (times, values)})).score
    assert np.isnan(score[31:35]).all()
    assert np.isfinite(score[40:]).all()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"alpha": 0.0}, "alpha must be in"),
        ({"alpha": 1.5}, "alpha must be in"),
        ({"threshold": -1.0}, "threshold must be above 0"),
        ({"warmup": 0}, "warmup must be between"),
    ],
)
def test_impossible_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        EwmaParams(**parameters)
