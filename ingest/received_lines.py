"""Log lines that are pushed here as to Loki, kept for a while and read like any source's."""

import asyncio
import re
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ingest.base import Source
from ingest.journal import Journal
from ingest.loki_push import Line, read_json, read_protobuf
from ingest.received import IntakeCounters
from models.columns import LineBatch
from models.errors import IntakeFull, InvalidInput, QueryRejected
from models.labels import Labels, Selector, parse_selector, unquote
from models.source import LokiPushSource, SourceHealth

POINTS_MAX = 11_000
NS = 1_000_000
JSON, GZIPPED, PROTOBUF = b"\x01", b"\x02", b"\x03"
SELECTOR = re.compile(r'\{(?:[^"`}]|"(?:[^"\\]|\\.)*"|`[^`]*`)*\}')
FILTER = re.compile(r'\s*(\|=|!=|\|~|!~)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)')


class LineQuery(NamedTuple):
    """A selector and line filters: all of LogQL that lines can be chosen by without Loki."""

    selector: Selector
    filters: tuple[tuple[re.Pattern[bytes], bool], ...]

    def takes(self, line: Line) -> bool:
        """Whether the filters let a line of a selected stream pass."""
        return all(
            (found.search(line.text) is not None) == wanted for found, wanted in self.filters
        )


class ReceivedLines(Source):
    """The receiving end of Loki's push API.

    folder: for the journal; None keeps lines in memory alone.
    """

    resumes = True
    points_max = POINTS_MAX

    def __init__(
        self, document: LokiPushSource, folder: Path | None, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(document.name)
        self.counters = IntakeCounters()
        self.kept_bytes = 0
        self._document = document
        self._now_ms = now_ms
        self._lines: list[tuple[int, int, Line]] = []
        """In order of time: nanosecond, order of arrival, line."""
        self._arrived = 0
        self._read_until_ms = 0
        self._receiving = asyncio.Lock()
        self._journal = Journal(folder, document.keep) if folder else None
        for _, record in self._journal.read() if self._journal else ():
            self._keep(_decode(record))

    def reads_lines(self, query: str) -> bool:  # noqa: ARG002
        return True

    def absent_is_zero(self, query: str) -> bool:  # noqa: ARG002
        return True

    async def take(self, body: bytes, *, protobuf: bool, encoding: str) -> int:
        """Accept a push; how many lines. Raises InvalidInput, or IntakeFull for want of room."""
        async with self._receiving:
            now_ms = self._now_ms()
            self.counters.requests += 1
            self._drop(now_ms)
            if self.kept_bytes >= self._document.bytes_max:
                self.counters.full += 1
                raise IntakeFull(
                    f"{self.kept_bytes} bytes of lines wait, at most {self._document.bytes_max} may"
                )
            kind = PROTOBUF if protobuf else GZIPPED if encoding == "gzip" else JSON
            try:
                lines = await asyncio.to_thread(_decode, kind + body)
            except InvalidInput:
                self.counters.refused += 1
                raise
            if self._journal is not None:
                await asyncio.to_thread(self._journal.append, now_ms, kind + body)
            self._keep(lines)
            self.counters.samples += len(lines)
            self.counters.last_success_ms = now_ms
            self.counters.late += sum(line.ns <= self._read_until_ms * NS for line in lines)
            return len(lines)

    async def read(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> LineBatch:
        wanted = parse_line_query(query)
        self._read_until_ms = max(self._read_until_ms, end_ms)
        first = bisect_left(self._lines, ((start_ms - step_ms) * NS + 1,))
        last = bisect_left(self._lines, (end_ms * NS + 1,))
        selected: dict[Labels, bool] = {}
        streams: dict[Labels, int] = {}
        found: list[Line] = []
        for _, _, line in self._lines[first:last]:
            chosen = selected.get(line.labels)
            if chosen is None:
                chosen = selected[line.labels] = wanted.selector.matches(line.labels)
            if chosen and wanted.takes(line):
                found.append(line)
        return LineBatch(
            stream=np.array(
                [streams.setdefault(line.labels, len(streams)) for line in found], np.int32
            ),
            labels=tuple(streams),
            timestamps_ns=np.array([line.ns for line in found], np.int64),
            lines=[line.text for line in found],
            start_ms=start_ms,
            end_ms=end_ms,
            step_ms=step_ms,
            received_ms=self._now_ms(),
        )

    async def check(self, query: str) -> None:
        parse_line_query(query)

    async def health(self) -> SourceHealth:
        counters = self.counters
        return SourceHealth(
            name=self.name,
            type="loki_push",
            reachable=True,
            requests_total=counters.requests,
            retries_total=0,
            failures_total=counters.refused + counters.full,
            last_success_at=counters.last_success_ms,
        )

    async def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _keep(self, lines: list[Line]) -> None:
        if not lines:
            return
        fresh = [(line.ns, self._arrived + k, line) for k, line in enumerate(lines)]
        self._arrived += len(lines)
        self.kept_bytes += sum(len(line.text) for line in lines)
        # Senders are nearly in order: only what is newer than the oldest of these is sorted again.
        tail = bisect_left(self._lines, (min(line.ns for line in lines),))
        self._lines[tail:] = sorted(self._lines[tail:] + fresh, key=lambda entry: entry[:2])

    def _drop(self, now_ms: int) -> None:
        old = bisect_left(self._lines, ((now_ms - self._document.keep) * NS,))
        self.kept_bytes -= sum(len(line.text) for _, _, line in self._lines[:old])
        del self._lines[:old]


def parse_line_query(query: str) -> LineQuery:
    """A stream selector with line filters. Raises QueryRejected for any other LogQL."""
    query = query.strip()
    selector = SELECTOR.match(query)
    if selector is None:
        raise QueryRejected(f'{query!r} does not begin with a selector like {{app="shop"}}')
    filters: list[tuple[re.Pattern[bytes], bool]] = []
    at = selector.end()
    try:
        parsed = parse_selector(selector[0])
        while at < len(query):
            found = FILTER.match(query, at)
            if found is None:
                raise QueryRejected(
                    f"{query[at:].strip()!r}: pushed lines are chosen by a selector and the line "
                    "filters |= != |~ !~ alone"
                )
            operator, quoted = found.groups()
            text = unquote(quoted)
            pattern = text if operator in ("|~", "!~") else re.escape(text)
            filters.append((re.compile(pattern.encode()), operator[0] == "|"))
            at = found.end()
    except (ValueError, re.error) as error:
        raise QueryRejected(f"{query!r}: {error}") from error
    return LineQuery(parsed, tuple(filters))


def _decode(record: bytes) -> list[Line]:
    kind, body = record[:1], record[1:]
    if kind == PROTOBUF:
        return read_protobuf(body)
    return read_json(body, "gzip" if kind == GZIPPED else "")
