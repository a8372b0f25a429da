import asyncio

import pytest

from aiops.batcher import Batcher, Delivery
from aiops.clock import ManualClock
from aiops.collector import Collector
from ingest.base import Source
from models.detector import State
from models.errors import QueryRejected, SourceUnavailable
from models.settings import Limits
from tests.batches import sample_batch, stream

NOW_MS = 1_000_000


class Recorded(Source):
    """One series with a sample at every instant; remembers the windows it was asked for."""

    resumes = True
    points_max = 50

    def __init__(self):
        super().__init__("recorded")
        self.asked = []
        self.errors = []

    async def read(self, query, start_ms, end_ms, step_ms):
        if self.errors and (error := self.errors.pop(0)):
            raise error
        self.asked.append((start_ms // 1000, end_ms // 1000))
        times = range(start_ms, end_ms + 1, step_ms)
        return sample_batch({"a": {t: float(t % 7) for t in times}}, start_ms, end_ms)

    async def check(self, query): ...
    async def health(self): ...
    async def close(self): ...


class Instant(Recorded):
    resumes = False
    points_max = 1


class Room:
    """A collector with a pipeline that judges whatever comes."""

    def __init__(self, source):
        self.clock = ManualClock(NOW_MS + 200)  # Reads are spread over a part of a step.
        self.batcher = Batcher(1_000_000)
        self.stream = stream(live_after_ms=NOW_MS - 1000)
        self.source = source
        self.collector = Collector(self.stream, source, self.batcher, self.clock)
        self.broken = None

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(self.judge()), asyncio.create_task(self.collector.run())]
        await self.clock.advance(0)
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def judge(self):
        while True:
            async with await self.batcher.take() as delivery:
                if self.broken:
                    raise self.broken
                delivery.stream.step(delivery.batch, 0)


def test_history_is_read_oldest_first_in_bounded_windows_then_live_step_by_step():
    async def scenario():
        async with Room(Recorded()) as room:
            assert room.source.asked == [(940, 989), (990, 999)]
            await room.clock.advance(3)
            assert room.source.asked[2:] == [(1000, 1000), (1001, 1001), (1002, 1002)]
            assert room.collector.state()[0] is State.RUNNING

    asyncio.run(scenario())


def test_after_an_outage_the_gap_is_caught_up():
    async def scenario():
        async with Room(Recorded()) as room:
            room.source.errors = [SourceUnavailable("no route")] * 3
            await room.clock.advance(1)
            assert room.collector.state() == (State.FAILED, "no route")
            await room.clock.advance(30)
            assert room.source.asked[2][0] == 1000
            assert room.stream.position_ms == NOW_MS + 31_000 - 1000
            assert room.collector.state()[0] is State.RUNNING
            assert room.collector.last_error == "no route"

    asyncio.run(scenario())


def test_a_rejected_query_is_asked_rarely():
    async def scenario():
        async with Room(Recorded()) as room:
            room.source.errors = [QueryRejected("parse error")] * 100
            await room.clock.advance(120)
            assert len(room.source.errors) == 98
            assert room.collector.state() == (State.FAILED, "parse error")

    asyncio.run(scenario())


def test_a_source_without_a_past_is_asked_for_now_alone():
    async def scenario():
        async with Room(Instant()) as room:
            await room.clock.advance(3)
            assert room.source.asked == [(1000, 1000), (1001, 1001), (1002, 1002), (1003, 1003)]

    asyncio.run(scenario())


def test_a_window_that_broke_on_the_road_is_told_and_the_position_stays():
    async def scenario():
        async with Room(Recorded()) as room:
            position_ms = room.stream.position_ms
            room.broken = ZeroDivisionError("our bug")
            await room.clock.advance(1)
            with pytest.raises(ZeroDivisionError):
                await room.tasks[1]
            assert room.stream.position_ms == position_ms
            assert room.collector.state() == (State.FAILED, "ZeroDivisionError: our bug")

    asyncio.run(scenario())


def test_far_behind_is_lagging_and_before_live_is_warming():
    room = Room(Recorded())
    assert room.collector.state()[0] is State.WARMING
    room.stream.step(sample_batch({"a": {NOW_MS - 500_000: 1.0}}, 0, NOW_MS - 500_000), 0)
    assert room.collector.state() == (State.WARMING, "reading its history")
    room.stream.live_after_ms = 0
    assert room.collector.state()[0] is State.LAGGING


def test_the_batcher_is_bounded_and_a_stopped_reader_leaves_nothing():
    async def scenario():
        batcher = Batcher(10)
        made = stream(limits=Limits())
        batches = [sample_batch({"a": dict.fromkeys(range(6), 1.0)}, 0, 6) for _ in range(3)]
        puts = [asyncio.create_task(batcher.put(Delivery(made, b))) for b in batches]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert batcher.samples == 6
        puts[0].cancel()
        await asyncio.gather(puts[0], return_exceptions=True)
        assert (await batcher.take()).batch is batches[1]
        for put in puts:
            put.cancel()
        await asyncio.gather(*puts, return_exceptions=True)

    asyncio.run(scenario())
