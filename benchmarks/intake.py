"""Does one core keep up with a Prometheus that pushes 100 k series every 15 s?

Bodies of 2,000 samples, as Prometheus sends them, go to the receiver (snappy, protobuf, journal on
disk), are read at the instant by one detector whose selector takes all of them, and judged. What is
reported is the share of the 15 s that this takes, all of it on one thread; the peer is Google's
protobuf library decoding the same bodies and nothing else.
"""

import asyncio
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cramjam
import numpy as np

from aiops.shard import Stream
from benchmarks.measure import Row, arguments, compare, interleave, report, timed
from benchmarks.protobuf import write_request
from benchmarks.wire import labels_of
from ingest.received import Received
from models.detector import Detector
from models.settings import Limits
from models.source import RemoteWriteSource
from models.validation import parse

STEP_MS = 15_000
FIRST_TICK = 120_000_000
SAMPLES_PER_BODY = 2_000
WARM_TICKS = 3
REQUEST = write_request()


def bodies(series: int, at_ms: int, seed: int) -> list[bytes]:
    """One tick of all series."""
    values = np.random.default_rng(seed).normal(100, 5, series)
    made = []
    for begin in range(0, series, SAMPLES_PER_BODY):
        request = REQUEST()
        for k in range(begin, min(begin + SAMPLES_PER_BODY, series)):
            own = request.timeseries.add()
            for name, value in sorted(labels_of(k).items()):
                own.labels.add(name=name, value=value)
            own.samples.add(value=float(values[k]), timestamp=at_ms)
        made.append(bytes(cramjam.snappy.compress_raw(request.SerializeToString())))
    return made


class Ours:
    """The receiver and a detector."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = FIRST_TICK * STEP_MS
        document = RemoteWriteSource(type="remote_write", name="pushed", keep=60_000)
        self.source = Received(document, folder, lambda: self.now_ms)
        model = {"kind": "ewma"}
        wanted = {"name": "all", "source": "pushed", "query": '{job=~".+"}', "model": model}
        self.stream = Stream(parse(Detector, wanted), Limits(), born_ms=0, live_after_ms=0)
        self.loop = asyncio.Runner()

    def tick(self, pushed: list[bytes]) -> None:
        """Take one tick and judge it."""
        self.loop.run(self._tick(pushed))
        self.now_ms += STEP_MS

    async def _tick(self, pushed: list[bytes]) -> None:
        for body in pushed:
            await self.source.take(body, version_2=False)
        query = self.stream.document.query
        batch = await self.source.read(query, self.now_ms, self.now_ms, STEP_MS)
        judged = self.stream.step(batch, self.now_ms)
        assert len(judged.rows) == sum(1 for _ in batch.labels)


def theirs(pushed: list[bytes]) -> None:
    """Decode with protobuf objects."""
    for body in pushed:
        request = REQUEST()
        request.ParseFromString(bytes(cramjam.snappy.decompress_raw(body)))
        columns: list[Any] = []
        for series in request.timeseries:
            labels = tuple((label.name, label.value) for label in series.labels)
            columns.extend((labels, s.timestamp, s.value) for s in series.samples)


def measure(series: int, rounds: int) -> Row:
    """Share of a 15 s interval."""
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(Path(folder))
        ticks = iter(
            [bodies(series, ours.now_ms + k * STEP_MS, k) for k in range(WARM_TICKS + rounds)]
        )
        for _ in range(WARM_TICKS):
            ours.tick(next(ticks))
        peer = bodies(series, 0, 0)

        def share(work: Callable[[], object]) -> float:
            return timed(work) / (STEP_MS / 1000) * 100

        cases = [
            lambda: share(partial(ours.tick, next(ticks))),
            lambda: share(lambda: theirs(peer)),
        ]
        results = interleave(cases, rounds)
        what = f"push of {series} series every 15 s, taken, journalled and judged"
        row = compare(what, "protobuf, decoding alone", "% of a core", *results)
        asyncio.run(ours.source.close())
        return row


def main() -> None:
    """Run it."""
    question = "the share of one core that a stream of remote write takes"
    quick = arguments(question).quick
    sizes = (10_000,) if quick else (10_000, 100_000)
    rows = [measure(size, 3 if quick else 5) for size in sizes]
    report(question, rows, ("numpy", "numba", "protobuf", "cramjam"))


if __name__ == "__main__":
    main()
