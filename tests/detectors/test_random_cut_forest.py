import numpy as np
import pytest

from detectors.random_cut_forest import RandomCutForest, RandomCutForestParams
from tests.streams import STEP_MS, rows_of

pytestmark = pytest.mark.compiled


def made(**parameters):
    detector = RandomCutForest(RandomCutForestParams(**parameters), STEP_MS)
    detector.grow(1)
    return detector


def batch(values):
    return rows_of({0: (STEP_MS * np.arange(1, len(values) + 1), values)})


def judge(values, **parameters):
    detector = made(**parameters)
    return detector.step(batch(values)), detector.parts


def wave(count=6_000):
    noise = np.random.default_rng(1).normal(size=count)
    return 100 + 10 * np.sin(np.arange(count) / 30) + noise


def test_a_spike_is_told_and_laid_to_the_sample_that_was_it():
    values = wave()
    values[5_000] += 60
    scores, names = judge(values)
    assert scores.score[5_000] > 1
    assert (scores.score[200:5_000] > 1).mean() < 0.003
    for late in range(3):
        shares = dict(zip(names[4:], scores.parts[5_000 + late, 4:], strict=True))
        assert max(shares, key=shares.get) == f"lag {late}"
        assert shares[f"lag {late}"] > 0.6


def test_shares_of_an_oddness_are_at_most_the_whole_of_it():
    scores, _ = judge(wave(400), trees=5, samples=30)
    shares = scores.parts[1:, 4:].sum(axis=1)
    assert (shares <= 1 + 1e-9).all()
    assert (shares > 0.5).mean() > 0.9


def test_what_was_long_ago_is_odd_again_as_soon_as_memory_says():
    values = np.concatenate([wave(3_000), 200 + wave(3_000), wave(10)])
    quick, slow = (
        made(memory=memory, samples=64).novelty(batch(values))[6_009, 0]
        for memory in (200, 1_000_000)
    )
    assert quick > 3 * slow


def test_parameters_that_make_no_forest_are_named():
    with pytest.raises(ValueError, match="samples must be between 4 and 4096, got 3"):
        RandomCutForestParams(samples=3)
    with pytest.raises(ValueError, match="lags must be between 1 and 32"):
        RandomCutForestParams(lags=0)
