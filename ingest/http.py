"""One HTTP client for all sources: authentication, timeouts, bounded retries, counters."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from ingest.breaker import Breaker
from ingest.credentials import Credentials, tls_context, tls_files
from models.errors import QueryTooLarge, SourceUnavailable
from models.settings import is_loopback
from models.source import Connection

RETRIED_STATUS = frozenset({429, 502, 503, 504})
PAUSE_FIRST_SECONDS = 0.2
PAUSE_MAX_SECONDS = 10.0
RETRY_AFTER_MAX_SECONDS = 60.0
ANSWER_BYTES_MAX = 512 * 2**20
USER_AGENT = "aiops-engine"


@dataclass(slots=True)
class HttpCounters:
    """What this client did since it was made."""

    requests: int = 0
    retries: int = 0
    failures: int = 0
    held: int = 0
    """Requests that were not made, for the last ones failed."""
    halved: int = 0
    """Windows that were asked for again by half, for the answer was too large."""
    unusual: int = 0
    """Answers that were not written as the quick reader expects, and took the library's way."""
    last_success_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The start of the body as one line, for messages."""
        return " ".join(self.body[:400].decode("utf-8", "replace").split())


class HttpClient:
    """Sends requests as `settings` says; use it within one event loop.

    A failed attempt (no connection, time-out, 429, 502, 503, 504) is repeated at most
    `retries` times, after a pause that doubles, with full jitter, or as long as
    `Retry-After` asks up to a minute.
    """

    def __init__(
        self,
        settings: Connection,
        *,
        retries: int,
        now_ms: Callable[[], int],
        rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.counters = HttpCounters()
        self._settings = settings
        self._retries = retries
        self._now_ms = now_ms
        self._rng = rng
        self._sleep = sleep
        self.breaker = Breaker(now_ms)
        self._credentials = Credentials(settings, now_ms)
        self._client: httpx.AsyncClient | None = None
        self._files: dict[str, float] = {}

    async def close(self) -> None:
        """End open connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def headers(self) -> dict[str, str]:
        """What every request carries, credentials too. Raises SourceUnavailable."""
        own = await self._credentials.headers(await self._connected())
        return {"User-Agent": USER_AGENT} | self._settings.headers | own

    async def get(self, url: str, params: Mapping[str, str] | None = None) -> Answer:
        """GET with retries. Raises SourceUnavailable when no attempt brought an answer."""
        return await self.send("GET", url, params=params)

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request with retries; the last answer, whatever its status.

        Raises SourceUnavailable when no attempt brought an answer, or when none is made because
        the last requests all failed.
        """
        held = self.breaker.wait_seconds()
        if held > 0:
            self.counters.held += 1
            raise SourceUnavailable(
                f"{method} {url}: failed too often, tried again in {held:.1f} s"
            )
        attempt = 0
        while True:
            self.counters.requests += 1
            pause = self._rng.uniform(0, min(PAUSE_FIRST_SECONDS * 2**attempt, PAUSE_MAX_SECONDS))
            try:
                async with asyncio.timeout(self._settings.timeout / 1000):
                    client = await self._connected()
                    own = dict(headers or {}) | await self._credentials.headers(client)
                    own |= self._encoding(url)
                    request = client.build_request(
                        method, url, params=params, data=form, content=body, headers=own
                    )
                    answer = await self._attempt(client, request)
            except (httpx.HTTPError, OSError) as error:  # httpx lets a TLS alert through.
                if attempt >= self._retries:
                    self.counters.failures += 1
                    self.breaker.failed()
                    raise SourceUnavailable(f"{method} {url}: {_reason(error)}") from error
            else:
                expired = answer.status == 401 and attempt == 0 and self._credentials.forget()
                if expired:
                    pause = 0.0
                elif _can(answer) or attempt >= self._retries:
                    if answer.status >= 400:
                        self.counters.failures += 1
                    else:
                        self.counters.last_success_ms = self._now_ms()
                    self.breaker.heard(_can(answer))
                    return answer
                pause = max(pause, retry_after_seconds(answer.headers, self._now_ms()))
            attempt += 1
            self.counters.retries += 1
            await self._sleep(pause)

    def _encoding(self, url: str) -> dict[str, str]:
        """On this machine answers come as they are: Prometheus compresses longer than it answers.

        What the source's own `headers` say about it is left alone.
        """
        said = {name.lower() for name in self._settings.headers}
        if "accept-encoding" in said or not is_loopback(httpx.URL(url).host):
            return {}
        return {"Accept-Encoding": "identity"}

    async def _connected(self) -> httpx.AsyncClient:
        """The client, made anew when its certificates changed."""
        files = tls_files(self._settings)
        if self._client is None or files != self._files:
            verify = tls_context(self._settings)
            await self.close()
            proxy = self._settings.proxy
            self._client = httpx.AsyncClient(
                timeout=self._settings.timeout / 1000,
                headers={"User-Agent": USER_AGENT} | self._settings.headers,
                verify=verify,
                proxy=None if proxy is None else str(proxy),
                trust_env=False,
                limits=httpx.Limits(max_connections=32, max_keepalive_connections=8),
            )
            self._files = files
        return self._client

    async def _attempt(self, client: httpx.AsyncClient, request: httpx.Request) -> Answer:
        response = await client.send(request, stream=True)
        try:
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > ANSWER_BYTES_MAX:
                    self.counters.failures += 1
                    raise QueryTooLarge(
                        f"{request.url}: the answer is larger than {ANSWER_BYTES_MAX >> 20} MiB; "
                        "aggregate the query or split it"
                    )
                chunks.append(chunk)
        finally:
            await response.aclose()
        return Answer(response.status_code, response.headers, b"".join(chunks))


def retry_after_seconds(headers: Mapping[str, str], now_ms: int) -> float:
    """What `Retry-After` asks for, in seconds or as a date, at most a minute; 0 without it."""
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            until = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        seconds = (until - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_SECONDS)


def _can(answer: Answer) -> bool:
    """Whether the server could answer; a query that it gave up is an answer about the query."""
    return answer.status not in RETRIED_STATUS or answer.body.startswith(b'{"status"')


def _reason(error: Exception) -> str:
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return "timed out"
    return str(error) or type(error).__name__
