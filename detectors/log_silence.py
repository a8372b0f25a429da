"""Log silence: an expected template of log lines, or any other event, that stopped coming."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.base import Detector, Field
from detectors.kernels.moments import VALUE_MAX
from detectors.ticks import in_ticks
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.durations import parse_duration
from models.jit import kernel

SCORE_MAX = 1e6


@dataclass(frozen=True, slots=True)
class LogSilenceParams:
    """Compares the time without an event with the longest there was."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    factor: float = 3.0
    """How many times the longest silence of the past a silence must last."""
    memory: str = "1d"
    """After this long, half of a silence is forgotten, as a duration."""
    warmup: int = 30
    """Steps with an event before a series gets a score."""

    def __post_init__(self) -> None:
        if not 1.0 <= self.factor < math.inf:
            raise ValueError(f"factor must be at least 1 and finite, got {self.factor}")
        if parse_duration(self.memory) <= 0:
            raise ValueError(f"memory must be above 0, got {self.memory}")
        if self.warmup < 2:
            raise ValueError(f"warmup must be at least 2 steps, got {self.warmup}")


@kernel
def _step(
    rows: Rows,
    timestamps_ms: Times,
    values: Floats,
    last: Times,
    events: Rows,
    longest: Floats,
    mean: Floats,
    step_ms: int,
    factor: float,
    memory_ms: float,
    warmup: int,
    out: Floats,
) -> None:
    """Score, then learn; out: (2, n) score and expected count."""
    for i in range(len(rows)):
        row = int(rows[i])
        x = float(values[i])
        out[0, i] = out[1, i] = math.nan
        if not abs(x) <= VALUE_MAX:
            continue
        known = int(events[row])
        silence = float(max(timestamps_ms[i] - last[row], 0)) if known else 0.0
        there = x > 0.0
        if known >= warmup:
            usual = max(float(longest[row]), float(step_ms))
            out[0, i] = 0.0 if there else min(silence / (factor * usual), SCORE_MAX)
            out[1, i] = mean[row]
        if there:
            if known:
                # What was the longest fades: half of it after `memory`.
                faded = float(longest[row]) * 2.0 ** (-silence / memory_ms)
                longest[row] = max(faded, silence)
            events[row] = min(known + 1, warmup)
            mean[row] += (x - mean[row]) / events[row]
            last[row] = max(last[row], timestamps_ms[i]) if known else timestamps_ms[i]


class LogSilence(Detector):
    """The time since the last event, in the longest silence there was.

    It has no band; the expected value is the usual count of a step that has events. Floor: a
    silence of one step is always usual.
    """

    kind: ClassVar[str] = "log_silence"
    mends_resets: ClassVar[bool] = False
    Params = LogSilenceParams

    def fields(self) -> tuple[Field, ...]:
        """When the last event was, how many, the longest silence in ms, the mean count."""
        return (
            Field("last", np.int64),
            Field("events", np.int32),
            Field("longest", np.float64),
            Field("mean", np.float64),
        )

    def step(self, batch: RowBatch) -> ScoreColumns:
        ticks = in_ticks(batch)
        out = np.empty((2, len(batch)))
        _step(
            ticks.rows,
            ticks.timestamps_ms,
            ticks.values,
            self.array("last"),
            self.array("events"),
            self.array("longest"),
            self.array("mean"),
            self.step_ms,
            self.params.factor,
            float(parse_duration(self.params.memory)),
            self.params.warmup,
            out,
        )
        return ticks.columns(out)
