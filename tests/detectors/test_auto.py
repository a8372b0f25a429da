import math

import numpy as np
import pytest

from detectors.auto import STREAMS, Auto, AutoParams
from detectors.kernels.surprise import AGAIN, OLD_NEWS
from models.columns import RowBatch

pytestmark = pytest.mark.compiled

MINUTE_MS = 60_000
FIRST_MS = 1_795_219_200_000


def run(values, step_ms=MINUTE_MS, **parameters):
    detector = Auto(AutoParams(**parameters), step_ms)
    detector.grow(1)
    count = len(values)
    times = FIRST_MS + step_ms * np.arange(count)
    none = np.zeros(count, np.bool_)
    batch = RowBatch(np.zeros(count, np.int32), times, np.asarray(values, float), none)
    return detector.step(batch), detector.parts


def daily(days, seed=1):
    at = np.arange(days * 1_440)
    rng = np.random.default_rng(seed)
    return 100 + 30 * np.sin(2 * np.pi * at / 1_440) + rng.normal(size=len(at))


@pytest.mark.parametrize("settle", [200, 20_000])
def test_the_score_is_recomputed_from_its_parts(settle):
    out, names = run(daily(3), settle=settle)
    params = AutoParams(settle=settle)
    weights = np.array([getattr(params, name) for name in STREAMS])
    for i in range(60, len(out.score), 37):
        part = dict(zip(names, out.parts[i], strict=True))
        tail = np.array([part[name] for name in STREAMS])
        record = np.array([part[f"{name}_record"] for name in STREAMS])
        known = ~np.isnan(tail)
        young = part["news"] * (weights * record)[known].max() / params.record_threshold
        squares = ((weights * tail)[known] ** 2).sum() / (weights[known] ** 2).sum()
        old = math.sqrt(squares) / params.threshold
        old *= OLD_NEWS + (1 - OLD_NEWS) * min(1.0, young)
        score = (1 - part["maturity"]) * young + part["maturity"] * old
        assert math.isclose(out.score[i], score, rel_tol=1e-12)
        assert part["news"] in (1.0, AGAIN)


def test_a_value_usual_in_the_day_is_not_usual_in_the_night():
    values = daily(9)
    night = 8 * 1_440 + 1_080
    values[night : night + 30] = 125.0
    out, names = run(values)
    assert out.score[night : night + 30].max() > 1.5
    assert out.score[7 * 1_440 : 8 * 1_440].max() < 1
    loud = night + int(out.score[night : night + 30].argmax())
    assert math.isclose(out.expected[loud], 70, abs_tol=5)
    assert names[out.spoke[night + 25]] == "time_of_day"


def test_a_shape_never_seen_is_told_by_a_shape_stream():
    rng = np.random.default_rng(3)
    values = 50 + 10 * np.sin(np.arange(20_000) / 15) + 0.1 * rng.normal(size=20_000)
    values[19_000:19_030] = 50 + 10 * np.sin(np.arange(30) * 1.2)
    out, names = run(values, autoregression=0.0, time_of_day=0.0)
    assert out.score[19_000:19_040].max() > 1
    assert names[out.spoke[19_000:19_040][out.score[19_000:19_040].argmax()]] in STREAMS[2:]
    assert out.score[12_000:19_000].max() < 0.8


def test_a_constant_series_is_surprising_when_it_moves():
    values = np.full(3_000, 7.0)
    values[2_500:] = 7.5
    out, _ = run(values)
    assert out.score[60:2_500].max() == 0.0
    assert out.score[2_500] > 1
    rounding = np.full(3_000, 7.0)
    rounding[2_500] = 7.0 + 1e-9
    assert run(rounding)[0].score[60:].max() == 0.0


def test_noise_alone_is_seldom_told():
    out, _ = run(np.random.default_rng(4).normal(size=40_000))
    assert (out.score[10_000:] > 1).sum() <= 3


def test_hourly_and_daily_steps_are_judged():
    hourly = 50 + 20 * np.sin(np.arange(900) * 2 * np.pi / 24)
    hourly += np.random.default_rng(5).normal(size=900)
    hourly[800] += 60
    out, _ = run(hourly, step_ms=3_600_000)
    assert out.score[800] > 1
    assert (out.score[100:800] > 1).sum() < 8
    out, names = run(hourly, step_ms=86_400_000)
    assert np.isnan(out.parts[:, names.index("time_of_day")]).all()
    assert out.score[800] > 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"threshold": 0}, "threshold must be above 0"),
        ({"record_threshold": math.inf}, "record_threshold must be above 0"),
        ({"short_shape": -1}, "weights of"),
        (dict.fromkeys(STREAMS, 0), "one of them above 0"),
        ({"long": 65}, "long must be between 2 and 64"),
        ({"windows": 10}, "windows must be between 25"),
        ({"neighbours": 0}, "neighbours must be between"),
        ({"days": 40}, "days must be between"),
    ],
)
def test_wrong_parameters_are_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        AutoParams(**wrong)
