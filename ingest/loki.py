"""Grafana Loki: metric queries like Prometheus, log queries by paging forward through time.

What the server does and does not do, by its documentation and by answers recorded from 3.7.6: pages
have no token, so the next one starts at the last line's nanosecond and what was there is left out;
errors are plain text; a series without lines has no points; lines may come late, behind what was
read. Times are whole nanoseconds throughout.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import quote

import msgspec
import numpy as np

from ingest.base import Source
from ingest.http import Answer, HttpClient
from ingest.probe import probe
from ingest.prometheus import POINTS_MAX, Prometheus
from models.columns import Batch, LineBatch
from models.errors import QueryRejected, SourceUnavailable
from models.labels import Labels
from models.source import LokiSource, PrometheusSource, SourceHealth

NS = 1_000_000
LINES_MAX = 200_000
"""Lines of one read; beyond it the window ends with the last step that was read whole."""
LATE_AFTER_MS = 600_000
"""So long after a window was read it is counted again: what is there more came late."""
WINDOWS_MAX = 2_000
COUNTING = re.compile(r"\b(?:count_over_time|rate|bytes_over_time|bytes_rate)\s*\(")
UNWRAPPED = re.compile(r"\|\s*unwrap\b|\babsent_over_time\b")
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`')

Entry = tuple[int, bytes, Labels]


class _Stream(msgspec.Struct):
    stream: dict[str, str]
    values: list[tuple[str, str]]


class _Streams(msgspec.Struct):
    kind: str = msgspec.field(name="resultType")
    result: list[_Stream] = []


class _Lines(msgspec.Struct):
    status: str
    data: _Streams
    warnings: list[str] = []


class _Names(msgspec.Struct):
    status: str
    data: list[str] = []


_lines = msgspec.json.Decoder(_Lines)


@dataclass(slots=True)
class LokiCounters:
    """lost: lines of one nanosecond beyond what a page holds. late: lines that came behind."""

    lines: int = 0
    repeated: int = 0
    lost: int = 0
    late: int = 0


class Loki(Source):
    """A server with the Loki HTTP API; it has a past, so every gap can be caught up."""

    resumes = True
    points_max = POINTS_MAX

    def __init__(self, document: LokiSource, http: HttpClient, now_ms: Callable[[], int]) -> None:
        super().__init__(document.name)
        self.counters = LokiCounters()
        self._api = f"{str(document.url).rstrip('/')}/loki/api/v1"
        self._entries_max = document.entries_max
        self._http = http
        self._now_ms = now_ms
        # Answers of metric queries are Prometheus's, so they are read by the same way.
        base = PrometheusSource(type="prometheus", name=document.name, url=document.url)
        self._metrics = Prometheus(base, http, now_ms)
        self._warnings: tuple[str, ...] = ()
        self._read: dict[str, dict[tuple[int, int], int]] = {}

    def reads_lines(self, query: str) -> bool:
        return query.lstrip().startswith("{")

    def absent_is_zero(self, query: str) -> bool:
        bare = QUOTED.sub('""', query)
        counted = COUNTING.search(bare) is not None and UNWRAPPED.search(bare) is None
        return self.reads_lines(query) or counted

    async def read(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> Batch:
        if self.reads_lines(query):
            return await self._read_lines(query, start_ms, end_ms, step_ms)
        answer = await self._ask(_window(query, start_ms * NS, end_ms * NS, f"{step_ms}ms"))
        batch = await asyncio.to_thread(
            self._metrics.decode, answer, query, start_ms, end_ms, step_ms
        )
        self._warnings = batch.warnings
        return batch

    async def check(self, query: str) -> None:
        end_ns = self._now_ms() * NS
        parameters = _window(query, end_ns - 1000 * NS, end_ns, "1s") | {"limit": "1"}
        await self._ask(parameters)

    async def labels(self, selector: str | None) -> list[str]:
        return await self._names("labels", selector)

    async def label_values(self, label: str, selector: str | None) -> list[str]:
        return await self._names(f"label/{quote(label, safe='')}/values", selector)

    async def _names(self, path: str, selector: str | None) -> list[str]:
        parameters = {} if selector is None else {"query": selector}
        answer = await self._http.get(f"{self._api}/{path}", parameters)
        _refuse(answer)
        try:
            # A tenant without streams answers without data.
            return msgspec.json.decode(answer.body, type=_Names).data
        except msgspec.DecodeError as error:
            raise SourceUnavailable(f"the answer is not one of Loki: {error}") from error

    async def health(self) -> SourceHealth:
        warnings = list(self._warnings)
        return await probe(self.name, "loki", self._http, self._now_ms, self._hello, warnings)

    async def _hello(self) -> None:
        # Not `ready`: a gateway may not pass it on, and it needs no authentication.
        _refuse(await self._http.get(f"{self._api}/labels", {"since": "1m"}))

    async def close(self) -> None:
        await self._http.close()

    async def _read_lines(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> LineBatch:
        first_ns, end_ns = (start_ms - step_ms) * NS + 1, end_ms * NS + 1
        entries: list[Entry] = []
        warnings: list[str] = []
        seen: set[tuple[bytes, Labels]] = set()
        at_ns = first_ns
        while True:
            page, warned = await self._page(query, at_ns, end_ns)
            warnings += warned
            fresh = [e for e in page if e[0] > at_ns or (e[1], e[2]) not in seen]
            self.counters.repeated += len(page) - len(fresh)
            entries += fresh
            if len(page) < self._entries_max:
                break
            last_ns = page[-1][0]
            if last_ns == at_ns and not fresh:
                # One nanosecond fills the page, and the server has no way to ask for its rest.
                self.counters.lost += 1
                last_ns += 1
            seen = {(line, labels) for ns, line, labels in entries if ns == last_ns}
            at_ns = last_ns
            if len(entries) >= LINES_MAX:
                whole_ms = (at_ns - 1) // (NS * step_ms) * step_ms
                if whole_ms >= start_ms:
                    end_ms = min(end_ms, whole_ms)
                    break
        entries = [entry for entry in entries if entry[0] <= end_ms * NS]
        self.counters.lines += len(entries)
        # What came late is only counted: a server that will not count loses no lines by it.
        with suppress(SourceUnavailable, QueryRejected):
            await self._look_for_late(query, start_ms - step_ms, end_ms, len(entries))
        self._warnings = tuple(dict.fromkeys(warnings))
        batch = _batch(entries, start_ms, end_ms, step_ms, self._now_ms())
        return replace(batch, warnings=self._warnings)

    async def _page(self, query: str, start_ns: int, end_ns: int) -> tuple[list[Entry], list[str]]:
        """Lines from `start_ns` on, in order of time, and the server's warnings."""
        parameters = _window(query, start_ns, end_ns) | {
            "limit": str(self._entries_max),
            "direction": "forward",
        }
        answer = await self._ask(parameters)
        return await asyncio.to_thread(_entries, answer.body)

    async def _look_for_late(self, query: str, after_ms: int, end_ms: int, count: int) -> None:
        """Remember how many lines a window had; count an old one again."""
        windows = self._read.setdefault(query, {})
        windows[after_ms, end_ms] = count
        if len(self._read) > WINDOWS_MAX:
            del self._read[next(iter(self._read))]
        oldest = next(iter(windows))
        if len(windows) > WINDOWS_MAX:
            del windows[oldest]
        elif self._now_ms() - oldest[1] > LATE_AFTER_MS and self._now_ms() - end_ms < LATE_AFTER_MS:
            before = windows.pop(oldest)
            entries = await self._count(query, *oldest)
            self.counters.late += max(0, entries - before)

    async def _count(self, query: str, after_ms: int, end_ms: int) -> int:
        """How many lines there are in a window now."""
        counted = f"sum(count_over_time({query} [{end_ms - after_ms}ms]))"
        answer = await self._ask(_window(counted, end_ms * NS, end_ms * NS, "1s"))
        batch = self._metrics.decode(answer, counted, end_ms, end_ms, 1000)
        return int(batch.values.sum())

    async def _ask(self, parameters: Mapping[str, str]) -> Answer:
        url = f"{self._api}/query_range"
        answer = await self._http.get(url, parameters)
        _refuse(answer)
        return answer


def _window(query: str, start_ns: int, end_ns: int, step: str | None = None) -> dict[str, str]:
    # Loki reads whole numbers of ten digits and less as seconds.
    parameters = {"query": query, "start": str(start_ns), "end": str(end_ns)}
    return parameters if step is None else parameters | {"step": step}


def _refuse(answer: Answer) -> None:
    """Raise with the server's own words unless it answered; 400 and 404 will not get better."""
    if answer.status == 200:
        return
    words = f"HTTP {answer.status}: {answer.text}"
    if answer.status in (400, 401, 403, 404, 422):
        raise QueryRejected(words)
    raise SourceUnavailable(words)


def _entries(body: bytes) -> tuple[list[Entry], list[str]]:
    """The lines of an answer in order of time, and what it warns of."""
    try:
        answer = _lines.decode(body)
        if answer.data.kind != "streams":
            raise SourceUnavailable(f"expected log lines, got a {answer.data.kind}")
        entries: list[Entry] = []
        for stream in answer.data.result:
            labels = Labels(stream.stream)
            entries += [(int(ns), line.encode(), labels) for ns, line in stream.values]
    except (msgspec.DecodeError, ValueError) as error:
        raise SourceUnavailable(f"the answer is not one of Loki: {error}") from error
    entries.sort(key=lambda entry: (entry[0], entry[2].pairs, entry[1]))
    return entries, answer.warnings


def _batch(
    entries: list[Entry], start_ms: int, end_ms: int, step_ms: int, now_ms: int
) -> LineBatch:
    streams: dict[Labels, int] = {}
    of = [streams.setdefault(labels, len(streams)) for _, _, labels in entries]
    return LineBatch(
        labels=tuple(streams),
        stream=np.array(of, np.int32),
        timestamps_ns=np.array([ns for ns, _, _ in entries], np.int64),
        lines=[line for _, line, _ in entries],
        start_ms=start_ms,
        end_ms=end_ms,
        step_ms=step_ms,
        received_ms=now_ms,
    )
