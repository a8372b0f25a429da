"""Reads a stretch of the past into a stream, window by window, as the collector does when live."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiops.clock import Clock
from aiops.shard import Judged, Stream
from ingest.base import Source
from models.columns import Batch
from models.errors import SourceUnavailable

WINDOW_SAMPLES = 200_000
"""Samples a window aims at: a long catch-up must not hold up other detectors."""
WINDOW_POINTS_FIRST = 60
"""Points of the first window, before the number of series is known."""
TRIES = 6
PAUSE_FIRST_SECONDS = 1.0


class WindowSize:
    """How many instants to ask for at once, by how many series answered before."""

    def __init__(self, points_max: int) -> None:
        self.points = min(WINDOW_POINTS_FIRST, points_max)
        self._points_max = points_max

    def learn(self, batch: Batch, step_ms: int) -> None:
        """Aim at WINDOW_SAMPLES samples the next time."""
        points = (batch.end_ms - batch.start_ms) // step_ms + 1
        each = max(1, len(batch) // points)
        self.points = max(1, min(WINDOW_SAMPLES // each, self._points_max))


@dataclass(frozen=True, slots=True)
class Past:
    """What is needed to read a detector's past into a stream of its own."""

    stream: Stream
    source: Source
    clock: Clock

    async def read(
        self, start_ms: int, end_ms: int, tell: Callable[[Judged], Awaitable[None]]
    ) -> None:
        """All instants after `start_ms`, or after what the stream knows, up to `end_ms`.

        Raises SourceError when the source refuses, or is away for longer than a few tries.
        """
        document = self.stream.document
        step_ms = document.step
        size = WindowSize(self.source.points_max)
        known_ms = self.stream.position_ms
        at_ms = (start_ms if known_ms is None else known_ms) // step_ms * step_ms + step_ms
        last_ms = end_ms // step_ms * step_ms
        while at_ms <= last_ms:
            until_ms = min(last_ms, at_ms + (size.points - 1) * step_ms)
            batch = await self._ask(at_ms, until_ms)
            now_ms = self.clock.now_ms()
            judged = await asyncio.to_thread(self.stream.step, batch, now_ms)
            size.learn(batch, step_ms)
            at_ms = batch.end_ms + step_ms
            await tell(judged)

    async def _ask(self, start_ms: int, end_ms: int) -> Batch:
        document = self.stream.document
        pause = PAUSE_FIRST_SECONDS
        for _ in range(TRIES - 1):
            try:
                return await self.source.read(document.query, start_ms, end_ms, document.step)
            except SourceUnavailable:
                await self.clock.sleep(pause)
                pause *= 2
        return await self.source.read(document.query, start_ms, end_ms, document.step)
