"""The sources of this engine, by name."""

import random
from collections.abc import Callable

from ingest.base import Source
from ingest.http import HttpClient, HttpCounters
from ingest.loki import Loki, LokiCounters
from ingest.prometheus import Prometheus
from ingest.scrape import Scrape
from models import source as documents
from models.errors import NotFound
from models.source import LokiSource, PrometheusSource, SourceHealth


class Sources:
    """Made once from the settings; each has a client of its own."""

    def __init__(
        self, wanted: list[documents.Source], now_ms: Callable[[], int], rng: random.Random
    ) -> None:
        self._documents = {document.name: document for document in wanted}
        self._clients = {
            document.name: HttpClient(
                document.http, retries=document.http.retries, now_ms=now_ms, rng=rng
            )
            for document in wanted
        }
        self._sources = {
            document.name: _build(document, self._clients[document.name], now_ms)
            for document in wanted
        }

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
        """One source as it stands in the settings. Raises NotFound."""
        self.get(name)
        return self._documents[name]

    def listing(self, limit: int, after: str | None) -> list[documents.Source]:
        """Up to `limit` documents, by name, those after `after`."""
        names = [name for name in self.names() if after is None or name > after]
        return [self._documents[name] for name in names[:limit]]

    async def health(self, name: str) -> SourceHealth:
        """Probe one source now. Raises NotFound."""
        return await self.get(name).health()

    def counters(self) -> dict[str, HttpCounters]:
        """What each source's client did."""
        return {name: client.counters for name, client in self._clients.items()}

    def line_counters(self) -> dict[str, LokiCounters]:
        """What became of the log lines of each source that has lines."""
        return {
            name: source.counters
            for name, source in self._sources.items()
            if isinstance(source, Loki)
        }

    async def close(self) -> None:
        """End all connections."""
        for source in self._sources.values():
            await source.close()


def _build(document: documents.Source, http: HttpClient, now_ms: Callable[[], int]) -> Source:
    if isinstance(document, PrometheusSource):
        return Prometheus(document, http, now_ms)
    if isinstance(document, LokiSource):
        return Loki(document, http, now_ms)
    return Scrape(document, http, now_ms)
