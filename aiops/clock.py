"""Real time, and a time that tests turn by hand."""

import asyncio
import time
from typing import Protocol

TURNS = 30
"""Turns of the event loop that a woken sleeper gets before time moves on."""


class Clock(Protocol):
    """What the engine asks of time."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """Stands still until `advance`; sleepers wake in order of their time."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now_ms(self) -> int:
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        awake = asyncio.Event()
        self._sleepers.append((self._now_ms + seconds * 1000, awake))
        await awake.wait()

    async def advance(self, seconds: float) -> None:
        """Move on, waking who is due and letting them run after each wake."""
        target_ms = self._now_ms + seconds * 1000
        await self._settle()
        while due := [sleeper for sleeper in self._sleepers if sleeper[0] <= target_ms]:
            earliest = min(due, key=lambda sleeper: sleeper[0])
            self._sleepers.remove(earliest)
            self._now_ms = max(self._now_ms, int(earliest[0]))
            earliest[1].set()
            await self._settle()
        self._now_ms = int(target_ms)

    async def _settle(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
