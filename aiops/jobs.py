"""Trainings and backtests: one at a time beside live judging, resumed after a restart."""

import asyncio
import shutil
from collections import deque
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog

from aiops.backtest import Findings
from aiops.clock import Clock
from aiops.feed_log import FeedLog
from aiops.history import Past
from aiops.registry import Registry
from aiops.shard import Judged
from aiops.snapshot import SnapshotFolder
from aiops.store.records import Store
from aiops.versions import Versions
from models.anomaly import Anomaly, AnomalyFilter
from models.errors import AiopsError, Conflict, NotFound
from models.job import Backtest, Job, Training, Version, Window
from models.validation import parse

WAITING_MAX = 100
KEPT_MAX = 500
TELL_MS = 1_000
CHECKPOINT_MS = 30_000
NEVER_MS = 10**15
RUNNING_MAX = 5_000
"""Anomalies of the running detector that a backtest is compared with."""

log = structlog.get_logger()


class Jobs:
    """All jobs, by id. Raises NotFound, Conflict, InvalidInput."""

    def __init__(
        self,
        *,
        registry: Registry,
        store: Store,
        versions: Versions,
        feed_log: FeedLog,
        clock: Clock,
        folder: Path,
    ) -> None:
        self._registry = registry
        self._store = store
        self._versions = versions
        self._feed_log = feed_log
        self._clock = clock
        self._folder = folder
        self._waiting: deque[str] = deque()
        self._jobs: dict[str, Job] = {}
        self._told: dict[str, int] = {}
        """When a running job was last told of."""
        self._work = asyncio.Event()
        self._running: tuple[str, asyncio.Task[dict[str, Any]]] | None = None

    async def restore(self) -> None:
        """Bring back all jobs; those that were cut off go on from their last checkpoint."""
        for job in await asyncio.to_thread(self._store.jobs):
            self._jobs[job.id] = job
            if not job.over:
                self._waiting.append(job.id)
                self._work.set()

    async def train(self, detector: str, asked: Training) -> Job:
        """Have a detector learn a stretch of its past."""
        return await self._submit("train", detector, asked)

    async def backtest(self, detector: str, asked: Backtest) -> Job:
        """Judge a stretch of the past as if it were live."""
        self._registry.scratch(detector, 0, asked.model)
        return await self._submit("backtest", detector, asked)

    def listing(self, limit: int, before: tuple[int, str] | None) -> list[Job]:
        """Up to `limit` jobs, the newest first."""
        ordered = sorted(self._jobs.values(), key=lambda job: (job.created_at, job.id))
        older = [job for job in ordered if before is None or (job.created_at, job.id) < before]
        return older[::-1][:limit]

    def get(self, job_id: str) -> Job:
        """One job."""
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFound(f"no job {job_id!r}")
        return job

    async def cancel(self, job_id: str) -> Job:
        """Stop a job; one that is over stays as it is."""
        job = self.get(job_id)
        if self._running is not None and self._running[0] == job_id:
            self._running[1].cancel()
            await asyncio.wait([self._running[1]])
        elif not job.over:
            self._waiting.remove(job_id)
        if not self.get(job_id).over:
            await self._change(job_id, state="cancelled", ended_at=self._clock.now_ms())
        return self.get(job_id)

    async def run(self) -> None:
        """Work through what waits, for ever."""
        while True:
            while not self._waiting:
                self._work.clear()
                await self._work.wait()
            job_id = self._waiting.popleft()
            await self._change(job_id, state="running")
            task = asyncio.create_task(self._do(self._jobs[job_id]))
            self._running = (job_id, task)
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                # The engine stops: the job stays as it is, to go on after the next start.
                task.cancel()
                await asyncio.wait([task])
                raise
            finally:
                self._running = None
            await self._finish(job_id, task)

    def versions(self, detector: str) -> list[Version]:
        """What a detector's trainings left, the newest first."""
        self._registry.get(detector)
        return self._versions.listing(detector)

    async def activate(self, detector: str, version: str) -> Version:
        """Let a detector go on from a version."""
        past = self._registry.scratch(detector, NEVER_MS)
        arrays = await asyncio.to_thread(self._versions.arrays, detector, version)
        if not await asyncio.to_thread(past.stream.restore, arrays, of_any_age=True):
            raise Conflict(
                f"version {version!r} was learned with another source, query, step, model or "
                f"history than detector {detector!r} has now"
            )
        await self._registry.go_on_from(detector, past.stream)
        await asyncio.to_thread(self._versions.activate, detector, version)
        return self._versions.get(detector, version)

    async def content(self, detector: str, version: str) -> bytes:
        """A version as a file."""
        self._registry.get(detector)
        return await asyncio.to_thread(self._versions.content, detector, version)

    async def bring(self, detector: str, content: bytes) -> Version:
        """Take in a version as a file; it is not active yet."""
        past = self._registry.scratch(detector, NEVER_MS)
        now_ms = self._clock.now_ms()
        return await asyncio.to_thread(
            self._versions.bring, uuid4().hex[:12], past.stream, content, now_ms
        )

    async def _submit(self, kind: str, detector: str, asked: Window) -> Job:
        self._registry.scratch(detector, 0)
        if len(self._waiting) >= WAITING_MAX:
            raise Conflict(f"{WAITING_MAX} jobs wait already; cancel one or try again later")
        document = {
            "id": uuid4().hex[:12],
            "kind": kind,
            "detector": detector,
            "asked": asked.model_dump(mode="json"),
            "created_at": self._clock.now_ms(),
        }
        job = parse(Job, document)
        await self._keep(job)
        self._waiting.append(job.id)
        self._work.set()
        return job

    async def _do(self, job: Job) -> dict[str, Any]:
        return await (self._train(job) if job.kind == "train" else self._backtest(job))

    async def _train(self, job: Job) -> dict[str, Any]:
        asked = parse(Training, job.asked)
        past = self._registry.scratch(job.detector, NEVER_MS)
        checkpoints = SnapshotFolder(self._folder / job.id, keep=1)
        saved = await asyncio.to_thread(checkpoints.newest)
        if saved is not None:
            await asyncio.to_thread(past.stream.restore, saved.arrays)
        written_ms = self._clock.now_ms()
        seen = past.stream.samples_total

        async def tell(judged: Judged) -> None:
            nonlocal written_ms, seen
            seen += len(judged.rows)
            await self._progress(job.id, asked, judged.moment.end_ms, seen)
            if self._clock.now_ms() - written_ms >= CHECKPOINT_MS:
                state = await asyncio.to_thread(past.stream.state)
                await asyncio.to_thread(checkpoints.write, state, self._clock.now_ms())
                written_ms = self._clock.now_ms()

        await past.read(asked.start, asked.end, tell)
        version = await asyncio.to_thread(
            self._versions.save, job.id, past.stream, self._clock.now_ms()
        )
        if asked.activate:
            await self._catch_up(job.detector, past)
            await self._registry.go_on_from(job.detector, past.stream)
            await asyncio.to_thread(self._versions.activate, job.detector, job.id)
        return {"version": version.id, "series": version.series, "samples": version.samples}

    async def _catch_up(self, detector: str, past: Past) -> None:
        """Learn what has passed since the end of the training, so that the switch is at once."""
        known_ms = self._registry.status(detector).position

        async def tell(judged: Judged) -> None:
            """Nothing to tell."""

        if known_ms is not None and past.stream.position_ms is not None:
            await past.read(past.stream.position_ms, known_ms, tell)

    async def _backtest(self, job: Job) -> dict[str, Any]:
        asked = parse(Backtest, job.asked)
        past = self._registry.scratch(job.detector, asked.start, asked.model)
        findings = Findings()

        async def tell(judged: Judged) -> None:
            findings.add(judged)
            await self._progress(job.id, asked, judged.moment.end_ms, findings.samples)

        history_ms = past.stream.document.history
        await past.read(asked.start - history_ms, asked.end, tell)
        chosen = AnomalyFilter(detector=job.detector, since_ms=asked.start, until_ms=asked.end)
        told = await asyncio.to_thread(self._store.anomalies, chosen, RUNNING_MAX, None)
        running: dict[str, Anomaly] = {a.id: a for a in told if a.started_at > asked.start}
        known_ms = self._registry.status(job.detector).position
        return findings.result(asked.start, asked.end, running, known_ms or 0)

    async def _progress(self, job_id: str, asked: Window, at_ms: int, samples: int) -> None:
        job = self._jobs[job_id]
        share = (at_ms - asked.start) / (asked.end - asked.start)
        changed = {"progress": min(max(share, 0.0), 1.0), "position": at_ms, "samples": samples}
        self._jobs[job_id] = job.model_copy(update=changed)
        told_ms = self._told.get(job_id, 0)
        if self._clock.now_ms() - told_ms >= TELL_MS:
            self._told[job_id] = self._clock.now_ms()
            await self._keep(self._jobs[job_id])

    async def _finish(self, job_id: str, task: asyncio.Task[dict[str, Any]]) -> None:
        self._told.pop(job_id, None)
        # Before it is told to be over: whoever hears of that finds nothing left of it.
        await asyncio.to_thread(shutil.rmtree, self._folder / job_id, True)
        now_ms = self._clock.now_ms()
        if task.cancelled():
            await self._change(job_id, state="cancelled", ended_at=now_ms)
        elif error := task.exception():
            known = isinstance(error, AiopsError | OSError)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            log.error("job failed", job=job_id, reason=reason, exc_info=None if known else error)
            await self._change(job_id, state="failed", error=reason, ended_at=now_ms)
        else:
            result = task.result()
            await self._change(job_id, state="done", progress=1.0, result=result, ended_at=now_ms)

    async def _change(self, job_id: str, **changes: Any) -> None:
        await self._keep(self._jobs[job_id].model_copy(update=changes))

    async def _keep(self, job: Job) -> None:
        """Store and tell; the oldest that are over make room."""
        self._jobs[job.id] = job
        await asyncio.to_thread(self._store.put_job, job)
        told = job.model_dump(mode="json", exclude={"result"})
        await self._feed_log.append("jobs", told)
        over = [known for known in self._jobs.values() if known.over]
        for old in sorted(over, key=lambda known: known.created_at)[: max(0, len(over) - KEPT_MAX)]:
            del self._jobs[old.id]
            await asyncio.to_thread(self._store.delete_job, old.id)
