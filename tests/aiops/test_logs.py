"""Log lines down the whole road: from a server that behaves as Loki to anomalies in the store."""

import asyncio
import time

import pytest

from aiops.app import Engine
from aiops.clock import SystemClock
from models.anomaly import AnomalyFilter
from models.errors import InvalidInput
from models.settings import Settings
from models.validation import parse
from tests.loki import FakeLoki

NS = 1_000_000_000


@pytest.fixture
def loki():
    server = FakeLoki()
    yield server
    server.close()


def settings(loki, *models):
    source = {"type": "loki", "name": "logs", "url": loki.url}
    detectors = [
        {
            "name": model["kind"].replace("_", "-"), "source": "logs", "query": '{app="shop"}',
            "step": "1s", "delay": "1s", "history": "60s", "model": model, "logs": {"warmup": "20s"},
            "policy": {"recover": "2s"},
        }
        for model in models
    ]  # fmt: skip
    return parse(Settings, {"sources": [source], "detectors": detectors})


async def until(probe):
    async with asyncio.timeout(20):
        while not (found := probe()):
            await asyncio.sleep(0.05)
        return found


def chatter(loki, seconds):
    """Three kinds of lines a second, up to now."""
    now = int(time.time())
    for at in range(now - seconds, now + 1):
        loki.push({"app": "shop"}, at * NS, f"INFO order {at} paid by card")
        loki.push(
            {"app": "shop"}, at * NS + 1, f"INFO session {at % 97} opened from 10.0.0.{at % 9}"
        )


def anomalies(engine, **chosen):
    return engine.store.anomalies(AnomalyFilter(**chosen), 10, None)


def test_a_line_of_a_new_kind_is_one_event_with_its_lines_and_survives_a_restart(loki, tmp_path):
    async def talk():
        while True:
            chatter(loki, 3)
            await asyncio.sleep(0.3)

    async def scenario():
        chatter(loki, 70)
        wanted = settings(loki, {"kind": "log_novelty"}, {"kind": "log_rate", "window": "50s"})
        engine = Engine(wanted, tmp_path, SystemClock())
        await engine.start()
        talking = asyncio.create_task(talk())
        await until(lambda: engine.registry.status("log-novelty").state == "running")
        assert anomalies(engine, detector="log-novelty") == []
        at = int(time.time()) * NS + 7
        for k in range(80):
            line = f"ERROR payment gateway timed out after {k} ms, token=abc{k}"
            loki.push({"app": "shop"}, at + k, line)
            loki.push({"app": "shop"}, at + k, f"INFO order {k} paid by card")
        [novel] = await until(lambda: anomalies(engine, detector="log-novelty"))
        assert novel.log.template == "ERROR payment gateway timed out after <*>, token=<*>"
        assert novel.log.category == "timeout"
        assert novel.log.examples
        assert "abc" not in novel.log.examples[0]
        assert 1.0 < novel.peak_score <= 2.0
        loud, *_ = await until(lambda: anomalies(engine, detector="log-rate", min_score=1.0))
        assert "level" in loud.labels or loud.log.template
        first = engine.shard.streams["log-novelty"]
        lines = first.lines.counters.lines
        await engine.stop()

        engine = Engine(wanted, tmp_path, SystemClock())
        await engine.start()
        second = engine.shard.streams["log-novelty"]
        await until(lambda: second.lines is not None and second.lines.counters.lines > lines)
        assert second.lines.templates.text_of(novel.labels["template"]) == novel.log.template
        loki.push(
            {"app": "shop"},
            int(time.time()) * NS + 3,
            "ERROR payment gateway timed out after 9 ms, token=x",
        )
        await until(lambda: second.lines.counters.lines > lines + 12)
        assert [a.id for a in anomalies(engine, detector="log-novelty")] == [novel.id]
        talking.cancel()
        await engine.stop()

    asyncio.run(scenario())


def test_novelty_of_samples_is_refused(loki, tmp_path):
    async def scenario():
        engine = Engine(settings(loki), tmp_path, SystemClock())
        await engine.start()
        model = {"kind": "log_novelty"}
        wanted = {"name": "x", "source": "logs", "query": 'sum(rate({a="b"}[1m]))', "model": model}
        with pytest.raises(InvalidInput, match="reads log lines") as caught:
            await engine.registry.create(parse(type(settings(loki, model).detectors[0]), wanted))
        assert caught.value.faults[0].pointer == "/query"
        await engine.stop()

    asyncio.run(scenario())
