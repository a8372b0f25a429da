"""Queries by their parts, and what a preview of one shows."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from models.labels import quote
from models.records import Duration, Record, Timestamp

LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
LOGQL_UNWRAPPED = ("avg", "min", "max", "sum", "quantile")
"""What needs a number from each line."""


class Condition(Record):
    """One condition on one label."""

    label: str
    operator: Literal["=", "!=", "=~", "!~"] = "="
    value: str

    @field_validator("label")
    @classmethod
    def _is_a_name(cls, label: str) -> str:
        if not LABEL_NAME.fullmatch(label):
            raise ValueError(f"{label!r} is no label name; letters, digits and _ make one")
        return label

    @model_validator(mode="after")
    def _is_an_expression(self) -> Self:
        if self.operator in ("=~", "!~"):
            try:
                re.compile(self.value)
            except re.error as error:
                raise ValueError(f"regular expression {self.value!r}: {error}") from error
        return self

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{quote(self.value)}"


class QueryParts(Record):
    """What a query is made of: select, then over time, then over series."""

    language: Literal["promql", "logql"]
    metric: str | None = None
    """PromQL: the name of the series."""
    where: list[Condition] = Field(default_factory=list)
    contains: list[str] = Field(default_factory=list)
    """LogQL: texts that the lines contain."""
    over_time: (
        Literal["rate", "increase", "delta", "avg", "min", "max", "sum", "count", "quantile"] | None
    ) = None
    """What is made of the samples, or the lines, of each window."""
    window: Duration = Field(default=300_000, ge=1_000)
    aggregate: Literal["sum", "avg", "min", "max", "count", "stddev", "quantile"] | None = None
    """What is made of all series."""
    by: list[str] = Field(default_factory=list)
    """Labels that an aggregate keeps."""
    quantile: float = Field(default=0.99, ge=0, le=1)
    """Which one, for `quantile`."""
    unwrap: str | None = None
    """LogQL: the label whose number is taken in place of a count."""

    @model_validator(mode="after")
    def _selects(self) -> Self:
        if self.language == "promql" and self.metric is None and not self.where:
            raise ValueError("name a metric, or one condition")
        narrow = any(
            bool(own.value) if own.operator == "=" else not re.fullmatch(own.value, "")
            for own in self.where
            if own.operator in ("=", "=~")
        )
        if not narrow and (self.language == "logql" or self.metric is None):
            raise ValueError("give one condition with = or =~ that the empty text does not meet")
        if self.language == "logql" and self.metric is not None:
            raise ValueError("log streams have no metric; give conditions")
        if self.language == "logql" and self.aggregate is not None and self.over_time is None:
            raise ValueError("lines are counted before they are aggregated; give over_time")
        if self.language == "promql" and (self.contains or self.unwrap):
            raise ValueError("contains and unwrap are for LogQL")
        if self.language == "logql" and self.over_time in ("increase", "delta"):
            raise ValueError(f"LogQL has no {self.over_time}")
        if self.over_time in LOGQL_UNWRAPPED and self.language == "logql" and self.unwrap is None:
            raise ValueError(f"{self.over_time} of log lines needs unwrap: a label with a number")
        for name in [*self.by, *([self.unwrap] if self.unwrap else [])]:
            if not LABEL_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no label name; letters, digits and _ make one")
        return self


class BuiltQuery(Record):
    """A query made of parts."""

    query: str


class Preview(Record):
    """A query to be tried, and over which window; by default the last hour."""

    query: str = Field(min_length=1)
    start: Timestamp | None = None
    end: Timestamp | None = None
    step: Duration = Field(default=15_000, ge=1_000)
    limit: int = Field(default=20, ge=1, le=1_000)
    """Series, or lines, to show."""


class PreviewSeries(Record):
    """A series and its samples: [Unix seconds, value], null for no number."""

    labels: dict[str, str]
    samples: list[tuple[float, float | None]]


class PreviewLine(Record):
    """A log line of a stream."""

    labels: dict[str, str]
    at: Timestamp
    line: str


class Previewed(Record):
    """What a query gives."""

    series: list[PreviewSeries] = Field(default_factory=list)
    lines: list[PreviewLine] = Field(default_factory=list)
    total: int
    """Series, or lines, there were in all."""
    warnings: list[str] = Field(default_factory=list)


class MetricInfo(Record):
    """A metric that a source has; type, help and unit where it tells them."""

    name: str
    type: str = ""
    help: str = ""
    unit: str = ""
