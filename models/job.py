"""Long work on a detector's past: what was asked for, how far it is, what came of it."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from models.detector import Model
from models.records import Name, Record, Timestamp

JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class Window(Record):
    """A stretch of the past: instants after `start`, up to `end`."""

    start: Timestamp
    end: Timestamp

    @model_validator(mode="after")
    def _goes_forward(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end must be after start")
        return self


class Training(Window):
    """What to learn from."""

    activate: bool = True
    """Whether the detector goes on with what was learned; else it waits among the versions."""


class Backtest(Window):
    """What to judge as if it were live."""

    model: Model | None = None
    """Another model to try; null takes the detector's own."""


class Job(Record):
    """One training or backtest."""

    id: str
    kind: Literal["train", "backtest"]
    detector: Name
    asked: dict[str, Any]
    """The request's body."""
    state: JobState = "queued"
    progress: float = Field(default=0.0, ge=0, le=1)
    """Share of the time to be read that was read."""
    position: Timestamp | None = None
    """The newest instant that was read."""
    samples: int = 0
    created_at: Timestamp
    ended_at: Timestamp | None = None
    error: str | None = None
    """Why it failed."""
    result: dict[str, Any] | None = None
    """train: the version, series and samples. backtest: anomalies, alerts per day, what changed."""

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ("done", "failed", "cancelled")


class Version(Record):
    """What a detector learned in one training, kept to be gone back to."""

    id: str
    detector: Name
    created_at: Timestamp
    position: Timestamp
    """The newest instant that it knows."""
    series: int
    samples: int
    size_bytes: int
    active: bool
    """Whether the detector went on from it last."""


class GivenSeries(Record):
    """A series to be judged."""

    labels: dict[str, str]
    samples: list[tuple[float, float | None]] = Field(max_length=100_000)
    """Pairs of Unix seconds and value, in order of time."""


class Detect(Record):
    """What to judge now: series that are given, or the source's answer in a window."""

    series: list[GivenSeries] | None = Field(default=None, max_length=10_000)
    start: Timestamp | None = None
    end: Timestamp | None = None
    model: Model | None = None
    """Another model in place of the detector's own; for a window only."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        window = self.start is not None and self.end is not None
        if window == (self.series is not None) or (self.start is None) != (self.end is None):
            raise ValueError("give either series, or start and end")
        if self.model is not None and not window:
            raise ValueError("another model has learned nothing: give start and end")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("end must be after start")
        return self


class DetectedSeries(Record):
    """A series and what was found."""

    labels: dict[str, str]
    samples: list[
        tuple[float, float | None, float | None, float | None, float | None, float | None]
    ]
    """Unix seconds, value, score, expected, lower, upper; null where there is none."""


class Detected(Record):
    """The answer to Detect."""

    series: list[DetectedSeries]
    learned_until: Timestamp | None
    """The newest instant that the copy of the learned state knew."""
