"""A detector as people write it, and how it stands."""

import re
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from models.records import Duration, Interval, Name, Record, Timestamp

LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
STEP_MIN_MS = 1_000
_RESERVED_LABELS = {"__name__", "for", "model_alias"}


class Model(Record):
    """Which kind of model judges the series; all other keys are that kind's parameters."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    kind: str
    """One of the kinds at `/api/v1/kinds`."""

    @property
    def parameters(self) -> dict[str, object]:
        """The kind's own keys, as written."""
        return dict(self.__pydantic_extra__ or {})


class Policy(Record):
    """What makes a score an anomaly, and what a gap means."""

    direction: Literal["both", "above", "below"] = "both"
    """Which side of the expected value counts; the other side scores 0."""
    min_deviation: float = Field(default=0.0, ge=0)
    """Deviations from the expected value smaller than this score 0; in the unit of the series."""
    min_relative_deviation: float = Field(default=0.0, ge=0)
    """Deviations smaller than this share of the expected value score 0; 0.2 is 20 %."""
    hold: Duration = Field(default=0, ge=0)
    """How long a score must stay above 1 before the anomaly opens."""
    recover: Duration = Field(default=60_000, ge=0)
    """How long a score must stay at 1 or below before the anomaly closes."""
    missing: Literal["ignore", "zero", "previous", "alert"] = "ignore"
    """A step without a sample: no judgement, the value 0, the last value again, or an anomaly."""


class Mask(Record):
    """A part of log lines that is written differently before templates are looked for."""

    pattern: str
    """A regular expression, in the syntax of Rust's regex crate."""
    word: str = "0"
    """What stands for it; a word with a digit is a place that varies."""

    @field_validator("pattern")
    @classmethod
    def _is_an_expression(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern


class LineValue(Record):
    """A number inside log lines: how long something took, how large it was."""

    name: LabelName
    """The series' label `value`."""
    pattern: str
    """A regular expression with one group, the number and its unit if any: `took ([^ ]+)`."""
    reduce: Literal["mean", "max", "min", "sum"] = "mean"
    """What is made of a step's numbers; times come in seconds, sizes in bytes."""

    @field_validator("pattern")
    @classmethod
    def _has_one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if groups != 1:
            raise ValueError(f"has {groups} groups; one must be the number")
        return pattern


class Logs(Record):
    """How the lines of a log query become series of counts."""

    by: list[LabelName] | None = None
    """Labels of the log stream that the series keep; all of them when this is null."""
    series: Literal["templates", "levels", "both", "values"] = "both"
    """Count lines by template, by level, or both; or take the `values` inside them instead."""
    values: list[LineValue] = Field(default_factory=list)
    """Numbers to take, each a series; a step without one has no sample."""
    templates_max: int = Field(default=2_000, ge=10, le=100_000)
    """Templates that are kept; those seen longest ago make room for new ones."""
    message_fields: list[str] = Field(default=["message", "msg", "log", "event", "body"])
    """Where a JSON or logfmt line has its message, the first that is there."""
    masks: list[Mask] = Field(default_factory=list)
    """Applied to messages in this order; what varies usually is masked already."""
    redact: list[Mask] = Field(default_factory=list)
    """Applied to the examples that anomalies show, beside passwords, tokens and mail addresses."""
    warmup: Duration = Field(default=600_000, ge=0)
    """How long after the first line templates are only learned, not told as new."""

    @model_validator(mode="after")
    def _values_are_given(self) -> Self:
        if (self.series == "values") != bool(self.values):
            raise ValueError("series: values goes with a list of values, and only with it")
        return self


UNITS_MS = {"hour": 3_600_000, "day": 86_400_000, "week": 604_800_000}


class Budget(NamedTuple):
    """So many anomalies in a unit of time."""

    often: float
    unit_ms: int


def parse_budget(text: str) -> Budget:
    """Raises ValueError.

    >>> parse_budget("3/week").often
    3.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)/(hour|day|week)", text)
    if match is None or float(match[1]) <= 0.0:
        raise ValueError(f"{text!r} is not a budget; write it like 3/week, 0.5/day or 10/hour")
    return Budget(float(match[1]), UNITS_MS[match[2]])


def _readable_budget(text: str) -> str:
    parse_budget(text)
    return text


class Detector(Record):
    """One query, read every step, each of its series judged by a model of its own."""

    name: Name
    source: Name
    """Name of the source that answers the query."""
    query: str = Field(min_length=1)
    """In the source's language: PromQL for Prometheus, a series selector for scrape."""
    step: Duration = Field(default=15_000, ge=STEP_MIN_MS)
    """Distance between two samples; reads are aligned to it."""
    delay: Duration = Field(default=5_000, ge=0)
    """How far reading stays behind now, so that samples still on their way are not missed."""
    model: Model = Model(kind="auto")
    """The kind of model and its parameters."""
    transform: Literal["none", "rate", "delta", "log1p"] = "none"
    """What is judged in place of the value: a counter's growth per second, the difference from the
    sample before, or the logarithm of 1 + the value. Leave it to PromQL where you can."""
    group_by: list[LabelName] | None = None
    """Judge all series that agree on these labels as one, by the mean of their largest scores, or
    as points by kinds like `group_pca`; what they differ in names the channels of its explanation.
    Null judges each series by itself."""
    group_channels: int = Field(default=5, ge=1, le=50)
    """How many of a group's largest scores are averaged; kinds that judge points do without."""
    budget: Annotated[str, AfterValidator(_readable_budget)] | None = None
    """How many anomalies of all its series people want to hear of, like 3/week: the threshold
    follows from the scores so far. Null leaves it where the model has it."""
    history: Duration = Field(default=86_400_000, ge=0)
    """How much of the past is learned before the first judgement, where the source has it."""
    policy: Policy = Policy()
    logs: Logs = Logs()
    """For log queries only."""
    labels: dict[LabelName, str] = Field(default_factory=dict)
    """Added to every anomaly and every output series of this detector."""
    enabled: bool = True
    """Whether it runs; `start` and `stop` change this."""

    @model_validator(mode="after")
    def _labels_are_free(self) -> Self:
        taken = _RESERVED_LABELS & self.labels.keys()
        if taken:
            raise ValueError(f"label {sorted(taken)[0]!r} is written by the engine; choose another")
        return self

    @model_validator(mode="after")
    def _differences_are_of_samples(self) -> Self:
        missing = self.policy.missing
        if self.transform in ("rate", "delta") and missing in ("zero", "previous"):
            raise ValueError(
                f"transform {self.transform!r} with missing {missing!r} would take differences of "
                "made up values; let missing be ignore or alert"
            )
        return self

    @property
    def learned_from(self) -> dict[str, object]:
        """The keys that the learned state depends on; when one changes, learning starts anew."""
        keys = {"source", "query", "step", "transform", "model", "history", "logs"}
        keys |= {"group_by", "group_channels", "budget"}
        kept: dict[str, object] = self.model_dump(mode="json", include=keys)
        return kept | {"missing": self.policy.missing}


class State(StrEnum):
    """stopped: not enabled. warming: reading its history, or no series has enough samples yet.
    running: judging. lagging: judging, but far behind now. failed: its source does not answer."""

    STOPPED = "stopped"
    WARMING = "warming"
    RUNNING = "running"
    LAGGING = "lagging"
    FAILED = "failed"


class BudgetStatus(Record):
    """How a budget is kept."""

    asked: str
    edge: float
    """The model's own score that counts as 1 now."""
    realised: float
    """Anomalies told in the budget's unit of time, over the last four weeks at most."""
    interval: Interval | None = None
    """Where 95 of 100 such counts would put it; null before anything could be told."""


class Status(Record):
    """How a detector stands."""

    name: Name
    state: State
    reason: str
    """The state in a sentence."""
    position: Timestamp | None = None
    """The newest instant that was read and judged."""
    live_since: Timestamp | None = None
    """Instants after this one are judged; those before it were history to learn from."""
    lag_seconds: float | None = None
    """Distance of the position from now."""
    series: int = 0
    """Series, or groups of them, that are judged now."""
    warming: int = 0
    """Of these, series whose newest sample got no judgement yet."""
    samples_total: int = 0
    """Samples judged or learned since the detector was made; survives a restart."""
    anomalies_open: int = 0
    budget: BudgetStatus | None = None
    """For a detector with a budget: how it is kept."""
    last_error: str | None = None
    last_error_at: Timestamp | None = None
