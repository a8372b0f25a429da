import asyncio
import json
import random
from contextlib import closing, suppress

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.http import HttpClient
from ingest.log_series import LogSeries
from ingest.loki import LATE_AFTER_MS, NS, Loki, _entries
from models.columns import LineBatch
from models.detector import Logs
from models.errors import QueryRejected, SourceUnavailable
from models.labels import Labels
from models.source import Connection, LokiSource
from tests.loki import FakeLoki

STEP_MS = 10_000
FIRST_MS = 1_795_204_430_000
NOW_MS = FIRST_MS + 3_600_000
QUERY = '{app="shop"}'


@pytest.fixture
def server():
    made = FakeLoki()
    yield made
    made.close()


class Reader:
    """A source with a clock that the test turns."""

    def __init__(self, url, entries_max=5_000, retries=0):
        self.now_ms = NOW_MS
        self.http = HttpClient(
            Connection(), retries=retries, now_ms=lambda: self.now_ms, rng=random.Random(1),
            sleep=lambda _: asyncio.sleep(0),
        )  # fmt: skip
        document = LokiSource(type="loki", name="loki", url=url, entries_max=entries_max)
        self.source = Loki(document, self.http, lambda: self.now_ms)

    def __call__(self, coroutine):
        async def once():
            try:
                return await coroutine
            finally:
                await self.source.close()
                self.http.__init__(
                    Connection(), retries=self.http._retries, now_ms=lambda: self.now_ms,
                    rng=random.Random(1), sleep=lambda _: asyncio.sleep(0),
                )  # fmt: skip

        return asyncio.run(once())


def read(url, query=QUERY, start_ms=FIRST_MS, end_ms=FIRST_MS + 60_000, **more):
    reader = Reader(url, **more)
    return reader(reader.source.read(query, start_ms, end_ms, STEP_MS)), reader.source


def texts(batch):
    return [line.decode() for line in batch.lines]


def test_lines_of_a_window_come_in_order_of_time_each_once(server):
    for k in range(23):
        ns = FIRST_MS * NS + k * 1_000_000_007
        server.push({"app": "shop", "pod": f"p{k % 2}"}, ns, f"line {k}")
    server.push({"app": "shop"}, (FIRST_MS - STEP_MS) * NS, "before")
    server.push({"app": "shop"}, (FIRST_MS + 60_000) * NS + 1, "after")
    batch, source = read(server.url, entries_max=4)
    assert isinstance(batch, LineBatch)
    assert texts(batch) == [f"line {k}" for k in range(23)]
    assert (np.diff(batch.timestamps_ns) > 0).all()
    assert batch.labels == tuple(Labels({"app": "shop", "pod": p}) for p in ("p0", "p1"))
    assert source.counters.lines == 23
    assert source.counters.repeated > 0
    assert source.counters.lost == 0


def test_lines_of_one_nanosecond_on_two_pages_come_once(server):
    for k in range(3):
        server.push({"app": "shop"}, FIRST_MS * NS + k, f"line {k}")
    for k in range(3, 6):
        server.push({"app": "shop", "pod": str(k)}, FIRST_MS * NS + 9, "the same text")
    server.push({"app": "shop"}, FIRST_MS * NS + 20, "end")
    batch, _ = read(server.url, entries_max=5)
    assert sorted(texts(batch)) == sorted(
        ["line 0", "line 1", "line 2", *["the same text"] * 3, "end"]
    )


def test_a_nanosecond_with_more_lines_than_a_page_is_left_and_counted(server):
    for k in range(9):
        server.push({"app": "shop", "k": str(k)}, FIRST_MS * NS, "burst")
    server.push({"app": "shop"}, FIRST_MS * NS + 5, "next")
    batch, source = read(server.url, entries_max=4)
    assert texts(batch) == [*["burst"] * 4, "next"]
    assert source.counters.lost == 1
    assert len(server.requests) < 6


def test_lines_that_come_late_are_counted_when_the_window_is_old(server):
    server.push({"app": "shop"}, FIRST_MS * NS, "in time")
    reader = Reader(server.url)
    reader.now_ms = FIRST_MS + 70_000
    reader(reader.source.read(QUERY, FIRST_MS, FIRST_MS + 60_000, STEP_MS))
    server.push({"app": "shop"}, FIRST_MS * NS + 7, "late")
    reader.now_ms += LATE_AFTER_MS
    later = reader.now_ms - 70_000
    reader(reader.source.read(QUERY, later, later + 60_000, STEP_MS))
    assert reader.source.counters.late == 1


class Grudging(FakeLoki):
    """Gives lines with a warning, and counts none."""

    def _answer(self, request):
        status, headers, body = super()._answer(request)
        if "count_over_time" in request.parameters.get("query", ""):
            return 400, {"Content-Type": "text/plain"}, b"the query time range exceeds the limit"
        return (
            status,
            headers,
            json.dumps(json.loads(body) | {"warnings": ["a shard is away"]}).encode(),
        )


def test_a_server_that_will_not_count_still_gives_its_lines():
    with closing(Grudging()) as server:
        server.push({"app": "shop"}, FIRST_MS * NS, "in time")
        reader = Reader(server.url)
        reader.now_ms = FIRST_MS + 70_000
        reader(reader.source.read(QUERY, FIRST_MS, FIRST_MS + 60_000, STEP_MS))
        reader.now_ms += LATE_AFTER_MS
        later = reader.now_ms - 70_000
        server.push({"app": "shop"}, later * NS, "later")
        batch = reader(reader.source.read(QUERY, later, later + 60_000, STEP_MS))
        assert texts(batch) == ["later"]
        assert batch.warnings == ("a shard is away",)
        assert reader(reader.source.health()).warnings == ["a shard is away"]


def test_metric_queries_are_read_as_those_of_prometheus(server, recorded):
    server.load(json.loads((recorded / "loki" / "_corpus.json").read_text(encoding="utf-8")))
    query = 'sum by (level) (count_over_time({app="shop"}[10s]))'
    batch, source = read(server.url, query)
    assert not isinstance(batch, LineBatch)
    assert {labels["level"] for labels in batch.labels} == {"debug", "info"}
    assert batch.timestamps_ms[0] % STEP_MS == 0
    assert source.absent_is_zero(query)


@pytest.mark.parametrize(
    ("query", "lines", "zero"),
    [
        ('{app="a"} |= "rate("', True, True),
        ('sum(rate({app="a"}[1m]))', False, True),
        ('avg_over_time({app="a"} | unwrap took [1m])', False, False),
        ('sum(count_over_time({app="| unwrap"}[1m]))', False, True),
        ('sum(rate({app="a"} | unwrap bytes [1m]))', False, False),
        ('absent_over_time({app="a"}[1m])', False, False),
    ],
)
def test_what_a_query_gives(query, lines, zero):
    source = Reader("http://127.0.0.1:9").source
    assert (source.reads_lines(query), source.absent_is_zero(query)) == (lines, zero)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("err_parse_open_brace", QueryRejected),
        ("err_limit_over_5000", QueryRejected),
        ("err_range_too_long", QueryRejected),
        ("tenant_err_query_no_org_id", QueryRejected),
        ("limit_429_per_stream_rate", SourceUnavailable),
        ("limit_504_or_timeout_query", SourceUnavailable),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(upstream, recorded, name, error):
    answer = json.loads((recorded / "loki" / f"{name}.json").read_text(encoding="utf-8"))[
        "response"
    ]
    body = answer["body"] if isinstance(answer["body"], str) else json.dumps(answer["body"])
    upstream.answers = [(answer["status"], {}, body.encode())]
    with pytest.raises(error) as caught:
        read(upstream.url)
    assert " ".join(body.split())[:40] in caught.value.detail


STREAMS = [
    *"backward_limit10 forward_limit10 dup empty json_parser line_filter logfmt_parser".split(),
    *"otlp out_of_order parser_error_label partial_kept structured_metadata unicode".split(),
]


@pytest.mark.parametrize("name", STREAMS)
def test_every_recorded_answer_with_lines_is_read(recorded, name):
    path = recorded / "loki" / f"range_streams_{name}.json"
    body = json.loads(path.read_text(encoding="utf-8"))["response"]["body"]
    got, _ = _entries(json.dumps(body).encode())
    expected = sorted(
        (int(ns), line.encode(), Labels(entry["stream"]))
        for entry in body["data"]["result"]
        for ns, line in entry["values"]
    ) if name != "empty" else []  # fmt: skip
    assert sorted(got, key=lambda e: (e[0], e[1])) == expected
    assert [e[0] for e in got] == sorted(e[0] for e in got)


MATRICES = "absent binop_ratio bytes count_by_level_10s count_by_level_1m default_step empty rate unwrap_quantile"


@pytest.mark.parametrize("name", MATRICES.split())
def test_every_recorded_answer_with_samples_is_read(upstream, recorded, name):
    path = recorded / "loki" / f"range_matrix_{name}.json"
    body = json.loads(path.read_text(encoding="utf-8"))["response"]["body"]
    upstream.answers = [(200, {}, json.dumps(body).encode())]
    batch, _ = read(upstream.url, 'sum(rate({a="b"}[1m]))')
    result = body["data"]["result"]
    assert len(batch) == sum(len(series["values"]) for series in result)
    assert batch.values.tolist() == [float(v) for series in result for _, v in series["values"]]


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["status", "data", "result", "resultType", "stream", "values"]), inner),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_answer_is_read_or_refused(body):
    with suppress(SourceUnavailable):
        _entries(body)


def counted(url, windows, faults, seed, **more):
    """What a reader that asks again after each failure counts, and how often it failed."""
    rng, reader = random.Random(seed), Reader(url, **more)
    series, samples, failures = LogSeries(QUERY, Logs(), "counts"), {}, 0
    for first_ms, end_ms in windows:
        start_ms = first_ms
        while True:
            faults(rng)
            try:
                batch = reader(reader.source.read(QUERY, start_ms, end_ms, STEP_MS))
            except SourceUnavailable:
                failures += 1
                continue
            got = series.count(batch)
            for k, at, value in zip(
                got.series, got.timestamps_ms.tolist(), got.values.tolist(), strict=True
            ):
                samples[got.labels[k].pairs, at] = value
            if batch.end_ms == end_ms:
                break
            start_ms = batch.end_ms + STEP_MS
    return samples, failures, series


@pytest.mark.parametrize("seed", range(3))
def test_with_faults_in_between_nothing_is_lost_and_nothing_counted_twice(server, seed):
    rng = random.Random(seed)
    for _ in range(900):
        ns = FIRST_MS * NS + rng.randrange(0, 120_000) * NS // rng.choice((1, 1, 2))
        text = rng.choice(("user {} came", "disk {} failed again", "ok")).format(rng.randrange(99))
        server.push({"app": "shop", "level": rng.choice(("info", "error"))}, ns, text)
    windows = [(FIRST_MS + k * 20_000, FIRST_MS + k * 20_000 + 10_000) for k in range(8)]
    calm, failures, series = counted(server.url, windows, lambda _: None, seed)
    assert failures == 0

    def faults(rng):
        server.refuse = rng.choice((0, 0, 1, 3))
        server.broken = rng.choice((0, 0, 1))

    stormy, failures, _ = counted(
        server.url, windows, faults, seed, entries_max=rng.choice((40, 90))
    )
    assert failures > 3
    assert stormy == calm
    total = len(server.entries)
    assert series.counters.lines == total
    assert sum(v for (pairs, _), v in calm.items() if "template" in dict(pairs)) == total
    # `level` names the stream's own level too; the counts by level are those without a template.
    assert sum(v for (pairs, _), v in calm.items() if "template" not in dict(pairs)) == total


def test_the_probe_says_how_the_server_stands(server):
    reader = Reader(server.url)
    health = reader(reader.source.health())
    assert (health.type, health.reachable, health.error) == ("loki", True, None)
    server.refuse = 1
    health = reader(reader.source.health())
    assert not health.reachable
    assert "empty ring" in health.error


def test_a_query_is_checked_by_the_server(server):
    reader = Reader(server.url)
    with pytest.raises(QueryRejected, match="empty-compatible"):
        reader(reader.source.check("{}"))
    reader(reader.source.check('sum(rate({app="a"}[1m]))'))


def test_a_push_of_the_double_is_read_back(server):
    body = {"streams": [{"stream": {"app": "shop"}, "values": [[str(FIRST_MS * NS), "hello"]]}]}
    assert httpx.post(f"{server.url}/loki/api/v1/push", json=body).status_code == 204
    assert texts(read(server.url)[0]) == ["hello"]
