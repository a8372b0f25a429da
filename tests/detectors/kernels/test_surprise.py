import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.kernels.surprise import (
    EXCEEDANCES,
    FEW,
    LEVEL,
    TAIL,
    TOP,
    learn,
    record_surprise,
    tail_surprise,
)
from tests.naive.surprise import surprises
from tests.streams import examples, seeds, shapes, stream


def run(values, ready=0):
    tail, top = np.zeros(TAIL), np.zeros(TOP)
    out = []
    for count, value in enumerate(values):
        share = tail[3] if tail[5] > 0 else 0.5
        surprise = tail_surprise(value, *tail[:3], share)
        out.append((surprise, record_surprise(value, top[TOP - 1], share)))
        learn(value, surprise, count >= ready, tail, top)
    return np.array(out)


@examples(40)
@given(shape=shapes, seed=seeds, sparse=st.booleans(), ready=st.sampled_from([0, 30]))
def test_surprises_equal_the_naive_reference(shape, seed, sparse, ready):
    values = np.abs(np.nan_to_num(stream(shape, 400, seed)[1], posinf=9.0, neginf=9.0))
    if sparse:
        values[np.random.default_rng(seed).random(400) < 0.9] = 0.0
    expected = surprises(values, level_of=LEVEL, exceedances=EXCEEDANCES, few=FEW, ready=ready)
    np.testing.assert_allclose(run(values, ready), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("index", "often"), [(0.2, 1.5), (0.5, 8), (1.0, 15)])
def test_a_surprise_of_3_is_a_chance_of_1_in_1000_more_where_tails_are_heavy(index, often):
    rng = np.random.default_rng(1)
    values = rng.pareto(1 / index, size=60_000) + 1
    surprise = run(values)[20_000:, 0]
    assert 0.3 < (surprise > 3).mean() * 1_000 < often
    assert 40 < (surprise > 1.301).mean() * 1_000 < 75


def test_a_stream_that_is_hardly_ever_above_0_is_surprising_when_it_is():
    values = np.zeros(2_000)
    values[1_500] = 1.0
    assert run(values)[1_500].min() > 3
    values[::20] = 1.0
    assert run(values)[1_500].max() < 3
