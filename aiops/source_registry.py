"""Sources as documents: registered, replaced, deleted, tried out; who reads them goes along."""

import asyncio
from collections.abc import Mapping
from typing import Any

import numpy as np
import structlog

from aiops.clock import Clock
from aiops.registry import Registry
from aiops.sources import Sources
from aiops.store.records import Store
from ingest.queries import build_query
from models.columns import LineBatch, SampleBatch
from models.errors import AiopsError, Conflict, FieldFault, InvalidInput
from models.merge_patch import merged
from models.query import (
    BuiltQuery,
    MetricInfo,
    Preview,
    Previewed,
    PreviewLine,
    PreviewSeries,
    QueryParts,
)
from models.source import Source, SourceHealth, parse_source

PREVIEW_MS = 3_600_000
PREVIEW_POINTS_MAX = 1_000
NS_OF_MS = 1_000_000

log = structlog.get_logger()


class SourceRegistry:
    """Which sources there are; changes are made one at a time, whole or not at all."""

    def __init__(self, sources: Sources, registry: Registry, store: Store, clock: Clock) -> None:
        self._sources = sources
        self._registry = registry
        self._store = store
        self._clock = clock
        self._from_file: set[str] = set()
        self._changing = asyncio.Lock()

    async def restore(self, listed: list[Source]) -> None:
        """Make those that were registered, and those that the settings file lists now."""
        self._from_file = {document.name for document in listed}
        for document in listed:
            await self._sources.put(document)
        for document in await asyncio.to_thread(self._store.sources):
            if document.name in self._from_file:
                log.warning("source stands in the settings file too", source=document.name)
                continue
            try:
                await self._sources.put(document)
            except AiopsError as error:
                log.error("source cannot be made", source=document.name, reason=error.detail)

    def listing(self, limit: int, after: str | None) -> list[Source]:
        """Up to `limit` documents, by name, those after `after`."""
        return self._sources.listing(limit, after)

    def document(self, name: str) -> Source:
        """One source. Raises NotFound."""
        return self._sources.document(name)

    async def create(self, document: Source) -> Source:
        """Register a new one. Raises Conflict when the name is taken."""
        async with self._changing:
            if document.name in self._sources.names():
                raise Conflict(
                    f"source {document.name!r} exists; PUT replaces it, or choose another name"
                )
            await self._put(document)
        return document

    async def put(self, document: Source) -> bool:
        """Register or replace; whether it is new. What detectors learned stays."""
        async with self._changing:
            created = document.name not in self._sources.names()
            if not created:
                self._refuse_change(document)
            await self._put(document)
            return created

    async def patch(self, name: str, changes: Mapping[str, Any]) -> Source:
        """Change some keys, as JSON merge patch (RFC 7396) on the document."""
        async with self._changing:
            before = self._sources.document(name)
            document = parse_source(merged(before.model_dump(mode="json"), changes))
            if document.name != name:
                raise InvalidInput(
                    f"a source keeps its name: {name!r} cannot become {document.name!r}",
                    (FieldFault("/name", "cannot be changed"),),
                )
            self._refuse_change(document)
            await self._put(document)
            return document

    async def delete(self, name: str) -> None:
        """Forget it. Raises Conflict, with their names, when detectors read it."""
        async with self._changing:
            self._sources.document(name)
            self._refuse_if_from_file(name)
            using = self._registry.using(name)
            if using:
                raise Conflict(f"source {name!r} is read by {', '.join(using)}; delete them first")
            await asyncio.to_thread(self._store.delete_source, name)
            await self._sources.delete(name)
            log.info("source deleted", source=name)

    async def health(self, name: str) -> SourceHealth:
        """Probe it now, and say who reads it and how far behind they are."""
        health = await self._sources.health(name)
        using = self._registry.using(name)
        lags = [self._registry.status(detector).lag_seconds for detector in using]
        known = [lag for lag in lags if lag is not None]
        return health.model_copy(
            update={"detectors": using, "lag_seconds": max(known, default=None)}
        )

    async def preview(self, name: str, asked: Preview) -> Previewed:
        """What a query gives, without a detector. Raises SourceError in the source's words."""
        source = self._sources.get(name)
        end_ms = (self._clock.now_ms() if asked.end is None else asked.end) // asked.step
        end_ms *= asked.step
        start_ms = end_ms - PREVIEW_MS if asked.start is None else asked.start
        points = min(PREVIEW_POINTS_MAX, source.points_max)
        start_ms = max(-(-start_ms // asked.step) * asked.step, end_ms - (points - 1) * asked.step)
        if start_ms > end_ms:
            raise InvalidInput(
                "start is after end", (FieldFault("/start", "must not be after end"),)
            )
        batch = await source.read(asked.query, start_ms, end_ms, asked.step)
        if isinstance(batch, LineBatch):
            return _lines(batch, asked.limit)
        return _series(batch, asked.limit)

    async def metrics(self, name: str) -> list[MetricInfo]:
        """The metrics of a source, by name."""
        return await self._sources.get(name).metrics()

    async def labels(self, name: str, selector: str | None) -> list[str]:
        """Names of labels."""
        return await self._sources.get(name).labels(selector)

    async def label_values(self, name: str, label: str, selector: str | None) -> list[str]:
        """Values of a label."""
        return await self._sources.get(name).label_values(label, selector)

    def build(self, parts: QueryParts) -> BuiltQuery:
        """A query made of parts."""
        return BuiltQuery(query=build_query(parts))

    async def _put(self, document: Source) -> None:
        self._sources.check(document)
        name = document.name
        before = self._sources.document(name) if name in self._sources.names() else None
        await asyncio.to_thread(self._store.put_source, document)
        try:
            async with self._registry.without(name):
                await self._sources.put(document)
        except AiopsError:
            # What was there stays, in the store as here.
            if before is None:
                await asyncio.to_thread(self._store.delete_source, name)
            else:
                await asyncio.to_thread(self._store.put_source, before)
            raise
        log.info("source registered", source=document.name, type=document.type)

    def _refuse_change(self, document: Source) -> None:
        self._refuse_if_from_file(document.name)
        before = self._sources.document(document.name).type
        if document.type != before:
            raise Conflict(
                f"source {document.name!r} is of type {before!r} and stays so; choose another name"
            )

    def _refuse_if_from_file(self, name: str) -> None:
        if name in self._from_file:
            raise Conflict(f"source {name!r} stands in the settings file; change it there")


def _series(batch: SampleBatch, limit: int) -> Previewed:
    present = np.unique(batch.series)
    shown = [
        PreviewSeries(
            labels=dict(batch.labels[k]),
            samples=[
                (at / 1000, value if np.isfinite(value) else None)
                for at, value in zip(
                    batch.timestamps_ms[batch.series == k].tolist(),
                    batch.values[batch.series == k].tolist(),
                    strict=True,
                )
            ],
        )
        for k in present[:limit].tolist()
    ]
    return Previewed(series=shown, total=len(present), warnings=list(batch.warnings))


def _lines(batch: LineBatch, limit: int) -> Previewed:
    newest = range(max(0, len(batch) - limit), len(batch))
    shown = [
        PreviewLine(
            labels=dict(batch.labels[batch.stream[k]]),
            at=int(batch.timestamps_ns[k]) // NS_OF_MS,
            line=batch.lines[k].decode("utf-8", "replace"),
        )
        for k in newest
    ]
    return Previewed(lines=shown, total=len(batch), warnings=list(batch.warnings))
