"""Log lines to series: how many lines of each template, and of each level, in each step.

The lines of a step are read together and counted when it ends, so that the counts do not depend on
how lines come in batches. Every line is counted: the counts of a step's templates add up to its
lines (what finds no room is the template `other`).
"""

import math
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.log_lines import CATEGORIES, REDACTED, read_level, read_message, read_quantity
from ingest.templates import ANY, OTHER_ID, Templates
from ingest.tokens import PADDING
from models.anomaly import LogEvidence
from models.columns import LineBatch, SampleBatch
from models.detector import Logs
from models.errors import FieldFault, InvalidInput
from models.labels import Labels, quote

TEMPLATE, LEVEL, VALUE = "template", "level", "value"
REDUCE: Mapping[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda values: math.fsum(values) / len(values),
    "sum": math.fsum,
    "max": max,
    "min": min,
}
EXAMPLES_MAX = 5
EXAMPLE_CHARACTERS_MAX = 500
LINE_BYTES_MAX = 4_096
"""Of a message; what comes behind is not looked at."""
DERIVED = ("detected_level",)
"""Labels that Loki adds to answers; on a tail they are missing, so they identify nothing."""

Values = Literal["counts", "novelty"]


@dataclass(slots=True)
class LineCounters:
    """What became of lines. cut: longer than is looked at."""

    lines: int = 0
    cut: int = 0
    new: int = 0
    """Templates seen for the first time after the warm-up."""


class LogSeries:
    """The series of one log query.

    query: LogQL, for the queries that show what was counted. values: counts, or for each template
    and step whether it is new: 0, or 1 + its distance from the nearest known.
    Raises InvalidInput for a mask that is no expression of Rust's regex crate.
    """

    def __init__(self, query: str, settings: Logs, values: Values) -> None:
        self.templates = Templates(settings.templates_max)
        self.counters = LineCounters()
        self._query = query
        self._settings = settings
        self._values = values
        self._first_ms: int | None = None
        self._examples: dict[str, deque[str]] = {}
        self._redacted = [
            *REDACTED,
            *((re.compile(mask.pattern), mask.word) for mask in settings.redact),
        ]
        self._patterns = [re.compile(value.pattern) for value in settings.values]
        for k, mask in enumerate(settings.masks):
            try:
                pl.Series([""]).str.replace_all(mask.pattern, mask.word)
            except pl.exceptions.ComputeError as error:
                reason = f"{mask.pattern!r}: {error}"
                raise InvalidInput(reason, (FieldFault(f"/logs/masks/{k}", reason),)) from error
        self._kept: dict[Labels, Labels] = {}
        self._ended: set[str] = set()
        self._around: dict[str, tuple[bool, bool]] = {}
        """Whether there is text before and after the messages of a template."""

    def count(self, batch: LineBatch) -> SampleBatch:
        """The counts of a window's lines, at its instants; what is not there is 0."""
        samples = _Samples()
        instants = range(batch.start_ms, batch.end_ms + 1, batch.step_ms)
        edges = np.searchsorted(
            batch.timestamps_ns, [at * 1_000_000 for at in instants], side="right"
        ).tolist()
        begin = 0
        for at_ms, end in zip(instants, edges, strict=True):
            if end > begin:
                self._count_step(batch, begin, end, at_ms, samples)
            begin = end
        self.counters.lines += begin
        return samples.batch(batch)

    def take_ended(self) -> set[str]:
        """Templates that merged into others or were forgotten since the last call."""
        ended, self._ended = self._ended, set()
        return ended

    def evidence(self, labels: Mapping[str, str]) -> LogEvidence | None:
        """The lines behind a series, None for a series that is not of a template."""
        name = labels.get(TEMPLATE)
        if name is None:
            return None
        text = self.templates.text_of(name) or ""
        known = [category for category, words in CATEGORIES if words.search(text)]
        return LogEvidence(
            template=text,
            category=known[0] if known else None,
            examples=list(self._examples.get(name, ())),
            query=self._query_of(name),
        )

    def _query_of(self, name: str) -> str:
        """The query with a pattern that lines of the template pass."""
        place = self.templates.place_of(name)
        if place is None:
            return self._query
        pattern = self.templates.pattern(place)
        before, after = self._around.get(name, (False, False))
        if before:
            pattern = ANY + pattern.removeprefix(ANY)
        if after:
            pattern = pattern.removesuffix(ANY) + ANY
        return f"{self._query} |> {quote(pattern)}"

    def state(self) -> dict[str, NDArray[Any]]:
        """All that `restore` needs."""
        examples = {name: list(lines) for name, lines in self._examples.items()}
        counters = astuple(self.counters)
        rest = msgspec.msgpack.encode((self._first_ms, examples, counters, self._around))
        return self.templates.state() | {"lines": np.frombuffer(rest, np.uint8)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        kind = tuple[
            int | None, dict[str, list[str]], tuple[int, int, int], dict[str, tuple[bool, bool]]
        ]
        saved = msgspec.msgpack.decode(state["lines"].tobytes(), type=kind)
        first_ms, examples, counts, self._around = saved
        self.templates.restore(state["templates"])
        self._first_ms = first_ms
        self._examples = {name: deque(lines, EXAMPLES_MAX) for name, lines in examples.items()}
        self.counters = LineCounters(*counts)

    def _count_step(
        self, batch: LineBatch, begin: int, end: int, at_ms: int, samples: "_Samples"
    ) -> None:
        self._end(self.templates.evict())
        if self._first_ms is None:
            self._first_ms = at_ms
        streams = [self._stream(labels) for labels in batch.labels]
        lines, of = batch.lines[begin:end], batch.stream[begin:end].tolist()
        if self._settings.values and self._values == "counts":
            self._read_values(lines, of, streams, at_ms, samples)
            return
        messages = [read_message(line, self._settings.message_fields) for line in lines]
        if self._values == "counts" and self._settings.series != "templates":
            self._count_levels(batch, lines, of, streams, at_ms, samples)
        if self._values == "counts" and self._settings.series == "levels":
            return
        places = self.templates.read(*self._packed(messages), at_ms)
        self._end([merge.gone for merge in self.templates.take_merges()])
        templates = self.templates.groups()[places]
        new = {s.place: 1.0 + s.distance for s in self.templates.take_sightings()}
        if self._is_warm(at_ms):
            self.counters.new += len(new)
        counts: dict[tuple[Labels, int], int] = {}
        rows = zip(of, templates.tolist(), lines, messages, strict=True)
        for stream, template, line, message in rows:
            key = streams[stream], template
            count = counts.get(key, 0)
            counts[key] = count + 1
            if count == 0:
                name = self.templates.id_of(template)
                self._keep_example(name, line)
                if name not in self._around:
                    begin = line.find(message)
                    ends = begin + len(message) == len(line)
                    self._around[name] = (begin != 0, not ends)
        for (labels, template), count in counts.items():
            name = self.templates.id_of(template)
            value = float(count)
            if self._values == "novelty":
                value = new.get(template, 0.0) if self._is_warm(at_ms) else np.nan
            samples.add(Labels({**labels, TEMPLATE: name}), at_ms, value)

    def _read_values(
        self,
        lines: Sequence[bytes],
        of: Sequence[int],
        streams: Sequence[Labels],
        at_ms: int,
        samples: "_Samples",
    ) -> None:
        found: dict[tuple[Labels, int], list[float]] = {}
        for stream, line in zip(of, lines, strict=True):
            text = line[:LINE_BYTES_MAX].decode("utf-8", "replace")
            for k, pattern in enumerate(self._patterns):
                match = pattern.search(text)
                value = None if match is None or match[1] is None else read_quantity(match[1])
                if value is not None:
                    found.setdefault((streams[stream], k), []).append(value)
        for (labels, k), values in found.items():
            wanted = self._settings.values[k]
            own = Labels({**labels, VALUE: wanted.name})
            samples.add(own, at_ms, REDUCE[wanted.reduce](values))

    def _count_levels(
        self,
        batch: LineBatch,
        lines: Sequence[bytes],
        of: Sequence[int],
        streams: Sequence[Labels],
        at_ms: int,
        samples: "_Samples",
    ) -> None:
        counts: dict[Labels, int] = {}
        for line, stream in zip(lines, of, strict=True):
            level = read_level(line, batch.labels[stream])
            key = Labels({**streams[stream], LEVEL: level})
            counts[key] = counts.get(key, 0) + 1
        for labels, count in counts.items():
            samples.add(labels, at_ms, float(count))

    def _end(self, names: Sequence[str]) -> None:
        for name in names:
            self._examples.pop(name, None)
            self._around.pop(name, None)
        self._ended.update(names)

    def _is_warm(self, at_ms: int) -> bool:
        return self._first_ms is not None and at_ms - self._first_ms >= self._settings.warmup

    def _stream(self, labels: Labels) -> Labels:
        """What a log stream's labels leave to its series."""
        kept = self._kept.get(labels)
        if kept is None:
            by = self._settings.by
            kept = Labels(
                {
                    name: value
                    for name, value in labels.items()
                    if name not in DERIVED and (by is None or name in by)
                }
            )
            if len(self._kept) > 100_000:
                self._kept.clear()
            self._kept[labels] = kept
        return kept

    def _packed(self, messages: list[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        if self._settings.masks:
            column = pl.Series([message.decode("utf-8", "replace") for message in messages])
            for mask in self._settings.masks:
                column = column.str.replace_all(mask.pattern, mask.word)
            messages = [text.encode() for text in column.to_list()]
        self.counters.cut += sum(len(message) > LINE_BYTES_MAX for message in messages)
        sizes = np.fromiter(map(len, messages), np.int64, len(messages))
        ends = np.cumsum(sizes)
        begins = ends - sizes
        text = np.frombuffer(b"".join(messages) + bytes(PADDING), np.uint8)
        return text, np.stack([begins, np.minimum(ends, begins + LINE_BYTES_MAX)], axis=1)

    def _keep_example(self, name: str, line: bytes) -> None:
        if name == OTHER_ID:
            return
        text = line[:LINE_BYTES_MAX].decode("utf-8", "replace")
        for pattern, word in self._redacted:
            text = pattern.sub(word, text)
        text = text[:EXAMPLE_CHARACTERS_MAX]
        known = self._examples.setdefault(name, deque(maxlen=EXAMPLES_MAX))
        if text not in known:
            known.append(text)


class _Samples:
    """Samples on their way into a batch."""

    def __init__(self) -> None:
        self._series: dict[Labels, int] = {}
        self._rows: list[int] = []
        self._times: list[int] = []
        self._values: list[float] = []

    def add(self, labels: Labels, at_ms: int, value: float) -> None:
        self._rows.append(self._series.setdefault(labels, len(self._series)))
        self._times.append(at_ms)
        self._values.append(value)

    def batch(self, of: LineBatch) -> SampleBatch:
        return SampleBatch(
            labels=tuple(self._series),
            series=np.array(self._rows, np.int32),
            timestamps_ms=np.array(self._times, np.int64),
            values=np.array(self._values, np.float64),
            start_ms=of.start_ms,
            end_ms=of.end_ms,
            step_ms=of.step_ms,
            received_ms=of.received_ms,
            warnings=of.warnings,
        )
