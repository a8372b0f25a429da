"""The whole configuration file as one typed tree; unknown keys are refused."""

from ipaddress import ip_address
from typing import Self

from pydantic import AnyHttpUrl, Field, model_validator

from models.detector import Detector
from models.records import Duration, Record, Url
from models.secrets import Secret
from models.source import Connection, PrometheusSource, Source


class Global(Record):
    """What detectors in this file take where they say nothing themselves."""

    step: Duration = Field(default=15_000, ge=1_000)
    delay: Duration = Field(default=5_000, ge=0)


class RemoteWriteOutput(Record):
    """A remote-write receiver that gets scores and bands with the samples' own timestamps."""

    url: Url
    """E.g. `http://127.0.0.1:9090/api/v1/write`."""
    http: Connection = Connection()
    queue_samples_max: int = Field(default=2_000_000, ge=1_000)
    """Samples that may wait; beyond this the oldest are dropped and counted."""
    request_samples_max: int = Field(default=5_000, ge=1)
    """Samples in one request."""


class Outputs(Record):
    """Where results go beside the feed and `/metrics/scores`."""

    remote_write: list[RemoteWriteOutput] = Field(default_factory=list)


class Storage(Record):
    """What is kept on disk."""

    url: str | None = None
    """SQLAlchemy URL of the records; by default SQLite in the storage path."""
    snapshot_interval: Duration = Field(default=30_000, ge=1_000)
    """How often learned state is saved; after a crash this much is read again."""
    snapshots: int = Field(default=3, ge=2, le=100)
    """How many snapshots are kept."""
    retention: Duration = Field(default=90 * 86_400_000, ge=3_600_000)
    """How long closed anomalies are kept."""


class Limits(Record):
    """Bounds on everything that grows with use."""

    series_per_detector: int = Field(default=1_000_000, ge=1)
    """Series beyond this are refused and counted."""
    series_stale: Duration = Field(default=300_000, ge=1_000)
    """A series without a sample for this long and five steps has ended: its anomaly closes."""
    series_idle: Duration = Field(default=86_400_000, ge=1_000)
    """A series without a sample for this long is forgotten; at least `series_stale`."""
    queue_samples: int = Field(default=2_000_000, ge=1_000)
    """Samples that may wait between reading and scoring; reading pauses beyond it."""
    compute_threads: int = Field(default=1, ge=1, le=256)
    """Detectors judged side by side; more than one pays where several watch many series each."""
    feed_messages: int = Field(default=100_000, ge=100)
    """Feed messages kept for readers that come back."""
    feed_clients: int = Field(default=1_000, ge=1)
    """Open feed connections."""
    feed_queue: int = Field(default=1_000, ge=10)
    """Messages that may wait for one slow reader before it is disconnected."""


class Auth(Record):
    """Who may use the API; without tokens everyone on this machine may, and no one else."""

    bearer_tokens: list[Secret] = Field(default_factory=list)


class Settings(Record):
    """The file, whole. Without a file these defaults run."""

    global_: Global = Field(default=Global(), alias="global")
    sources: list[Source] = Field(default_factory=lambda: [_local_prometheus()])
    detectors: list[Detector] = Field(default_factory=list)
    outputs: Outputs = Outputs()
    storage: Storage = Storage()
    limits: Limits = Limits()
    auth: Auth = Auth()

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> Self:
        for what, names in (
            ("source", [source.name for source in self.sources]),
            ("detector", [detector.name for detector in self.detectors]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{what} {name!r} stands twice; names are unique")
        known = {source.name for source in self.sources}
        for detector in self.detectors:
            if detector.source not in known:
                raise ValueError(
                    f"detector {detector.name!r} reads source {detector.source!r}, which is not "
                    f"among the sources {sorted(known)}"
                )
        return self


def _local_prometheus() -> Source:
    url = AnyHttpUrl("http://127.0.0.1:9090")
    return PrometheusSource(type="prometheus", name="prom", url=url)


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
