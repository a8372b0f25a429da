import asyncio
import time

import numpy as np
import pytest

import aiops.jobs
from aiops.app import Engine
from aiops.clock import SystemClock
from models.job import Training
from models.settings import Settings
from models.validation import parse
from tests.batches import stream, window
from tests.upstream import FakePrometheus

SECONDS = 60_000


@pytest.fixture
def prometheus():
    server = FakePrometheus()
    server.series = {(("host", "a"),): lambda t: 10 + t % 7}
    yield server
    server.close()


def settings(prometheus):
    source = {"type": "prometheus", "name": "prom", "url": prometheus.url}
    detector = {
        "name": "load", "source": "prom", "query": "load", "step": "1s", "delay": "0s",
        "history": "20s", "model": {"kind": "mad", "window": "1m", "warmup": 10},
    }  # fmt: skip
    return parse(Settings, {"sources": [source], "detectors": [detector]})


async def until(probe):
    async with asyncio.timeout(30):
        while not probe():
            await asyncio.sleep(0.02)


def test_a_training_that_was_cut_off_goes_on_where_it_was(prometheus, tmp_path, monkeypatch):
    monkeypatch.setattr(aiops.jobs, "CHECKPOINT_MS", 0)
    end = int(time.time())
    asked = Training(start=(end - SECONDS) * 1_000, end=end * 1_000)
    slow = prometheus.answer
    first_asked = []

    async def cut_off():
        engine = Engine(settings(prometheus), tmp_path, SystemClock())
        await engine.start()
        prometheus.answer = lambda request: (time.sleep(0.3), slow(request))[1]
        job = await engine.jobs.train("load", asked)
        await until(lambda: engine.jobs.get(job.id).progress > 0.2)
        await engine.stop()
        prometheus.answer = slow
        return job.id

    async def go_on(job_id):
        prometheus.requests.clear()
        engine = Engine(settings(prometheus), tmp_path, SystemClock())
        await engine.start()
        await until(lambda: engine.jobs.get(job_id).over)
        job = engine.jobs.get(job_id)
        starts = [float(r.parameters["start"]) for r in prometheus.requests if r.parameters]
        first_asked.append(min(start for start in starts))
        await engine.stop()
        return job

    job_id = asyncio.run(cut_off())
    job = asyncio.run(go_on(job_id))
    assert (job.state, job.error) == ("done", None)
    assert job.result["samples"] == SECONDS
    assert first_asked[0] > end - SECONDS + 0.15 * SECONDS
    assert not list((tmp_path / "jobs").glob("*"))


def test_what_a_source_refuses_fails_the_job_and_nothing_else(prometheus, tmp_path):
    async def scenario():
        engine = Engine(settings(prometheus), tmp_path, SystemClock())
        await engine.start()
        answer = prometheus.answer
        old = engine.clock.now_ms() // 1_000 - 500

        def refuse(request):
            if float(request.parameters.get("start", 1e12)) < old:
                return 400, {}, b'{"status": "error", "errorType": "bad_data", "error": "no"}'
            return answer(request)

        prometheus.answer = refuse
        asked = Training(start=(old - 100) * 1_000, end=old * 1_000)
        job = await engine.jobs.train("load", asked)
        await until(lambda: engine.jobs.get(job.id).over)
        told = engine.jobs.get(job.id)
        assert told.state == "failed"
        assert "bad_data: no" in told.error
        await until(lambda: engine.registry.status("load").state == "running")
        assert engine.jobs.versions("load") == []
        await engine.stop()

    asyncio.run(scenario())


def test_a_stream_restored_of_any_age_judges_the_same():
    rng = np.random.default_rng(1)
    series = {"a": {k * 1_000: float(rng.normal(10)) for k in range(1, 121)}}
    learned, other = stream(), stream(live_after_ms=5)
    learned.step(window(series, 1, 60), 0)
    assert not other.restore(learned.state())
    assert other.restore(learned.state(), of_any_age=True)
    left = learned.step(window(series, 61, 120), 0).scores.score
    np.testing.assert_array_equal(left, other.step(window(series, 61, 120), 0).scores.score)
