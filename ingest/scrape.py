"""Exporters read directly, without a Prometheus between: text exposition and OpenMetrics."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import numpy as np
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text

from ingest.base import Source
from ingest.http import HttpClient
from models.columns import SampleBatch
from models.errors import QueryRejected, SourceUnavailable
from models.labels import METRIC_NAME, Labels, Selector, parse_selector
from models.source import ScrapeSource, SourceHealth

ACCEPT = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
QUERIES_MAX = 10_000
"""Queries whose last counter values are kept; the longest unasked goes first."""
_CUMULATIVE = ("_total", "_count", "_sum", "_bucket")

Sample = tuple[Labels, float, bool]
"""Labels, value, and whether the value only ever grows."""


class Scrape(Source):
    """Exporters' pages at the moment of asking; there is no past to catch up.

    A query is a series selector. Counters, and the counts, sums and buckets of histograms and
    summaries, become rates per second since the query's last read; a counter that fell was reset
    and counts from 0. Each series gets `instance` and `job`, each target an `up` of 1 or 0.
    """

    resumes = False
    points_max = 1

    def __init__(self, document: ScrapeSource, http: HttpClient, now_ms: Callable[[], int]) -> None:
        super().__init__(document.name)
        self._targets = [str(target) for target in document.targets]
        self._http = http
        self._now_ms = now_ms
        self._turn = asyncio.Lock()
        self._page: tuple[int, list[Sample]] = (-1, [])
        self._counters: OrderedDict[tuple[str, int], tuple[int, dict[Labels, float]]] = (
            OrderedDict()
        )
        self._answers: dict[tuple[str, int], SampleBatch] = {}
        self._errors: dict[str, str] = {}

    async def read(
        self,
        query: str,
        start_ms: int,  # noqa: ARG002 - there is no past to read.
        end_ms: int,
        step_ms: int,
    ) -> SampleBatch:
        selector = _selector(query)
        key = (query, step_ms)
        async with self._turn:
            last = self._answers.get(key)
            if last is None or last.end_ms != end_ms:
                samples = await self._samples(end_ms)
                last = self._answers[key] = self._select(key, selector, samples, end_ms)
            return last

    async def check(self, query: str) -> None:
        _selector(query)

    async def health(self) -> SourceHealth:
        started_ms = self._now_ms()
        pages = await asyncio.gather(*(self._scrape(target) for target in self._targets))
        counters = self._http.counters
        error = "; ".join(self._errors.values()) or None
        return SourceHealth(
            name=self.name,
            type="scrape",
            reachable=any(page is not None for page in pages),
            latency_seconds=(self._now_ms() - started_ms) / 1000,
            error=error,
            requests_total=counters.requests,
            retries_total=counters.retries,
            failures_total=counters.failures,
            last_success_at=counters.last_success_ms,
        )

    async def close(self) -> None:
        await self._http.close()

    async def _samples(self, end_ms: int) -> list[Sample]:
        """All targets' samples; scraped once for all queries of one instant."""
        scraped_ms, samples = self._page
        if scraped_ms != end_ms:
            pages = await asyncio.gather(*(self._scrape(target) for target in self._targets))
            if all(page is None for page in pages):
                raise SourceUnavailable("; ".join(self._errors.values()))
            samples = [
                sample
                for target, page in zip(self._targets, pages, strict=True)
                for sample in self._with_up(target, page)
            ]
            self._page = (end_ms, samples)
        return samples

    async def _scrape(self, target: str) -> list[Sample] | None:
        """One target's samples, or None; `_errors` then says why."""
        try:
            answer = await self._http.send("GET", target, headers={"Accept": ACCEPT})
            if answer.status != 200:
                raise SourceUnavailable(f"{target}: HTTP {answer.status}")
            openmetrics = "openmetrics" in answer.headers.get("content-type", "")
            samples = await asyncio.to_thread(
                lambda: list(self._parse(target, answer.body, openmetrics))
            )
        except SourceUnavailable as error:
            self._errors[target] = error.detail
            return None
        except ValueError as error:
            self._errors[target] = f"{target}: not a metrics page: {error}"
            return None
        self._errors.pop(target, None)
        return samples

    def _parse(self, target: str, body: bytes, openmetrics: bool) -> Iterator[Sample]:
        families = (read_openmetrics if openmetrics else read_text)(body.decode("utf-8"))
        where = {"instance": urlsplit(target).netloc, "job": self.name}
        for family in families:
            cumulative = family.type in ("counter", "histogram", "summary")
            for sample in family.samples:
                labels = Labels(where | sample.labels | {METRIC_NAME: sample.name})
                grows = cumulative and sample.name.endswith(_CUMULATIVE)
                yield labels, float(sample.value), grows

    def _with_up(self, target: str, page: list[Sample] | None) -> list[Sample]:
        labels = {METRIC_NAME: "up", "instance": urlsplit(target).netloc, "job": self.name}
        return [*(page or []), (Labels(labels), float(page is not None), False)]

    def _select(
        self, key: tuple[str, int], selector: Selector, samples: list[Sample], end_ms: int
    ) -> SampleBatch:
        before_ms, previous = self._counters.pop(key, (0, {}))
        current: dict[Labels, float] = {}
        chosen: dict[Labels, float] = {}
        for labels, value, grows in samples:
            if not selector.matches(labels):
                continue
            if grows:
                current[labels] = value
                before = previous.get(labels)
                if before is None:
                    continue
                grown = value - before if value >= before else value
                chosen[labels] = grown / ((end_ms - before_ms) / 1000)
            else:
                chosen[labels] = value
        self._remember(key, end_ms, current)
        return SampleBatch(
            labels=tuple(chosen),
            series=np.arange(len(chosen), dtype=np.int32),
            timestamps_ms=np.full(len(chosen), end_ms, np.int64),
            values=np.fromiter(chosen.values(), np.float64, len(chosen)),
            start_ms=end_ms,
            end_ms=end_ms,
            step_ms=key[1],
            received_ms=self._now_ms(),
        )

    def _remember(self, key: tuple[str, int], end_ms: int, current: dict[Labels, float]) -> None:
        self._counters[key] = (end_ms, current)
        while len(self._counters) > QUERIES_MAX:
            oldest, _ = self._counters.popitem(last=False)
            self._answers.pop(oldest, None)


def _selector(query: str) -> Selector:
    try:
        return parse_selector(query)
    except ValueError as error:
        raise QueryRejected(str(error)) from error
