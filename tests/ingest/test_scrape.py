import asyncio
import random

import numpy as np
import pytest

from ingest.http import HttpClient
from ingest.scrape import Scrape
from models.errors import QueryRejected, SourceUnavailable
from models.source import Connection, ScrapeSource

TEXT = b"""# TYPE requests_total counter
requests_total{code="200"} %d
# TYPE queue gauge
queue 3
# TYPE latency histogram
latency_bucket{le="1"} 4
latency_bucket{le="+Inf"} 6
latency_sum 9
latency_count 6
"""
OPENMETRICS = b"""# TYPE requests counter
requests_total 5
# TYPE queue gauge
queue 4
# EOF
"""


def made(*urls):
    http = HttpClient(Connection(timeout=2_000), retries=0, now_ms=lambda: 0, rng=random.Random(1))
    document = ScrapeSource(type="scrape", name="shop", targets=[f"{u}/metrics" for u in urls])
    return Scrape(document, http, lambda: 0)


def reads(scrape, *asked):
    async def all_of_them():
        try:
            return [await scrape.read(query, at, at, 1000) for query, at in asked]
        finally:
            await scrape.close()

    return asyncio.run(all_of_them())


def test_gauges_are_values_with_instance_and_job(upstream):
    upstream.answers = [(200, {"Content-Type": "text/plain"}, TEXT % 1)]
    (batch,) = reads(made(upstream.url), ("queue", 5_000))
    assert batch.values.tolist() == [3.0]
    assert batch.timestamps_ms.tolist() == [5_000]
    instance = upstream.url.removeprefix("http://")
    assert dict(batch.labels[0]) == {"__name__": "queue", "instance": instance, "job": "shop"}


def test_counters_become_rates_between_reads_and_survive_resets(upstream):
    upstream.answers = [(200, {}, TEXT % n) for n in (10, 30, 5)]
    query = 'requests_total{code="200"}'
    first, second, third = reads(made(upstream.url), (query, 0), (query, 4_000), (query, 5_000))
    assert len(first) == 0
    assert second.values.tolist() == [5.0]
    assert third.values.tolist() == [5.0]


def test_histograms_grow_and_openmetrics_is_read(upstream):
    upstream.answers = [(200, {}, TEXT % 1)]
    _, second = reads(made(upstream.url), ('{__name__=~"latency.*"}', 0), ("queue", 1))
    scrape = made(upstream.url)
    upstream.answers = [(200, {"Content-Type": "application/openmetrics-text"}, OPENMETRICS)]
    before, after = reads(scrape, ('{job="shop"}', 0), ('{job="shop"}', 1_000))
    assert len(before) == 2
    assert {str(k["__name__"]) for k in after.labels} == {"requests_total", "queue", "up"}
    assert len(second) == 1


def test_one_scrape_serves_all_queries_of_an_instant(upstream):
    upstream.answers = [(200, {}, TEXT % 1)]
    reads(made(upstream.url), ("queue", 0), ("up", 0), ("queue", 0), ("queue", 1_000))
    assert len(upstream.requests) == 2


def test_a_target_that_is_down_is_told_by_up(upstream):
    upstream.answers = [(200, {}, TEXT % 1)]
    (batch,) = reads(made(upstream.url, "http://127.0.0.1:9"), ("up", 0))
    by_instance = dict(zip([k["instance"] for k in batch.labels], batch.values, strict=True))
    assert by_instance == {upstream.url.removeprefix("http://"): 1.0, "127.0.0.1:9": 0.0}


@pytest.mark.parametrize("page", [(500, {}, b""), (200, {}, b"<html>"), (200, {}, b"a{b= 1")])
def test_when_no_target_answers_the_source_is_unavailable(upstream, page):
    upstream.answers = [page]
    with pytest.raises(SourceUnavailable, match="/metrics"):
        reads(made(upstream.url), ("up", 0))


def test_a_query_that_is_no_selector_is_rejected():
    with pytest.raises(QueryRejected, match="is not a selector"):
        asyncio.run(made("http://127.0.0.1:9").check("rate(x[5m])"))


def test_health_tells_which_targets_fail(upstream):
    upstream.answers = [(200, {}, TEXT % 1)]

    async def ask():
        scrape = made(upstream.url, "http://127.0.0.1:9")
        try:
            return await scrape.health()
        finally:
            await scrape.close()

    health = asyncio.run(ask())
    assert health.reachable
    assert "127.0.0.1:9" in health.error
    assert np.isfinite(health.latency_seconds)
