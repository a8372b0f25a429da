import asyncio
import random
import struct

import cramjam
import numpy as np
import pytest

from aiops.clock import SystemClock
from aiops.sinks.prompb import encode_head, encode_labels, encode_tail
from aiops.sinks.remote_write import RemoteWrite
from ingest.http import HttpClient
from models.columns import STALE_BITS
from models.settings import Limits, RemoteWriteOutput
from models.source import Connection
from tests.batches import sample_batch, stream


def made(url, **settings):
    output = RemoteWriteOutput(url=f"{url}/api/v1/write", **settings)
    http = HttpClient(Connection(), retries=0, now_ms=lambda: 0, rng=random.Random(1))
    return RemoteWrite(output, http, SystemClock(), random.Random(1))


def fields(message):
    """(number, value) of each field of a protobuf message; values are ints or bytes."""
    at = 0
    while at < len(message):
        key, at = number(message, at)
        if key & 7 == 0:
            value, at = number(message, at)
        elif key & 7 == 1:
            value, at = message[at : at + 8], at + 8
        else:
            size, at = number(message, at)
            value, at = message[at : at + size], at + size
        yield key >> 3, value


def number(message, at):
    shift = value = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def decoded(body):
    """[(labels, value bits, timestamp)] of a remote-write body."""
    out = []
    for _, series in fields(bytes(cramjam.snappy.decompress_raw(body))):
        parts = list(fields(series))
        labels = [tuple(v.decode() for _, v in fields(p)) for n, p in parts if n == 1]
        assert labels == sorted(labels)
        for sample in (dict(fields(p)) for n, p in parts if n == 2):
            out.append((dict(labels), struct.unpack("<Q", sample[1])[0], sample[2]))
    return out


def tick(made_stream, step, value=1.0, name="a"):
    at_ms = step * 1000
    return made_stream.step(sample_batch({name: {at_ms: value}}, at_ms, at_ms), 0)


def sent(upstream):
    return [d for r in upstream.requests for d in decoded(r.body)]


def drain(writer, seconds=10.0):
    async def until_empty():
        task = asyncio.create_task(writer.run())
        async with asyncio.timeout(seconds):
            while writer.pending:
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await writer.close()

    asyncio.run(until_empty())


def test_the_wire_form_is_this():
    series = encode_head(encode_labels({"b": "2", "a": "1"})) + struct.pack("<d", 1.5)
    assert (series + encode_tail(1_795_205_148_250)).hex() == (
        "0a22" "0a06" "0a0161" "120131" "0a06" "0a0162" "120132"
        "1210" "09" "000000000000f83f" "10" "dadcc2d49f34"
    )  # fmt: skip


def test_scores_are_sent_with_the_samples_own_time_and_sorted_labels(upstream):
    upstream.answers = [(204, {}, b"")]
    writer, source = made(upstream.url), stream()
    for step in range(1, 8):
        writer.take(tick(source, step, float(step)))
    drain(writer)
    got = sent(upstream)
    assert {t for _, _, t in got} == {k * 1000 for k in range(1, 8)}
    assert {d["__name__"] for d, _, t in got if t == 1000} == {"y"}
    assert {d["__name__"] for d, _, t in got if t == 7000} == {
        "anomaly_score", "y", "yhat", "yhat_lower", "yhat_upper",
    }  # fmt: skip
    assert all(d["for"] == "shop" and d["series"] == "a" for d, _, _ in got)
    headers = upstream.requests[0].headers
    assert headers["content-encoding"] == "snappy"
    assert headers["x-prometheus-remote-write-version"] == "0.1.0"
    assert writer.counters.sent == len(got)


def test_a_busy_receiver_is_asked_again_until_it_takes_everything(upstream):
    upstream.answers = [(500, {}, b"oops"), (429, {"Retry-After": "0"}, b""), (204, {}, b"")]
    writer = made(upstream.url)
    writer.take(tick(stream(), 1))
    drain(writer)
    assert (writer.counters.sent, writer.counters.retries) == (1, 2)
    assert writer.last_error is None


@pytest.mark.parametrize(
    ("status", "words"),
    [(500, b"too old sample\n"), (400, b"out of order sample"), (404, b"receiver is off")],
)
def test_one_refused_instant_does_not_cost_the_others(upstream, status, words):
    def answer(request):
        refused = any(t == 3000 for _, _, t in decoded(request.body))
        return (status, {}, words) if refused else (204, {}, b"")

    upstream.answer = answer
    writer, source = made(upstream.url), stream()
    for step in range(1, 7):
        writer.take(tick(source, step))
    drain(writer)
    assert writer.counters.refused == 1
    assert writer.counters.retries == 0
    accepted = {t for r in upstream.requests for _, _, t in decoded(r.body)}
    assert accepted >= {1000, 2000, 4000, 5000, 6000}
    assert writer.counters.sent == 4 + 5


def test_requests_are_bounded_and_a_full_queue_drops_the_oldest(upstream):
    upstream.answers = [(204, {}, b"")]
    writer = made(upstream.url, request_samples_max=3, queue_samples_max=1_000)
    source = stream()
    for step in range(1, 300):
        writer.take(tick(source, step))
    assert writer.counters.dropped > 0
    assert writer.pending <= 1_000
    source = stream(name="wide")
    wide = {f"s{k}": {1000: 1.0} for k in range(7)}
    writer.take(source.step(sample_batch(wide, 1000, 1000), 0))
    drain(writer, 60)
    assert max(len(decoded(r.body)) for r in upstream.requests) <= 5


def test_ended_series_get_stale_markers(upstream):
    upstream.answers = [(204, {}, b"")]
    writer = made(upstream.url)
    source = stream(limits=Limits(series_stale=5_000))
    writer.take(tick(source, 1))
    for step in range(2, 9):
        writer.take(tick(source, step, name="b"))
    writer.end("shop", 8001)
    drain(writer)
    stale = [(d["__name__"], d["series"], t) for d, bits, t in sent(upstream) if bits == STALE_BITS]
    assert len(stale) == 10
    assert ("anomaly_score", "a", 7000) in stale
    assert ("anomaly_score", "b", 8001) in stale


def test_what_waits_is_kept_and_sent_by_the_next_process(upstream):
    first = made(upstream.url)
    first.take(tick(stream(), 1))
    state = first.state()
    upstream.answers = [(204, {}, b"")]
    second = made(upstream.url)
    second.restore({k: np.frombuffer(v.tobytes(), np.uint8) for k, v in state.items()})
    drain(second)
    assert [(d["__name__"], t) for d, _, t in sent(upstream)] == [("y", 1000)]
    other = made("http://127.0.0.1:9")
    other.restore(state)
    assert other.pending == 0
    for writer in (first, other):
        asyncio.run(writer.close())
