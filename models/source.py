"""Sources as people write them, and how they stand."""

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from models.errors import InvalidInput
from models.records import Duration, Name, Record, Timestamp, Url
from models.secrets import Secret
from models.validation import faults_of, summary


class BasicAuth(Record):
    """User name and password."""

    username: str
    password: Secret


class OAuth2(Record):
    """A bearer token by client credentials (RFC 6749, section 4.4)."""

    token_url: Url
    """Where tokens are given out."""
    client_id: str
    """As the identity provider gave it."""
    client_secret: Secret
    """Sent to `token_url` alone."""
    scopes: list[str] = Field(default_factory=list)
    """Asked for with the token."""
    endpoint_params: dict[str, str] = Field(default_factory=dict)
    """Further form fields of the token request, e.g. `audience`."""


class Connection(Record):
    """How an HTTP server is spoken to."""

    timeout: Duration = Field(default=30_000, gt=0)
    """For one attempt, from connecting to the last byte."""
    basic_auth: BasicAuth | None = None
    bearer_token: Secret | None = None
    oauth2: OAuth2 | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with every request, e.g. `X-Scope-OrgID`; shown to whoever reads the source."""
    secret_headers: dict[str, Secret] = Field(default_factory=dict)
    """Sent with every request and never shown, e.g. an API key."""
    ca_file: str | None = None
    """Certificates to trust in place of the system's; this and the next two are read again when
    they change."""
    client_cert_file: str | None = None
    """Certificate shown to the server (mutual TLS)."""
    client_key_file: str | None = None
    """Its key; by default in the certificate's file."""
    insecure_skip_verify: bool = False
    """Whether any certificate of the server is taken; for tests alone."""
    proxy: Url | None = None
    """Proxy for all requests."""

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        ways = [self.basic_auth, self.bearer_token, self.oauth2]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("give one of basic_auth, bearer_token and oauth2")
        shown = {name.lower() for name in self.headers} & {"authorization", "cookie"}
        if shown:
            raise ValueError(f"header {shown.pop()!r} is a secret; put it into secret_headers")
        if self.client_key_file is not None and self.client_cert_file is None:
            raise ValueError("client_key_file needs client_cert_file")
        return self


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


class RemoteWriteSource(Record):
    """Samples pushed to `/api/v1/write` by remote write 1.0 or 2.0; a query selects series."""

    type: Literal["remote_write"]
    name: Name
    keep: Duration = Field(default=600_000, ge=60_000, le=86_400_000)
    """How long samples are kept for detectors that are behind, in memory and on disk."""
    samples_max: int = Field(default=10_000_000, ge=1_000)
    """Samples kept; beyond it senders are told to wait (429)."""


class LokiPushSource(Record):
    """Log lines pushed to `/loki/api/v1/push`; queries are stream selectors with line filters."""

    type: Literal["loki_push"]
    name: Name
    keep: Duration = Field(default=600_000, ge=60_000, le=86_400_000)
    """How long lines are kept for detectors that are behind, in memory and on disk."""
    bytes_max: int = Field(default=256 * 2**20, ge=2**20)
    """Bytes of lines kept; beyond it senders are told to wait (429)."""


class ReplaySource(Record):
    """A CSV or Parquet file as a source with a past; queries are series selectors."""

    type: Literal["replay"]
    name: Name
    path: str
    """With a column `timestamp` (milliseconds, seconds or RFC 3339) and, as in a table of samples,
    `value` beside columns of labels, or one column of values for each series."""
    play: Literal["recorded", "history", "live"] = "recorded"
    """When the samples are: as recorded; all before the start of the engine, to be read as fast as
    that goes; or the first at that start and the others after it, in real time."""


Source = Annotated[
    PrometheusSource
    | LokiSource
    | ScrapeSource
    | RemoteWriteSource
    | LokiPushSource
    | ReplaySource,
    Field(discriminator="type"),
]


_source = TypeAdapter[Source](Source)
TYPES = ("prometheus", "loki", "scrape", "remote_write", "loki_push", "replay")


def parse_source(raw: object) -> Source:
    """`raw` as the source of its type. Raises InvalidInput that names every wrong field."""
    try:
        return _source.validate_python(raw)
    except ValidationError as error:
        faults = faults_of(
            [entry | {"loc": place_in_source(entry["loc"])} for entry in error.errors()]
        )
        raise InvalidInput(summary(faults), faults) from error


def place_in_source(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where a fault stands, without the type that pydantic puts before it."""
    return location[1:] if location and location[0] in TYPES else location


class SourceHealth(Record):
    """How a source stands."""

    name: str
    type: str
    reachable: bool
    breaker_open: bool = False
    """Whether requests are held back because the last ones failed."""
    detectors: list[str] = Field(default_factory=list)
    """Detectors that read it."""
    lag_seconds: float | None = None
    """How far the detector that is furthest behind is behind now."""
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
