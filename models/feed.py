"""What travels on the feed, and what a reader asks of it."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator

from models.labels import Selector, parse_selector
from models.records import Record

TOPICS = ("anomalies", "detectors", "jobs")
_SCORES = re.compile(r"scores/[a-z][a-z0-9_-]{0,62}")
_TYPES = {"anomalies": "anomaly", "detectors": "detector", "jobs": "job"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its topic, the place after it, and the record as JSON values."""

    topic: str
    cursor: str
    data: Mapping[str, Any]

    @property
    def type(self) -> str:
        """What `data` is: anomaly, detector, job or scores."""
        return _TYPES.get(self.topic, "scores")

    def as_json(self) -> dict[str, object]:
        """As it is sent."""
        return {"type": self.type, "topic": self.topic, "cursor": self.cursor, "data": self.data}


class Filter(Record):
    """Which messages of a topic to send; what is absent does not narrow."""

    detector: str | None = None
    labels: str | None = None
    """A selector on the labels, e.g. `{service="checkout"}`."""
    min_score: float | None = None
    """Smallest peak score."""

    @field_validator("labels")
    @classmethod
    def _readable(cls, text: str | None) -> str | None:
        if text is not None:
            parse_selector(text)
        return text


@dataclass(frozen=True, slots=True)
class Subscription:
    """A filter made ready."""

    detector: str | None = None
    selector: Selector | None = None
    min_score: float | None = None

    def wants(self, message: Message) -> bool:
        """Whether the message passes the filter."""
        data = message.data
        if self.detector is not None and data.get("detector", data.get("name")) != self.detector:
            return False
        if self.selector is not None and not self.selector.matches(data.get("labels", {})):
            return False
        return self.min_score is None or data.get("peak_score", 0) >= self.min_score


class Request(Record):
    """What a reader sends: subscribe to topics from a cursor on, or unsubscribe."""

    op: Literal["subscribe", "unsubscribe"]
    topics: list[str] = Field(min_length=1, max_length=100)
    """`anomalies`, `detectors`, `scores/NAME`."""
    filter: Filter = Filter()
    since: str | None = None
    """A cursor from an earlier message: what came after it is sent first."""

    @field_validator("topics")
    @classmethod
    def _known(cls, topics: list[str]) -> list[str]:
        for topic in topics:
            if topic not in TOPICS and not _SCORES.fullmatch(topic):
                raise ValueError(
                    f"unknown topic {topic!r}; known: {', '.join(TOPICS)}, scores/NAME"
                )
        return topics

    def subscription(self) -> Subscription:
        """The filter made ready."""
        chosen = self.filter
        selector = None if chosen.labels is None else parse_selector(chosen.labels)
        return Subscription(chosen.detector, selector, chosen.min_score)


@dataclass(frozen=True, slots=True)
class Missed:
    """What a returning reader missed. gap: why something may be lacking; None when nothing is."""

    gap: str | None
    messages: AsyncIterator[Message]
