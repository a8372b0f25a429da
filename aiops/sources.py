"""The sources of this engine, by name: made, replaced and closed."""

import asyncio
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from shutil import rmtree

from ingest.base import Source
from ingest.http import HttpClient, HttpCounters
from ingest.loki import Loki, LokiCounters
from ingest.prometheus import Prometheus
from ingest.received import IntakeCounters, Received
from ingest.received_lines import ReceivedLines
from ingest.replay import Replay
from ingest.scrape import Scrape
from ingest.shared_reads import ReadCounters, SharedReads
from models import source as documents
from models.errors import Conflict, InvalidInput, NotFound
from models.source import (
    LokiPushSource,
    LokiSource,
    PrometheusSource,
    RemoteWriteSource,
    ReplaySource,
    ScrapeSource,
    SourceHealth,
)

INTAKE_FOLDER = "intake"


class Sources:
    """What detectors read. storage: where the journals of what is pushed here are kept."""

    def __init__(self, storage: Path, now_ms: Callable[[], int], rng: random.Random) -> None:
        self._storage = storage
        self._now_ms = now_ms
        self._rng = rng
        self._documents: dict[str, documents.Source] = {}
        self._clients: dict[str, HttpClient] = {}
        self._sources: dict[str, Source] = {}

    def names(self) -> list[str]:
        """Every source's name, sorted."""
        return sorted(self._sources)

    def get(self, name: str) -> Source:
        """One source. Raises NotFound."""
        source = self._sources.get(name)
        if source is None:
            raise NotFound(f"no source {name!r}")
        return source

    def document(self, name: str) -> documents.Source:
        """One source as it was written. Raises NotFound."""
        self.get(name)
        return self._documents[name]

    def listing(self, limit: int, after: str | None) -> list[documents.Source]:
        """Up to `limit` documents, by name, those after `after`."""
        names = [name for name in self.names() if after is None or name > after]
        return [self._documents[name] for name in names[:limit]]

    async def put(self, document: documents.Source) -> None:
        """Make a source, or replace the one of that name. Raises as `check`."""
        self.check(document)
        try:
            source, client = self._build(document)
        except OSError as error:
            raise InvalidInput(f"source {document.name!r} cannot be made: {error}") from error
        before = self._sources.get(document.name)
        self._documents[document.name] = document
        self._sources[document.name] = source
        self._clients.pop(document.name, None)
        if client is not None:
            self._clients[document.name] = client
        if before is not None:
            await before.close()

    def check(self, document: documents.Source) -> None:
        """Raise Conflict for a second receiver of pushes: their address names no source."""
        if isinstance(document, RemoteWriteSource | LokiPushSource):
            for other in self._documents.values():
                if other.type == document.type and other.name != document.name:
                    raise Conflict(
                        f"source {other.name!r} receives pushes of this type; there can be one"
                    )

    async def delete(self, name: str) -> None:
        """Close a source, and forget what was pushed to it."""
        source = self._sources.pop(name)
        del self._documents[name]
        self._clients.pop(name, None)
        await source.close()
        await asyncio.to_thread(rmtree, self._storage / INTAKE_FOLDER / name, ignore_errors=True)

    async def health(self, name: str) -> SourceHealth:
        """Probe one source now. Raises NotFound."""
        health = await self.get(name).health()
        client = self._clients.get(name)
        is_open = client is not None and client.breaker.is_open
        return health.model_copy(update={"breaker_open": is_open})

    def receiver(self) -> Received:
        """Who takes remote write. Raises NotFound."""
        for source in self._plain():
            if isinstance(source, Received):
                return source
        raise NotFound("no source of type remote_write takes what is pushed here; register one")

    def line_receiver(self) -> ReceivedLines:
        """Who takes pushed log lines. Raises NotFound."""
        for source in self._plain():
            if isinstance(source, ReceivedLines):
                return source
        raise NotFound("no source of type loki_push takes what is pushed here; register one")

    def counters(self) -> dict[str, HttpCounters]:
        """What each source's client did."""
        return {name: client.counters for name, client in self._clients.items()}

    def breakers_opened(self) -> dict[str, int]:
        """How often requests to each source were held back."""
        return {name: client.breaker.opened for name, client in self._clients.items()}

    def line_counters(self) -> dict[str, LokiCounters]:
        """What became of the log lines of each source that has lines."""
        return {own.name: own.counters for own in self._plain() if isinstance(own, Loki)}

    def intake_counters(self) -> dict[str, IntakeCounters]:
        """What became of what was pushed here."""
        return {
            own.name: own.counters
            for own in self._plain()
            if isinstance(own, Received | ReceivedLines)
        }

    def read_counters(self) -> dict[str, ReadCounters]:
        """How many reads were shared."""
        return {
            name: source.counters
            for name, source in self._sources.items()
            if isinstance(source, SharedReads)
        }

    async def close(self) -> None:
        """End all connections."""
        for source in self._sources.values():
            await source.close()

    def _plain(self) -> Iterable[Source]:
        for source in self._sources.values():
            yield source.source if isinstance(source, SharedReads) else source

    def _build(self, document: documents.Source) -> tuple[Source, HttpClient | None]:
        now_ms = self._now_ms
        folder = self._storage / INTAKE_FOLDER / document.name
        if isinstance(document, RemoteWriteSource):
            return Received(document, folder, now_ms), None
        if isinstance(document, LokiPushSource):
            return ReceivedLines(document, folder, now_ms), None
        if isinstance(document, ReplaySource):
            return Replay(document, now_ms), None
        http = HttpClient(
            document.http, retries=document.http.retries, now_ms=now_ms, rng=self._rng
        )
        if isinstance(document, ScrapeSource):
            return Scrape(document, http, now_ms), http
        if isinstance(document, LokiSource):
            return SharedReads(Loki(document, http, now_ms), now_ms), http
        assert isinstance(document, PrometheusSource)
        return SharedReads(Prometheus(document, http, now_ms), now_ms), http
