import numpy as np
import pytest

from detectors.ewma import Ewma, EwmaParams
from tests.naive.ewma import ewma_scores
from tests.streams import STEP_MS, rows_of, stream


@pytest.mark.parametrize("shape", ["random", "tied", "constant", "drifting", "gappy", "resetting"])
@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0])
def test_equals_the_naive_reference(shape, alpha):
    times, values = stream(shape, 200, 3, drop=0.1)
    detector = Ewma(EwmaParams(alpha, 4.0, 5), STEP_MS)
    detector.grow(1)
    out = detector.step(rows_of({0: (times, values)}))
    expected = ewma_scores(times, values, step_ms=STEP_MS, alpha=alpha, threshold=4.0, warmup=5)
    got = np.stack([out.score, out.expected, out.lower, out.upper], axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-9)


def test_a_value_too_large_to_square_is_judged_and_not_learned():
    times, values = stream("random", 60, 3)
    values[30] = 1e300
    detector = Ewma(EwmaParams(0.1, 4.0, 5), STEP_MS)
    detector.grow(1)
    out = detector.step(rows_of({0: (times, values)}))
    assert out.score[30] == 1e6
    assert (np.abs(out.expected[31:]) < 10).all()


def test_a_gap_forgets_as_much_as_it_lasts():
    times, values = stream("constant", 60, 0)
    values[59] = 9.0
    expected = {}
    for gap in (0, 100):
        late = times + np.where(np.arange(60) >= 59, gap * STEP_MS, 0)
        detector = Ewma(EwmaParams(0.05, 4.0, 5), STEP_MS)
        detector.grow(1)
        after = rows_of({0: (np.append(late, late[-1] + STEP_MS), np.append(values, 9.0))})
        expected[gap] = detector.step(after).expected[-1]
    assert expected[0] == pytest.approx(7.25 + 0.05 * 1.75)
    assert expected[100] == pytest.approx(9.0, abs=0.02)


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
