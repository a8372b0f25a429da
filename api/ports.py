"""What the API asks of the engine; the engine's parts fit these shapes without knowing them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from models.anomaly import Anomaly, AnomalyFilter
from models.detector import Detector, Status
from models.feed import Message, Missed, Subscription
from models.health import Health
from models.kind import Kind
from models.query import BuiltQuery, MetricInfo, Preview, Previewed, QueryParts
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
    """The sources. Raises NotFound, Conflict, InvalidInput, SourceError."""

    def listing(self, limit: int, after: str | None) -> list[Source]: ...
    def document(self, name: str) -> Source: ...
    async def create(self, document: Source) -> Source: ...
    async def put(self, document: Source) -> bool: ...
    async def patch(self, name: str, changes: Mapping[str, Any]) -> Source: ...
    async def delete(self, name: str) -> None: ...
    async def health(self, name: str) -> SourceHealth: ...
    async def preview(self, name: str, asked: Preview) -> Previewed: ...
    async def metrics(self, name: str) -> list[MetricInfo]: ...
    async def labels(self, name: str, selector: str | None) -> list[str]: ...
    async def label_values(self, name: str, label: str, selector: str | None) -> list[str]: ...
    def build(self, parts: QueryParts) -> BuiltQuery: ...


class Written(Protocol):
    """What of a remote-write request was taken."""

    @property
    def samples(self) -> int: ...
    @property
    def histograms(self) -> int: ...
    @property
    def exemplars(self) -> int: ...


class Receiver(Protocol):
    """Takes remote write. Raises InvalidInput, IntakeFull."""

    async def take(self, body: bytes, *, version_2: bool) -> Written: ...


class LineReceiver(Protocol):
    """Takes pushed log lines. Raises InvalidInput, IntakeFull."""

    async def take(self, body: bytes, *, protobuf: bool, encoding: str) -> int: ...


class Intake(Protocol):
    """Where pushes go. Raises NotFound when no source takes them."""

    def receiver(self) -> Receiver: ...
    def line_receiver(self) -> LineReceiver: ...


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
    intake: Intake
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
