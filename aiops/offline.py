"""Judging a file without a server: the same stream, read from a recording."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aiops.clock import SystemClock
from aiops.history import Past, read_windows
from aiops.plot import Drawn
from aiops.shard import Judged, Stream
from ingest.base import Source
from ingest.replay import EVERYTHING, Replay, Table, read_table
from models.anomaly import Anomaly
from models.columns import Floats, LineBatch, Rows, SampleBatch, Times
from models.detector import STEP_MIN_MS, Detector
from models.errors import InvalidInput
from models.labels import Labels
from models.settings import Limits
from models.source import ReplaySource
from models.validation import parse

LONG_MS = 10**13
SAMPLES_MAX = 20_000_000
"""Samples that are held at once, at some 50 bytes each."""

Progress = Callable[[int, int], None]
"""Called with the samples judged so far, and how many there are."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A file's samples with their scores, and its anomalies as they stood at the end.

    labels: by row. rows, times_ms: (n,). columns: (5, n) value, score, expected, lower, upper.
    """

    document: Detector
    labels: list[Labels | None]
    rows: np.ndarray[Any, Any]
    times_ms: Times
    columns: Floats
    anomalies: list[Anomaly]

    def table(self) -> pl.DataFrame:
        """One line a sample: timestamp in milliseconds, the labels, value, score and band."""
        names = sorted({name for labels in self.labels if labels for name in labels})
        shown = [dict(labels or {}) for labels in self.labels]
        by_row = {name: pl.Series([own.get(name) for own in shown]) for name in names}
        frame: dict[str, Any] = {"timestamp": self.times_ms}
        frame |= {name: column.gather(self.rows) for name, column in by_row.items()}
        columns = ("value", "score", "expected", "lower", "upper")
        return pl.DataFrame(frame | dict(zip(columns, self.columns, strict=True)))

    def drawn(self) -> list[Drawn]:
        """The series as they are drawn."""
        found = []
        for row, labels in enumerate(self.labels):
            here = self.rows == row
            if labels is not None and here.any():
                own = dict(labels) | self.document.labels
                told = [anomaly for anomaly in self.anomalies if anomaly.labels == own]
                found.append(Drawn(str(labels), self.times_ms[here], self.columns[:, here], told))
        return found


async def judge_file(path: Path, asked: dict[str, Any], progress: Progress) -> Found:
    """Judge all samples of a CSV or Parquet file, in order of time.

    asked: keys of a detector's document; `step` is found in the file when it is left out.
    Raises InvalidInput for a file or a document that cannot be used.
    """
    table, document = _described(path, asked)
    stream = recorded(document, -LONG_MS)
    clock = SystemClock()
    source = Replay(ReplaySource(type="replay", name="file", path=str(path)), clock.now_ms)
    kept: list[Judged] = []
    told: dict[str, Anomaly] = {}
    seen = 0

    async def tell(judged: Judged) -> None:
        nonlocal seen
        seen += len(judged.rows)
        kept.append(judged)
        told.update({anomaly.id: anomaly for anomaly in judged.anomalies})
        progress(seen, len(table.values))

    await Past(stream, source, clock).read(*_reach(table, document), tell)
    parts = [
        np.stack([j.rows.values, j.scores.score, j.scores.expected, j.scores.lower, j.scores.upper])
        for j in kept
    ]
    return Found(
        document,
        kept[-1].labels,
        np.concatenate([judged.rows.rows for judged in kept]),
        np.concatenate([judged.rows.timestamps_ms for judged in kept]),
        np.concatenate(parts, axis=1),
        sorted(told.values(), key=lambda anomaly: (anomaly.started_at, anomaly.id)),
    )


def recorded(document: Detector, live_after_ms: int) -> Stream:
    """A stream for a recording: no series of it is forgotten. Raises InvalidInput as Stream."""
    limits = Limits(series_idle=LONG_MS, series_stale=LONG_MS)
    return Stream(document, limits, born_ms=0, live_after_ms=live_after_ms)


async def whole_file(
    path: Path, asked: dict[str, Any], progress: Progress
) -> tuple[Detector, SampleBatch]:
    """A file's samples as one batch, and the document that `judge_file` would judge them by."""
    table, document = _described(path, asked)
    source = Replay(ReplaySource(type="replay", name="file", path=str(path)), SystemClock().now_ms)
    start_ms, end_ms = _reach(table, document)
    return document, await whole_past(source, document, start_ms, end_ms, progress)


async def whole_past(
    source: Source, document: Detector, start_ms: int, end_ms: int, progress: Progress
) -> SampleBatch:
    """What a source answers for a stretch of the past as one batch.

    Raises SourceError, and InvalidInput for log lines, an empty answer, or one of more than
    SAMPLES_MAX samples.
    """
    size = 0
    parts: list[SampleBatch] = []
    index: dict[Labels, int] = {}
    rows: list[Rows] = []
    async for batch in read_windows(source, document, SystemClock(), start_ms, end_ms):
        if isinstance(batch, LineBatch):
            raise InvalidInput(
                f"{document.query!r} answers with log lines; tune on a query that answers with "
                "numbers, like count_over_time"
            )
        size += len(batch)
        if size > SAMPLES_MAX:
            raise InvalidInput(
                f"{document.query!r} has more than {SAMPLES_MAX} samples in that time; ask for "
                "less time, fewer series or a longer step"
            )
        parts.append(batch)
        number = np.array([index.setdefault(own, len(index)) for own in batch.labels], np.int32)
        rows.append(number[batch.series] if len(batch) else batch.series)
        progress(batch.end_ms - start_ms, end_ms - start_ms)
    if not index:
        raise InvalidInput(f"{document.query!r} has no sample in that time")
    times = np.concatenate([part.timestamps_ms for part in parts])
    series = np.concatenate(rows)
    order = np.lexsort((series, times))
    return SampleBatch(
        labels=tuple(index),
        series=series[order],
        timestamps_ms=times[order],
        values=np.concatenate([part.values for part in parts])[order],
        start_ms=parts[0].start_ms,
        end_ms=parts[-1].end_ms,
        step_ms=document.step,
        received_ms=parts[-1].received_ms,
    )


def _described(path: Path, asked: dict[str, Any]) -> tuple[Table, Detector]:
    """A file's samples, and the document they are judged by."""
    table = read_table(path)
    if not len(table.values):
        raise InvalidInput(f"{str(path)!r} holds no sample")
    own = {"name": "file", "source": "file", "query": EVERYTHING, "step": f"{_step_of(table)}ms"}
    return table, parse(Detector, own | asked)


def _reach(table: Table, document: Detector) -> tuple[int, int]:
    """From before a file's first instant to after its last one."""
    first_ms, last_ms = int(table.timestamps_ms[0]), int(table.timestamps_ms[-1])
    return first_ms - document.step, last_ms + document.step - 1


def _step_of(table: Table) -> int:
    """The usual distance between two samples of a series, in milliseconds."""
    order = np.lexsort((table.timestamps_ms, table.series))
    apart = np.diff(table.timestamps_ms[order])[np.diff(table.series[order]) == 0]
    return max(STEP_MIN_MS, int(np.median(apart))) if len(apart) else STEP_MIN_MS
