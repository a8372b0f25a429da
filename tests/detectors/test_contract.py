"""The laws, over every kind that the catalog finds."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.catalog import kinds
from models.columns import STALE, RowBatch
from tests.streams import STEP_MS, cut, examples, rows_of, seeds, shapes, stream

SERIES = 3
SAMPLES = 60
many = examples(25)
QUICK = {
    "similarity": {"length": 6, "windows": 70},
    "river": {"parameters": {"window_size": 10, "height": 3, "n_trees": 2, "seed": 1}},
    "isolation_forest": {"window": 30, "refit": 10, "trees": 2, "samples": 16},
    "group_forest": {"channels": 3, "trees": 3, "samples": 8},
    "group_pca": {"channels": 3, "refit": 5},
    "random_cut_forest": {"trees": 3, "samples": 8, "lags": 3},
    "half_space_trees": {"window": 10, "height": 4, "trees": 3},
}
every_kind = pytest.mark.parametrize("kind", list(kinds()))


def made(kind, rows=SERIES):
    """A detector that is warm soon, so that short streams are judged."""
    cls = kinds()[kind]
    quick = {"window": "20s", "warmup": 4, "windows": 30, "days": 1, "settle": 20}
    quick |= QUICK.get(kind, {})
    names = {field.name for field in fields(cls.Params)}
    detector = cls(cls.Params(**{k: v for k, v in quick.items() if k in names}), STEP_MS)
    detector.grow(rows)
    return detector


def mixed(shape, seed):
    return rows_of({r: stream(shape, SAMPLES, seed + r, drop=0.1) for r in range(SERIES)})


def columns(scores):
    parts = () if scores.parts is None else (*scores.parts.T, scores.spoke)
    return np.stack([scores.score, scores.expected, scores.lower, scores.upper, *parts])


def run(detector, batches):
    return np.concatenate([columns(detector.step(batch)) for batch in batches], axis=1)


def same(left, right):
    np.testing.assert_array_equal(left, right)


@every_kind
@many
@given(shape=shapes, seed=seeds, edges=st.lists(st.integers(0, 200), max_size=6))
def test_scores_do_not_depend_on_how_samples_are_cut_into_batches(kind, shape, seed, edges):
    batch = mixed(shape, seed)
    same(run(made(kind), [batch]), run(made(kind), cut(batch, edges)))


@every_kind
@many
@given(shape=shapes, seed=seeds, edge=st.integers(0, 200))
def test_later_samples_never_change_earlier_scores(kind, shape, seed, edge):
    batch = mixed(shape, seed)
    first = cut(batch, [edge])[0]
    same(run(made(kind), [batch])[:, : len(first)], run(made(kind), [first]))


@every_kind
@many
@given(shape=shapes, other=shapes, seed=seeds)
def test_other_series_never_change_a_score(kind, shape, other, seed):
    streams = {r: stream(shape if r == 1 else other, SAMPLES, seed + r) for r in range(SERIES)}
    alone = rows_of({1: streams[1]})
    among = rows_of(streams)
    both = run(made(kind), [among])[:, among.rows == 1]
    same(run(made(kind), [alone]), both)


@every_kind
@many
@given(shape=shapes, seed=seeds)
def test_permuting_series_permutes_scores(kind, shape, seed):
    batch = mixed(shape, seed)
    turned = RowBatch(
        (SERIES - 1 - batch.rows).astype(np.int32), batch.timestamps_ms, batch.values, batch.missing
    )
    same(run(made(kind), [batch]), run(made(kind), [turned]))


@every_kind
@examples(8)
@given(shape=shapes, seed=seeds, rows=st.integers(1, 40))
def test_dense_ticks_and_scattered_samples_give_the_same_digits(kind, shape, seed, rows):
    rng = np.random.default_rng(seed)
    batch = rows_of({r: stream(shape, SAMPLES, seed + r) for r in range(rows)})
    dense, scattered = made(kind, rows), made(kind, rows)
    got, other = [], []
    for tick in range(SAMPLES):
        order = np.argsort(rng.random(rows))
        here = slice(tick * rows, (tick + 1) * rows)
        parts = (batch.rows, batch.timestamps_ms, batch.values, batch.missing)
        whole = RowBatch(*(part[here] for part in parts))
        got.append(columns(dense.step(whole))[:, order])
        other.append(columns(scattered.step(RowBatch(*(part[here][order] for part in parts)))))
    same(np.concatenate(got), np.concatenate(other))


@every_kind
@many
@given(shape=shapes, seed=seeds)
def test_scores_are_finite_and_at_least_0_or_nan(kind, shape, seed):
    score = run(made(kind), [mixed(shape, seed)])[0]
    judged = score[~np.isnan(score)]
    assert np.isfinite(judged).all()
    assert (judged >= 0).all()


@every_kind
def test_a_warm_detector_judges(kind):
    score = run(made(kind), [mixed("random", 1)])[0]
    assert np.isfinite(score[SAMPLES:]).all()


@every_kind
@pytest.mark.parametrize("odd", [np.nan, STALE, np.inf, -np.inf])
def test_a_sample_without_a_number_gets_no_judgement_and_teaches_nothing(kind, odd):
    times, values = stream("random", SAMPLES, 2)
    plain = run(made(kind), [rows_of({0: (np.delete(times, 30), np.delete(values, 30))})])
    values[30] = odd
    strange = run(made(kind), [rows_of({0: (times, values)})])
    assert np.isnan(strange[0, 30])
    same(np.delete(strange, 30, axis=1), plain)


@every_kind
@many
@given(shape=shapes, seed=seeds, edge=st.integers(0, 200))
def test_state_saved_and_restored_anywhere_gives_the_same_scores(kind, shape, seed, edge):
    first, second = cut(mixed(shape, seed), [edge])
    undisturbed = made(kind)
    undisturbed.step(first)
    saved = undisturbed.state()
    restored = made(kind, rows=1)
    restored.restore(saved)
    same(run(undisturbed, [second]), run(restored, [second]))


@every_kind
@many
@given(shape=shapes, seed=seeds)
def test_a_reused_row_equals_a_fresh_one(kind, shape, seed):
    used = made(kind)
    used.step(mixed("random", 9))
    used.forget(np.array([1], np.int32))
    batch = rows_of({1: stream(shape, SAMPLES, seed)})
    same(run(used, [batch]), run(made(kind), [batch]))


@every_kind
@many
@given(shape=shapes, seed=seeds, edge=st.integers(0, 200), more=st.integers(SERIES, 300))
def test_growth_disturbs_nothing(kind, shape, seed, edge, more):
    first, second = cut(mixed(shape, seed), [edge])
    growing = made(kind)
    before = run(growing, [first])
    growing.grow(more)
    after = run(growing, [second])
    same(np.concatenate([before, after], axis=1), run(made(kind), [first, second]))


@pytest.mark.compiled
@every_kind
def test_growth_to_many_rows_disturbs_nothing(kind):
    first, second = cut(mixed("random", 3), [90])
    growing = made(kind)
    before = run(growing, [first])
    growing.grow(100_000)
    after = run(growing, [second])
    same(np.concatenate([before, after], axis=1), run(made(kind), [first, second]))
    last = rows_of({99_999: stream("random", SAMPLES, 4)})
    alone = rows_of({0: stream("random", SAMPLES, 4)})
    same(run(growing, [last]), run(made(kind), [alone]))


@every_kind
def test_training_is_replay(kind):
    first, second = cut(mixed("drifting", 4), [90])
    trained = made(kind)
    trained.train(cut(first, [10, 40]))
    live = made(kind)
    live.step(first)
    same(run(trained, [second]), run(live, [second]))


@every_kind
def test_state_that_does_not_fit_is_refused(kind):
    detector = made(kind)
    state = detector.state()
    name = next(iter(state))
    with pytest.raises(ValueError, match=f"does not fit field '{name}'"):
        detector.restore({k: v for k, v in state.items() if k != name})
    if len(state) > 1:
        with pytest.raises(ValueError, match="differ in their number of rows"):
            detector.restore(state | {name: state[name][:1]})


@every_kind
def test_the_score_is_the_distance_in_distances_to_the_edge(kind):
    batch = mixed("random", 6)
    score, expected, lower, upper = run(made(kind), [batch])[:4]
    banded = np.isfinite(score) & np.isfinite(upper)
    edge = np.where(batch.values >= expected, upper, lower)
    same(score[banded], ((batch.values - expected) / (edge - expected))[banded])
