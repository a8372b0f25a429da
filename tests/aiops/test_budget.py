from itertools import pairwise

import numpy as np
import pytest

from aiops.budget import DAY_MS, BudgetKeeper
from models.columns import RowBatch, ScoreColumns
from models.detector import parse_budget
from models.errors import InvalidInput
from tests.batches import document, stream, window

MINUTE_MS = 60_000
ROWS = 20


def noise(days, seed=1, shape=3.0):
    """Scores of many rows, independent, with a Pareto tail; (minutes, rows)."""
    rng = np.random.default_rng(seed)
    return 0.3 * (1 + rng.pareto(shape, (days * 1_440, ROWS)))


def judged(keeper, scores, first=0):
    """Tick by tick or in one batch: the kept scores, and the edge of each minute."""
    keeper.grow(ROWS)
    count = len(scores)
    times = MINUTE_MS * np.repeat(np.arange(first + 1, first + count + 1), ROWS)
    rows = np.tile(np.arange(ROWS, dtype=np.int32), count)
    flat = scores.ravel()
    none = np.full(len(flat), np.nan)
    batch = RowBatch(rows, times, flat, np.zeros(len(flat), np.bool_))
    kept, edges = keeper.step(batch, ScoreColumns(flat, none, none, none))
    return kept.reshape(count, ROWS), edges.reshape(count, ROWS)


def made(text):
    return BudgetKeeper(parse_budget(text), MINUTE_MS, MINUTE_MS)


@pytest.mark.parametrize("text", ["3/week", "2/day", "1/hour"])
@pytest.mark.parametrize("shape", [2.0, 4.0])
def test_as_much_is_told_as_the_budget_says(text, shape):
    keeper = made(text)
    kept, _ = judged(keeper, noise(140, shape=shape))
    late = kept[70 * 1_440 :]
    told = (late > 1).sum() / (70 * DAY_MS / keeper.budget.unit_ms)
    assert 0.7 < told / keeper.budget.often < 1.3


def test_the_edge_does_not_depend_on_how_samples_are_cut_into_batches():
    scores = noise(6)
    whole, edges = judged(made("5/day"), scores)
    keeper = made("5/day")
    parts = [judged(keeper, part, first) for first, part in cut(scores, [7, 100, 3_333, 5_000])]
    np.testing.assert_array_equal(whole, np.concatenate([kept for kept, _ in parts]))
    np.testing.assert_array_equal(edges, np.concatenate([edge for _, edge in parts]))


def cut(scores, places):
    edges = [0, *places, len(scores)]
    return [(a, scores[a:b]) for a, b in pairwise(edges)]


def test_saved_and_restored_it_goes_on_as_if_nothing_had_been():
    scores = noise(6)
    undisturbed, restored = made("5/day"), made("5/day")
    judged(undisturbed, scores[:5_000])
    restored.restore(undisturbed.state())
    left, right = (judged(k, scores[5_000:], 5_000) for k in (undisturbed, restored))
    np.testing.assert_array_equal(left, right)
    assert undisturbed.edge == restored.edge != 1.0


def test_the_kinds_own_edge_stands_until_there_is_something_to_go_by():
    _, edges = judged(made("3/week"), noise(1)[:600] * 1e-3)
    assert (edges == 1.0).all()


def test_the_realised_rate_comes_with_an_interval():
    keeper = made("3/week")
    week_ms = 7 * DAY_MS
    assert keeper.realised(0, 0) == (0.0, None)
    for day in (1, 3, 5):
        keeper.opened(day * DAY_MS)
    realised, interval = keeper.realised(week_ms, 0)
    assert realised == 3.0
    # Garwood's exact interval for three events.
    assert interval.low == pytest.approx(0.6187, abs=1e-3)
    assert interval.high == pytest.approx(8.7673, abs=1e-3)


def test_an_anomaly_says_which_edge_it_was_judged_by():
    rng = np.random.default_rng(1)
    values = rng.normal(10, 1, 4_000)
    values[3_900] = 90
    series = {"a": {(k + 1) * 1_000: float(v) for k, v in enumerate(values)}}
    made = stream(budget="1/hour", model={"kind": "mad", "window": "2m", "threshold": 2})
    plain = stream(model={"kind": "mad", "window": "2m", "threshold": 2})
    told, own = [], {}
    for first in range(1, 4_001, 100):
        told += made.step(window(series, first, first + 99), 0).anomalies
        judged_ = plain.step(window(series, first, first + 99), 0)
        own |= dict(
            zip(judged_.rows.timestamps_ms.tolist(), judged_.scores.score.tolist(), strict=True)
        )
    last = [a for a in told if a.explanation.observed == 90][-1]
    assert last.explanation.edge > 1.5
    assert last.peak_score * last.explanation.edge == pytest.approx(own[3_901_000])


@pytest.mark.parametrize("text", ["3", "0/week", "3/month", "-1/day", "3 per week"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(InvalidInput, match="is not a budget"):
        document(budget=text)
