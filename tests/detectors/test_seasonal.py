from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from detectors.seasonal import Seasonal, SeasonalParams
from tests.naive.seasonal import seasonal_scores
from tests.streams import rows_of, values_of

STEP_MS = 300_000
DAY = 288
BERLIN = "Europe/Berlin"
# Two days before the clocks go forward, and two before they go back.
SPRING_MS = int(datetime(2026, 3, 27, tzinfo=ZoneInfo(BERLIN)).timestamp() * 1000)
AUTUMN_MS = int(datetime(2026, 10, 23, tzinfo=ZoneInfo(BERLIN)).timestamp() * 1000)


def run(times, values, **parameters):
    detector = Seasonal(SeasonalParams(**parameters), STEP_MS)
    detector.grow(1)
    out = detector.step(rows_of({0: (times, values)}))
    return np.stack([out.score, out.expected, out.lower, out.upper], axis=1)


def daily(count, rng):
    """A load that is ten times higher in the day's second half."""
    at = np.arange(count) % DAY
    return np.where(at < DAY // 2, 10.0, 100.0) + rng.normal(size=count)


@pytest.mark.parametrize("shape", ["random", "tied", "constant", "gappy", "resetting"])
@pytest.mark.parametrize("begin_ms", [SPRING_MS, AUTUMN_MS])
@pytest.mark.parametrize(("period", "neighbours"), [("day", 0), ("week", 2)])
def test_equals_the_naive_reference(shape, begin_ms, period, neighbours):
    rng = np.random.default_rng(3)
    count = 9 * DAY
    kept = np.flatnonzero(rng.random(count) > 0.05)
    times = begin_ms + kept * STEP_MS
    values = values_of(shape, count, rng)[kept]
    expected = seasonal_scores(
        times, values, period=period, slot_ms=3_600_000, zone=BERLIN, neighbours=neighbours,
        memory=12 * (4 if period == "day" else 1), threshold=4.0, warmup=8,
    )  # fmt: skip
    got = run(
        times, values, period=period, timezone=BERLIN, neighbours=neighbours,
        days=4 if period == "day" else 7, threshold=4.0, warmup=8,
    )  # fmt: skip
    np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3)


def test_what_is_usual_at_noon_is_strange_at_night():
    values = daily(8 * DAY, np.random.default_rng(1))
    times = np.arange(len(values)) * STEP_MS
    values[7 * DAY + 20] = 100.0
    score = run(times, values)[:, 0]
    assert score[7 * DAY + 20] > 5
    assert np.nanmax(np.delete(score[3 * DAY :], 4 * DAY + 20)) < 1.5


def test_a_daily_shape_follows_the_local_clock_when_summer_time_begins():
    rng = np.random.default_rng(2)
    times = SPRING_MS - 5 * DAY * STEP_MS + np.arange(10 * DAY) * STEP_MS
    hours = [datetime.fromtimestamp(t / 1000, ZoneInfo(BERLIN)).hour for t in times]
    values = np.array([100.0 if h >= 12 else 10.0 for h in hours]) + rng.normal(size=len(times))
    after = slice(8 * DAY, None)
    assert np.nanmax(run(times, values, timezone=BERLIN)[after, 0]) < 1.5
    assert np.nanmax(run(times, values)[after, 0]) > 3


def test_neighbours_forgive_a_load_that_comes_early():
    values = daily(8 * DAY, np.random.default_rng(1))
    times = np.arange(len(values)) * STEP_MS
    early = 7 * DAY + DAY // 2 - 3
    values[early : early + 3] = 100.0
    assert run(times, values)[early, 0] > 5
    assert run(times, values, neighbours=1)[early, 0] < 1.5


def test_a_lasting_shift_becomes_normal_within_the_memory():
    rng = np.random.default_rng(4)
    values = rng.normal(50, 1, 30 * DAY)
    values[10 * DAY :] += 500
    score = run(np.arange(len(values)) * STEP_MS, values, days=5)[:, 0]
    assert score[10 * DAY] > 50
    assert np.nanmax(score[-5 * DAY :]) < 1.5


def test_an_outlier_hardly_moves_the_band():
    values = np.random.default_rng(5).normal(50, 1, 10 * DAY)
    spoiled = values.copy()
    spoiled[5 * DAY] = 1e6
    times = np.arange(len(values)) * STEP_MS
    plain, other = run(times, values), run(times, spoiled)
    np.testing.assert_allclose(other[5 * DAY + 1 :, 1], plain[5 * DAY + 1 :, 1], atol=0.2)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"period": "month"}, "period must be day or week"),
        ({"slot": "7h"}, "slot must divide a day"),
        ({"slot": "10s"}, "slot must divide a day and be at least"),
        ({"neighbours": 12}, "neighbours must fit"),
        ({"timezone": "Moon/Base"}, "timezone 'Moon/Base' is unknown"),
        ({"timezone": "../etc"}, "is unknown"),
        ({"days": 0}, "days must be between"),
        ({"threshold": 0.0}, "threshold must be above 0"),
        ({"warmup": 0}, "warmup must be between"),
    ],
)
def test_impossible_parameters_are_refused(parameters, words):
    with pytest.raises(ValueError, match=words):
        SeasonalParams(**parameters)
