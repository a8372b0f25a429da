import asyncio
import os
import random
import shutil
import ssl
import subprocess
import time

import pytest

from ingest.http import HttpClient, retry_after_seconds
from models.errors import SourceUnavailable
from models.secrets import Secret
from models.source import BasicAuth, Connection, OAuth2

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


class Clock:
    def __init__(self):
        self.now_ms = NOW_MS

    async def sleep(self, seconds):
        self.now_ms += int(seconds * 1000)

    def client(self, **settings):
        return HttpClient(
            Connection(timeout=2_000, **settings), retries=0, now_ms=lambda: self.now_ms,
            rng=random.Random(1), sleep=self.sleep,
        )  # fmt: skip


def test_a_server_that_keeps_failing_is_left_alone_and_tried_again_one_by_one(upstream):
    async def scenario():
        clock = Clock()
        http = clock.client()
        upstream.answers = [(503, {}, b"away")]
        for _ in range(5):
            await http.get(upstream.url)
        assert http.breaker.is_open
        with pytest.raises(SourceUnavailable, match=r"failed too often, tried again in 1\.0 s"):
            await http.get(upstream.url)
        assert (http.counters.held, http.breaker.opened, len(upstream.requests)) == (1, 1, 5)
        clock.now_ms += 1_000
        answers = await asyncio.gather(
            http.get(upstream.url), http.get(upstream.url), return_exceptions=True
        )
        assert sum(isinstance(answer, SourceUnavailable) for answer in answers) == 1
        with pytest.raises(SourceUnavailable, match=r"in 2\.0 s"):
            await http.get(upstream.url)
        upstream.answers = [(200, {}, b"back")]
        clock.now_ms += 2_000
        assert (await http.get(upstream.url)).body == b"back"
        assert not http.breaker.is_open
        assert (await http.get(upstream.url)).body == b"back"
        await http.close()

    asyncio.run(scenario())


def test_a_query_that_the_server_gave_up_is_no_failing_server(upstream):
    async def scenario():
        http = Clock().client()
        body = b'{"status":"error","errorType":"timeout","error":"query timed out"}'
        upstream.answers = [(503, {}, body)]
        for _ in range(9):
            assert (await http.get(upstream.url)).status == 503
        assert not http.breaker.is_open
        await http.close()

    asyncio.run(scenario())


def test_a_token_is_fetched_kept_and_fetched_again_when_it_ends_or_is_refused(upstream, tmp_path):
    async def scenario():
        clock = Clock()
        (tmp_path / "secret").write_text("s3cret")
        oauth2 = {
            "token_url": f"{upstream.url}/token", "client_id": "me", "scopes": ["read"],
            "client_secret": {"file": str(tmp_path / "secret")}, "endpoint_params": {"audience": "x"},
        }  # fmt: skip
        http = clock.client(oauth2=OAuth2.model_validate(oauth2))
        given = iter(range(9))
        refuse = False

        def answer(request):
            nonlocal refuse
            if request.path == "/token":
                assert request.headers["authorization"].startswith("Basic ")
                assert request.parameters == {
                    "grant_type": "client_credentials", "scope": "read", "audience": "x",
                }  # fmt: skip
                return 200, {}, b'{"access_token": "t%d", "expires_in": 3600}' % next(given)
            if refuse:
                refuse = False
                return 401, {}, b"expired"
            return 200, {}, request.headers["authorization"].encode()

        upstream.answer = answer
        ask = [(await http.get(upstream.url)).body for _ in range(2)]
        assert ask == [b"Bearer t0"] * 2
        clock.now_ms += 3_600_000
        assert (await http.get(upstream.url)).body == b"Bearer t1"
        refuse = True
        assert (await http.get(upstream.url)).body == b"Bearer t2"
        await http.close()

    asyncio.run(scenario())


def test_a_token_that_cannot_be_had_is_told(upstream, tmp_path):
    (tmp_path / "secret").write_text("s3cret")
    upstream.answers = [(400, {}, b"no")]
    oauth2 = OAuth2.model_validate(
        {
            "token_url": upstream.url,
            "client_id": "me",
            "client_secret": {"file": str(tmp_path / "secret")},
        }
    )
    with pytest.raises(SourceUnavailable, match="HTTP 400") as caught:
        get(Clock().client(oauth2=oauth2), upstream.url)
    assert "s3cret" not in caught.value.detail


def test_secret_headers_are_sent_and_read_again(upstream, tmp_path):
    path = tmp_path / "key"
    path.write_text("one")
    http, _ = client(secret_headers={"X-Key": Secret(file=str(path))})

    async def twice():
        await http.get(upstream.url)
        path.write_text("two")
        await http.get(upstream.url)
        await http.close()

    asyncio.run(twice())
    assert [request.headers["x-key"] for request in upstream.requests] == ["one", "two"]


def test_a_proxy_is_asked_in_place_of_the_server(upstream):
    upstream.answers = [(200, {}, b"by proxy")]
    http, _ = client(proxy=upstream.url)
    assert get(http, "http://nowhere.invalid/x").body == b"by proxy"


def certificate(folder, name, issuer=None):
    """A certificate for 127.0.0.1 and its key in one file, signed by `issuer` or itself."""
    path = folder / f"{name}.pem"
    signed = ["-CA", str(issuer), "-CAkey", str(issuer)] if issuer else []
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", f"{path}.key",
         "-out", str(path), "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", *signed],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + (folder / f"{name}.pem.key").read_text())
    return path


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make certificates with")
def test_both_sides_show_certificates_and_a_new_one_is_picked_up(upstream, tmp_path):
    server, first = (certificate(tmp_path, name) for name in ("server", "client"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(first)
    upstream._server.socket = context.wrap_socket(upstream._server.socket, server_side=True)
    url = upstream.url.replace("http", "https")
    upstream.answers = [(200, {}, b"hello")]

    async def scenario():
        mine = tmp_path / "mine.pem"
        mine.write_text(first.read_text())
        http, _ = client(ca_file=str(server), client_cert_file=str(mine))
        assert (await http.get(url)).body == b"hello"
        mine.write_text(certificate(tmp_path, "stranger").read_text())
        os.utime(mine, (1, 1))
        with pytest.raises(SourceUnavailable):
            await http.get(url)
        mine.write_text("rubbish")
        with pytest.raises(SourceUnavailable, match="TLS files"):
            await http.get(url)
        await http.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("host", "said", "expected"),
    [
        ("127.0.0.1", {}, {"Accept-Encoding": "identity"}),
        ("localhost", {}, {"Accept-Encoding": "identity"}),
        ("prometheus.example", {}, {}),
        ("127.0.0.1", {"accept-encoding": "gzip"}, {}),
    ],
)
def test_on_this_machine_answers_are_not_compressed(host, said, expected):
    made = HttpClient(Connection(headers=said), retries=0, now_ms=lambda: 0, rng=random.Random(1))
    assert made._encoding(f"http://{host}:9090/api/v1/query") == expected
