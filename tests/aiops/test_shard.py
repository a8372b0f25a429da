import numpy as np
import pytest

from aiops.shard import Shard, Stream, stream_state
from models.errors import InvalidInput, SnapshotDamaged
from models.settings import Limits
from tests.batches import STEP_MS, document, sample_batch, stream, window

COUNT = 60


def wavy(seed=1):
    rng = np.random.default_rng(seed)
    return {
        name: {
            (k + 1) * STEP_MS: float(10 + rng.normal() + (30 if k in (30, 31, 50) else 0))
            for k in range(COUNT)
            if rng.random() > 0.1
        }
        for name in "abc"
    }


def run(made, series, first, last):
    judged = [made.step(window(series, k, k), 0) for k in range(first, last + 1)]
    scores = np.concatenate([j.scores.score for j in judged])
    return scores, [a.model_dump() for j in judged for a in j.anomalies]


@pytest.mark.parametrize("edge", [1, 20, 32, 59])
@pytest.mark.parametrize("missing", ["ignore", "zero", "previous", "alert"])
def test_a_stream_restored_anywhere_gives_the_same_scores_and_anomalies(edge, missing):
    series = wavy()
    policy = {"missing": missing, "recover": "3s"}
    undisturbed = stream(policy=policy)
    run(undisturbed, series, 1, edge)
    restored = stream(policy=policy)
    assert restored.restore(undisturbed.state())
    assert restored.position_ms == edge * STEP_MS
    scores, told = run(undisturbed, series, edge + 1, COUNT)
    again, told_again = run(restored, series, edge + 1, COUNT)
    np.testing.assert_array_equal(scores, again)
    assert told == told_again


def test_state_learned_under_another_document_is_left_alone():
    learned = stream()
    run(learned, wavy(), 1, 10)
    assert not stream(query="other").restore(learned.state())
    assert not stream(live_after_ms=5).restore(learned.state())
    assert stream(labels={"team": "x"}, policy={"hold": "1m"}).restore(learned.state())


def test_state_that_does_not_fit_is_damaged():
    learned = stream()
    run(learned, wavy(), 1, 10)
    state = learned.state()
    with pytest.raises(SnapshotDamaged, match="state of 'shop'"):
        stream().restore({k: v for k, v in state.items() if k != "scoring/model/ring"})
    with pytest.raises(SnapshotDamaged):
        stream().restore({})


def test_a_shard_names_each_streams_state():
    shard = Shard()
    shard.streams = {"a": stream(name="a"), "b": stream(name="b")}
    state = shard.state()
    assert stream_state(state, "a").keys() == stream(name="a").state().keys()
    assert stream_state(state, "none") == {}


def test_closing_tells_why_and_only_of_what_was_open():
    made = stream()
    run(made, wavy(), 1, 32)
    assert made.decider.open_count == 3
    told = made.close("detector stopped", 99_000)
    assert {a.closed_because for a in told} == {"detector stopped"}
    assert made.close("detector stopped", 99_000) == []


@pytest.mark.parametrize(
    ("model", "pointer", "words"),
    [
        (
            {"kind": "mda"},
            "/model/kind",
            "unknown kind 'mda'; known: ",
        ),
        ({"kind": "mad", "windw": "1h"}, "/model/windw", "nexpected keyword"),
        ({"kind": "mad", "threshold": "high"}, "/model/threshold", "valid number"),
        ({"kind": "mad", "threshold": -1}, "/model", "threshold must be above 0"),
        ({"kind": "mad", "window": "30d"}, "/model", "must hold between 1 and 20000"),
    ],
)
def test_an_impossible_model_is_refused_with_its_place(model, pointer, words):
    with pytest.raises(InvalidInput) as caught:
        stream(model=model)
    assert caught.value.faults[0].pointer == pointer
    assert words in caught.value.faults[0].detail


def test_warming_counts_series_that_have_no_judgement_yet():
    made = stream()
    made.step(window(wavy(), 1, 3), 0)
    assert made.warming > 0
    made.step(window(wavy(), 4, 30), 0)
    assert made.warming == 0
    assert document().name == "shop"


@pytest.mark.parametrize("model", ["mad", "ewma", "zscore", "quantile", "forecast"])
def test_a_counter_reset_does_not_fire(model):
    """And its band goes on around what is observed."""
    rng = np.random.default_rng(5)
    counter = np.cumsum(rng.uniform(90, 110, 200))
    counter[150:] -= counter[149]
    made = stream(model={"kind": model, "warmup": 10})
    highest = 0.0
    for step, value in enumerate(counter.tolist(), start=1):
        judged = made.step(sample_batch({"a": {step * 1000: value}}, step * 1000, step * 1000), 0)
        if step > 100:
            highest = max(highest, float(judged.scores.score[0]))
            assert abs(judged.scores.expected[0] - value) < 10_000
    assert highest < 1.5


def counted(**changes):
    model = {"kind": "log_rate", "window": "1m", "warmup": 30}
    made = document(model=model, **changes)
    return Stream(made, Limits(), born_ms=100_000, live_after_ms=100_000, absent_is_zero=True)


def test_a_count_that_comes_for_the_first_time_is_judged_by_the_zeros_before_it():
    own = counted()
    own.step(
        sample_batch({"usual": dict.fromkeys(range(41000, 150000, 1000), 3.0)}, 41_000, 149_000), 0
    )
    burst = {"usual": {150_000: 3.0}, "new": {150_000: 25.0}}
    judged = own.step(sample_batch(burst, 150_000, 150_000), 0)
    scores = dict(zip(judged.rows.timestamps_ms[judged.rows.rows == 1].tolist(),
                      judged.scores.score[judged.rows.rows == 1].tolist(), strict=True))  # fmt: skip
    assert scores[150_000] > 10
    # The zeros begin with the history, a minute before the detector was made, and are not told.
    assert min(scores) == 41_000
    assert judged.rows.timestamps_ms[judged.live].tolist() == [150_000, 150_000]
    [anomaly] = judged.anomalies
    assert anomaly.labels["series"] == "new"


def test_the_zeros_before_do_not_depend_on_windows():
    series = {"a": dict.fromkeys(range(60000, 90000, 3000), 2.0), "b": {80_000: 5.0}}
    whole, parts = counted(), counted()
    whole.step(sample_batch(series, 41_000, 95_000), 0)
    for at in range(41_000, 96_000, 11_000):
        end = min(at + 10_000, 95_000)
        cut = {k: {t: v for t, v in own.items() if at <= t <= end} for k, own in series.items()}
        parts.step(sample_batch({k: own for k, own in cut.items() if own}, at, end), 0)
    left, right = whole.state(), parts.state()
    for name in left:
        if name.startswith("scoring/"):
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_an_instant_without_samples_makes_no_series_warm():
    own = stream()
    series = {"a": {t: 1.0 for t in range(1000, 4000, 1000)}}  # noqa: C420
    own.step(sample_batch(series, 1000, 3000), 0)
    assert own.warming == 1
    own.step(sample_batch({}, 4000, 4000), 0)
    assert own.warming == 1
    own.step(sample_batch({"a": {5000: 1.0}}, 5000, 6000), 0)
    assert own.warming == 1
