import asyncio
import json
import random
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.http import Answer, HttpClient
from ingest.prometheus import Prometheus
from models.errors import QueryRejected, SourceUnavailable
from models.labels import Labels
from models.source import Connection, PrometheusSource

NOW_MS = 1_795_000_000_000


def source(url):
    http = HttpClient(Connection(), retries=0, now_ms=lambda: NOW_MS, rng=random.Random(1))
    document = PrometheusSource(type="prometheus", name="prom", url=url)
    return Prometheus(document, http, lambda: NOW_MS)


DECODER = source("http://127.0.0.1:9")


def ask(url, *, query="up", start_ms=0, end_ms=30_000, step_ms=15_000, method="read"):
    async def once():
        prometheus = source(url)
        try:
            if method == "read":
                return await prometheus.read(query, start_ms, end_ms, step_ms)
            return await getattr(prometheus, method)(*([query] if method == "check" else []))
        finally:
            await prometheus.close()

    return asyncio.run(once())


def matrix(*series, **more):
    result = [{"metric": labels, "values": values} for labels, values in series]
    data = {"resultType": "matrix", "result": result}
    return [(200, {}, json.dumps({"status": "success", "data": data} | more).encode())]


def test_a_matrix_becomes_columns(upstream):
    upstream.answers = matrix(
        ({"__name__": "up", "job": "a"}, [[0, "1"], [15.123, "NaN"]]),
        ({"job": "b"}, [[15, "+Inf"], [30, "-1.5e3"]]),
    )
    batch = ask(upstream.url)
    assert batch.labels == (Labels({"__name__": "up", "job": "a"}), Labels({"job": "b"}))
    assert batch.series.tolist() == [0, 0, 1, 1]
    assert batch.timestamps_ms.tolist() == [0, 15_123, 15_000, 30_000]
    np.testing.assert_array_equal(batch.values, [1, np.nan, np.inf, -1500])
    assert (batch.start_ms, batch.end_ms, batch.step_ms) == (0, 30_000, 15_000)
    assert batch.received_ms == NOW_MS
    assert upstream.requests[0].parameters == {
        "query": "up", "start": "0", "end": "30", "step": "15",
    }  # fmt: skip


def test_an_empty_answer_is_an_answer(upstream):
    upstream.answers = matrix()
    assert len(ask(upstream.url)) == 0


def test_warnings_are_kept_with_the_data(upstream):
    upstream.answers = matrix(({}, [[0, "1"]]), warnings=["remote_read: refused"])
    assert ask(upstream.url).warnings == ("remote_read: refused",)


def test_native_histograms_are_left_out(upstream):
    body = {"resultType": "matrix", "result": [{"metric": {}, "histograms": [[0, {"sum": "1"}]]}]}
    upstream.answers = [(200, {}, json.dumps({"status": "success", "data": body}).encode())]
    assert len(ask(upstream.url)) == 0


def test_long_queries_go_by_post(upstream):
    upstream.answers = matrix()
    query = " or ".join(["up"] * 900)
    ask(upstream.url, query=query)
    assert upstream.requests[0].method == "POST"
    assert upstream.requests[0].parameters["query"] == query


@pytest.mark.parametrize("status", [400, 422])
def test_what_the_server_rejects_is_told_in_its_own_words(upstream, status):
    error = {"status": "error", "errorType": "bad_data", "error": "1:4: parse error: unexpected"}
    upstream.answers = [(status, {}, json.dumps(error).encode())]
    with pytest.raises(QueryRejected, match="bad_data: 1:4: parse error: unexpected"):
        ask(upstream.url, method="check")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, b'{"status":"error","errorType":"timeout","error":"query timed out"}', "timed out"),
        (502, b"<html>bad gateway</html>", "not a Prometheus answer: <html>bad gateway"),
        (200, b'{"status":"succ', "not a Prometheus answer"),
        (200, b'{"status":"success","data":{"resultType":"vector","result":[]}}', "got a vector"),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":7}}', "not a Prom"),
        (
            200,
            b'{"status":"success","data":{"resultType":"matrix","result":'
            b'[{"metric":{},"values":[[1,"one"]]}]}}',
            "not a Prometheus matrix",
        ),
    ],
)
def test_what_is_no_answer_can_be_asked_again(upstream, status, body, words):
    upstream.answers = [(status, {}, body)]
    with pytest.raises(SourceUnavailable, match=words) as caught:
        ask(upstream.url)
    assert caught.value.retryable


def test_health_says_what_is_wrong_without_raising(upstream):
    upstream.answers = matrix()
    assert ask(upstream.url, method="health").reachable
    down = ask("http://127.0.0.1:9", method="health")
    assert not down.reachable
    assert "127.0.0.1:9" in down.error
    assert down.failures_total == 1


@settings(max_examples=200)
@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.floats() | st.text(max_size=5),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(
        st.sampled_from(["status", "data", "result", "resultType", "metric", "values"]), x
    ),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_answer_whatever_breaks_the_decoder(body):
    with suppress(SourceUnavailable, QueryRejected):
        DECODER.decode(Answer(200, {}, body), "up", 0, 0, 1000)


@pytest.mark.parametrize(
    ("server", "least"),
    [
        ("prometheus/v2.42", 6),
        ("prometheus/v3.5", 6),
        ("prometheus/v3.12-lib", 6),
        ("victoriametrics", 2),
    ],
)
def test_every_recorded_range_answer_is_read_or_refused_as_recorded(
    recorded, upstream, server, least
):
    files = sorted((recorded / server).glob("*.json"))
    seen = 0
    for file in files:
        exchange = json.loads(file.read_text())
        if exchange["request"]["path"] != "/api/v1/query_range":
            continue
        seen += 1
        response = exchange["response"]
        body = response["body"]
        tight = {"separators": (",", ":"), "ensure_ascii": False}
        text = json.dumps(body, **tight) if response["body_kind"] == "json" else body
        upstream.answers = [(response["status"], {}, text.encode())]
        if response["status"] == 200:
            batch = ask(upstream.url)
            points = [v for s in body["data"]["result"] for v in s.get("values", [])]
            assert batch.timestamps_ms.tolist() == [round(t * 1000) for t, _ in points], file.name
            np.testing.assert_array_equal(batch.values, [float(v) for _, v in points])
            assert list(batch.warnings) == body.get("warnings", [])
        else:
            with pytest.raises((QueryRejected, SourceUnavailable)) as caught:
                ask(upstream.url)
            assert body["error"] in caught.value.detail
    assert seen >= least


def test_a_window_too_large_for_the_server_is_halved_until_it_fits(upstream):
    limit = 40

    def answer(request):
        asked = request.parameters
        points = (float(asked["end"]) - float(asked["start"])) / 15 + 1
        if points > limit:
            error = {"status": "error", "errorType": "execution",
                     "error": "query processing would load too many samples into memory"}  # fmt: skip
            return 422, {}, json.dumps(error).encode()
        return matrix(({"a": "b"}, [[float(asked["end"]), "1"]]))[0]

    upstream.answer = answer

    async def scenario():
        prometheus = source(upstream.url)
        batch = await prometheus.read("up", 0, 15_000 * 199, 15_000)
        assert (batch.start_ms, batch.end_ms) == (0, 15_000 * 24)
        assert prometheus._http.counters.halved == 3
        before = len(upstream.requests)
        batch = await prometheus.read("up", batch.end_ms + 15_000, 15_000 * 199, 15_000)
        assert batch.end_ms == 15_000 * 49
        assert len(upstream.requests) <= before + 2
        await prometheus.close()

    asyncio.run(scenario())
