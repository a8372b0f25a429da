"""How much faster are bytes columns, and columns bytes, than by way of objects?

JSON answers against the standard library and pysimdjson, each up to NumPy arrays of times and
values; a remote-write body against Google's protobuf with its labels and values as Python objects;
a page of scores against prometheus_client. Ours knows the series already, as from the second
answer on.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import cramjam
import numpy as np
import simdjson
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from aiops.sinks.exporter import _encode, _Page, _render
from aiops.sinks.prompb import encode_head, encode_labels, encode_tail
from benchmarks.measure import Row, arguments, compare, interleave, report, timed
from benchmarks.protobuf import write_request
from ingest.answers import read_answer
from ingest.known import KnownSeries
from ingest.remote_write import read_body
from models.columns import Floats

AT_SECONDS = 1_795_205_148


def labels_of(k: int) -> dict[str, str]:
    """As long as labels of a pod's metric are: about 180 bytes."""
    return {
        "__name__": "http_requests_total",
        "code": "200",
        "instance": f"10.0.{k // 250}.{k % 250}:8080",
        "job": "shop",
        "namespace": "production",
        "path": f"/api/v1/items/{k}",
        "pod": f"shop-7d9f8b6c5-{k:05d}",
    }


def answer(kind: str, series: int, points: int) -> bytes:
    """As Prometheus writes it."""
    rng = np.random.default_rng(1)
    parts = []
    for k in range(series):
        name = json.dumps(labels_of(k), separators=(",", ":"))
        values = rng.normal(100, 5, points).tolist()
        samples = [f'[{AT_SECONDS + 15 * i},"{x!r}"]' for i, x in enumerate(values)]
        own = f'"value":{samples[0]}' if kind == "vector" else f'"values":[{",".join(samples)}]'
        parts.append(f'{{"metric":{name},{own}}}')
    data = f'{{"resultType":"{kind}","result":[{",".join(parts)}]}}'
    return f'{{"status":"success","data":{data}}}'.encode()


def columns_of(answer: Any, kind: str) -> tuple[Floats, Floats]:
    """Times and values of parsed JSON."""
    result = answer["data"]["result"]
    if kind == "vector":
        pairs = [series["value"] for series in result]
    else:
        pairs = [pair for series in result for pair in series["values"]]
    return np.array([pair[0] for pair in pairs]), np.array([float(pair[1]) for pair in pairs])


def race(
    what: str, unit_count: int, ours: Callable[[], object], peers: dict[str, Callable[[], object]],
    rounds: int,
) -> list[Row]:  # fmt: skip
    """Nanoseconds a unit."""
    for case in (ours, *peers.values()):
        case()

    def once(case: Callable[[], object]) -> float:
        return timed(case) * 1e9 / unit_count

    results = interleave([partial(once, case) for case in (ours, *peers.values())], rounds)
    return [
        compare(what, name, "ns", results[0], result)
        for name, result in zip(peers, results[1:], strict=True)
    ]


def json_rows(kind: str, series: int, points: int, rounds: int) -> list[Row]:
    """A sample of a JSON answer."""
    body, known, parser = answer(kind, series, points), KnownSeries(), simdjson.Parser()
    peers: dict[str, Callable[[], object]] = {"json": lambda: columns_of(json.loads(body), kind)}
    if kind == "vector":
        peers["pysimdjson"] = lambda: columns_of(parser.parse(body), kind)
    what = f"JSON {kind}, {series} series, {points} samples each"
    return race(what, series * points, lambda: read_answer(body, known), peers, rounds)


def remote_write_rows(series: int, rounds: int) -> list[Row]:
    """A sample of a remote-write body, decompression included."""
    values, tail = np.random.default_rng(1).normal(100, 5, series), encode_tail(AT_SECONDS * 1000)
    raw = b"".join(
        encode_head(encode_labels(labels_of(k))) + values[k].tobytes() + tail for k in range(series)
    )
    body, known, request = bytes(cramjam.snappy.compress_raw(raw)), KnownSeries(), write_request()

    def protobuf() -> list[tuple[dict[str, str], list[tuple[float, int]]]]:
        message = request.FromString(bytes(cramjam.snappy.decompress_raw(body)))
        return [
            (
                {label.name: label.value for label in own.labels},
                [(sample.value, sample.timestamp) for sample in own.samples],
            )
            for own in message.timeseries
        ]

    what = f"remote-write body, {series} series"
    peers: dict[str, Callable[[], object]] = {"protobuf to objects": protobuf}
    return race(what, series, lambda: read_body(body, known), peers, rounds)


def page_rows(series: int, rounds: int) -> list[Row]:
    """A line of `/metrics/scores`: five for each series."""
    rng = np.random.default_rng(1)
    page, registry = _Page(), CollectorRegistry()
    labels = [
        {k: v for k, v in labels_of(k).items() if k != "__name__"} | {"for": "shop"}
        for k in range(series)
    ]
    page.series.encoded = {k: _encode(own) for k, own in enumerate(labels)}
    page.series._known = np.ones(series, np.bool_)
    page.newest = rng.normal(100, 5, (5, series))
    packed = page.series.packed()
    gauge = Gauge("anomaly_score", "Score.", tuple(labels[0]), registry=registry)
    for k, own in enumerate(labels):
        gauge.labels(*own.values()).set(page.newest[0, k])

    def once(case: Callable[[], object], lines: int) -> float:
        return timed(case) * 1e9 / lines

    results = interleave(
        [
            partial(once, lambda: _render([(packed, page.newest)]), 5 * series),
            partial(once, lambda: generate_latest(registry), series),
        ],
        rounds,
    )
    return [compare(f"page of scores, {series} series", "prometheus_client", "ns", *results)]


def main() -> None:
    """Run it."""
    question = "wire formats: columns against objects"
    quick = arguments(question).quick
    rounds, size = (3, 10_000) if quick else (7, 100_000)
    rows = json_rows("vector", 10_000, 1, rounds)
    rows += json_rows("vector", 100_000, 1, rounds)
    rows += json_rows("matrix", 100 if quick else 1_000, 1_440, rounds)
    rows += remote_write_rows(10_000, rounds)
    rows += page_rows(size, rounds)
    packages = ("numpy", "numba", "cramjam", "pysimdjson", "protobuf", "prometheus-client")
    report(question, rows, packages)


if __name__ == "__main__":
    main()
