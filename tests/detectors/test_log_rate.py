import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.kernels.counts import quantiles
from detectors.log_rate import LogRate, LogRateParams
from tests.naive.counts import edges_of, log_rate_scores
from tests.streams import STEP_MS, rows_of


def scores(values, window=60, rarity=0.001, warmup=30):
    times = np.arange(1, len(values) + 1, dtype=np.int64) * STEP_MS
    detector = LogRate(LogRateParams(f"{window}s", rarity, warmup), STEP_MS)
    detector.grow(1)
    out = detector.step(rows_of({0: (times, np.asarray(values, float))}))
    return times, np.stack([out.score, out.expected, out.lower, out.upper], axis=1)


def counts(kind, size, seed):
    rng = np.random.default_rng(seed)
    if kind == "rare":
        return rng.poisson(0.05, size)
    if kind == "bursty":
        return rng.negative_binomial(0.4, 0.02, size)
    if kind == "loud":
        return rng.negative_binomial(30, 0.01, size)
    return rng.poisson(12.0, size)


KINDS = ["rare", "bursty", "loud", "steady"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("window", [8, 60])
def test_equals_the_naive_reference(kind, window):
    values = counts(kind, 300, window).astype(float)
    values[[40, 90]] = np.nan
    times, got = scores(values, window, warmup=5)
    expected = log_rate_scores(
        times, values, step_ms=STEP_MS, window=window, rarity=0.001, warmup=5
    )
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_alarms_are_about_as_rare_as_asked(kind):
    _, got = scores(counts(kind, 20_000, 5), window=240, rarity=0.01)
    share = np.nanmean(got[:, 0] > 1)
    assert 0.0005 < share < 0.02


def test_a_burst_stands_out_and_one_line_of_a_rare_kind_does_not():
    values = np.zeros(200)
    values[[20, 80, 150]] = 1
    values[180] = 40
    _, got = scores(values)
    assert np.flatnonzero(got[:, 0] > 1).tolist() == [180]
    assert got[180, 0] > 10


def test_a_stream_that_falls_silent_is_below_its_band():
    _, got = scores([*counts("steady", 100, 2), 0])
    assert got[-1, 0] > 1
    assert got[-1, 2] > 0


@given(mean=st.floats(0, 1e6), excess=st.floats(0, 1e9), known=st.integers(1, 20_000))
def test_the_edges_hold_the_mean_whatever_the_moments(mean, excess, known):
    low, high = quantiles(mean, mean + excess, known, 0.0005, 3.29)
    assert -0.5 <= low < high
    assert high > min(mean, 0.5)


def test_the_two_ways_to_the_edges_meet():
    for spread in (1.01, 3.0, 40.0):
        past = [199.0] * 50
        below = quantiles(199.4, spread * 199.4, 10_000, 0.0005, 3.2905)
        beyond = quantiles(200.2, spread * 200.2, 10_000, 0.0005, 3.2905)
        np.testing.assert_allclose(below, beyond, rtol=0.05, atol=2.5)
    assert edges_of(past, 0.0005)[0] == 199.0


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"rarity": 0.0}, "rarity must be"),
        ({"rarity": 0.5}, "rarity must be"),
        ({"warmup": 0}, "warmup"),
    ],
)
def test_impossible_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        LogRateParams(**parameters)
