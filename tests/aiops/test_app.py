import asyncio
import math
import threading
import time

import pytest

from aiops.app import Engine
from aiops.clock import SystemClock
from aiops.shard import stream_state
from aiops.snapshot import SnapshotFolder
from models.anomaly import AnomalyFilter
from models.errors import InvalidInput
from models.settings import Settings
from models.validation import parse
from tests.upstream import FakePrometheus


@pytest.fixture
def prometheus():
    server = FakePrometheus()
    server.jump = math.inf
    server.series = {(("host", "a"),): lambda t: 100.0 if t >= server.jump else 10 + t % 3}
    yield server
    server.close()


def settings(prometheus):
    source = {"type": "prometheus", "name": "prom", "url": prometheus.url}
    detector = {
        "name": "load", "source": "prom", "query": "load", "step": "1s", "delay": "0s",
        "history": "40s", "model": {"kind": "mad", "window": "1m", "warmup": 10},
    }  # fmt: skip
    return parse(Settings, {"sources": [source], "detectors": [detector]})


async def until(probe):
    async with asyncio.timeout(15):
        while not probe():
            await asyncio.sleep(0.02)


def test_what_is_judged_while_the_engine_stops_is_told_before_it_is_saved(prometheus, tmp_path):
    async def scenario():
        engine = Engine(settings(prometheus), tmp_path, SystemClock())
        await engine.start()
        stream = engine.shard.streams["load"]
        await until(lambda: engine.registry.status("load").state == "running")
        judging = threading.Event()
        step = stream.step

        def slow_step(batch, scored_ms):
            judged = step(batch, scored_ms)
            if judged.anomalies:
                judging.set()
                time.sleep(0.5)
            return judged

        stream.step = slow_step
        prometheus.jump = int(time.time())
        await until(judging.is_set)
        assert await engine.anomalies.listing(AnomalyFilter(), 9, None) == []
        await engine.stop()

    asyncio.run(scenario())
    saved = stream_state(SnapshotFolder(tmp_path / "snapshots", 3).newest().arrays, "load")
    assert b"started_ms" in saved["decide/episodes"].tobytes()

    async def again():
        engine = Engine(settings(prometheus), tmp_path, SystemClock())
        (told,) = await engine.anomalies.listing(AnomalyFilter(), 9, None)
        assert told.state == "open"
        await engine.stop()

    asyncio.run(again())


def test_an_engine_stopped_before_it_has_restored_leaves_the_snapshots_alone(prometheus, tmp_path):
    async def run(start):
        engine = Engine(settings(prometheus), tmp_path, SystemClock())
        if start:
            await engine.start()
            await until(lambda: engine.registry.status("load").state == "running")
        await engine.stop()
        return SnapshotFolder(tmp_path / "snapshots", 3).newest().path

    saved = asyncio.run(run(start=True))
    assert asyncio.run(run(start=False)) == saved


def test_a_detector_that_is_replaced_never_looks_failed(prometheus, tmp_path):
    async def scenario():
        engine = Engine(settings(prometheus), tmp_path, SystemClock())
        await engine.start()
        seen = set()

        async def watch():
            while True:
                seen.update(s.state for s in engine.registry.statuses())
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        document = engine.registry.get("load").model_copy(update={"name": "other"})
        for query in ("a", "b", "c"):
            await engine.registry.put(document.model_copy(update={"query": query}))
        watching.cancel()
        assert "failed" not in seen
        await engine.stop()

    asyncio.run(scenario())


def test_a_storage_path_serves_one_engine(prometheus, tmp_path):
    async def scenario():
        engine = Engine(settings(prometheus), tmp_path, SystemClock())
        with pytest.raises(InvalidInput, match="in use by another engine"):
            Engine(settings(prometheus), tmp_path, SystemClock())
        await engine.stop()

    asyncio.run(scenario())
