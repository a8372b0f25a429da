"""Samples that are pushed here by remote write, kept for a while and read like any source.

A reader asks for a window of instants as it does of Prometheus: the value at an instant is the
newest sample of the step before it. So pushed samples take the one road that all take, a detector
that was away catches up as far as samples are kept, and one push serves every detector whose
selector fits. What is accepted is in the journal before the sender hears of it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.answers import Columns
from ingest.base import Source
from ingest.journal import Journal
from ingest.known import KnownSeries
from ingest.remote_write import read_body, refused
from ingest.remote_write_v2 import Written, read_body_v2
from models.columns import Rows, SampleBatch
from models.errors import IntakeFull, InvalidInput, QueryRejected
from models.labels import METRIC_NAME, Labels, Selector, parse_selector
from models.query import MetricInfo
from models.source import RemoteWriteSource, SourceHealth

POINTS_MAX = 11_000
QUERIES_KNOWN_MAX = 1_000
THREADED_BYTES = 16_384
VERSION_1, VERSION_2 = b"\x01", b"\x02"


@dataclass(slots=True)
class IntakeCounters:
    """late: samples for instants that were read before they came."""

    requests: int = 0
    refused: int = 0
    full: int = 0
    samples: int = 0
    late: int = 0
    last_success_ms: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Push:
    received_ms: int
    first_ms: int
    last_ms: int
    columns: Columns


class _Chosen:
    """The series that a query selects, in order of first sight."""

    def __init__(self, selector: Selector) -> None:
        self.labels: list[Labels] = []
        self._selector = selector
        self._rows: dict[Labels, int] = {}
        self._last: tuple[tuple[Labels, ...], Rows] = ((), np.empty(0, np.int32))

    def rows_of(self, labels: tuple[Labels, ...]) -> Rows:
        """The place of each, -1 for one that is not selected."""
        if labels is not self._last[0]:
            rows = np.fromiter(map(self._row_of, labels), np.int32, len(labels))
            self._last = labels, rows
        return self._last[1]

    def _row_of(self, labels: Labels) -> int:
        row = self._rows.get(labels)
        if row is None:
            row = -1
            if self._selector.matches(labels):
                row = len(self.labels)
                self.labels.append(labels)
            self._rows[labels] = row
        return row


class Received(Source):
    """The receiving end of remote write.

    folder: for the journal; None keeps samples in memory alone.
    """

    resumes = True
    points_max = POINTS_MAX

    def __init__(
        self, document: RemoteWriteSource, folder: Path | None, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(document.name)
        self.counters = IntakeCounters()
        self.kept_samples = 0
        self._document = document
        self._now_ms = now_ms
        self._known = KnownSeries(in_parts=True)
        self._pushes: deque[_Push] = deque()
        self._chosen: dict[str, _Chosen] = {}
        self._read_until_ms = 0
        self._receiving = asyncio.Lock()
        self._journal = Journal(folder, document.keep) if folder else None
        for received_ms, record in self._journal.read() if self._journal else ():
            columns, _ = self._decode(record[1:], record[:1] == VERSION_2)
            self._keep(columns, received_ms)

    async def take(self, body: bytes, *, version_2: bool) -> Written:
        """Accept a request's body. Raises InvalidInput, and IntakeFull when readers are behind."""
        async with self._receiving:
            now_ms = self._now_ms()
            self.counters.requests += 1
            self._drop(now_ms)
            if self.kept_samples >= self._document.samples_max:
                self.counters.full += 1
                raise IntakeFull(
                    f"{self.kept_samples} samples wait, at most {self._document.samples_max} may"
                )
            try:
                if len(body) > THREADED_BYTES:
                    columns, written = await asyncio.to_thread(self._decode, body, version_2)
                else:
                    columns, written = self._decode(body, version_2)
                if not all(map(len, columns.labels)):
                    raise refused("a series has no labels")
            except InvalidInput:
                self.counters.refused += 1
                raise
            if self._journal is not None:
                record = (VERSION_2 if version_2 else VERSION_1) + body
                await asyncio.to_thread(self._journal.append, now_ms, record)
            self._keep(columns, now_ms)
            self.counters.samples += len(columns.values)
            self.counters.last_success_ms = now_ms
            late = np.count_nonzero(columns.timestamps_ms <= self._read_until_ms)
            self.counters.late += int(late)
            return written

    async def read(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> SampleBatch:
        chosen = self._chosen.get(query)
        if chosen is None:
            if len(self._chosen) >= QUERIES_KNOWN_MAX:
                self._chosen.pop(next(iter(self._chosen)))
            chosen = self._chosen[query] = _Chosen(_selector(query))
        self._read_until_ms = max(self._read_until_ms, end_ms)
        wanted = [
            push
            for push in self._pushes
            if push.last_ms > start_ms - step_ms and push.first_ms <= end_ms
        ]
        return _aligned(wanted, chosen, start_ms, end_ms, step_ms, self._now_ms())

    async def check(self, query: str) -> None:
        _selector(query)

    async def metrics(self) -> list[MetricInfo]:
        names = {labels.get(METRIC_NAME, "") for labels in self._series(None)}
        return [MetricInfo(name=name) for name in sorted(names) if name]

    async def labels(self, selector: str | None) -> list[str]:
        return sorted({name for labels in self._series(selector) for name in labels})

    async def label_values(self, label: str, selector: str | None) -> list[str]:
        return sorted({own[label] for own in self._series(selector) if label in own})

    def _series(self, selector: str | None) -> Iterable[Labels]:
        """The series of what is kept."""
        chosen = None if selector is None else _selector(selector)
        seen = {labels for push in self._pushes for labels in push.columns.labels}
        return [labels for labels in seen if chosen is None or chosen.matches(labels)]

    async def health(self) -> SourceHealth:
        counters = self.counters
        return SourceHealth(
            name=self.name,
            type="remote_write",
            reachable=True,
            requests_total=counters.requests,
            retries_total=0,
            failures_total=counters.refused + counters.full,
            last_success_at=counters.last_success_ms,
        )

    async def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _decode(self, body: bytes, version_2: bool) -> tuple[Columns, Written]:
        if version_2:
            return read_body_v2(body)
        columns = read_body(body, self._known)
        return columns, Written(len(columns.values), 0, 0)

    def _keep(self, columns: Columns, received_ms: int) -> None:
        if len(columns.values):
            times = columns.timestamps_ms
            self._pushes.append(_Push(received_ms, int(times.min()), int(times.max()), columns))
            self.kept_samples += len(times)

    def _drop(self, now_ms: int) -> None:
        while self._pushes and self._pushes[0].received_ms < now_ms - self._document.keep:
            self.kept_samples -= len(self._pushes.popleft().columns.values)


def _aligned(
    pushes: list[_Push], chosen: _Chosen, start_ms: int, end_ms: int, step_ms: int, now_ms: int
) -> SampleBatch:
    """For each series and instant the newest sample of the step; of equal times the first."""
    parts = [push.columns for push in pushes]
    rows = [chosen.rows_of(part.labels)[part.series] for part in parts]
    none = [np.empty(0, np.int32)]
    series = np.concatenate(rows or none)
    times = np.concatenate([part.timestamps_ms for part in parts] or [np.empty(0, np.int64)])
    values = np.concatenate([part.values for part in parts] or [np.empty(0)])
    kept = (series >= 0) & (times > start_ms - step_ms) & (times <= end_ms)
    series, times, values = series[kept], times[kept], values[kept]
    instants = -(-times // step_ms) * step_ms
    order = np.lexsort((-np.arange(len(times)), times, series, instants))
    series, instants, values = series[order], instants[order], values[order]
    last = np.ones(len(series), np.bool_)
    last[:-1] = (series[1:] != series[:-1]) | (instants[1:] != instants[:-1])
    return SampleBatch(
        labels=tuple(chosen.labels),
        series=series[last],
        timestamps_ms=instants[last],
        values=values[last],
        start_ms=start_ms,
        end_ms=end_ms,
        step_ms=step_ms,
        received_ms=now_ms,
    )


def _selector(query: str) -> Selector:
    try:
        return parse_selector(query)
    except ValueError as error:
        raise QueryRejected(str(error)) from error
