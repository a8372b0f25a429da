"""Scores and bands back to Prometheus by remote-write 1.0, with the samples' own timestamps."""

import asyncio
import random
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import cramjam
import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from aiops.clock import Clock
from aiops.shard import Judged
from aiops.sinks.base import FAMILIES, OutputSeries, Packed, output_columns
from aiops.sinks.prompb import encode_head, encode_labels, encode_tail, write_samples
from ingest.http import HttpClient, retry_after_seconds
from models.columns import STALE, Floats, Rows
from models.errors import SourceUnavailable
from models.labels import METRIC_NAME
from models.settings import RemoteWriteOutput

PAUSE_FIRST_SECONDS = 0.03
PAUSE_MAX_SECONDS = 5.0
NEVER_LATER = ("too old sample", "out of order", "out of bounds", "duplicate sample")
"""Words with which a receiver says that asking again cannot help. Prometheus 2.42 answers
`too old sample` with status 500, which would otherwise be tried for ever."""
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}

log = structlog.get_logger()


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """Encoded series of one detector and one instant: the smallest part that is sent alone."""

    samples: int
    body: bytes


@dataclass(slots=True)
class WriteCounters:
    """What became of the samples."""

    sent: int = 0
    dropped: int = 0
    """Given up because the queue was full."""
    refused: int = 0
    """Given up because the receiver said that they are wrong or too old."""
    retries: int = 0


class RemoteWrite:
    """One receiver. Samples wait in a bounded queue until they are acknowledged.

    Requests go out one after another, in order of time. A request that is refused for good is
    halved until the culprit is alone, so that one old sample does not cost the others.
    What waits is part of the engine's state: after a crash it is sent again.
    """

    def __init__(
        self, settings: RemoteWriteOutput, http: HttpClient, clock: Clock, rng: random.Random
    ) -> None:
        self.counters = WriteCounters()
        self.last_error: str | None = None
        self.pending = 0
        """Samples not acknowledged yet."""
        self.url = str(settings.url)
        self.key = f"remote_write/{blake2b(self.url.encode(), digest_size=8).hexdigest()}"
        self._settings = settings
        self._http = http
        self._clock = clock
        self._rng = rng
        self._series: dict[str, OutputSeries] = {}
        self._queue: deque[Chunk] = deque()
        self._sending: list[Chunk] = []
        self._waiting = asyncio.Event()

    def take(self, judged: Judged) -> None:
        """Queue the batch, instant by instant."""
        series = self._series.setdefault(judged.detector.name, OutputSeries(_encode))
        series.add(judged)
        columns = output_columns(judged)
        times, firsts = np.unique(judged.rows.timestamps_ms, return_index=True)
        edges = [*firsts.tolist(), len(judged.rows)]
        for k, at_ms in enumerate(times.tolist()):
            if judged.live[edges[k]]:
                here = slice(edges[k], edges[k + 1])
                self._enqueue(series.packed(), judged.rows.rows[here], columns[:, here], at_ms)
        ended = series.end(judged)
        if judged.moment.end_ms > judged.moment.live_after_ms:
            self._mark_stale(ended, judged.moment.end_ms)

    def end(self, detector: str, at_ms: int) -> None:
        """Send stale markers, or the last score would be seen for five more minutes."""
        series = self._series.pop(detector, None)
        if series is not None:
            self._mark_stale(list(series.encoded.values()), at_ms)

    async def run(self) -> None:
        """Send for ever."""
        self._queue.extendleft(reversed(self._sending))
        self._sending = []
        while True:
            while not self._queue:
                self._waiting.clear()
                await self._waiting.wait()
            size = 0
            while self._queue and (
                size == 0 or size + self._queue[0].samples <= self._settings.request_samples_max
            ):
                self._sending.append(self._queue.popleft())
                size += self._sending[-1].samples
            await self._send(self._sending)
            self.pending -= size
            self._sending = []

    async def close(self) -> None:
        """End open connections; what waits stays in the state."""
        await self._http.close()

    def state(self) -> dict[str, NDArray[Any]]:
        """What waits, so that it is sent after a crash."""
        waiting = msgspec.msgpack.encode([*self._sending, *self._queue])
        return {self.key: np.frombuffer(waiting, np.uint8)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Queue what waited then."""
        if self.key in state:
            chunks = msgspec.msgpack.decode(state[self.key].tobytes(), type=list[Chunk])
            self._queue.extend(chunks)
            self.pending += sum(chunk.samples for chunk in chunks)
            self._waiting.set()

    def _mark_stale(self, groups: Collection[tuple[bytes, ...]], at_ms: int) -> None:
        """Queue a stale marker for each series of these rows."""
        marker = np.array([STALE]).tobytes() + encode_tail(at_ms)
        heads = [head for group in groups for head in group]
        most = self._settings.request_samples_max
        for first in range(0, len(heads), most):
            part = heads[first : first + most]
            self._put(len(part), b"".join(piece for head in part for piece in (head, marker)))

    def _enqueue(self, packed: Packed, rows: Rows, columns: Floats, at_ms: int) -> None:
        """Queue one instant's samples. columns: (5, n); NaN is nothing to send."""
        tail = np.frombuffer(encode_tail(at_ms), np.uint8)
        most = max(1, self._settings.request_samples_max // len(FAMILIES))
        for first in range(0, len(rows), most):
            part = packed.place[rows[first : first + most]]
            words = np.ascontiguousarray(columns[:, first : first + most]).view(np.uint64)
            sizes = packed.edges[len(FAMILIES) * (part + 1)] - packed.edges[len(FAMILIES) * part]
            samples = len(part) * len(FAMILIES)
            body = np.empty(int(sizes.sum()) + samples * (8 + len(tail)), np.uint8)
            size, samples = write_samples(body, part, words, packed.texts, packed.edges, tail)
            self._put(samples, body[:size].tobytes())

    def _put(self, samples: int, body: bytes) -> None:
        """Queue a chunk; the oldest ones go when there is no room."""
        if samples == 0:
            return
        self._queue.append(Chunk(samples, body))
        self.pending += samples
        while self._queue and self.pending > self._settings.queue_samples_max:
            lost = self._queue.popleft().samples
            self.counters.dropped += lost
            self.pending -= lost
        self._waiting.set()

    async def _send(self, chunks: list[Chunk]) -> None:
        """Until they are acknowledged or refused for good."""
        body = bytes(cramjam.snappy.compress_raw(b"".join(chunk.body for chunk in chunks)))
        samples = sum(chunk.samples for chunk in chunks)
        pause = PAUSE_FIRST_SECONDS
        while True:
            asked = 0.0
            try:
                answer = await self._http.send("POST", self.url, body=body, headers=HEADERS)
            except SourceUnavailable as error:
                reason = error.detail
            else:
                if answer.status < 300:
                    self.counters.sent += samples
                    self.last_error = None
                    return
                reason = f"HTTP {answer.status}: {answer.text}"
                again = answer.status == 429 or answer.status >= 500
                if not again or any(words in answer.text for words in NEVER_LATER):
                    await self._give_up(chunks, reason)
                    return
                asked = retry_after_seconds(answer.headers, self._clock.now_ms())
            if self.last_error is None:
                log.warning("remote write waits", url=self.url, reason=reason)
            self.last_error = reason
            self.counters.retries += 1
            await self._clock.sleep(max(asked, pause * self._rng.uniform(0.5, 1.0)))
            pause = min(pause * 2, PAUSE_MAX_SECONDS)

    async def _give_up(self, chunks: list[Chunk], reason: str) -> None:
        if len(chunks) > 1:
            middle = len(chunks) // 2
            await self._send(chunks[:middle])
            await self._send(chunks[middle:])
            return
        self.counters.refused += chunks[0].samples
        if self.last_error is None:
            log.warning("remote write refused", url=self.url, reason=reason)
        self.last_error = reason


def _encode(labels: dict[str, str]) -> tuple[bytes, ...]:
    return tuple(encode_head(encode_labels(labels | {METRIC_NAME: name})) for name in FAMILIES)
