"""How many samples a second go down the whole road on one core?

Answer bytes of Prometheus → decode → locate → score → decide → `/metrics/scores` and remote-write
bodies, one tick of all series at a time. The peer is the loop one writes first: json.loads, and for
each series the exponentially weighted mean and variance in Python, then prometheus_client's page.
"""

import asyncio
import json
import math
import random
from functools import partial

import numpy as np
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from aiops.clock import SystemClock
from aiops.shard import Stream
from aiops.sinks.exporter import Exporter
from aiops.sinks.remote_write import RemoteWrite
from benchmarks.measure import Row, arguments, compare, interleave, report, timed
from ingest.http import Answer, HttpClient
from ingest.prometheus import Prometheus
from models.detector import Detector
from models.settings import Limits, RemoteWriteOutput
from models.source import Connection, PrometheusSource
from models.validation import parse

STEP_MS = 15_000
ALPHA = 0.05
FIRST_TICK = 120_000_000
"""An instant of our days: the size of a timestamp on the wire grows with it."""


def answers(series: int, ticks: int) -> list[bytes]:
    """One `query_range` answer per tick."""
    rng = np.random.default_rng(1)
    labels = [
        json.dumps(
            {
                "__name__": "http_requests_total",
                "instance": f"10.0.{k // 250}.{k % 250}:8080",
                "job": "shop",
                "path": f"/api/v1/items/{k}",
            }
        )
        for k in range(series)
    ]
    made = []
    for tick in range(ticks):
        values = rng.normal(100, 5, series)
        entries = (
            f'{{"metric":{label},"values":[[{tick * STEP_MS // 1000},"{value!r}"]]}}'
            for label, value in zip(labels, values.tolist(), strict=True)
        )
        result = ",".join(entries)
        data = f'{{"resultType":"matrix","result":[{result}]}}'
        made.append(f'{{"status":"success","data":{data}}}'.encode())
    return made


class Ours:
    """Every part of the engine between the socket it reads and the sockets it writes."""

    def __init__(self, kind: str, remote_write: bool) -> None:
        document = {"name": "shop", "source": "prom", "query": "x", "model": {"kind": kind}}
        self.stream = Stream(parse(Detector, document), Limits(), born_ms=-1, live_after_ms=-1)
        url = "http://127.0.0.1:9"
        client = HttpClient(Connection(), retries=0, now_ms=lambda: 0, rng=random.Random(1))
        made = parse(PrometheusSource, {"type": "prometheus", "name": "prom", "url": url})
        self.source = Prometheus(made, client, lambda: 0)
        self.exporter = Exporter()
        output = parse(RemoteWriteOutput, {"url": url})
        self.writer = RemoteWrite(output, client, SystemClock(), random.Random(1))
        self.remote_write = remote_write
        self.tick = FIRST_TICK
        self.loop = asyncio.Runner()

    def run(self, bodies: list[bytes]) -> None:
        """Each body down the road. The same bodies come again, a new instant each time."""
        self.loop.run(self._run(bodies))

    async def _run(self, bodies: list[bytes]) -> None:
        for body in bodies:
            at_ms = self.tick * STEP_MS
            batch = self.source.decode(Answer(200, {}, body), "x", at_ms, at_ms, STEP_MS)
            batch.timestamps_ms[:] = at_ms
            judged = self.stream.step(batch, at_ms)
            self.exporter.take(judged)
            if self.remote_write:
                self.writer.take(judged)
            await self.exporter.render()
            self.tick += 1


class PlainPython:
    """What one writes first."""

    def __init__(self) -> None:
        self.state: dict[str, tuple[float, float]] = {}
        self.registry = CollectorRegistry()
        names = ("metric", "instance", "job", "path")
        self.score = Gauge("anomaly_score", "Score.", names, registry=self.registry)

    def run(self, bodies: list[bytes]) -> None:
        """Each body."""
        for body in bodies:
            for entry in json.loads(body)["data"]["result"]:
                value = float(entry["values"][0][1])
                key = json.dumps(entry["metric"])
                mean, variance = self.state.get(key, (value, 1.0))
                score = abs(value - mean) / (4 * math.sqrt(variance) + 1e-9)
                difference = value - mean
                mean += ALPHA * difference
                variance = (1 - ALPHA) * (variance + ALPHA * difference * difference)
                self.state[key] = (mean, variance)
                self.score.labels(*entry["metric"].values()).set(score)
            generate_latest(self.registry)


def measure(series: int, rounds: int) -> list[Row]:
    """Microseconds a sample."""
    bodies = answers(series, 4)
    cases = {
        "ewma": Ours("ewma", remote_write=False),
        "mad, window 240": Ours("mad", remote_write=False),
        "ewma + remote write": Ours("ewma", remote_write=True),
    }
    peer = PlainPython()
    for case in cases.values():
        for _ in range(10):
            case.run(bodies)
    runs: list[Ours | PlainPython] = [*cases.values(), peer]
    per_sample = 1e6 / (len(bodies) * series)

    def once(run: Ours | PlainPython) -> float:
        return timed(lambda: run.run(bodies)) * per_sample

    results = interleave([partial(once, run) for run in runs], rounds)
    return [
        compare(f"road, {name}, {series} series", "plain Python", "µs", mine, results[-1])
        for name, mine in zip(cases, results, strict=False)
    ]


def main() -> None:
    """Run it."""
    question = (
        "the whole road on one core: answer bytes in, scores page and remote-write bodies out"
    )
    quick = arguments(question).quick
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000)
    rows = [row for size in sizes for row in measure(size, 3 if quick else 7)]
    report(question, rows, ("numpy", "numba", "msgspec", "prometheus-client"))


if __name__ == "__main__":
    main()
