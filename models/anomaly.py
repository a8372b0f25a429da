"""An anomaly: one series, one detector, from its start to its end, with the reason for it."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from pydantic import Field

from models.labels import Labels, Selector
from models.records import Record, Timestamp

Direction = Literal["above", "below", "missing", "unknown"]
Close = Literal["recovered", "series ended", "detector stopped", "detector changed"]


class Explanation(Record):
    """Why the peak sample scored what it scored.

    With a band, `score` is |observed - expected| / |edge - expected|, where the edge is `upper`
    above the expected value and `lower` below it, at most 1000000. Missing samples score the
    number of steps missed in a row.
    """

    observed: float | None
    """The value; null when the sample was missing."""
    expected: float | None
    lower: float | None
    upper: float | None
    score: float
    edge: float = 1.0
    """The model's own score that counts as 1: a budget moves it, and the score is divided by it."""
    missing_steps: int = 0
    model: dict[str, object]
    """The kind and all its parameters, defaults included."""
    scored: int = 0
    """How many samples of this series had been scored up to the peak."""
    outside: int = 0
    """How many of those were outside the band: 3 of 10000 is rare, 3000 of 10000 is not."""
    previous_at: Timestamp | None = None
    """When this series was last outside its band before this anomaly; null: never seen."""
    parts: dict[str, float] = Field(default_factory=dict)
    """What the score is made of, for kinds that ask several models; the kind's text has the sum."""
    spoke: str | None = None
    """The part that spoke loudest."""


class LogEvidence(Record):
    """The log lines behind a series of counts."""

    template: str
    """What the lines have in common, `<*>` where they vary."""
    category: str | None
    """What they are about, by their words: timeout, memory, permission, …"""
    examples: list[str]
    """Up to five, the newest last, cut off at 500 characters, secrets and addresses masked."""
    query: str
    """LogQL that shows such lines."""


class Anomaly(Record):
    """One judged event; sent on open, on each higher peak and on close."""

    id: str
    """Derives from detector, series and start: the same after a restart."""
    detector: str
    source: str
    query: str
    labels: dict[str, str]
    """The series' labels, and the detector's."""
    state: Literal["open", "closed"]
    direction: Direction
    started_at: Timestamp
    """The first sample above 1."""
    opened_at: Timestamp
    """The sample with which the score had held for the policy's `hold`."""
    ended_at: Timestamp | None = None
    """The first sample back at 1 or below; for an ended series, its last sample."""
    closed_because: Close | None = None
    score: float = Field(ge=0)
    """The score of the sample that caused this message."""
    peak_score: float = Field(ge=0)
    peak_at: Timestamp
    explanation: Explanation
    """Of the peak sample."""
    log: LogEvidence | None = None
    """For series of log lines: the lines."""
    sample_at: Timestamp
    """The instant of the sample that caused this message."""
    received_at: Timestamp
    """When that sample arrived here."""
    scored_at: Timestamp
    """When it was judged."""

    @property
    def revision(self) -> str:
        """Names this message: an anomaly told twice has the same id, state and peak."""
        return f"{self.id}/{self.state}/{self.peak_at}"


def anomaly_id(detector: str, labels: Labels, started_ms: int) -> str:
    """20 hexadecimal digits from detector, series and start."""
    key = f"{detector}\n{labels.fingerprint}\n{started_ms}"
    return blake2b(key.encode(), digest_size=10).hexdigest()


@dataclass(frozen=True, slots=True)
class AnomalyFilter:
    """Which anomalies to list; what is None does not narrow."""

    detector: str | None = None
    state: Literal["open", "closed"] | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    min_score: float | None = None
    labels: Selector | None = None
