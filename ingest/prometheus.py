"""Prometheus and its kin, read with `query_range` on step-aligned windows, live and past alike."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import chain

import msgspec
import numpy as np

from ingest.answers import Columns, read_answer
from ingest.base import Source
from ingest.discovery import Discovery
from ingest.http import Answer, HttpClient
from ingest.known import KnownSeries
from ingest.probe import probe
from models.columns import SampleBatch
from models.errors import QueryRejected, QueryTooLarge, SourceUnavailable
from models.labels import Labels
from models.query import MetricInfo
from models.source import PrometheusSource, SourceHealth

TOO_MANY = ("too many samples", "too many points")
"""In the words of Prometheus, Thanos, Mimir and VictoriaMetrics for more than they may answer."""
POINTS_MAX = 11_000
"""Prometheus refuses a range query with more points a series."""
QUERY_IN_URL_MAX = 2_000
"""Longer queries go by POST: proxies cut long addresses."""
QUERIES_KNOWN_MAX = 1_000
"""Queries whose series are remembered; beyond, those asked longest ago are forgotten."""
THREADED_BYTES = 65_536
"""Larger answers are decoded in a thread, so that they do not hold up the event loop."""


class _Series(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    values: list[tuple[float, float]] = []


class _OddSeries(msgspec.Struct):
    metric: msgspec.Raw
    values: list[tuple[float, str]] = []


class _Result(msgspec.Struct):
    kind: str = msgspec.field(name="resultType")
    result: msgspec.Raw


class _Envelope(msgspec.Struct):
    status: str
    data: _Result | None = None
    error_type: str = msgspec.field(name="errorType", default="")
    error: str = ""
    warnings: list[str] = []


_envelope = msgspec.json.Decoder(_Envelope)
# Lax: numbers in quotes are read as numbers, without a Python string for each.
_matrix = msgspec.json.Decoder(list[_Series], strict=False)
_odd_matrix = msgspec.json.Decoder(list[_OddSeries])
_labels = msgspec.json.Decoder(dict[str, str])


class Prometheus(Source):
    """A server with the Prometheus HTTP API; it has a past, so every gap can be caught up."""

    resumes = True
    points_max = POINTS_MAX

    def __init__(
        self, document: PrometheusSource, http: HttpClient, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(document.name)
        self._api = f"{str(document.url).rstrip('/')}/api/v1"
        self._http = http
        self._now_ms = now_ms
        self._discovery = Discovery(str(document.url).rstrip("/"), document.http, http)
        self._known: OrderedDict[str, KnownSeries] = OrderedDict()
        self._fitting: dict[str, int] = {}
        """Queries whose windows were too large, and how many instants they may try next."""
        self._warnings: tuple[str, ...] = ()

    async def read(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> SampleBatch:
        """Fewer instants than asked for when the server cannot answer all of them at once."""
        points = min((end_ms - start_ms) // step_ms + 1, self._fitting.get(query, POINTS_MAX))
        while True:
            last_ms = start_ms + (points - 1) * step_ms
            try:
                batch = await self._read(query, start_ms, last_ms, step_ms)
            except QueryTooLarge as error:
                if points == 1:
                    raise SourceUnavailable(error.detail) from error
                points = self._fitting[query] = points // 2
                self._http.counters.halved += 1
                continue
            if query in self._fitting and points == self._fitting[query]:
                self._fitting[query] = 2 * points
                if self._fitting[query] >= POINTS_MAX:
                    del self._fitting[query]
            return batch

    async def _read(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> SampleBatch:
        parameters = {
            "query": query,
            "start": _seconds(start_ms),
            "end": _seconds(end_ms),
            "step": _seconds(step_ms),
        }
        answer = await self._ask("query_range", parameters)
        if len(answer.body) > THREADED_BYTES:
            batch = await asyncio.to_thread(self.decode, answer, query, start_ms, end_ms, step_ms)
        else:
            batch = self.decode(answer, query, start_ms, end_ms, step_ms)
        self._warnings = batch.warnings
        return batch

    async def check(self, query: str) -> None:
        now = _seconds(self._now_ms() // 1000 * 1000)
        parameters = {"query": query, "start": now, "end": now, "step": "1"}
        _open(await self._ask("query_range", parameters))

    async def health(self) -> SourceHealth:
        warnings = list(self._warnings)
        return await probe(self.name, "prometheus", self._http, self._now_ms, self._hello, warnings)

    async def _hello(self) -> None:
        _open(await self._ask("query", {"query": "1"}))

    async def metrics(self) -> list[MetricInfo]:
        return await self._discovery.metrics()

    async def labels(self, selector: str | None) -> list[str]:
        return await self._discovery.labels(selector)

    async def label_values(self, label: str, selector: str | None) -> list[str]:
        return await self._discovery.label_values(label, selector)

    async def close(self) -> None:
        await self._http.close()

    async def _ask(self, endpoint: str, parameters: Mapping[str, str]) -> Answer:
        url = f"{self._api}/{endpoint}"
        if len(parameters["query"]) > QUERY_IN_URL_MAX:
            return await self._http.send("POST", url, form=parameters)
        return await self._http.get(url, parameters)

    def decode(
        self, answer: Answer, query: str, start_ms: int, end_ms: int, step_ms: int
    ) -> SampleBatch:
        """The batch that an answer to `query` holds. Raises with the server's words when none."""
        known = self._known.pop(query, None) or KnownSeries()
        self._known[query] = known
        if len(self._known) > QUERIES_KNOWN_MAX:
            self._known.popitem(last=False)
        columns = read_answer(answer.body, known) if answer.status == 200 else None
        if columns is None or columns.kind != "matrix":
            self._http.counters.unusual += answer.status == 200
            columns = _read_plainly(answer)
        return SampleBatch(
            labels=columns.labels,
            series=columns.series,
            timestamps_ms=columns.timestamps_ms,
            values=columns.values,
            start_ms=start_ms,
            end_ms=end_ms,
            step_ms=step_ms,
            received_ms=self._now_ms(),
            warnings=columns.warnings,
        )


def _read_plainly(answer: Answer) -> Columns:
    """The columns of any answer, by way of the JSON library."""
    envelope = _open(answer)
    assert envelope.data is not None
    if envelope.data.kind != "matrix":
        raise SourceUnavailable(f"expected a matrix, got a {envelope.data.kind}")
    try:
        # Native histograms come without `values`; they have no number to judge.
        matrix = [series for series in _read_matrix(envelope.data.result) if series.values]
        counts = [len(series.values) for series in matrix]
        numbers = chain.from_iterable(chain.from_iterable(s.values for s in matrix))
        samples = np.fromiter(numbers, np.float64, 2 * sum(counts)).reshape(-1, 2)
        labels = tuple(Labels(_labels.decode(series.metric)) for series in matrix)
        series = np.repeat(np.arange(len(matrix), dtype=np.int32), counts)
        # Prometheus's decimal seconds come back as floats: 1795205148.123 is a little off.
        times = np.rint(samples[:, 0] * 1000).astype(np.int64)
    except (msgspec.DecodeError, ValueError) as error:
        raise SourceUnavailable(f"the answer is not a Prometheus matrix: {error}") from error
    warnings = tuple(envelope.warnings)
    return Columns("matrix", labels, series, times, samples[:, 1].copy(), warnings)


def _read_matrix(result: msgspec.Raw) -> list[_Series]:
    try:
        return _matrix.decode(result)
    except msgspec.DecodeError:
        # `+Inf` is a number to Prometheus and to Python, not to the quick decoder.
        return [
            _Series(series.metric, [(at, float(value)) for at, value in series.values])
            for series in _odd_matrix.decode(result)
        ]


def _open(answer: Answer) -> _Envelope:
    """The envelope of a success. Raises with the server's own words otherwise."""
    try:
        envelope = _envelope.decode(answer.body)
    except msgspec.DecodeError as error:
        raise SourceUnavailable(
            f"HTTP {answer.status}, not a Prometheus answer: {answer.text or error}"
        ) from error
    if answer.status == 200 and envelope.status == "success" and envelope.data is not None:
        return envelope
    message = envelope.error or f"HTTP {answer.status}"
    if envelope.error_type == "timeout" or any(words in message for words in TOO_MANY):
        raise QueryTooLarge(f"{envelope.error_type}: {message}")
    if answer.status in (400, 422):
        raise QueryRejected(f"{envelope.error_type or 'rejected'}: {message}")
    raise SourceUnavailable(f"HTTP {answer.status}: {message}")


def _seconds(milliseconds: int) -> str:
    """Seconds with just the decimals needed.

    >>> _seconds(15_000), _seconds(1_500)
    ('15', '1.5')
    """
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".")
