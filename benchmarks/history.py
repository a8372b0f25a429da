"""How long does a new detector learn its history before it judges?

A week of samples a minute, from a Parquet file with a line a sample, by the road of a training:
read window by window, located, judged, decided. Beside it what ten thousand series may take in all,
a minute, as the share of these series.
"""

import asyncio
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from aiops.clock import SystemClock
from aiops.history import Past
from aiops.shard import Judged, Stream
from benchmarks.measure import Row, arguments, compare, interleave, report, timed
from ingest.replay import EVERYTHING, Replay
from models.detector import Detector
from models.settings import Limits
from models.source import ReplaySource
from models.validation import parse

STEP_MS = 60_000
WEEK = 7 * 1_440
FIRST_MS = 1_795_200_000_000
ASKED_SECONDS, ASKED_SERIES = 60.0, 10_000


def record(path: Path, series: int) -> None:
    """Noise on daily waves."""
    rng = np.random.default_rng(1)
    minute = np.repeat(np.arange(1, WEEK + 1), series)
    index = np.tile(np.arange(series), WEEK)
    wave = 100 + 20 * np.sin(minute / 1_440 * 2 * np.pi + index)
    values = np.round(wave + rng.normal(0, 5, len(wave)), 3)
    columns = {"timestamp": FIRST_MS + STEP_MS * minute, "series": index, "value": values}
    pl.DataFrame(columns).with_columns(pl.col("series").cast(pl.String)).write_parquet(path)


def learn(path: Path, kind: str) -> float:
    """Seconds until the last sample is judged, reading the file included."""
    document = parse(
        Detector,
        {
            "name": "history",
            "source": "file",
            "query": EVERYTHING,
            "step": "1m",
            "model": {"kind": kind},
        },
    )
    limits = Limits()
    stream = Stream(document, limits, born_ms=0, live_after_ms=10**14)
    clock = SystemClock()
    source = Replay(ReplaySource(type="replay", name="file", path=str(path)), clock.now_ms)

    async def ignore(_: Judged) -> None:
        pass

    async def all_of_it() -> None:
        await Past(stream, source, clock).read(FIRST_MS, FIRST_MS + WEEK * STEP_MS, ignore)

    return timed(lambda: asyncio.run(all_of_it()))


def cases(path: Path, series: int, rounds: int) -> list[Row]:
    """Every kind in turn."""
    names = ("ewma", "mad", "seasonal", "forecast", "auto")
    results = interleave([partial(learn, path, name) for name in names], rounds)
    asked = [ASKED_SECONDS * series / ASKED_SERIES]
    what = f"a week of {series} series a minute"
    return [
        compare(f"{what}, {name}", f"a minute for {ASKED_SERIES}", "s", own, asked)
        for name, own in zip(names, results, strict=True)
    ]


def main() -> None:
    """Print the JSON object."""
    question = "How long does a new detector learn its history?"
    quick = arguments(question).quick
    series = 200 if quick else 1_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "week.parquet"
        record(path, series)
        rows = cases(path, series, 1 if quick else 2)
    report(question, rows, ("numpy", "polars"))


if __name__ == "__main__":
    main()
