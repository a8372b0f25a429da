from hashlib import blake2b

import numpy as np
import pytest

from models.errors import InvalidInput
from models.labels import Labels
from models.settings import Limits
from tests.batches import STEP_MS, stream, window

COUNT = 80
BY = {"group_by": ["host"], "group_channels": 2, "policy": {"recover": "3s"}}


def fleet(seed=1, drop=0.1):
    """Two hosts of three channels; from step 60 on two channels of host a go their own way."""
    rng = np.random.default_rng(seed)
    series = {}
    for host in "ab":
        for metric in ("cpu", "disk", "net"):
            wild = 40 if host == "a" and metric != "net" else 0
            series[Labels({"__name__": metric, "host": host})] = {
                (k + 1) * STEP_MS: float(10 + rng.normal() + (wild if 60 <= k < 63 else 0))
                for k in range(COUNT)
                if rng.random() > drop
            }
    return series


def run(made, series, first=1, last=COUNT):
    judged = [made.step(window(series, k, k), 0) for k in range(first, last + 1)]
    scores = {
        (str(j.labels[row]), at): score
        for j in judged
        for row, at, score in zip(
            j.rows.rows.tolist(),
            j.rows.timestamps_ms.tolist(),
            j.scores.score.tolist(),
            strict=True,
        )
    }
    return scores, [a for j in judged for a in j.anomalies]


def test_a_group_is_one_anomaly_that_names_its_channels():
    scores, told = run(stream(**BY), fleet(drop=0.0))
    opened = [a for a in told if a.state == "open" and a.explanation.score > 4]
    assert {anomaly.id for anomaly in opened} == {opened[0].id}
    assert opened[0].labels == {"host": "a"}
    parts = opened[0].explanation.parts
    assert sorted(parts) == ["cpu{}", "disk{}"]
    assert opened[0].explanation.spoke == max(parts, key=parts.get)
    assert np.isclose(opened[0].explanation.score, np.mean(list(parts.values())))
    assert opened[0].explanation.observed == 2
    assert {name for name, _ in scores} == {'{host="a"}', '{host="b"}'}


def test_groups_are_what_is_counted():
    made = stream(**BY)
    run(made, fleet(), 1, 3)
    assert (made.series_count, made.warming) == (2, 2)
    run(made, fleet(), 4)
    assert (made.series_count, made.warming) == (2, 0)


def test_the_score_is_the_mean_of_the_largest_of_its_channels():
    series = fleet()
    single, _ = run(stream(policy={"recover": "3s"}), series)
    grouped, _ = run(stream(**BY), series)
    for (name, at), score in grouped.items():
        own = [s for (other, t), s in single.items() if t == at and name[1:-1] in other]
        known = sorted((s for s in own if not np.isnan(s)), reverse=True)[:2]
        np.testing.assert_equal(score, np.mean(known) if known else np.nan)


def test_the_order_of_channels_means_nothing():
    series = fleet()
    turned = dict(reversed(series.items()))
    assert run(stream(**BY), series)[0] == pytest.approx(run(stream(**BY), turned)[0], nan_ok=True)


@pytest.mark.parametrize("edge", [1, 20, 62])
def test_a_stream_of_groups_restored_anywhere_goes_on_as_if_nothing_had_been(edge):
    series = fleet()
    undisturbed, restored = stream(**BY), stream(**BY)
    run(undisturbed, series, 1, edge)
    assert restored.restore(undisturbed.state())
    scores, told = run(undisturbed, series, edge + 1)
    again, told_again = run(restored, series, edge + 1)
    np.testing.assert_equal(again, scores)
    assert told_again == told


def test_a_group_ends_with_its_last_channel_and_comes_back_as_new():
    series = fleet(drop=0.0)
    gone = {
        labels: {t: v for t, v in own.items() if labels["host"] == "b" or t < 20 * STEP_MS}
        for labels, own in series.items()
    }
    made = stream(limits=Limits(series_stale="10s", series_idle="20s"), **BY)
    run(made, gone)
    assert [str(labels) for labels in made.groups.table.labels if labels] == ['{host="b"}']
    assert len(made.series) == 3
    later = {k: {t + COUNT * STEP_MS: v for t, v in own.items()} for k, own in series.items()}
    scores, _ = run(made, later, COUNT + 1, 2 * COUNT)
    assert np.isnan(scores['{host="a"}', (COUNT + 1) * STEP_MS])
    assert not np.isnan(scores['{host="a"}', (COUNT + 30) * STEP_MS])


def channel_number(labels):
    """What columns are given by when channels come at the same instant."""
    return int.from_bytes(blake2b(str(labels).encode(), digest_size=8).digest()) >> 1 | 1


WHOLE = [
    BY | {"model": {"kind": "group_pca", "channels": 4, "refit": 10, "warmup": 20}},
    BY
    | {"model": {"kind": "group_forest", "channels": 4, "trees": 5, "samples": 20, "warmup": 30}},
]
whole = pytest.mark.parametrize("by", WHOLE, ids=lambda by: by["model"]["kind"])


@whole
def test_a_group_judged_whole_is_one_anomaly_that_names_its_channels(by):
    scores, told = run(stream(**by), fleet(drop=0.0))
    highest = max(told, key=lambda anomaly: anomaly.score)
    assert highest.labels == {"host": "a"}
    assert highest.started_at == 61 * STEP_MS
    parts = highest.explanation.parts
    shares = {name: parts[name] for name in ("cpu{}", "disk{}", "net{}")}
    assert min(shares, key=shares.get) == "net{}"
    assert highest.explanation.spoke == max(shares, key=shares.get)
    assert np.isclose(sum(shares.values()), 1, atol=0.2)
    assert highest.explanation.observed == 3
    assert {name for name, _ in scores} == {'{host="a"}', '{host="b"}'}


@whole
def test_of_a_group_judged_whole_the_order_of_channels_means_nothing(by):
    series = fleet()
    turned = dict(reversed(series.items()))
    scores, told = run(stream(**by), series)
    again, told_again = run(stream(**by), turned)
    np.testing.assert_equal(scores, again)
    assert sorted(told, key=str) == sorted(told_again, key=str)


@whole
@pytest.mark.parametrize("edges", [[1], [20, 62], [5, 6, 40]])
def test_a_group_judged_whole_does_not_depend_on_batches(by, edges):
    series, at_once, told = fleet(), stream(**by), {}
    for first, last in zip([0, *edges], [*edges, COUNT], strict=True):
        judged = at_once.step(window(series, first + 1, last), 0)
        places = zip(judged.rows.rows.tolist(), judged.rows.timestamps_ms.tolist(), strict=True)
        for (row, at), score in zip(places, judged.scores.score.tolist(), strict=True):
            told[str(judged.labels[row]), at] = score
    np.testing.assert_equal(told, run(stream(**by), series)[0])


@whole
@pytest.mark.parametrize("edge", [1, 20, 62])
def test_a_group_judged_whole_and_restored_goes_on_as_if_nothing_had_been(by, edge):
    series = fleet()
    undisturbed, restored = stream(**by), stream(**by)
    run(undisturbed, series, 1, edge)
    assert restored.restore(undisturbed.state())
    np.testing.assert_equal(run(restored, series, edge + 1), run(undisturbed, series, edge + 1))


@whole
def test_channels_beyond_the_room_are_left_out_until_one_has_gone(by):
    narrow = by | {"model": by["model"] | {"channels": 2}}
    series = {labels: own for labels, own in fleet(drop=0.0).items() if labels["host"] == "a"}
    limits = Limits(series_stale="5s", series_idle="10s")
    full = stream(limits=limits, **narrow)
    run(full, series)
    assert full.series.counters.refused == COUNT
    shrinking = stream(limits=limits, **narrow)
    placed = sorted(series, key=lambda labels: channel_number(labels))[0]
    series[placed] = {t: v for t, v in series[placed].items() if t < 20 * STEP_MS}
    run(shrinking, series)
    assert shrinking.series.counters.refused == 20 + 9


@whole
def test_a_group_judged_whole_ends_with_its_last_channel(by):
    series = fleet(drop=0.0)
    gone = {
        labels: {t: v for t, v in own.items() if labels["host"] == "b" or t < 20 * STEP_MS}
        for labels, own in series.items()
    }
    made = stream(limits=Limits(series_stale="10s", series_idle="20s"), **by)
    run(made, gone)
    assert [str(labels) for labels in made.groups.table.labels if labels] == ['{host="b"}']
    later = {k: {t + COUNT * STEP_MS: v for t, v in own.items()} for k, own in series.items()}
    again, _ = run(made, later, COUNT + 1, 2 * COUNT)
    fresh, _ = run(stream(**by), series)
    host_a = '{host="a"}'
    np.testing.assert_equal(
        [again[host_a, (COUNT + k) * STEP_MS] for k in range(1, COUNT + 1)],
        [fresh[host_a, k * STEP_MS] for k in range(1, COUNT + 1)],
    )


@whole
def test_a_kind_that_judges_groups_asks_for_their_labels(by):
    with pytest.raises(InvalidInput, match="judges groups; say which labels name one"):
        stream(model=by["model"])
