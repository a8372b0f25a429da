import asyncio

import pytest

from ingest.base import Source
from ingest.shared_reads import KEPT_MS, SAMPLES_MAX, SharedReads
from models.errors import SourceUnavailable
from tests.batches import sample_batch


class Counted(Source):
    resumes = True
    points_max = 77

    def __init__(self):
        super().__init__("counted")
        self.asked = []
        self.error = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, query, start_ms, end_ms, step_ms):
        self.asked.append((query, start_ms))
        await self.gate.wait()
        if self.error:
            raise self.error
        return sample_batch({"a": {start_ms: 1.0}}, start_ms, end_ms)

    async def check(self, query): ...
    async def health(self): ...
    async def close(self): ...


class Room:
    def __init__(self):
        self.now_ms = 0
        self.source = Counted()
        self.shared = SharedReads(self.source, lambda: self.now_ms)

    async def read(self, query="up", start_ms=1000):
        return await self.shared.read(query, start_ms, start_ms, 1000)


def test_one_window_asked_for_by_many_is_read_once():
    async def scenario():
        room = Room()
        room.source.gate.clear()
        asking = [asyncio.create_task(room.read()) for _ in range(5)]
        await asyncio.sleep(0)
        room.source.gate.set()
        batches = await asyncio.gather(*asking)
        assert len({id(batch) for batch in batches}) == 1
        assert await room.read() is batches[0]
        assert (room.shared.counters.reads, room.shared.counters.shared) == (1, 5)
        await room.read("other")
        await room.read(start_ms=2000)
        assert len(room.source.asked) == 3
        assert room.shared.points_max == 77

    asyncio.run(scenario())


def test_who_stops_waiting_does_not_stop_the_others():
    async def scenario():
        room = Room()
        room.source.gate.clear()
        first, second = (asyncio.create_task(room.read()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        room.source.gate.set()
        assert len(await second) == 1

    asyncio.run(scenario())


def test_a_failure_is_told_to_all_who_wait_and_then_tried_again():
    async def scenario():
        room = Room()
        room.source.error = SourceUnavailable("away")
        results = await asyncio.gather(room.read(), room.read(), return_exceptions=True)
        assert [str(error) for error in results] == ["away", "away"]
        room.source.error = None
        assert len(await room.read()) == 1
        assert len(room.source.asked) == 2

    asyncio.run(scenario())


def test_what_is_remembered_is_bounded_in_time_and_size():
    async def scenario():
        room = Room()
        await room.read()
        room.now_ms += KEPT_MS + 1
        await room.read()
        assert len(room.source.asked) == 2
        for k in range(SAMPLES_MAX // 50 + 10):
            await room.read(start_ms=(k + 5) * 1000)
        assert len(room.shared._known) <= SAMPLES_MAX // 50
        assert room.shared._size <= SAMPLES_MAX

    asyncio.run(scenario())


def test_closing_ends_what_is_under_way():
    async def scenario():
        room = Room()
        room.source.gate.clear()
        asking = asyncio.create_task(room.read())
        await asyncio.sleep(0)
        await room.shared.close()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(scenario())
