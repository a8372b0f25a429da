"""One read for all who ask the same: a window is read once, and remembered for a while."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ingest.base import Source
from models.columns import Batch
from models.query import MetricInfo
from models.source import SourceHealth

SAMPLES_MAX = 2_000_000
"""Samples or lines that are remembered, over all windows of a source."""
KEPT_MS = 60_000
ANSWER_MIN = 50
"""A small answer still counts as this many."""

Window = tuple[str, int, int, int]


@dataclass(slots=True)
class ReadCounters:
    """reads: windows read from the source. shared: answers that took none."""

    reads: int = 0
    shared: int = 0


class SharedReads(Source):
    """A source whose answers are shared among its readers.

    Detectors with one query and step ask for the same windows at the same time; those made together
    read the same history. Only sources with a past are wrapped: their answers do not depend on when
    they are asked for, as readers stay behind by their delay.
    """

    resumes: ClassVar[bool] = True

    def __init__(self, source: Source, now_ms: Callable[[], int]) -> None:
        assert source.resumes, source.name
        super().__init__(source.name)
        self.source = source
        self.points_max = source.points_max  # type: ignore[misc]  # It is that source's.
        self.counters = ReadCounters()
        self._now_ms = now_ms
        self._under_way: dict[Window, asyncio.Future[Batch]] = {}
        self._known: OrderedDict[Window, tuple[int, Batch]] = OrderedDict()
        self._size = 0

    async def read(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> Batch:
        window = (query, start_ms, end_ms, step_ms)
        self._forget()
        known = self._known.get(window)
        if known is not None:
            self.counters.shared += 1
            return known[1]
        reading = self._under_way.get(window)
        if reading is not None:
            self.counters.shared += 1
            # Shielded: who stops waiting does not stop the others.
            return await asyncio.shield(reading)
        self.counters.reads += 1
        reading = asyncio.ensure_future(self.source.read(*window))
        self._under_way[window] = reading
        reading.add_done_callback(lambda done: self._keep(window, done))
        return await asyncio.shield(reading)

    def reads_lines(self, query: str) -> bool:
        return self.source.reads_lines(query)

    def absent_is_zero(self, query: str) -> bool:
        return self.source.absent_is_zero(query)

    async def check(self, query: str) -> None:
        await self.source.check(query)

    async def metrics(self) -> list[MetricInfo]:
        return await self.source.metrics()

    async def labels(self, selector: str | None) -> list[str]:
        return await self.source.labels(selector)

    async def label_values(self, label: str, selector: str | None) -> list[str]:
        return await self.source.label_values(label, selector)

    async def health(self) -> SourceHealth:
        return await self.source.health()

    async def close(self) -> None:
        for reading in list(self._under_way.values()):
            reading.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        await self.source.close()

    def _keep(self, window: Window, done: asyncio.Future[Batch]) -> None:
        self._under_way.pop(window, None)
        if done.cancelled() or done.exception() is not None:
            return
        batch = done.result()
        if not batch.warnings:  # A partial answer may be whole next time.
            self._known[window] = self._now_ms(), batch
            self._size += max(len(batch), ANSWER_MIN)
            self._forget()

    def _forget(self) -> None:
        oldest_ms = self._now_ms() - KEPT_MS
        while self._known:
            window, (read_ms, batch) = next(iter(self._known.items()))
            if read_ms >= oldest_ms and self._size <= SAMPLES_MAX:
                break
            del self._known[window]
            self._size -= max(len(batch), ANSWER_MIN)
