"""The feed's memory: what was told while a reader was away."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiops.sinks.feed import Feed, Reader
from aiops.store.records import FeedMessage, Store
from models.anomaly import Anomaly
from models.feed import Message, Missed

PAGE = 500


class FeedLog:
    """The live feed and the log behind it, as one."""

    def __init__(self, feed: Feed, store: Store, messages_max: int) -> None:
        self._feed = feed
        self._store = store
        self._messages_max = messages_max
        # Messages must be told in the order of their cursors, whoever writes them.
        self._telling = asyncio.Lock()

    @property
    def cursor(self) -> str:
        """The place after the newest message."""
        return self._feed.cursor

    def open(self) -> Reader | None:
        """A new reader, or None when there are as many as may be."""
        return self._feed.open()

    def close(self, reader: Reader) -> None:
        """Forget a reader."""
        self._feed.close(reader)

    async def append(self, topic: str, data: dict[str, Any]) -> None:
        """Log a message, then tell it."""
        async with self._telling:
            message = await asyncio.to_thread(self._store.append, topic, data, self._messages_max)
            self._feed.publish([message])

    async def record(self, anomalies: Sequence[Anomaly]) -> list[FeedMessage]:
        """Store anomalies, then tell those that were not told before; gives them back."""
        async with self._telling:
            fresh = await asyncio.to_thread(self._store.record, anomalies, self._messages_max)
            self._feed.publish(fresh)
            return fresh

    async def missed(self, since: str) -> Missed:
        """What was told after cursor `since` and up to now.

        Readers that subscribed before this call get what comes later live: together that is all,
        once.
        """
        newest = self._feed.number_of(self._feed.cursor)
        assert newest is not None
        oldest, _ = await asyncio.to_thread(self._store.feed_bounds)
        number = self._feed.number_of(since)
        if number is None:
            return Missed("the cursor is of another feed", self._messages(oldest - 1, newest))
        if number < oldest - 1:
            return Missed("older messages are gone", self._messages(oldest - 1, newest))
        if number > newest:
            return Missed("the cursor is ahead of this feed", self._messages(newest, newest))
        return Missed(None, self._messages(number, newest))

    async def _messages(self, after: int, upto: int) -> AsyncIterator[Message]:
        while after < upto:
            page = await asyncio.to_thread(self._store.feed_after, after, PAGE)
            for message in page:
                if message.cursor > upto:
                    return
                yield self._feed.told(message)
            if not page:
                return
            after = page[-1].cursor
