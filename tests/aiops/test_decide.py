import pytest

from models.columns import STALE
from models.settings import Limits
from tests.batches import STEP_MS, stream, window

CALM = [10.0, 10.5, 9.5, 10.2, 9.8, 10.1, 9.9, 10.3, 9.7, 10.0]


def series(*later, name="a"):
    """Ten calm samples, then `later`; None is a missing sample."""
    values = [*CALM, *later]
    return {name: {(k + 1) * STEP_MS: v for k, v in enumerate(values) if v is not None}}


def events(own, last=None, made=None, step=1, **changes):
    """What is told, reading `step` instants at a time."""
    made = made or stream(**changes)
    last = last or max(max(times) for times in own.values()) // STEP_MS
    told = []
    for first in range(1, last + 1, step):
        judged = made.step(window(own, first, min(first + step - 1, last)), 0)
        told += judged.anomalies
    return told


def brief(told):
    return [(a.state, a.sample_at // STEP_MS) for a in told]


def test_an_anomaly_is_told_on_open_on_a_higher_peak_and_on_close():
    told = events(series(20, 19, 30, 10, 10, 10, 10))
    assert brief(told) == [("open", 11), ("open", 13), ("closed", 17)]
    assert len({a.id for a in told}) == 1
    first, _, last = told
    assert (first.started_at, first.opened_at, first.ended_at) == (11_000, 11_000, None)
    assert (last.ended_at, last.closed_because, last.peak_at) == (14_000, "recovered", 13_000)
    assert last.direction == "above"


def test_the_score_can_be_recomputed_from_the_explanation():
    why = events(series(20))[0].explanation
    assert why.score == (why.observed - why.expected) / (why.upper - why.expected)
    why = events(series(0))[0].explanation
    assert why.score == (why.observed - why.expected) / (why.lower - why.expected)
    assert why.model["kind"] == "mad"
    assert why.model["threshold"] == 5.0


def test_the_explanation_says_how_rare_and_when_it_was_seen_before():
    opened = [a for a in events(series(20, *CALM, 20)) if a.state == "open"]
    first, second = opened[0], opened[-1]
    assert (first.explanation.scored, first.explanation.outside) == (6, 1)
    assert first.explanation.previous_at is None
    assert (second.explanation.scored, second.explanation.outside) == (17, 2)
    assert second.explanation.previous_at == 11_000


def test_hold_waits_and_a_short_peak_says_nothing():
    policy = {"hold": "2s", "recover": "0s"}
    assert brief(events(series(20, 21, 10, 22, 23, 24, 10), policy=policy)) == [
        ("open", 16), ("closed", 17),
    ]  # fmt: skip
    opened = events(series(20, 20, 20), policy=policy)[0]
    assert (opened.started_at, opened.opened_at) == (11_000, 13_000)


def test_recovery_starts_over_when_the_score_rises_again():
    told = events(series(20, 10, 10, 19, 10, 10, 10, 10))
    assert brief(told) == [("open", 11), ("closed", 18)]
    assert told[-1].ended_at == 15_000


@pytest.mark.parametrize(("direction", "count"), [("both", 2), ("above", 1), ("below", 1)])
def test_only_the_wanted_direction_counts(direction, count):
    up, down = series(20, name="up"), series(0, name="down")
    assert len(events(up | down, policy={"direction": direction})) == count


def test_small_deviations_do_not_count():
    assert events(series(20), policy={"min_deviation": 11}) == []
    assert events(series(20), policy={"min_relative_deviation": 1.1}) == []
    assert len(events(series(20), policy={"min_deviation": 9, "min_relative_deviation": 0.9})) == 1


def test_missing_samples_are_an_anomaly_from_the_second_on_when_asked():
    told = events(series(None, None, None, 10, 10, 10, 10), policy={"missing": "alert", "recover": "3s"})  # fmt: skip
    assert brief(told) == [("open", 12), ("open", 13), ("closed", 17)]
    assert told[0].direction == "missing"
    assert told[0].explanation.missing_steps == 2
    assert told[0].explanation.observed is None


def test_a_missing_sample_counts_as_zero_when_asked():
    told = events(series(None, 10), policy={"missing": "zero"})
    assert told[0].direction == "below"
    assert told[0].explanation.observed == 0.0


def test_a_series_that_ends_closes_its_anomaly_at_its_last_sample():
    limits = Limits(series_stale=5_000)
    for step in (1, 7, 40):
        told = events(series(20, 21), last=40, made=stream(limits=limits), step=step)
        assert brief(told)[-1] == ("closed", 12)
        assert told[-1].closed_because == "series ended"
        assert told[-1].ended_at == 12_000


def test_a_stale_marker_closes_at_once():
    told = events(series(20, STALE, 20))
    assert [a.state for a in told] == ["open", "closed", "open"]
    assert told[1].closed_because == "series ended"


def test_history_is_learned_and_never_told():
    assert events(series(20, 10, 10, 10), made=stream(live_after_ms=12_000)) == []
    later = events(series(20, 10, 21), made=stream(live_after_ms=12_000))
    assert brief(later) == [("open", 13)]
    assert later[0].explanation.previous_at == 11_000


def test_ids_derive_from_detector_series_and_start():
    here = events(series(20))[0].id
    assert events(series(20))[0].id == here
    assert events(series(20), name="other")[0].id != here
    assert events(series(20, name="b"))[0].id != here
    assert events(series(10, 20))[0].id != here


def test_labels_of_the_detector_are_added():
    assert events(series(20), labels={"team": "shop"})[0].labels == {"series": "a", "team": "shop"}


def test_what_is_told_does_not_depend_on_how_samples_are_cut_into_batches():
    noisy = series(20, 10, 25, None, 10, 10, 10, 10, 0, None, None, None, 10, 10, 30, 10, 10, 10)
    noisy |= series(*[10] * 12, 40, name="b")

    def told(step):
        drop = {"received_at", "scored_at"}
        ordered = [a.model_dump(exclude=drop) for a in events(noisy, step=step)]
        return sorted(ordered, key=lambda a: (a["labels"]["series"], a["sample_at"], a["state"]))

    assert told(1) == told(5) == told(100)
    assert len(told(1)) == 6
