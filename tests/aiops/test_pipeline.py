import asyncio
import threading

from aiops.batcher import Batcher, Delivery
from aiops.clock import ManualClock
from aiops.feed_log import FeedLog
from aiops.pipeline import Pipeline
from aiops.shard import Shard
from aiops.sinks.feed import Feed
from aiops.store.records import Store, sqlite_url
from tests.aiops.test_store import anomaly
from tests.batches import sample_batch, stream


class Recorder:
    def __init__(self):
        self.taken = []
        self.ended = []

    def take(self, judged):
        self.taken.append(judged)

    def end(self, detector, at_ms):
        self.ended.append((detector, at_ms))


class Road:
    """A pipeline over a real store, with a clock that the test turns."""

    def __init__(self, folder, threads=1):
        self.clock = ManualClock(1_000_000)
        self.store = Store(sqlite_url(folder))
        self.feed = Feed(self.store.feed_id, 0, queue_max=10_000, readers_max=9)
        self.shard = Shard()
        self.batcher = Batcher(1_000)
        self.sink = Recorder()
        self.pipeline = Pipeline(
            shard=self.shard,
            batcher=self.batcher,
            feed_log=FeedLog(self.feed, self.store, 10_000),
            sinks=[self.sink],
            clock=self.clock,
            threads=threads,
        )

    def limit_pages(self, pages):
        with self.store._transaction() as connection:
            current = connection.exec_driver_sql("pragma page_count").scalar()
            connection.exec_driver_sql(f"pragma max_page_count = {pages or current}")

    def close(self):
        self.pipeline.close()
        self.store.close()


async def until(clock, probe):
    """Turn the clock until it holds; threads get real time in between."""
    for _ in range(500):
        if probe():
            return
        await clock.advance(1)
        await asyncio.sleep(0.01)
    raise AssertionError("never came")


def test_with_a_full_disk_the_road_waits_and_nothing_is_lost_or_told_twice(tmp_path):
    async def scenario():
        road = Road(tmp_path)
        road.limit_pages(None)
        told = asyncio.create_task(road.pipeline.tell([anomaly(f"a{k}", 1000) for k in range(300)]))
        await until(road.clock, lambda: road.pipeline.counters.store_failures >= 2)
        assert "full" in road.pipeline.store_error
        assert road.feed.cursor.endswith("-0")
        road.limit_pages(1_000_000)
        await until(road.clock, told.done)
        assert road.pipeline.store_error is None
        assert road.pipeline.counters.anomalies == 300
        assert road.store.feed_bounds() == (1, 300)
        road.close()

    asyncio.run(scenario())


def test_a_batch_for_a_stream_that_is_gone_is_passed_over(tmp_path):
    async def scenario():
        road = Road(tmp_path)
        kept, gone = stream(name="kept"), stream(name="gone")
        road.shard.streams = {"kept": kept}
        running = asyncio.create_task(road.pipeline.run())
        batch = sample_batch({"a": {1000: 1.0}}, 1000, 1000)
        for made in (gone, kept):
            await road.batcher.put(Delivery(made, batch))
        assert (gone.position_ms, kept.position_ms) == (None, 1000)
        assert [judged.detector.name for judged in road.sink.taken] == ["kept"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        road.close()

    asyncio.run(scenario())


def test_one_streams_trouble_does_not_stop_the_others(tmp_path):
    async def scenario():
        road = Road(tmp_path)
        good, bad = stream(name="good"), stream(name="bad")
        bad.scoring = None
        road.shard.streams = {"good": good, "bad": bad}
        running = asyncio.create_task(road.pipeline.run())
        batch = sample_batch({"a": {1000: 1.0}}, 1000, 1000)
        broken = Delivery(bad, batch)
        await road.batcher.put(broken)
        assert isinstance(broken.done.exception(), AttributeError)
        await road.batcher.put(Delivery(good, batch))
        assert good.position_ms == 1000
        road.pipeline.end("good", 1000)
        assert road.sink.ended == [("good", 1001)]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        road.close()

    asyncio.run(scenario())


class Gate:
    """A scoring whose step waits at a barrier."""

    def __init__(self, scoring, barrier):
        self._scoring = scoring
        self._barrier = barrier

    def __getattr__(self, name):
        return getattr(self._scoring, name)

    def step(self, rows):
        self._barrier.wait(timeout=20)
        return self._scoring.step(rows)


def test_with_two_threads_two_streams_are_judged_side_by_side(tmp_path):
    async def scenario():
        road = Road(tmp_path, threads=2)
        streams = {name: stream(name=name) for name in ("one", "two")}
        barrier = threading.Barrier(2)
        for made in streams.values():
            made.scoring = Gate(made.scoring, barrier)
        road.shard.streams = streams
        running = asyncio.create_task(road.pipeline.run())
        batch = sample_batch({"a": {1000: 1.0}}, 1000, 1000)
        await asyncio.gather(
            *(road.batcher.put(Delivery(made, batch)) for made in streams.values())
        )
        assert [made.position_ms for made in streams.values()] == [1000, 1000]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        road.close()

    asyncio.run(scenario())


def test_who_is_alone_meets_no_batch_on_the_road(tmp_path):
    async def scenario():
        road = Road(tmp_path, threads=2)
        streams = {name: stream(name=name) for name in ("one", "two")}
        gate = threading.Barrier(2)
        streams["one"].scoring = Gate(streams["one"].scoring, gate)
        road.shard.streams = streams
        running = asyncio.create_task(road.pipeline.run())
        batch = sample_batch({"a": {1000: 1.0}}, 1000, 1000)
        first = asyncio.create_task(road.batcher.put(Delivery(streams["one"], batch)))
        while not gate.n_waiting:
            await asyncio.sleep(0.001)

        async def touch():
            async with road.pipeline.alone():
                return [made.position_ms for made in streams.values()]

        touching = asyncio.create_task(touch())
        await asyncio.sleep(0)
        second = asyncio.create_task(road.batcher.put(Delivery(streams["two"], batch)))
        await asyncio.sleep(0.05)
        assert not touching.done()
        assert streams["two"].position_ms is None
        await asyncio.to_thread(gate.wait, 20)
        assert await touching == [1000, None]
        await asyncio.gather(first, second)
        assert streams["two"].position_ms == 1000
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        road.close()

    asyncio.run(scenario())
