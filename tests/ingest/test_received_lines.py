import asyncio
import gzip
import json
from contextlib import suppress

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.loki_push import read_json, read_protobuf
from ingest.received_lines import ReceivedLines, parse_line_query
from models.errors import IntakeFull, InvalidInput, QueryRejected
from models.labels import Labels
from models.source import LokiPushSource
from tests.protobuf import field

NOW_MS = 1_795_000_000_000
NS = 1_000_000
STEP_MS = 10_000


MADE = []


@pytest.fixture(autouse=True)
def closed():
    yield
    while MADE:
        asyncio.run(MADE.pop().source.close())


class Intake:
    def __init__(self, folder=None, **settings):
        MADE.append(self)
        self.now_ms = NOW_MS
        document = LokiPushSource(type="loki_push", name="logs", **settings)
        self.source = ReceivedLines(document, folder, lambda: self.now_ms)

    def push(self, lines, kind="json"):
        if kind == "protobuf":
            body, protobuf, encoding = protobuf_of(lines), True, "snappy"
        else:
            body, protobuf, encoding = json_of(lines), False, ""
            if kind == "gzip":
                body, encoding = gzip.compress(body), "gzip"
        return asyncio.run(self.source.take(body, protobuf=protobuf, encoding=encoding))

    def read(self, query, start_ms=NOW_MS, end_ms=NOW_MS):
        batch = asyncio.run(self.source.read(query, start_ms, end_ms, STEP_MS))
        assert batch.timestamps_ns.tolist() == sorted(batch.timestamps_ns.tolist())
        return [
            (dict(batch.labels[k]), line.decode())
            for k, line in zip(batch.stream, batch.lines, strict=True)
        ]


def json_of(lines):
    streams = [
        {"stream": labels, "values": [[str(ns), text, {"trace": "1"}]]}
        for labels, ns, text in lines
    ]
    return json.dumps({"streams": streams}).encode()


def protobuf_of(lines):
    raw = b""
    for labels, ns, text in lines:
        written = "{" + ", ".join(f"{n}={json.dumps(v)}" for n, v in labels.items()) + "}"
        stamp = field(1, ns // 10**9) + field(2, ns % 10**9)
        metadata = field(3, field(1, b"trace") + field(2, b"1"))
        entry = field(1, stamp) + field(2, text.encode()) + metadata
        raw += field(1, field(1, written.encode()) + field(2, entry))
    return bytes(cramjam.snappy.compress_raw(raw))


SHOP = {"app": "shop", "env": 'a "b"\\c'}


@pytest.mark.parametrize("kind", ["json", "gzip", "protobuf"])
def test_pushed_lines_are_read_in_order_of_time_by_selector_and_filter(kind):
    intake = Intake()
    pushed = [
        (SHOP, NOW_MS * NS, "second äöü"),
        (SHOP, NOW_MS * NS - 5, "first"),
        ({"app": "other"}, NOW_MS * NS - 7, "elsewhere"),
        (SHOP, NOW_MS * NS + 1, "too late"),
        (SHOP, (NOW_MS - STEP_MS) * NS, "too early"),
    ]
    assert intake.push(pushed, kind) == 5
    assert intake.read('{app="shop"}') == [(SHOP, "first"), (SHOP, "second äöü")]
    assert intake.read('{app=~".+"} |= "s" != `first` !~ "x$"') == [
        ({"app": "other"}, "elsewhere"), (SHOP, "second äöü"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["json", "gzip", "protobuf"])
def test_what_was_accepted_is_there_after_a_kill(tmp_path, kind):
    first = Intake(tmp_path)
    first.push([(SHOP, NOW_MS * NS, "kept")], kind)
    assert Intake(tmp_path).read('{app="shop"}') == [(SHOP, "kept")]


def test_a_full_intake_sends_back_and_has_room_when_lines_are_old():
    intake = Intake(bytes_max=2**20, keep="1m")
    intake.push([(SHOP, NOW_MS * NS + k, "x" * 200_000) for k in range(6)])
    with pytest.raises(IntakeFull, match="bytes of lines wait"):
        intake.push([(SHOP, NOW_MS * NS, "y")])
    intake.now_ms += 61_000
    assert intake.push([(SHOP, intake.now_ms * NS, "y")]) == 1
    assert intake.source.kept_bytes == 1


def test_recorded_refusals_are_refused_here_too(recorded):
    for name in ("bad_json", "bad_ts", "number_ts", "line_too_long"):
        path = recorded / "loki" / f"push_err_{name}.json"
        exchange = json.loads(path.read_text(encoding="utf-8"))
        body = exchange["request"].get("json")
        if body is None:
            continue
        text = body if isinstance(body, str) else json.dumps(body)
        with pytest.raises(InvalidInput):
            read_json(text.encode(), "")


@pytest.mark.parametrize(
    "query",
    ["up", '{app="a"} | json', '{app="a"} |= "x', "{}", '{app=~"("}', 'rate({app="a"}[1m])'],
)
def test_what_pushed_lines_cannot_be_chosen_by_is_refused(query):
    with pytest.raises(QueryRejected):
        parse_line_query(query)


@settings(max_examples=300)
@given(st.binary(max_size=150))
def test_any_body_is_read_or_refused(raw):
    for read in (
        lambda: read_protobuf(bytes(cramjam.snappy.compress_raw(raw))),
        lambda: read_protobuf(raw),
        lambda: read_json(raw, ""),
        lambda: read_json(raw, "gzip"),
        lambda: read_json(gzip.compress(raw), "gzip"),
    ):
        with suppress(InvalidInput):
            read()


def test_a_body_that_unpacks_to_too_much_is_refused():
    with pytest.raises(InvalidInput, match="larger than"):
        read_json(gzip.compress(b" " * (65 * 2**20)), "gzip")


def test_labels_keep_what_stands_in_quotes():
    [line] = read_protobuf(protobuf_of([(SHOP, NOW_MS * NS, "x")]))
    assert line.labels == Labels(SHOP)
