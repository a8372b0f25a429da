"""A circuit breaker: a server that keeps failing is left alone for a while, by everyone at once."""

from collections.abc import Callable

FAILURES_MAX = 5
"""Requests in a row, each with all its retries, that may fail before the circuit opens."""
PAUSE_FIRST_MS = 1_000
PAUSE_MAX_MS = 15_000


class Breaker:
    """Open after FAILURES_MAX failures; then one request may try, again and again after pauses."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.opened = 0
        """How often it opened."""
        self._now_ms = now_ms
        self._failures = 0
        self._pause_ms = PAUSE_FIRST_MS
        self._until_ms: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests are refused or tried one by one."""
        return self._until_ms is not None

    def wait_seconds(self) -> float:
        """How long requests are still refused; 0 when one may go. That one is now under way."""
        if self._until_ms is None:
            return 0.0
        now_ms = self._now_ms()
        if now_ms < self._until_ms:
            return (self._until_ms - now_ms) / 1000
        self._until_ms = now_ms + self._pause_ms  # Others wait for what this one finds.
        return 0.0

    def heard(self, able: bool) -> None:
        """The server answered; able: not only that it cannot."""
        if not able:
            self.failed()
            return
        self._failures = 0
        self._pause_ms = PAUSE_FIRST_MS
        self._until_ms = None

    def failed(self) -> None:
        """No answer came."""
        self._failures += 1
        if self._failures < FAILURES_MAX:
            return
        if self._until_ms is None:
            self.opened += 1
        else:
            self._pause_ms = min(2 * self._pause_ms, PAUSE_MAX_MS)
        self._until_ms = self._now_ms() + self._pause_ms
