import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.series import SeriesTable
from models.labels import Labels
from tests.batches import STEP_MS, sample_batch, window

IDLE_STEPS = 20
STALE_STEPS = 5


def table(missing="ignore", series_max=1000):
    return SeriesTable(
        missing=missing,
        series_max=series_max,
        stale_ms=STALE_STEPS * STEP_MS,
        idle_ms=IDLE_STEPS * STEP_MS,
    )


def swept(series, end_ms):
    quiet, left = series.sweep(end_ms)
    series.release(left)
    return quiet.tolist(), left.tolist()


def told(rows):
    """(row, timestamp, value or None, missing) of each sample."""
    return [
        (r, t, None if np.isnan(v) else v, m)
        for r, t, v, m in zip(
            rows.rows.tolist(),
            rows.timestamps_ms.tolist(),
            rows.values.tolist(),
            rows.missing.tolist(),
            strict=True,
        )
    ]


def test_samples_come_out_in_order_of_time_with_the_row_of_their_series():
    batch = sample_batch({"a": {1000: 1, 2000: 2}, "b": {1000: 3}}, 1000, 2000)
    assert told(table().locate(batch)) == [
        (0, 1000, 1, False), (1, 1000, 3, False), (0, 2000, 2, False),
    ]  # fmt: skip


def test_late_and_duplicate_samples_are_dropped_and_counted():
    series = table()
    series.locate(sample_batch({"a": {5000: 1}}, 5000, 5000))
    rows = series.locate(sample_batch({"a": {4000: 9, 5000: 9, 6000: 2}}, 4000, 6000))
    assert told(rows) == [(0, 6000, 2, False)]
    assert (series.counters.late, series.counters.duplicate) == (1, 1)


def test_of_two_samples_with_one_timestamp_in_a_batch_the_first_stands():
    series = table()
    twice = sample_batch({"a": {1000: 1}, Labels({"series": "a", "x": ""}): {1000: 2}}, 1000, 1000)
    assert told(series.locate(twice)) == [(0, 1000, 1, False)]
    assert series.counters.duplicate == 1


def test_series_beyond_the_limit_are_refused_and_counted():
    series = table(series_max=2)
    batch = sample_batch({"a": {1000: 1}, "b": {1000: 2}, "c": {1000: 3}}, 1000, 1000)
    assert [row for row, *_ in told(series.locate(batch))] == [0, 1]
    assert series.counters.refused == 1
    assert len(series) == 2


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("ignore", [(0, 1000, 7, False), (0, 4000, 8, False)]),
        (
            "zero",
            [(0, 1000, 7, False), (0, 2000, 0, True), (0, 3000, 0, True), (0, 4000, 8, False)],
        ),
        (
            "previous",
            [(0, 1000, 7, False), (0, 2000, 7, True), (0, 3000, 7, True), (0, 4000, 8, False)],
        ),
        (
            "alert",
            [
                (0, 1000, 7, False),
                (0, 2000, None, True),
                (0, 3000, None, True),
                (0, 4000, 8, False),
            ],
        ),
    ],
)
def test_a_gap_is_filled_as_the_policy_says(missing, expected):
    gap = {"a": {1000: 7.0, 4000: 8.0}}
    assert told(table(missing).locate(window(gap, 0, 4))) == expected
    series = table(missing)
    assert [t for k in range(5) for t in told(series.locate(window(gap, k, k)))] == expected


def test_a_silent_series_falls_quiet_once_and_is_then_forgotten():
    series = table()
    series.locate(sample_batch({"a": {1000: 1}, "b": {1000: 1}}, 1000, 1000))
    events = {}
    for step in range(2, IDLE_STEPS + 4):
        at_ms = step * STEP_MS
        series.locate(sample_batch({"b": {at_ms: 1}}, at_ms, at_ms))
        events[step] = swept(series, at_ms)
    assert {step: event for step, event in events.items() if event != ([], [])} == {
        STALE_STEPS + 2: ([0], []),
        IDLE_STEPS + 2: ([], [0]),
    }
    assert series.counters.evicted == 1
    assert [row for row, *_ in told(series.locate(window({"c": {30_000: 1}}, 30, 30)))] == [0]


def test_a_series_that_returns_after_being_idle_gets_a_fresh_row_within_one_batch():
    series = table()
    late = (IDLE_STEPS + 2) * STEP_MS
    rows = series.locate(sample_batch({"a": {1000: 1, late: 2}}, 1000, late))
    assert [row for row, *_ in told(rows)] == [0, 1]
    assert swept(series, late) == ([0], [0])
    assert len(series) == 1


def test_restored_tables_go_on_as_if_nothing_had_happened():
    first, second = table("previous"), table("previous")
    gap = {"a": {1000: 1.0, 9000: 3.0}, "b": {2000: 5.0}}
    first.locate(window(gap, 0, 3))
    swept(first, 3000)
    second.restore(first.state())
    for series in (first, second):
        series.after = told(series.locate(window(gap, 4, 9))), swept(series, 9000)
    assert first.after == second.after
    assert second.counters == first.counters


names = st.sampled_from("abc")
presence = st.dictionaries(
    names, st.dictionaries(st.integers(0, 70), st.floats(-9, 9), max_size=12), max_size=3
)


@settings(max_examples=150)
@given(presence, st.sets(st.integers(0, 70), max_size=5), st.sampled_from(["ignore", "zero", "previous", "alert"]))  # fmt: skip
def test_what_comes_out_does_not_depend_on_where_batches_end(presence, edges, missing):
    series = {n: {t * STEP_MS: v for t, v in sorted(own.items())} for n, own in presence.items()}
    bounds = sorted({*edges, 70})

    def by_series(table, first, last):
        rows = table.locate(window(series, first, last))
        out = [(table.labels[r]["series"], *rest) for r, *rest in told(rows)]
        swept(table, last * STEP_MS)
        return out

    def run(bounds):
        made, first, out = table(missing), 0, []
        for last in bounds:
            out += by_series(made, first, last)
            first = last + 1
        return sorted(out, key=lambda sample: (sample[1], sample[0]))

    assert run(bounds) == run(range(71))
