"""The bounded queue between reading and scoring."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiops.shard import Stream
from models.columns import Batch


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """A batch on its way to its stream; `done` tells the reader how it went.

    As a context manager it hands what goes wrong to the reader, who can read the window again; so
    one stream's trouble does not stop the road for others.
    """

    stream: Stream
    batch: Batch
    done: asyncio.Future[None] = field(default_factory=asyncio.Future)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            elif isinstance(error, Exception):
                self.done.set_exception(error)
            else:
                self.done.cancel()
        return isinstance(error, Exception)


class Batcher:
    """Deliveries in order of arrival, at most `samples_max` samples of them."""

    def __init__(self, samples_max: int) -> None:
        self.samples = 0
        self._samples_max = samples_max
        self._queue: deque[Delivery] = deque()
        self._changed = asyncio.Condition()

    async def put(self, delivery: Delivery) -> None:
        """Wait for room, queue, and wait until `done` says how it went.

        A batch larger than the whole queue goes in when the queue is empty.
        """
        size = len(delivery.batch)
        async with self._changed:
            await self._changed.wait_for(
                lambda: self.samples + size <= self._samples_max or not self._queue
            )
            self._queue.append(delivery)
            self.samples += size
            self._changed.notify_all()
        try:
            await asyncio.wait([delivery.done])
        finally:
            delivery.done.cancel()  # Does nothing once it is done; else its reader was stopped.

    async def take(self) -> Delivery:
        """The oldest delivery whose reader still waits for it."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._queue))
                delivery = self._queue.popleft()
                self.samples -= len(delivery.batch)
                self._changed.notify_all()
            if not delivery.done.done():
                return delivery
