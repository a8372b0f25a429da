"""Reads one detector's query window by window: history, catching up and live are one loop."""

from zlib import crc32

from aiops.batcher import Batcher, Delivery
from aiops.clock import Clock
from aiops.history import WindowSize
from aiops.shard import Stream
from ingest.base import Source
from models.detector import State
from models.errors import QueryRejected, SourceError

PAUSE_FIRST_SECONDS = 1.0
PAUSE_MAX_SECONDS = 30.0
PAUSE_REJECTED_SECONDS = 60.0
SPREAD_SHARE = 0.2
"""Share of a step over which queries are spread, so that a thousand do not fire at once."""
SPREAD_ABOVE_MS = 5_000
"""Only what a step has above this counts: who asks for a short step wants no delay."""
LAG_STEPS = 3
LAG_MS = 10_000


class Collector:
    """Keeps a stream's position just behind now.

    The stream's position is the only memory: each window starts one step after it, so a window that
    failed anywhere, or was cut off by a crash, is simply read again. The newest instant is
    floor(now - delay, step). Sources without a past are asked for that instant alone.
    """

    def __init__(self, stream: Stream, source: Source, batcher: Batcher, clock: Clock) -> None:
        self.stream = stream
        self.last_error: str | None = None
        self.last_error_ms: int | None = None
        self.failing = False
        self._source = source
        self._batcher = batcher
        self._clock = clock
        self._size = WindowSize(source.points_max)

    async def run(self) -> None:
        """Read for ever."""
        pause = PAUSE_FIRST_SECONDS
        while True:
            document = self.stream.document
            start_ms, end_ms = self._window()
            if start_ms > end_ms:
                next_ms = start_ms + self._delay_ms() + self._phase_ms(document.step)
                await self._clock.sleep(max(next_ms - self._clock.now_ms(), 1) / 1000)
                continue
            try:
                batch = await self._source.read(document.query, start_ms, end_ms, document.step)
            except SourceError as failure:
                self._fail(failure.detail)
                rejected = isinstance(failure, QueryRejected)
                await self._clock.sleep(PAUSE_REJECTED_SECONDS if rejected else pause)
                pause = min(pause * 2, PAUSE_MAX_SECONDS)
                continue
            delivery = Delivery(self.stream, batch)
            await self._batcher.put(delivery)
            if error := delivery.done.exception():
                self._fail(f"{type(error).__name__}: {error}")
                raise error
            self.failing = False
            pause = PAUSE_FIRST_SECONDS
            self._size.learn(batch, document.step)

    def state(self) -> tuple[State, str]:
        """The state and its reason."""
        stream = self.stream
        if self.failing:
            return State.FAILED, self.last_error or "its source does not answer"
        if stream.position_ms is None or stream.position_ms < stream.live_after_ms:
            return State.WARMING, "reading its history"
        series = stream.series_count
        if series == 0:
            return State.RUNNING, "the query returns no series"
        lag_ms = self._clock.now_ms() - self._delay_ms() - stream.position_ms
        if lag_ms > LAG_STEPS * stream.document.step + LAG_MS:
            return State.LAGGING, f"{lag_ms / 1000:.0f} s behind, catching up"
        if stream.warming >= series:
            return State.WARMING, "no series has enough samples yet"
        return State.RUNNING, f"judging {series - stream.warming} of {series} series"

    def _window(self) -> tuple[int, int]:
        """First and last instant to ask for; first > last when nothing is due."""
        document = self.stream.document
        step_ms = document.step
        end_ms = (self._clock.now_ms() - self._delay_ms()) // step_ms * step_ms
        if not self._source.resumes:
            position_ms = self.stream.position_ms
            due = position_ms is None or position_ms < end_ms
            return (end_ms, end_ms) if due else (end_ms + step_ms, end_ms)
        position_ms = self.stream.position_ms
        if position_ms is None:
            start_ms = (self.stream.born_ms - document.history) // step_ms * step_ms + step_ms
        else:
            start_ms = position_ms + step_ms
        return start_ms, min(end_ms, start_ms + (self._size.points - 1) * step_ms)

    def _phase_ms(self, step_ms: int) -> int:
        """How long after an instant is due it is read: the same for detectors with one query, which
        then share one read."""
        code = crc32(f"{self._source.name}\n{self.stream.document.query}".encode())
        return int(max(0, step_ms - SPREAD_ABOVE_MS) * SPREAD_SHARE * code) >> 32

    def _delay_ms(self) -> int:
        """A source without a past has nothing that could still be on its way."""
        return self.stream.document.delay if self._source.resumes else 0

    def _fail(self, reason: str) -> None:
        self.failing = True
        self.last_error = reason
        self.last_error_ms = self._clock.now_ms()
