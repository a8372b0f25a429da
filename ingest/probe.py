"""How a server that is asked over HTTP stands: one small question, and what was counted so far."""

from collections.abc import Awaitable, Callable

from ingest.http import HttpClient
from models.errors import QueryRejected, SourceUnavailable
from models.source import SourceHealth


async def probe(
    name: str,
    kind: str,
    http: HttpClient,
    now_ms: Callable[[], int],
    ask: Callable[[], Awaitable[object]],
    warnings: list[str],
) -> SourceHealth:
    """The health of a source whose `ask` raises SourceUnavailable or QueryRejected when it is ill.

    warnings: the server's own, of its last answers.
    """
    started_ms = now_ms()
    error: str | None = None
    try:
        await ask()
    except (SourceUnavailable, QueryRejected) as failure:
        error = failure.detail
    return SourceHealth(
        name=name,
        type=kind,
        reachable=error is None,
        latency_seconds=None if error else (now_ms() - started_ms) / 1000,
        error=error,
        requests_total=http.counters.requests,
        retries_total=http.counters.retries,
        failures_total=http.counters.failures,
        last_success_at=http.counters.last_success_ms,
        warnings=warnings,
    )
