import numpy as np
import pytest

from detectors.forecast import Forecast, ForecastParams
from tests.naive.forecast import ar_scores, holt_winters_scores
from tests.streams import STEP_MS, rows_of, stream


def run(times, values, **parameters):
    detector = Forecast(ForecastParams(**parameters), STEP_MS)
    detector.grow(1)
    out = detector.step(rows_of({0: (times, values)}))
    return np.stack([out.score, out.expected, out.lower, out.upper], axis=1)


@pytest.mark.parametrize("shape", ["random", "tied", "constant", "drifting", "gappy", "resetting"])
@pytest.mark.parametrize("season", [0, 12])
def test_holt_winters_equals_the_naive_reference(shape, season):
    times, values = stream(shape, 300, 3, drop=0.1)
    own = {"alpha": 0.3, "beta": 0.1, "gamma": 0.2, "damping": 0.9, "threshold": 4.0, "warmup": 20}
    expected = holt_winters_scores(times, values, step_ms=STEP_MS, season=season, **own)
    text = f"{season}s" if season else None
    got = run(times, values, method="holt_winters", season=text, **own)
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("shape", ["random", "tied", "constant", "drifting", "gappy", "resetting"])
@pytest.mark.parametrize("order", [1, 2, 5])
def test_ar_equals_the_naive_reference(shape, order):
    times, values = stream(shape, 300, 3, drop=0.1)
    own = {"order": order, "forgetting": 0.99, "threshold": 4.0, "warmup": 20}
    expected = ar_scores(times, values, step_ms=STEP_MS, **own)
    np.testing.assert_allclose(run(times, values, **own), expected, rtol=1e-5, atol=1e-5)


def test_an_autoregression_foretells_a_wave_that_a_mean_would_not():
    at = np.arange(1_000)
    rng = np.random.default_rng(1)
    values = 100 * np.sin(at / 7) + rng.normal(size=1_000)
    out = run(at * STEP_MS, values, order=4)
    assert np.abs(out[500:, 1] - values[500:]).std() < 3
    values[800] += 30
    score = run(at * STEP_MS, values, order=4)[:, 0]
    assert score[800] > 2
    assert score[801:830].max() < 1.5


def test_holt_winters_follows_a_trend_with_a_season():
    at = np.arange(2_000)
    rng = np.random.default_rng(1)
    values = 0.5 * at + 20 * np.sin(2 * np.pi * at / 60) + rng.normal(size=2_000)
    own = {"season": "1m", "damping": 1.0, "warmup": 400}
    out = run(at * STEP_MS, values, method="holt_winters", **own)
    assert np.abs(out[1_000:, 1] - values[1_000:]).mean() < 3
    assert (out[1_000:, 0] > 1).mean() < 0.01


@pytest.mark.parametrize("method", ["ar", "holt_winters"])
def test_a_lasting_shift_becomes_normal(method):
    values = np.random.default_rng(2).normal(50, 1, 1_500)
    values[500:] += 100
    score = run(np.arange(1_500) * STEP_MS, values, method=method)[:, 0]
    assert score[500] > 10
    assert (score[-300:] <= 1.2).all()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"method": "prophet"}, "method must be ar or holt_winters"),
        ({"order": 0}, "order must be between"),
        ({"forgetting": 0.5}, "forgetting must be in"),
        ({"alpha": 0.0}, "alpha must be in"),
        ({"damping": 1.1}, "damping must be in"),
        ({"season": "soon"}, "not a duration"),
        ({"threshold": 0.0}, "threshold must be above 0"),
        ({"warmup": 0}, "warmup must be between"),
    ],
)
def test_impossible_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        ForecastParams(**parameters)


def test_a_season_of_one_step_is_refused():
    with pytest.raises(ValueError, match="must be between 2 and 20160"):
        Forecast(ForecastParams(season="1s"), STEP_MS)
