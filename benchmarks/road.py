"""How many samples a second go down the whole road on one core?

Answer bytes of Prometheus → decode → locate → four detectors (ewma, cusum, seasonal, mad over 60
steps) → decide → scores and event frames, and with the page, `/metrics/scores` of all four. One
tick of all series at a time. The peer does the like with json, river and text: river's moving mean
and variance, Page-Hinkley, a rolling median (without a MAD), a plain average for the hour, and,
with the page, one line of text for each score and edge.
"""

import asyncio
import json
import random
from functools import partial
from typing import Any

import numpy as np
from river.drift import PageHinkley
from river.stats import EWMean, EWVar, RollingQuantile

from aiops.shard import Stream
from aiops.sinks.exporter import Exporter
from benchmarks.measure import Row, arguments, compare, interleave, report, timed
from benchmarks.wire import labels_of
from ingest.http import Answer, HttpClient
from ingest.prometheus import Prometheus
from models.columns import SampleBatch
from models.detector import Detector
from models.settings import Limits
from models.source import Connection, PrometheusSource
from models.validation import parse

STEP_MS = 15_000
FIRST_TICK = 120_000_000
"""An instant of our days: the size of a timestamp on the wire grows with it."""
KINDS: tuple[dict[str, str], ...] = (
    {"kind": "ewma"},
    {"kind": "cusum"},
    {"kind": "seasonal"},
    {"kind": "mad", "window": "15m"},
)
FAMILIES = ("anomaly_score", "y", "yhat", "yhat_lower", "yhat_upper")


def answers(series: int, ticks: int) -> list[bytes]:
    """One `query_range` answer per tick."""
    rng = np.random.default_rng(1)
    names = [json.dumps(labels_of(k), separators=(",", ":")) for k in range(series)]
    made = []
    for tick in range(ticks):
        values = rng.normal(100, 5, series)
        entries = (
            f'{{"metric":{name},"values":[[{tick * STEP_MS // 1000},"{value!r}"]]}}'
            for name, value in zip(names, values.tolist(), strict=True)
        )
        data = f'{{"resultType":"matrix","result":[{",".join(entries)}]}}'
        made.append(f'{{"status":"success","data":{data}}}'.encode())
    return made


class Ours:
    """Every part of the engine between the socket it reads and the sockets it writes."""

    def __init__(self, page: bool, tick: int = FIRST_TICK) -> None:
        self.streams = [
            Stream(
                parse(Detector, {"name": m["kind"], "source": "prom", "query": "x", "model": m}),
                Limits(),
                born_ms=-1,
                live_after_ms=-1,
            )
            for m in KINDS
        ]
        url = "http://127.0.0.1:9"
        client = HttpClient(Connection(), retries=0, now_ms=lambda: 0, rng=random.Random(1))
        made = parse(PrometheusSource, {"type": "prometheus", "name": "prom", "url": url})
        self.source = Prometheus(made, client, lambda: 0)
        self.exporter = Exporter()
        self.page = page
        self.loop = asyncio.Runner()
        self.tick = tick
        self.frames = 0

    def run(self, bodies: list[bytes]) -> None:
        """Each body down the road. The same bodies come again, a new instant each time."""
        for body in bodies:
            at_ms = self.tick * STEP_MS
            batch = self.source.decode(Answer(200, {}, body), "x", at_ms, at_ms, STEP_MS)
            batch.timestamps_ms[:] = at_ms
            for stream in self.streams:
                self._judge(stream, batch, at_ms)
            if self.page:
                self.loop.run(self.exporter.render())
            self.tick += 1

    def _judge(self, stream: Stream, batch: SampleBatch, at_ms: int) -> None:
        judged = stream.step(batch, at_ms)
        self.exporter.take(judged)
        for anomaly in judged.anomalies:
            self.frames += len(anomaly.model_dump_json())


class River:
    """json, river and text."""

    def __init__(self, page: bool) -> None:
        self.state: dict[str, Any] = {}
        self.page = page

    def run(self, bodies: list[bytes]) -> None:
        """Each body."""
        for body in bodies:
            lines: list[str] = []
            for entry in json.loads(body)["data"]["result"]:
                metric = entry["metric"]
                value = float(entry["values"][0][1])
                key = ",".join(f'{name}="{text}"' for name, text in metric.items())
                own = self.state.get(key)
                if own is None:
                    own = (EWMean(0.05), EWVar(0.05), PageHinkley(), [0.0] * 24,
                           RollingQuantile(0.5, 60))  # fmt: skip
                    self.state[key] = own
                mean, variance, shift, season, rolling = own
                m, sigma = mean.get(), max(variance.get(), 0.0) ** 0.5 + 1e-9
                middle = rolling.get() or 0.0
                mean.update(value)
                variance.update(value)
                shift.update(value)
                season[12] += 0.1 * (value - season[12])
                rolling.update(value)
                if self.page:
                    bands = (abs(value - m) / (4 * sigma), value, m, m - 4 * sigma, m + 4 * sigma)
                    for _ in KINDS:
                        lines.extend(
                            f"{family}{{{key}}} {number!r}"
                            for family, number in zip(FAMILIES, bands, strict=True)
                        )
                elif abs(value - middle) > 1e6:
                    lines.append(json.dumps(metric))
            "\n".join(lines).encode()


def measure(series: int, page: bool, rounds: int) -> Row:
    """Nanoseconds a sample."""
    bodies = answers(series, 2)
    ours, theirs = Ours(page), River(page)
    for _ in range(40):
        ours.page = False
        ours.run(bodies)
    ours.page = page
    few = bodies[:1]
    theirs.run(few)

    def once(run: Ours | River, given: list[bytes]) -> float:
        return timed(lambda: run.run(given)) * 1e9 / (len(given) * series)

    results = interleave([partial(once, ours, bodies), partial(once, theirs, few)], rounds)
    what = f"road with four detectors{' and the page' if page else ''}, {series} series"
    return compare(what, "json + river", "ns", *results)


def main() -> None:
    """Run it."""
    question = "the whole road on one core: answer bytes in, scores, event frames and page out"
    quick = arguments(question).quick
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000)
    rows = [measure(size, page, 3 if quick else 5) for size in sizes for page in (False, True)]
    report(question, rows, ("numpy", "numba", "msgspec", "river"))


if __name__ == "__main__":
    main()
