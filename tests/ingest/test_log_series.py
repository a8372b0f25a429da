import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.log_lines import read_level, read_message, read_quantity
from ingest.log_series import LogSeries
from models.columns import LineBatch
from models.detector import Logs
from models.errors import InvalidInput
from models.labels import Labels
from tests.loki import _line_filter

STEP_MS = 60_000
NS = 1_000_000


def lines(*steps, labels=({"app": "shop"},), first=1):
    """A window; steps: for each instant its lines, or (line, stream)."""
    entries = [
        (
            (first + k - 1) * STEP_MS * NS + 1 + i,
            *(entry if isinstance(entry, tuple) else (entry, 0)),
        )
        for k, own in enumerate(steps)
        for i, entry in enumerate(own)
    ]
    return LineBatch(
        labels=tuple(map(Labels, labels)),
        stream=np.array([stream for _, _, stream in entries], np.int32),
        timestamps_ns=np.array([ns for ns, _, _ in entries], np.int64),
        lines=[line.encode() for _, line, _ in entries],
        start_ms=first * STEP_MS,
        end_ms=(first + len(steps) - 1) * STEP_MS,
        step_ms=STEP_MS,
        received_ms=0,
    )


def counts(batch, series=None):
    series = series or LogSeries('{app="shop"}', Logs(), "counts")
    got = series.count(batch)
    return {
        (tuple(v for n, v in got.labels[k].pairs if n not in ("app", "template")), at // STEP_MS,
         series.templates.text_of(got.labels[k].get("template", "")) or ""): value
        for k, at, value in zip(got.series, got.timestamps_ms.tolist(), got.values.tolist(), strict=True)
    }  # fmt: skip


def test_lines_are_counted_by_step_and_template_and_level():
    batch = lines(["INFO user 1 in", "INFO user 22 in", "ERROR disk full"], [], ["INFO user 3 in"])
    assert counts(batch) == {
        ((), 1, "INFO user <*> in"): 2, ((), 1, "ERROR disk full"): 1, ((), 3, "INFO user <*> in"): 1,
        (("info",), 1, ""): 2, (("error",), 1, ""): 1, (("info",), 3, ""): 1,
    }  # fmt: skip


def test_a_line_at_the_instant_belongs_to_its_step_and_one_after_to_the_next():
    at = 5 * STEP_MS * NS
    batch = LineBatch(
        (Labels({"app": "shop"}),), np.zeros(2, np.int32), np.array([at, at + 1]),
        [b"a", b"a"], 5 * STEP_MS, 6 * STEP_MS, STEP_MS, 0,
    )  # fmt: skip
    assert counts(batch, series=None)[(), 5, "a"] == counts(batch)[(), 6, "a"] == 1


def test_streams_stay_apart_unless_their_labels_are_left_out():
    labels = ({"app": "shop", "pod": "a"}, {"app": "shop", "pod": "b", "detected_level": "info"})
    batch = lines([("x 1", 0), ("x 2", 1), ("x 3", 1)], labels=labels)
    assert counts(batch, series=None) == {
        (("a",), 1, "x <*>"): 1, (("b",), 1, "x <*>"): 2,
        (("unknown", "a"), 1, ""): 1, (("info", "b"), 1, ""): 2,
    }  # fmt: skip
    by = LogSeries("{}", Logs(by=["app"], series="templates"), "counts")
    assert counts(batch, by) == {((), 1, "x <*>"): 3}


WORDS = st.sampled_from(
    ["started", "stopped", "user {} in", "user {} out now", "cache {} is {} full"]
)


@given(st.lists(st.lists(WORDS, max_size=9), min_size=1, max_size=6), st.integers(1, 5))
def test_counts_do_not_depend_on_windows_and_add_up_to_the_lines(steps, cut):
    steps = [[text.format(i, i) for i, text in enumerate(own)] for own in steps]
    whole, parts = (LogSeries("{}", Logs(series="templates"), "counts") for _ in range(2))
    expected = counts(lines(*steps), whole)
    got = {}
    for begin in range(0, len(steps), cut):
        part = steps[begin : begin + cut]
        got |= counts(lines(*part, first=begin + 1), parts)
    assert {k[1:]: v for k, v in got.items()} == {k[1:]: v for k, v in expected.items()}
    assert sum(expected.values()) == sum(map(len, steps)) == whole.counters.lines


def test_a_new_template_is_told_once_by_its_distance_after_the_warm_up():
    series = LogSeries("{}", Logs(warmup="2m"), "novelty")
    got = series.count(
        lines(["user 1 in"], ["user 2 in"], ["user 3 in", "disk sda is full"], ["disk sda is full"])
    )
    names = [series.templates.text_of(got.labels[k]["template"]) for k in got.series]
    found = list(zip(names, got.values.tolist(), strict=True))
    assert np.isnan([v for _, v in found[:2]]).all()
    assert found[2] == ("user <*> in", 0.0)
    assert found[3][0] == "disk sda is full"
    assert 1.5 < found[3][1] <= 2.0
    assert found[4] == ("disk sda is full", 0.0)
    assert series.counters.new == 1


def test_what_was_learned_is_saved_whole():
    first, second = (LogSeries("{}", Logs(), "novelty") for _ in range(2))
    first.count(lines(["user 1 in", "password=hunter2 used"], ["user 2 in"]))
    second.restore(first.state())
    later = lines(["user 5 in", "quorum lost"], first=20)
    np.testing.assert_array_equal(first.count(later).values, second.count(later).values)
    assert first.state()["lines"].tobytes() == second.state()["lines"].tobytes()


def test_evidence_shows_the_template_its_category_examples_and_a_query():
    series = LogSeries(
        '{app="shop"}', Logs(redact=[{"pattern": "acct-[a-z]+", "word": "<account>"}]), "counts"
    )
    texts = [
        f"connect to db-{k} timed out for acct-x, password=s3cret {k} a@b.example" for k in range(9)
    ]
    got = series.count(lines(texts))
    evidence = series.evidence(got.labels[-1])
    assert evidence.category == "timeout"
    assert len(evidence.examples) <= 5
    text = " ".join(evidence.examples)
    assert "s3cret" not in text
    assert "a@b" not in text
    assert "<account>" in text
    assert evidence.query == '{app="shop"} |> "connect to <_> timed out for acct-x, password=<_>"'
    assert series.evidence({"app": "shop", "level": "info"}) is None


LINES = [
    "user {} logged in  from {}", "***** sweep {} done *****", 'took {} ms, said "hi" \\ {}', "{} of {} in {}",
    "  padded {}", "from {} () at {}", "level=info msg=\"cart {} is full\" took={}ms", "plain words alone",
    '{{"level": "info", "message": "order {} is paid", "id": {}}}', "tab\there {}", "end in {}",
]  # fmt: skip


def test_the_query_of_a_template_shows_its_lines_and_no_others():
    texts = [line.format(k, k + 7, k * 3) for line in LINES for k in range(3, 9)]
    series = LogSeries("{}", Logs(series="templates"), "counts")
    got = series.count(lines(texts))
    shown = 0
    for labels in got.labels:
        query = series.evidence(labels).query
        passes = _line_filter("|>", query.removeprefix("{} |> "))
        matched = [text for text in texts if passes(text)]
        shown += len(matched)
        assert set(series.evidence(labels).examples) <= set(matched)
    assert shown == len(texts)


def test_templates_that_merge_or_are_forgotten_end():
    series = LogSeries("{}", Logs(), "counts")
    series.count(lines(["worker ann has joined the pool"], ["worker bob has joined the pool"]))
    assert series.take_ended() == set()
    series.count(lines(["worker cid has joined the pool"], first=3))
    assert len(series.take_ended()) == 1


def test_masks_of_ones_own_come_first():
    masks = [{"pattern": "shard-[a-z]+", "word": "shard-0"}]
    series = LogSeries("{}", Logs(masks=masks, series="templates"), "counts")
    batch = lines(["open shard-abc", "open shard-xyz"])
    assert counts(batch, series) == {((), 1, "open <*>"): 2}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"level":"info","msg":"user \\"x\\" in"}', 'user "x" in'),
        ('{"message":7}', "7"),
        ('{"broken', '{"broken'),
        ('{"a":1}', '{"a":1}'),
        ('ts=1 level=warn msg="slow \\"db\\"" took=3s', 'slow "db"'),
        ("msg=short x=1", "short"),
        ("a=b c", "a=b c"),
        ("boom\n  at frame", "boom"),
        ("  padded  ", "padded"),
    ],
)
def test_the_message_of_a_line(line, message):
    assert read_message(line.encode(), ["message", "msg"]).decode() == message


@pytest.mark.parametrize(
    ("line", "labels", "level"),
    [
        ("x", {"severity": "Warning"}, "warn"),
        ("x", {"level": "custom"}, "custom"),
        ("level=err msg=x", {}, "error"),
        ('{"level":"fatal"}', {}, "critical"),
        ("2026 ERROR no", {}, "error"),
        ("an error in text", {}, "unknown"),
    ],
)
def test_the_level_of_a_line(line, labels, level):
    assert read_level(line.encode(), labels) == level


@given(st.binary(max_size=200))
def test_any_line_has_a_message_and_a_level(line):
    read_message(line, ["msg"])
    read_level(line, {})


def test_numbers_inside_lines_become_series_in_seconds_and_bytes():
    values = [
        {"name": "took", "pattern": r"took (\S+)"},
        {"name": "size", "pattern": r"sent (\d+ ?\w+)", "reduce": "sum"},
    ]
    series = LogSeries("{}", Logs(series="values", values=values), "counts")
    got = series.count(
        lines(["took 10ms, sent 2 KB", "took 0.03s"], [], ["took ages", "sent 5 bytes took 1m30s"])
    )
    found = {
        (got.labels[k]["value"], at // STEP_MS): value
        for k, at, value in zip(
            got.series, got.timestamps_ms.tolist(), got.values.tolist(), strict=True
        )
    }
    # "10ms," ends with a comma: the pattern decides what is a number.
    assert found == {("took", 1): 0.03, ("size", 1): 2000.0, ("took", 3): 90.0, ("size", 3): 5.0}
    assert "template" not in got.labels[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12.0), ("1e3", 1000.0), ("2GiB", 2.0 * 2**30), ("1h5m", 3900.0), ("3 apples", None),
     ("", None), ("1.2.3", None), ("5KB3s", None), ("-0.5s", -0.5)],
)  # fmt: skip
def test_a_quantity_is_a_number_with_a_unit_or_without(text, value):
    assert read_quantity(text) == value


@pytest.mark.parametrize(
    "settings",
    [{"series": "values"}, {"values": [{"name": "a", "pattern": "(x)"}]},
     {"series": "values", "values": [{"name": "a", "pattern": "x"}]}],
)  # fmt: skip
def test_values_without_a_pattern_with_one_group_are_refused(settings):
    with pytest.raises(ValueError, match=r"values|group"):
        Logs(**settings)


def test_a_mask_that_cannot_be_used_is_refused_with_its_place():
    masks = [{"pattern": "a"}, {"pattern": "a(?=b)"}]
    with pytest.raises(InvalidInput) as caught:
        LogSeries("{}", Logs(masks=masks), "counts")
    assert caught.value.faults[0].pointer == "/logs/masks/1"
