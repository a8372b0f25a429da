"""Long-running tasks under supervision: what breaks is logged, counted and started again."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import structlog

from aiops.clock import Clock

PAUSE_FIRST_SECONDS = 0.5
PAUSE_MAX_SECONDS = 30.0
CALM_MS = 60_000
"""A task that ran this long before it broke starts over with the first pause."""

log = structlog.get_logger()


class Supervisor:
    """Runs coroutines until they return or are stopped; one that raises is started again."""

    def __init__(self, clock: Clock) -> None:
        self.restarts: Counter[str] = Counter()
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run under `name`, which must be free."""
        assert name not in self._tasks, name
        self._tasks[name] = asyncio.create_task(self._keep_running(name, run), name=name)

    async def stop(self, name: str) -> None:
        """Cancel and wait; nothing happens when it is not running."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop_all(self) -> None:
        """Cancel everything, newest first."""
        for name in reversed(list(self._tasks)):
            await self.stop(name)

    async def _keep_running(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause = PAUSE_FIRST_SECONDS
        while True:
            started_ms = self._clock.now_ms()
            try:
                await run()
            except Exception as error:
                if self._clock.now_ms() - started_ms > CALM_MS:
                    pause = PAUSE_FIRST_SECONDS
                self.restarts[name.partition(":")[0]] += 1
                log.exception("task broke", task=name, error=str(error), again_in_seconds=pause)
                await self._clock.sleep(pause)
                pause = min(pause * 2, PAUSE_MAX_SECONDS)
            else:
                return
