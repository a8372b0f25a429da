"""What the API asks of the engine; the engine's parts fit these shapes without knowing them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from models.anomaly import Anomaly, AnomalyFilter
from models.detector import Detector, Status
from models.feed import Message, Missed, Subscription
from models.health import Health
from models.kind import Kind
from models.source import Source, SourceHealth


class Detectors(Protocol):
    """The registered detectors. Raises NotFound, Conflict, InvalidInput, SourceError."""

    def listing(self, limit: int, after: str | None) -> list[Detector]: ...
    def get(self, name: str) -> Detector: ...
    async def create(self, document: Detector) -> Detector: ...
    async def put(self, document: Detector) -> bool: ...
    async def patch(self, name: str, changes: Mapping[str, Any]) -> Detector: ...
    async def delete(self, name: str) -> None: ...
    async def start(self, name: str) -> Status: ...
    async def stop(self, name: str) -> Status: ...
    def status(self, name: str) -> Status: ...


class Sources(Protocol):
    """The sources. Raises NotFound."""

    def listing(self, limit: int, after: str | None) -> list[Source]: ...
    def document(self, name: str) -> Source: ...
    async def health(self, name: str) -> SourceHealth: ...


class Anomalies(Protocol):
    """The recorded anomalies. Raises NotFound."""

    async def get(self, anomaly_id: str) -> Anomaly: ...
    async def listing(
        self, chosen: AnomalyFilter, limit: int, before: tuple[int, str] | None
    ) -> list[Anomaly]: ...


class Reader(Protocol):
    """One feed connection's queue; `overflow` returns once the reader was too slow."""

    @property
    def subscriptions(self) -> dict[str, Subscription]: ...
    async def next(self) -> Message: ...
    async def overflow(self) -> None: ...


class Feed(Protocol):
    """The live feed and its memory."""

    @property
    def cursor(self) -> str: ...
    def open(self) -> Reader | None: ...
    def close(self, reader: Any) -> None: ...
    async def missed(self, since: str) -> Missed: ...


class Page(Protocol):
    """A page in text exposition format."""

    async def render(self) -> bytes | memoryview: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything, handed to `create_app`."""

    detectors: Detectors
    sources: Sources
    anomalies: Anomalies
    feed: Feed
    metrics: Page
    scores: Page
    kinds: Callable[[], list[Kind]]
    kind: Callable[[str], Kind]
    health: Callable[[], Health]
    ready: Callable[[], bool]
    tokens: Callable[[], list[str]]
    """Bearer tokens that are valid now; none: no authentication."""
