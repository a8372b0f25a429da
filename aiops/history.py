"""Reads a stretch of the past into a stream, window by window, as the collector does when live."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from aiops.clock import Clock
from aiops.shard import Judged, Stream
from ingest.base import Source
from models.columns import Batch
from models.detector import Detector
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


async def read_windows(
    source: Source, document: Detector, clock: Clock, after_ms: int, end_ms: int
) -> AsyncIterator[Batch]:
    """What the source answers for all instants after `after_ms`, up to `end_ms`, oldest first.

    Raises SourceError when it refuses, or is away for longer than a few tries.
    """
    step_ms = document.step
    size = WindowSize(source.points_max)
    at_ms = after_ms // step_ms * step_ms + step_ms
    last_ms = end_ms // step_ms * step_ms
    while at_ms <= last_ms:
        until_ms = min(last_ms, at_ms + (size.points - 1) * step_ms)
        batch = await _ask(source, document, clock, at_ms, until_ms)
        size.learn(batch, step_ms)
        at_ms = batch.end_ms + step_ms
        yield batch


async def _ask(
    source: Source, document: Detector, clock: Clock, start_ms: int, end_ms: int
) -> Batch:
    pause = PAUSE_FIRST_SECONDS
    for _ in range(TRIES - 1):
        try:
            return await source.read(document.query, start_ms, end_ms, document.step)
        except SourceUnavailable:
            await clock.sleep(pause)
            pause *= 2
    return await source.read(document.query, start_ms, end_ms, document.step)


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
        known_ms = self.stream.position_ms
        after_ms = start_ms if known_ms is None else known_ms
        document = self.stream.document
        async for batch in read_windows(self.source, document, self.clock, after_ms, end_ms):
            await tell(await asyncio.to_thread(self.stream.step, batch, self.clock.now_ms()))
