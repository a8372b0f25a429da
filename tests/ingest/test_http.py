import asyncio
import random
import time

import pytest

from ingest.http import HttpClient, retry_after_seconds
from models.errors import SourceUnavailable
from models.secrets import Secret
from models.source import BasicAuth, Connection

NOW_MS = 1_795_000_000_000


def client(retries=0, **settings):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    connection = Connection(timeout=2_000, **settings)
    made = HttpClient(
        connection, retries=retries, now_ms=lambda: NOW_MS, rng=random.Random(1), sleep=sleep
    )
    return made, pauses


def get(http, url):
    async def once():
        try:
            return await http.get(url)
        finally:
            await http.close()

    return asyncio.run(once())


def test_an_answer_comes_whole_with_its_status(upstream):
    upstream.answers = [(404, {"X-Word": "no"}, b"nothing  here\n")]
    http, _ = client()
    answer = get(http, f"{upstream.url}/a")
    assert (answer.status, answer.headers["x-word"], answer.text) == (404, "no", "nothing here")
    assert (http.counters.requests, http.counters.failures) == (1, 1)


def test_a_busy_server_is_asked_again_and_waited_for_as_it_says(upstream):
    upstream.answers = [(429, {"Retry-After": "7"}, b""), (503, {}, b""), (200, {}, b"good")]
    http, pauses = client(retries=3)
    assert get(http, upstream.url).body == b"good"
    assert pauses[0] == 7
    assert 0 <= pauses[1] <= 0.4
    assert (http.counters.requests, http.counters.retries, http.counters.failures) == (3, 2, 0)
    assert http.counters.last_success_ms == NOW_MS


def test_retries_are_bounded_and_the_last_answer_is_given(upstream):
    upstream.answers = [(503, {}, b"away")]
    http, _ = client(retries=2)
    assert get(http, upstream.url).status == 503
    assert (http.counters.requests, http.counters.retries, http.counters.failures) == (3, 2, 1)


def test_client_faults_are_not_tried_again(upstream):
    upstream.answers = [(400, {}, b"bad")]
    http, _ = client(retries=5)
    assert get(http, upstream.url).status == 400
    assert http.counters.requests == 1


def test_an_unreachable_server_is_named():
    http, _ = client(retries=1)
    with pytest.raises(SourceUnavailable, match=r"GET http://127.0.0.1:9/x: .*connection"):
        get(http, "http://127.0.0.1:9/x")
    assert http.counters.failures == 1


def test_a_server_that_does_not_answer_times_out(upstream):
    upstream.answer = lambda request: time.sleep(0.6) or (200, {}, b"")
    made = HttpClient(Connection(timeout=200), retries=0, now_ms=lambda: 0, rng=random.Random(1))
    with pytest.raises(SourceUnavailable, match="timed out"):
        get(made, upstream.url)


def test_credentials_are_sent_and_read_from_their_file(upstream, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    place = Secret(file=str(secret))
    http, _ = client(bearer_token=place, headers={"X-Scope-OrgID": "shop"})
    get(http, upstream.url)
    assert upstream.requests[0].headers["authorization"] == "Bearer s3cret"
    assert upstream.requests[0].headers["x-scope-orgid"] == "shop"
    http, _ = client(basic_auth=BasicAuth(username="me", password=place))
    get(http, upstream.url)
    assert upstream.requests[1].headers["authorization"] == "Basic bWU6czNjcmV0"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        ("100000", 60.0),
        ("-4", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("Wed, 18 Nov 2026 11:06:45 GMT", 5.0),
        ("Wed, 18 Nov 2026 11:06:45 -0000", 5.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_bounded(header, seconds):
    assert retry_after_seconds({"retry-after": header}, NOW_MS) == seconds
