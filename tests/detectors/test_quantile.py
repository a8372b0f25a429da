import numpy as np
import pytest

from detectors.quantile import Quantile, QuantileParams
from tests.naive.windows import quantile_scores
from tests.streams import STEP_MS, rows_of, stream

SHAPES = ["random", "tied", "constant", "drifting", "gappy", "resetting"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", [1, 2, 7, 60, pytest.param(400, marks=pytest.mark.compiled)])
def test_equals_the_naive_reference(shape, window):
    times, values = stream(shape, window + 200, window, drop=0.1)
    detector = Quantile(QuantileParams(f"{window}s", 0.05, 0.9, 0.7, 3, "double"), STEP_MS)
    detector.grow(1)
    out = detector.step(rows_of({0: (times, values)}))
    expected = quantile_scores(
        times, values, step_ms=STEP_MS, window=window,
        low=0.05, high=0.9, margin=0.7, warmup=3,
    )  # fmt: skip
    got = np.stack([out.score, out.expected, out.lower, out.upper], axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"low": 0.5}, "low must be in"),
        ({"high": 1.1}, "high must be in"),
        ({"margin": -1.0}, "margin must be at least 0"),
        ({"window": "x"}, "not a duration"),
        ({"warmup": 0}, "warmup must be between"),
    ],
)
def test_impossible_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        QuantileParams(**parameters)
