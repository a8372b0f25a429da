"""The live feed: one message, many readers, none of them waited for."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from aiops.shard import Judged
from aiops.store.records import FeedMessage
from models.feed import Message, Subscription
from models.labels import Labels
from models.timestamps import format_timestamp

SCORES_PER_MESSAGE = 1_000
"""Series in one `scores/…` message; the rest is counted in `left_out`."""


@dataclass(slots=True)
class FeedCounters:
    """What became of the messages."""

    published: int = 0
    slow_readers: int = 0
    """Readers disconnected because they did not keep up."""


class Reader:
    """One connection's queue of at most `queue_max` messages."""

    def __init__(self, queue_max: int) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self._queue: asyncio.Queue[Message] = asyncio.Queue(queue_max)
        self._overflow = asyncio.Event()

    def offer(self, message: Message) -> bool:
        """Queue the message if it is subscribed to; False when this makes the reader too slow."""
        subscription = self.subscriptions.get(message.topic)
        if self._overflow.is_set() or subscription is None or not subscription.wants(message):
            return True
        if self._queue.full():
            self._overflow.set()
            return False
        self._queue.put_nowait(message)
        return True

    async def next(self) -> Message:
        """The next message."""
        return await self._queue.get()

    async def overflow(self) -> None:
        """Return once the reader was too slow; it gets nothing more."""
        await self._overflow.wait()


class Feed:
    """Fans messages out to readers. `feed_id` names the log that the cursors count in."""

    def __init__(self, feed_id: str, newest: int, *, queue_max: int, readers_max: int) -> None:
        self.counters = FeedCounters()
        self._feed_id = feed_id
        self._newest = newest
        self._queue_max = queue_max
        self._readers_max = readers_max
        self._readers: set[Reader] = set()

    @property
    def readers(self) -> int:
        """Open connections."""
        return len(self._readers)

    @property
    def cursor(self) -> str:
        """The place after the newest message."""
        return self.cursor_of(self._newest)

    def cursor_of(self, number: int) -> str:
        """The text of a place in the log."""
        return f"{self._feed_id}-{number}"

    def number_of(self, cursor: str) -> int | None:
        """The place that a cursor names; None when it is of another log, or nonsense."""
        feed_id, _, number = cursor.rpartition("-")
        return int(number) if feed_id == self._feed_id and number.isdecimal() else None

    def open(self) -> Reader | None:
        """A new reader, or None when there are as many as may be."""
        if len(self._readers) >= self._readers_max:
            return None
        reader = Reader(self._queue_max)
        self._readers.add(reader)
        return reader

    def close(self, reader: Reader) -> None:
        """Forget a reader."""
        self._readers.discard(reader)

    def publish(self, messages: Sequence[FeedMessage]) -> None:
        """Tell what the store has logged."""
        for message in messages:
            self._newest = message.cursor
            self._offer(self.told(message))

    def told(self, message: FeedMessage) -> Message:
        """A logged message as readers get it."""
        return Message(message.topic, self.cursor_of(message.cursor), message.data)

    def take(self, judged: Judged) -> None:
        """Tell a batch's newest scores to those who watch that detector; they are not kept."""
        topic = f"scores/{judged.detector.name}"
        if any(topic in reader.subscriptions for reader in self._readers) and judged.live.any():
            self._offer(Message(topic, self.cursor, _scores(judged)))

    def end(self, detector: str, at_ms: int) -> None:
        """Nothing is kept of a detector here."""

    def _offer(self, message: Message) -> None:
        self.counters.published += 1
        for reader in list(self._readers):
            if not reader.offer(message):
                self.counters.slow_readers += 1


def _scores(judged: Judged) -> dict[str, object]:
    moment = judged.moment
    newest = judged.rows.timestamps_ms == moment.end_ms
    chosen = newest.nonzero()[0]
    scores = judged.scores
    columns = (judged.rows.values, scores.score, scores.expected, scores.lower, scores.upper)
    series: list[dict[str, object]] = []
    for i in chosen[:SCORES_PER_MESSAGE].tolist():
        labels = judged.labels[judged.rows.rows[i]] or Labels({})
        numbers = (None if math.isnan(c[i]) else float(c[i]) for c in columns)
        names = ("y", "anomaly_score", "yhat", "yhat_lower", "yhat_upper")
        series.append({"labels": dict(labels), **dict(zip(names, numbers, strict=True))})
    return {
        "detector": judged.detector.name,
        "sample_at": format_timestamp(moment.end_ms),
        "received_at": format_timestamp(moment.received_ms),
        "scored_at": format_timestamp(moment.scored_ms),
        "series": series,
        "left_out": max(0, len(chosen) - SCORES_PER_MESSAGE),
    }
