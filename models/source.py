"""Sources as people write them, and how they stand."""

from typing import Annotated, Literal

from pydantic import Field

from models.records import Duration, Name, Record, Timestamp, Url
from models.secrets import Secret


class BasicAuth(Record):
    """User name and password."""

    username: str
    password: Secret


class Connection(Record):
    """How an HTTP server is spoken to."""

    timeout: Duration = Field(default=30_000, gt=0)
    """For one attempt, from connecting to the last byte."""
    basic_auth: BasicAuth | None = None
    bearer_token: Secret | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with every request, e.g. `X-Scope-OrgID`."""
    ca_file: str | None = None
    """Certificates to trust in place of the system's."""


class Http(Connection):
    """How a source is spoken to."""

    retries: int = Field(default=3, ge=0, le=10)
    """Further attempts after a failed one, each after a longer pause."""


class PrometheusSource(Record):
    """A server with the Prometheus HTTP API: Prometheus, VictoriaMetrics, Mimir, Thanos."""

    type: Literal["prometheus"]
    name: Name
    url: Url
    """Up to, but without, `/api/v1`."""
    http: Http = Http()


class ScrapeSource(Record):
    """Exporters read directly; it has no past, so gaps cannot be caught up."""

    type: Literal["scrape"]
    name: Name
    targets: list[Url] = Field(min_length=1)
    """Full addresses of metrics pages."""
    http: Http = Http(timeout=10_000, retries=0)


class LokiSource(Record):
    """A Grafana Loki server: metric queries as series, log queries as lines."""

    type: Literal["loki"]
    name: Name
    url: Url
    """Up to, but without, `/loki/api/v1`."""
    entries_max: int = Field(default=5_000, ge=2, le=100_000)
    """Lines of one answer; the server's `max_entries_limit_per_query`."""
    http: Http = Http()


Source = Annotated[PrometheusSource | LokiSource | ScrapeSource, Field(discriminator="type")]


class SourceHealth(Record):
    """How a source stands."""

    name: str
    type: str
    reachable: bool
    latency_seconds: float | None = None
    """Of the probe made for this answer."""
    error: str | None = None
    """Why it is not reachable."""
    requests_total: int
    retries_total: int
    failures_total: int
    """Requests that failed after all retries."""
    last_success_at: Timestamp | None = None
    warnings: list[str] = Field(default_factory=list)
    """What the server said about its last answer: partial data, for example."""
