"""Builds everything from Settings, starts it in order and stops it in reverse."""

import asyncio
import fcntl
import random
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog

from aiops import __version__
from aiops.anomalies import Anomalies
from aiops.batcher import Batcher
from aiops.clock import Clock
from aiops.detect import Detection
from aiops.feed_log import FeedLog
from aiops.jobs import Jobs
from aiops.metrics import EngineMetrics
from aiops.pipeline import Pipeline
from aiops.registry import Registry
from aiops.shard import Shard
from aiops.sinks.exporter import Exporter
from aiops.sinks.feed import Feed
from aiops.sinks.remote_write import RemoteWrite
from aiops.snapshot import SnapshotFolder
from aiops.source_registry import SourceRegistry
from aiops.sources import Sources
from aiops.store.records import Store, sqlite_url
from aiops.tasks import Supervisor
from aiops.versions import Versions
from aiops.warmth import warm_kernels
from ingest.http import HttpClient
from models.detector import State
from models.errors import InvalidInput
from models.health import ComponentHealth, Health
from models.settings import Settings

WATCH_SECONDS = 1.0
PURGE_SECONDS = 3600.0
STOP_SECONDS = 10.0
LOCK_FILE = "lock"

log = structlog.get_logger()


@dataclass(slots=True)
class SnapshotCounters:
    """What became of the snapshots."""

    written: int = 0
    failed: int = 0
    taken_ms: int | None = None
    size: int = 0
    error: str | None = None


class Snapshots:
    """Takes a snapshot of the shard and of what remote write still has to send, at one moment."""

    def __init__(
        self,
        folder: SnapshotFolder,
        shard: Shard,
        pipeline: Pipeline,
        remote_writes: list[RemoteWrite],
        clock: Clock,
    ) -> None:
        self.counters = SnapshotCounters()
        self._folder = folder
        self._shard = shard
        self._pipeline = pipeline
        self._remote_writes = remote_writes
        self._clock = clock
        self._writing = asyncio.Lock()

    async def run(self, interval_ms: int) -> None:
        """One after each interval, for ever."""
        while True:
            await self._clock.sleep(interval_ms / 1000)
            await self.take()

    async def take(self) -> None:
        """One now. When the disk refuses, the older ones stay and the failure is counted."""
        async with self._writing:
            async with self._pipeline.alone():
                taken_ms = self._clock.now_ms()
                arrays = await self._pipeline.compute(self._shard.state)
                for remote_write in self._remote_writes:
                    arrays |= remote_write.state()
            try:
                path = await asyncio.to_thread(self._folder.write, arrays, taken_ms)
            except OSError as error:
                self.counters.failed += 1
                if self.counters.error is None:
                    log.error("snapshot failed", reason=str(error))
                self.counters.error = str(error)
                return
            self.counters.error = None
            self.counters.written += 1
            self.counters.taken_ms = taken_ms
            self.counters.size = path.stat().st_size


class Engine:
    """The whole engine behind the API.

    storage: folder for records and snapshots; one engine at a time may use it. Must be made and
    used within one running event loop.
    """

    def __init__(self, settings: Settings, storage: Path, clock: Clock) -> None:
        limits = settings.limits
        rng = random.Random()  # noqa: S311 - spreads retries, guards nothing.
        self.settings = settings
        self.clock = clock
        self.ready = False
        self._storage_lock = _lock(storage)
        self.store = Store(settings.storage.url or sqlite_url(storage))
        self.supervisor = Supervisor(clock)
        self.shard = Shard()
        self.batcher = Batcher(limits.queue_samples)
        self.feed = Feed(
            self.store.feed_id,
            self.store.feed_bounds()[1],
            queue_max=limits.feed_queue,
            readers_max=limits.feed_clients,
        )
        self.feed_log = FeedLog(self.feed, self.store, limits.feed_messages)
        self.exporter = Exporter()
        self.remote_writes = [
            RemoteWrite(
                output,
                # It tries again by rules of its own.
                HttpClient(output.http, retries=0, now_ms=clock.now_ms, rng=rng),
                clock,
                rng,
            )
            for output in settings.outputs.remote_write
        ]
        self.sources = Sources(storage, clock.now_ms, rng)
        self.pipeline = Pipeline(
            shard=self.shard,
            batcher=self.batcher,
            feed_log=self.feed_log,
            sinks=[self.feed, self.exporter, *self.remote_writes],
            clock=clock,
            threads=limits.compute_threads,
        )
        self.versions = Versions(storage / "models")
        self.registry = Registry(
            store=self.store,
            shard=self.shard,
            sources=self.sources,
            batcher=self.batcher,
            pipeline=self.pipeline,
            supervisor=self.supervisor,
            clock=clock,
            limits=limits,
            versions=self.versions,
        )
        self.source_registry = SourceRegistry(self.sources, self.registry, self.store, clock)
        self._folder = SnapshotFolder(storage / "snapshots", settings.storage.snapshots)
        self.snapshots = Snapshots(
            self._folder, self.shard, self.pipeline, self.remote_writes, clock
        )
        self.jobs = Jobs(
            registry=self.registry,
            store=self.store,
            versions=self.versions,
            feed_log=self.feed_log,
            clock=clock,
            folder=storage / "jobs",
        )
        self.detection = Detection(self.registry)
        self.anomalies = Anomalies(self.store)
        self.metrics = EngineMetrics(self)

    async def start(self) -> None:
        """Restore, then run. Raises what makes running impossible."""
        await asyncio.to_thread(warm_kernels)
        restored = await asyncio.to_thread(self._folder.newest)
        arrays = restored.arrays if restored else {}
        if restored:
            log.info("snapshot restored", path=str(restored.path), damaged=restored.skipped)
        for remote_write in self.remote_writes:
            remote_write.restore(arrays)
            self.supervisor.start(f"remote write:{remote_write.url}", remote_write.run)
        self.supervisor.start("pipeline", self.pipeline.run)
        await self.source_registry.restore(self.settings.sources)
        await self.registry.restore(arrays)
        await self.registry.adopt(self.settings.detectors)
        await self.jobs.restore()
        self.supervisor.start("jobs", self.jobs.run)
        interval_ms = self.settings.storage.snapshot_interval
        self.supervisor.start("snapshots", lambda: self.snapshots.run(interval_ms))
        self.supervisor.start("states", self._watch_states)
        self.supervisor.start("purge", self._purge)
        self.ready = True
        log.info("engine runs", version=__version__, detectors=len(self.shard.streams))

    async def stop(self) -> None:
        """Stop reading, save what was learned, close.

        Before everything is restored there is nothing to save: a snapshot then would be newer than
        the good ones and hold less.
        """
        restored, self.ready = self.ready, False
        await self.supervisor.stop("jobs")
        await self.registry.halt_all()
        try:
            # The batch in work goes the whole road: what it judged is told before it is saved.
            async with asyncio.timeout(STOP_SECONDS), self.pipeline.alone():
                await self.supervisor.stop_all()
        except TimeoutError:
            log.error("stopped without a last snapshot: the store refuses to take anomalies")
            await self.supervisor.stop_all()
        else:
            if restored:
                await self.snapshots.take()
        await self.sources.close()
        for remote_write in self.remote_writes:
            await remote_write.close()
        self.pipeline.close()
        self.store.close()
        self._storage_lock.close()
        log.info("engine stopped")

    def health(self) -> Health:
        """Every part, from what it last did; asks nobody."""
        parts: dict[str, ComponentHealth] = {
            "engine": _part(None if self.ready else "restoring", "running"),
            "store": _part(self.pipeline.store_error, "writing"),
            "snapshots": _part(self.snapshots.counters.error, "saving"),
        }
        for status in self.registry.statuses():
            failed = status.reason if status.state is State.FAILED else None
            parts[f"detector/{status.name}"] = _part(failed, f"{status.state}: {status.reason}")
        for remote_write in self.remote_writes:
            parts[f"remote_write/{remote_write.url}"] = _part(remote_write.last_error, "sending")
        well = all(part.ok for part in parts.values())
        return Health(status="ok" if well else "degraded", version=__version__, components=parts)

    async def _watch_states(self) -> None:
        """Tell the feed when a detector's state changes."""
        known: dict[str, State] = {}
        while True:
            statuses = {status.name: status for status in self.registry.statuses()}
            for name, status in statuses.items():
                if known.get(name) is not status.state:
                    await self.feed_log.append("detectors", status.model_dump(mode="json"))
            known = {name: status.state for name, status in statuses.items()}
            await self.clock.sleep(WATCH_SECONDS)

    async def _purge(self) -> None:
        while True:
            before_ms = self.clock.now_ms() - self.settings.storage.retention
            purged = await asyncio.to_thread(self.store.purge, before_ms)
            if purged:
                log.info("anomalies purged", count=purged)
            await self.clock.sleep(PURGE_SECONDS)


def _lock(storage: Path) -> IO[bytes]:
    """Claim the storage folder until the file is closed or the process ends, however it ends."""
    try:
        storage.mkdir(parents=True, exist_ok=True)
        file = (storage / LOCK_FILE).open("wb")
    except OSError as error:
        raise InvalidInput(f"storage path {str(storage)!r} cannot be used: {error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise InvalidInput(
            f"storage path {str(storage)!r} is in use by another engine; stop it or choose another"
        ) from error
    return file


def _part(wrong: str | None, well: str) -> ComponentHealth:
    return ComponentHealth(ok=wrong is None, detail=wrong or well)
