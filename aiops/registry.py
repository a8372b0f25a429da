"""The registered detectors: made, changed, started, stopped, and what becomes of their streams."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import structlog

from aiops.batcher import Batcher
from aiops.clock import Clock
from aiops.collector import Collector
from aiops.history import Past
from aiops.pipeline import Pipeline
from aiops.scoring import build_detector
from aiops.shard import Shard, Stream, stream_state
from aiops.snapshot import Arrays
from aiops.sources import Sources
from aiops.standing import standing
from aiops.store.records import Registered, Store
from aiops.tasks import Supervisor
from aiops.versions import Versions
from ingest.log_series import LogSeries
from models.anomaly import Close
from models.detector import Detector, Model, Status
from models.errors import Conflict, FieldFault, InvalidInput, NotFound, SnapshotDamaged
from models.merge_patch import merged
from models.settings import Limits
from models.validation import parse

RELEARN_AFTER_MS = 3_600_000
"""A detector whose learned state is lost, and that was made longer ago than this, starts anew."""

log = structlog.get_logger()


class Registry:
    """Which detectors there are; changes are made one at a time, whole or not at all."""

    def __init__(
        self,
        *,
        store: Store,
        shard: Shard,
        sources: Sources,
        batcher: Batcher,
        pipeline: Pipeline,
        supervisor: Supervisor,
        clock: Clock,
        limits: Limits,
        versions: Versions,
    ) -> None:
        self._store = store
        self._shard = shard
        self._sources = sources
        self._batcher = batcher
        self._pipeline = pipeline
        self._supervisor = supervisor
        self._clock = clock
        self._limits = limits
        self._versions = versions
        self._registered: dict[str, Registered] = {}
        self._collectors: dict[str, Collector] = {}
        self._changing = asyncio.Lock()

    async def restore(self, arrays: Arrays) -> None:
        """Bring back every detector from the store, with its state from a snapshot's arrays."""
        async with self._changing:
            for registered in await asyncio.to_thread(self._store.detectors):
                name = registered.document.name
                try:
                    await self._revive(registered, stream_state(arrays, name))
                except (InvalidInput, NotFound) as error:
                    # Its source left the settings file, or a kind's package is gone: it is kept
                    # as it is and can be read, changed and deleted.
                    log.error("detector cannot run", detector=name, reason=error.detail)
                    self._registered[name] = registered

    async def adopt(self, documents: list[Detector]) -> None:
        """Make the settings file's detectors those that it lists now."""
        async with self._changing:
            wanted = {document.name for document in documents}
            for name, registered in list(self._registered.items()):
                if registered.from_file and name not in wanted:
                    await self._delete(name)
            for document in documents:
                self._build(document)
                await self._put(document, from_file=True)

    def listing(self, limit: int, after: str | None) -> list[Detector]:
        """Up to `limit` documents, by name, those after `after`."""
        names = sorted(name for name in self._registered if after is None or name > after)
        return [self._registered[name].document for name in names[:limit]]

    def get(self, name: str) -> Detector:
        """One document. Raises NotFound."""
        return self._known(name).document

    async def create(self, document: Detector) -> Detector:
        """Register a new one. Raises Conflict when the name is taken."""
        async with self._changing:
            if document.name in self._registered:
                raise Conflict(
                    f"detector {document.name!r} exists; PUT replaces it, or choose another name"
                )
            await self._check(document)
            await self._put(document, from_file=False)
        return document

    async def put(self, document: Detector) -> bool:
        """Register or replace; whether it is new."""
        async with self._changing:
            created = document.name not in self._registered
            if not created:
                self._refuse_if_from_file(document.name)
            await self._check(document)
            await self._put(document, from_file=False)
            return created

    async def patch(self, name: str, changes: Mapping[str, Any]) -> Detector:
        """Change some keys, as JSON merge patch (RFC 7396) on the document."""
        async with self._changing:
            before = self._known(name).document
            self._refuse_if_from_file(name)
            document = parse(Detector, merged(before.model_dump(mode="json"), changes))
            if document.name != name:
                raise InvalidInput(
                    f"a detector keeps its name: {name!r} cannot become {document.name!r}",
                    (FieldFault("/name", "cannot be changed"),),
                )
            await self._check(document)
            await self._put(document, from_file=False)
            return document

    async def delete(self, name: str) -> None:
        """Stop and forget; its anomalies stay."""
        async with self._changing:
            self._known(name)
            self._refuse_if_from_file(name)
            await self._delete(name)

    async def start(self, name: str) -> Status:
        """Run, if it does not. What passed while it was stopped is learned, not told."""
        async with self._changing:
            registered = self._known(name)
            if not registered.document.enabled:
                document = registered.document.model_copy(update={"enabled": True})
                self._build(document)
                await self._put(document, from_file=registered.from_file)
        return self.status(name)

    async def stop(self, name: str) -> Status:
        """Stop, if it runs. What it learned stays, open anomalies close."""
        async with self._changing:
            registered = self._known(name)
            if registered.document.enabled:
                document = registered.document.model_copy(update={"enabled": False})
                await self._put(document, from_file=registered.from_file)
        return self.status(name)

    def status(self, name: str) -> Status:
        """How a detector stands. Raises NotFound."""
        registered = self._known(name)
        stream = self._shard.streams.get(name)
        collector = self._collectors.get(name)
        return standing(registered, stream, collector, self._clock.now_ms())

    def scratch(self, name: str, live_after_ms: int, model: Model | None = None) -> Past:
        """A stream of a detector's own document, or with another model, that nobody else sees.

        Raises NotFound, and InvalidInput for a source without a past.
        """
        registered = self._known(name)
        document = registered.document
        if model is not None:
            document = document.model_copy(update={"model": model})
        self._build(document)
        source = self._sources.get(document.source)
        if not source.resumes:
            raise InvalidInput(f"source {source.name!r} has no past to read")
        stream = self._new_stream(replace(registered, document=document))
        stream.live_after_ms = live_after_ms
        return Past(stream, source, self._clock)

    async def copy(self, name: str) -> Past:
        """The same with all that the detector has learned by now."""
        self._known(name)
        live = self._shard.streams.get(name)
        if live is None:
            raise Conflict(f"detector {name!r} cannot run: its source or kind is not there")
        past = self.scratch(name, live.live_after_ms)
        async with self._pipeline.alone():
            state = await self._pipeline.compute(live.state)
        if live.position_ms is not None:
            await asyncio.to_thread(past.stream.restore, state)
        return past

    async def go_on_from(self, name: str, learned: Stream) -> None:
        """Let a detector go on from what another stream of its document learned.

        What lies between is read again and not told; open anomalies close.
        Raises Conflict when the document has changed since.
        """
        async with self._changing:
            registered = self._known(name)
            if learned.kin != self._new_stream(registered).kin:
                raise Conflict(
                    f"detector {name!r} has another source, query, step, model or history now"
                )
            live = self._shard.streams.get(name)
            known_ms = live.position_ms if live is not None else None
            registered = replace(
                registered, live_after_ms=max(registered.live_after_ms, known_ms or 0)
            )
            learned.born_ms = registered.born_ms
            learned.live_after_ms = registered.live_after_ms
            learned.amend(registered.document)
            await asyncio.to_thread(self._store.put_detector, registered)
            await self._replace(name, learned, "detector changed")
            self._registered[name] = registered
            if registered.document.enabled:
                self._run(name)

    async def halt_all(self) -> None:
        """Stop reading; nothing else changes. For the end of the process."""
        async with self._changing:
            for name in list(self._collectors):
                await self._halt(name)

    def using(self, source: str) -> list[str]:
        """Names of the detectors that read a source."""
        return sorted(
            name for name, own in self._registered.items() if own.document.source == source
        )

    @asynccontextmanager
    async def without(self, source: str) -> AsyncIterator[None]:
        """While a source is replaced: who reads it waits, and then reads the new one."""
        async with self._changing:
            names = self.using(source)
            for name in names:
                await self._halt(name)
            try:
                yield
            finally:
                for name in names:
                    registered = self._registered[name]
                    if name not in self._shard.streams and source in self._sources.names():
                        self._shard.streams[name] = self._new_stream(registered)
                    if registered.document.enabled and name in self._shard.streams:
                        self._run(name)

    def statuses(self) -> list[Status]:
        """How all detectors stand, by name."""
        return [self.status(name) for name in sorted(self._registered)]

    def _known(self, name: str) -> Registered:
        registered = self._registered.get(name)
        if registered is None:
            raise NotFound(f"no detector {name!r}")
        return registered

    def _refuse_if_from_file(self, name: str) -> None:
        if self._registered[name].from_file:
            raise Conflict(f"detector {name!r} stands in the settings file; change it there")

    def _build(self, document: Detector) -> None:
        """Raise InvalidInput when the document cannot run here."""
        if document.source not in self._sources.names():
            known = ", ".join(self._sources.names()) or "none"
            detail = f"unknown source {document.source!r}; known: {known}"
            raise InvalidInput(detail, (FieldFault("/source", detail),))
        detector = build_detector(document)
        source = self._sources.get(document.source)
        if source.reads_lines(document.query):
            LogSeries(document.query, document.logs, "counts")
        elif detector.reads_lines:
            detail = (
                f"kind {detector.kind!r} reads log lines; {document.query!r} on source "
                f"{document.source!r} gives samples"
            )
            raise InvalidInput(detail, (FieldFault("/query", detail),))

    async def _check(self, document: Detector) -> None:
        """`_build`, and ask the source whether it understands the query."""
        self._build(document)
        await self._sources.get(document.source).check(document.query)

    async def _put(self, document: Detector, *, from_file: bool) -> None:
        """Store, then make it so; the caller has checked the document."""
        name = document.name
        now_ms = self._clock.now_ms()
        before = self._registered.get(name)
        stream = self._shard.streams.get(name)
        anew = before is None or stream is None or _relearns(before.document, document)
        if before is None or anew:
            registered = Registered(document, from_file, now_ms, now_ms - document.delay)
        else:
            resumed = document.enabled and not before.document.enabled
            live_ms = now_ms - document.delay if resumed else before.live_after_ms
            registered = Registered(document, from_file, before.born_ms, live_ms)
        await asyncio.to_thread(self._store.put_detector, registered)
        if anew:
            await self._replace(name, self._new_stream(registered), "detector changed")
        else:
            await self._amend(registered)
        self._registered[name] = registered
        if document.enabled:
            self._run(name)
        log.info("detector registered", detector=name, anew=anew, enabled=document.enabled)

    async def _amend(self, registered: Registered) -> None:
        document = registered.document
        stream = self._shard.streams[document.name]
        await self._halt(document.name)
        async with self._pipeline.alone():
            if stream.document.labels != document.labels or not document.enabled:
                self._pipeline.end(document.name, stream.position_ms or 0)
            if not document.enabled:
                await self._pipeline.tell(stream.close("detector stopped", self._clock.now_ms()))
            stream.live_after_ms = registered.live_after_ms
            stream.amend(document)

    async def _delete(self, name: str) -> None:
        await asyncio.to_thread(self._store.delete_detector, name)
        await asyncio.to_thread(self._versions.forget, name)
        del self._registered[name]
        await self._replace(name, None, "detector stopped")
        log.info("detector deleted", detector=name)

    async def _replace(self, name: str, fresh: Stream | None, because: Close) -> None:
        """End a stream and whatever hangs on it; put `fresh` in its place."""
        await self._halt(name)
        async with self._pipeline.alone():
            stream = self._shard.streams.pop(name, None)
            if fresh is not None:
                self._shard.streams[name] = fresh
            if stream is not None:
                await self._pipeline.tell(stream.close(because, self._clock.now_ms()))
                self._pipeline.end(name, stream.position_ms or 0)

    async def _revive(self, registered: Registered, saved: Arrays) -> None:
        name = registered.document.name
        self._build(registered.document)
        stream = self._new_stream(registered)
        restored = False
        if saved:
            try:
                restored = stream.restore(saved)
            except SnapshotDamaged as error:
                log.error("state not restored", detector=name, reason=error.detail)
                stream = self._new_stream(registered)
        lost_ms = self._clock.now_ms() - registered.born_ms
        if not restored and lost_ms > RELEARN_AFTER_MS:
            now_ms = self._clock.now_ms()
            document = registered.document
            registered = Registered(document, registered.from_file, now_ms, now_ms - document.delay)
            await asyncio.to_thread(self._store.put_detector, registered)
            stream = self._new_stream(registered)
        self._registered[name] = registered
        self._shard.streams[name] = stream
        if registered.document.enabled:
            self._run(name)
        log.info("detector restored", detector=name, with_state=restored)

    def _new_stream(self, registered: Registered) -> Stream:
        source = self._sources.get(registered.document.source)
        return Stream(
            registered.document,
            self._limits,
            born_ms=registered.born_ms,
            live_after_ms=registered.live_after_ms,
            # A step without a line counts 0; one without a number in its lines has none.
            absent_is_zero=source.absent_is_zero(registered.document.query)
            and not registered.document.logs.values,
        )

    def _run(self, name: str) -> None:
        stream = self._shard.streams[name]
        source = self._sources.get(stream.document.source)
        collector = Collector(stream, source, self._batcher, self._clock)
        self._collectors[name] = collector
        self._supervisor.start(f"collector:{name}", collector.run)

    async def _halt(self, name: str) -> None:
        self._collectors.pop(name, None)
        await self._supervisor.stop(f"collector:{name}")


def _relearns(before: Detector, after: Detector) -> bool:
    return before.learned_from != after.learned_from
