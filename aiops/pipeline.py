"""The road of a sample. Read this first.

    ingest.Source ─SampleBatch─▶ Batcher ─▶ SeriesTable.locate ─RowBatch─▶ Scoring.step
        ─ScoreColumns─▶ Decider.fold ─Anomaly─▶ store ─▶ feed · exporter · remote write

Collectors read their sources and put batches into the batcher. Here each batch takes the rest of
the road, one after another: `Stream.step` is the middle (locate, score, decide) and runs in a
thread of its own, the GIL released inside kernels; then records are stored and everyone is told.
With more compute threads, batches of different streams take the road side by side; a stream's own
batches come one after another, for its reader waits for each. Nothing calls upstream. Whoever else
wants to touch a stream waits until he is `alone`: that is the only lock.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog

from aiops.batcher import Batcher, Delivery
from aiops.clock import Clock
from aiops.feed_log import FeedLog
from aiops.shard import Shard
from aiops.sinks.base import Sink
from models.anomaly import Anomaly
from models.errors import StoreUnavailable

STORE_PAUSE_SECONDS = 1.0

T = TypeVar("T")
log = structlog.get_logger()


@dataclass(slots=True)
class PipelineCounters:
    """What went down the road."""

    batches: int = 0
    samples: int = 0
    anomalies: int = 0
    step_seconds: float = 0.0
    store_failures: int = 0


class Pipeline:
    """Takes batches from the batcher to everyone who wants to know."""

    def __init__(
        self,
        *,
        shard: Shard,
        batcher: Batcher,
        feed_log: FeedLog,
        sinks: Sequence[Sink],
        clock: Clock,
        threads: int = 1,
    ) -> None:
        self.counters = PipelineCounters()
        self.store_error: str | None = None
        self._shard = shard
        self._batcher = batcher
        self._feed_log = feed_log
        self._sinks = sinks
        self._clock = clock
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="compute")
        self._roads = threads
        self._door = asyncio.Lock()
        self._on_the_road = 0
        self._empty = asyncio.Event()
        self._empty.set()

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as roads:
            for _ in range(self._roads):
                roads.create_task(self._serve())

    async def compute(self, work: Callable[[], T]) -> T:
        """Run `work` in a compute thread; whoever touches a stream must be `alone`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """No batch is on the road meanwhile; those that come wait."""
        async with self._door:
            await self._empty.wait()
            yield

    @asynccontextmanager
    async def _beside_others(self) -> AsyncIterator[None]:
        async with self._door:
            self._on_the_road += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._on_the_road -= 1
            if not self._on_the_road:
                self._empty.set()

    async def tell(self, anomalies: list[Anomaly]) -> None:
        """Store, then tell. Tries until the store takes them: an anomaly is never lost."""
        if not anomalies:
            return
        while True:
            try:
                fresh = await self._feed_log.record(anomalies)
                break
            except StoreUnavailable as error:
                self.counters.store_failures += 1
                if self.store_error is None:
                    log.error("store refuses, waiting", reason=error.detail)
                self.store_error = error.detail
                await self._clock.sleep(STORE_PAUSE_SECONDS)
        self.store_error = None
        self.counters.anomalies += sum(
            message.data["state"] == "open"
            and message.data["sample_at"] == message.data["opened_at"]
            for message in fresh
        )

    def end(self, detector: str, position_ms: int) -> None:
        """Tell the sinks that a detector's series end after this instant."""
        for sink in self._sinks:
            sink.end(detector, position_ms + 1)

    def close(self) -> None:
        """Wait for the batches in work and end the compute threads."""
        self._threads.shutdown()

    async def _serve(self) -> None:
        while True:
            async with await self._batcher.take() as delivery, self._beside_others():
                name = delivery.stream.document.name
                wanted = self._shard.streams.get(name) is delivery.stream
                if wanted and not delivery.done.cancelled():
                    await self._pass_on(delivery)

    async def _pass_on(self, delivery: Delivery) -> None:
        stream, batch = delivery.stream, delivery.batch
        started_ms = self._clock.now_ms()
        judged = await self.compute(lambda: stream.step(batch, started_ms))
        self.counters.batches += 1
        self.counters.samples += len(judged.rows)
        self.counters.step_seconds += (self._clock.now_ms() - started_ms) / 1000
        await self.tell(judged.anomalies)
        for sink in self._sinks:
            sink.take(judged)
