"""Ten minutes without the source, without the engine, and both flapping: by a clock turned by hand.

Reader, queue and stream are the real ones, the server is small and speaks over a real socket. What
comes out must equal, bit for bit, one undisturbed pass over the same samples.
"""

import asyncio
import random

import numpy as np
import pytest

from aiops.batcher import Batcher
from aiops.clock import ManualClock
from aiops.collector import Collector
from aiops.shard import Stream
from ingest.http import HttpClient
from ingest.loki import Loki
from ingest.prometheus import Prometheus
from ingest.shared_reads import SharedReads
from models.detector import Detector
from models.settings import Limits
from models.source import Connection, LokiSource, PrometheusSource
from models.validation import parse
from tests.loki import FakeLoki
from tests.upstream import FakePrometheus

BORN_MS = 1_795_000_000_000
STEP_MS = 15_000
MINUTES = 60_000


class World:
    """A source, and an engine's reader that can be killed; `clock` says when."""

    def __init__(self, kind, seed):
        self.clock = ManualClock(BORN_MS + 200)
        self.rng = random.Random(seed)
        self.kind = kind
        self.server = FakeLoki() if kind == "loki" else FakePrometheus()
        if kind == "prometheus":
            self.server.series = {
                (("s", name),): self.value_of(name) for name in ("steady", "odd", "gappy")
            }
        self.scores = {}
        self.task = None
        self.document = parse(
            Detector,
            {
                "name": "sim", "source": "src", "query": '{app="x"}' if kind == "loki" else "x",
                "step": "15s", "delay": "5s", "history": "30m", "logs": {"warmup": "0s"},
                "model": {"kind": "log_rate", "window": "5m", "warmup": 5} if kind == "loki"
                else {"kind": "mad", "window": "10m", "warmup": 5},
            },
        )  # fmt: skip
        self.saved = None

    def value_of(self, name):
        def value(at):
            noise = random.Random(f"{name}{at}")
            if name == "gappy" and noise.random() < 0.3:
                return None
            return 10 + noise.gauss(0, 1) + (20 if name == "odd" and noise.random() < 0.02 else 0)

        return value

    def stream(self):
        return Stream(
            self.document, Limits(), born_ms=BORN_MS, live_after_ms=BORN_MS,
            absent_is_zero=self.kind == "loki",
        )  # fmt: skip

    def source(self):
        http = HttpClient(
            Connection(timeout=2_000), retries=1, now_ms=self.clock.now_ms,
            rng=random.Random(1), sleep=lambda _: asyncio.sleep(0),
        )  # fmt: skip
        if self.kind == "loki":
            made = LokiSource(type="loki", name="src", url=self.server.url, entries_max=50)
            inner = Loki(made, http, self.clock.now_ms)
        else:
            made = PrometheusSource(type="prometheus", name="src", url=self.server.url)
            inner = Prometheus(made, http, self.clock.now_ms)
        return SharedReads(inner, self.clock.now_ms)

    def start(self):
        """An engine from its last snapshot."""
        self.now = self.stream()
        if self.saved is not None:
            assert self.now.restore(self.saved)
        self.reader = self.source()
        batcher = Batcher(1_000_000)
        collector = Collector(self.now, self.reader, batcher, self.clock)
        self.task = asyncio.gather(collector.run(), self.judge(batcher))

    async def judge(self, batcher):
        while True:
            async with await batcher.take() as delivery:
                self.note(delivery.stream.step(delivery.batch, 0))

    def note(self, judged):
        for row, at, score in zip(
            judged.rows.rows, judged.rows.timestamps_ms.tolist(), judged.scores.score, strict=True
        ):
            key = judged.labels[row].pairs, at
            bits = np.float64(score).tobytes()
            # After a crash the same instants are judged again, to the same bits.
            assert self.scores.setdefault(key, bits) == bits

    def save(self):
        self.saved = self.now.state()

    async def kill(self):
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            await self.reader.close()
            self.task = None

    async def live(self, milliseconds, down=False):
        """Time passes; the server talks, or is away."""
        end_ms = self.clock.now_ms() + milliseconds
        while self.clock.now_ms() < end_ms:
            if self.kind == "loki":
                self.server.refuse = 10**9 if down else 0
                self.talk(self.clock.now_ms())
            else:
                self.server.down = down
            await self.clock.advance(5)
            for _ in range(3):
                await asyncio.sleep(0.002)

    def talk(self, now_ms):
        noise = random.Random(now_ms)
        for _ in range(noise.randrange(4)):
            ns = (now_ms + noise.randrange(4_000)) * 1_000_000
            text = noise.choice(("order {} paid", "cart {} left", "login of {} failed"))
            self.server.push({"app": "x"}, ns, text.format(noise.randrange(99)))

    async def catch_up(self):
        for _ in range(2_000):
            if (
                self.now.position_ms
                and self.now.position_ms >= self.clock.now_ms() - 2 * STEP_MS - 5000
            ):
                return
            await self.clock.advance(1)
            await asyncio.sleep(0.005)
        raise AssertionError("never caught up")

    async def undisturbed(self):
        """One pass over all that was judged."""
        scores, self.scores = self.scores, {}
        self.server.down = False
        self.server.refuse = 0
        stream, source = self.stream(), self.source()
        first_ms = (BORN_MS - self.document.history) // STEP_MS * STEP_MS + STEP_MS
        start_ms, last_ms = first_ms, self.now.position_ms
        while start_ms <= last_ms:
            batch = await source.read(self.document.query, start_ms, last_ms, STEP_MS)
            self.note(stream.step(batch, 0))
            start_ms = batch.end_ms + STEP_MS
        await source.close()
        expected, self.scores = self.scores, scores
        return expected, stream

    def close(self):
        self.server.close()


async def source_away(world):
    world.start()
    await world.live(3 * MINUTES)
    await world.live(10 * MINUTES, down=True)
    await world.live(MINUTES)


async def engine_away(world):
    world.start()
    await world.live(3 * MINUTES)
    world.save()
    await world.live(MINUTES)
    await world.kill()
    await world.live(10 * MINUTES)
    world.start()


async def both_flap(world):
    for _ in range(8):
        world.start()
        for _ in range(world.rng.randrange(1, 4)):
            await world.live(world.rng.randrange(20, 90) * 1000, down=world.rng.random() < 0.5)
        if world.rng.random() < 0.7:
            world.save()
        await world.live(world.rng.randrange(5, 40) * 1000)
        await world.kill()
        await world.live(world.rng.randrange(5, 60) * 1000)
    world.start()
    await world.live(MINUTES)


@pytest.mark.parametrize("kind", ["prometheus", "loki"])
@pytest.mark.parametrize("story", [source_away, engine_away, both_flap])
def test_after_outages_every_score_is_that_of_an_undisturbed_pass(story, kind):
    async def scenario():
        world = World(kind, seed=4)
        try:
            await story(world)
            await world.catch_up()
            await world.kill()
            expected, stream = await world.undisturbed()
            assert world.scores == expected
            assert len({at for _, at in expected}) > 30
            state, own = stream.state(), world.now.state()
            for name in state:
                if name.startswith("scoring/"):
                    assert state[name].tobytes() == own[name].tobytes(), name
            if kind == "loki":
                counted = world.now.lines.counters.lines
                assert counted == stream.lines.counters.lines
                until_ns = world.now.position_ms * 1_000_000
                assert counted == sum(ns <= until_ns for ns, _, _ in world.server.entries)
        finally:
            world.close()

    asyncio.run(scenario())
