import asyncio

from aiops.clock import ManualClock
from aiops.tasks import Supervisor


def test_a_task_that_breaks_is_started_again_after_growing_pauses(capsys):
    async def scenario():
        clock = ManualClock(0)
        supervisor = Supervisor(clock)
        runs = []

        async def breaks():
            runs.append(clock.now_ms())
            raise ValueError("boom")

        supervisor.start("reader:a", breaks)
        await clock.advance(4)
        assert runs == [0, 500, 1500, 3500]
        assert supervisor.restarts == {"reader": 4}
        await supervisor.stop("reader:a")
        await supervisor.stop("reader:a")
        await clock.advance(60)
        assert len(runs) == 4

    asyncio.run(scenario())
    assert "task broke" in capsys.readouterr().out


def test_a_task_that_returns_is_done():
    async def scenario():
        supervisor = Supervisor(ManualClock(0))
        ran = []

        async def once():
            ran.append(1)

        supervisor.start("once", once)
        await asyncio.sleep(0)
        await supervisor.stop_all()
        assert ran == [1]

    asyncio.run(scenario())
