"""Labelled series through the engine's own shard: what it would have said at the time."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aiops.shard import Stream
from models.columns import SampleBatch
from models.detector import Detector
from models.labels import Labels
from models.settings import Limits
from models.validation import parse

CHUNK = 5_000
"""Instants of one batch; what the engine reads after an outage is of this order."""
UNLIMITED_MS = 10**13


@dataclass(frozen=True)
class Entry:
    """One line of a manifest: a file's one column, or all of them as one machine."""

    dataset: str
    series_id: str
    file: Path
    column: str
    step_ms: int

    @property
    def grouped(self) -> bool:
        return self.column == "*"


def entries(data: Path, datasets: set[str]) -> list[Entry]:
    """What `data`/manifest.csv lists; of `datasets`, or of all when that is empty."""
    with (data / "manifest.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [
        Entry(
            row["dataset"],
            row["series_id"],
            data / row["file"],
            row["value_col"],
            round(float(row["interval_s"]) * 1_000),
        )
        for row in rows
        if not datasets or row["dataset"] in datasets
    ]


def replay(entry: Entry, model: dict[str, Any]) -> pl.DataFrame:
    """`ts` and `score` of every row: NaN where there is no judgement.

    Of the file only timestamps and values are read, and the model knows neither its name nor its
    length.
    """
    frame = pl.read_parquet(entry.file)
    columns = [c for c in frame.columns if c.startswith("v")] if entry.grouped else [entry.column]
    times_ms = frame["ts"].to_numpy().astype(np.int64) * 1_000
    values = frame.select(columns).to_numpy().astype(np.float64)
    scores = dict(_judged(entry, columns, times_ms, values, model))
    score = [scores.get(at, np.nan) for at in times_ms.tolist()]
    return pl.DataFrame({"ts": frame["ts"], "score": pl.Series(score, dtype=pl.Float64)})


def write(entry: Entry, model: dict[str, Any], out: Path) -> int:
    """Its `OUT/<dataset>/<series_id>.parquet`; how many rows that has."""
    scores = replay(entry, model)
    path = out / entry.dataset / f"{entry.series_id}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    scores.write_parquet(path)
    return len(scores)


def _judged(
    entry: Entry,
    columns: list[str],
    times_ms: np.ndarray[Any, Any],
    values: np.ndarray[Any, Any],
    model: dict[str, Any],
) -> Iterator[tuple[int, float]]:
    document = {
        "name": "accuracy",
        "source": "file",
        "query": "series",
        "step": f"{entry.step_ms}ms",
        "model": model,
        "group_by": ["machine"] if entry.grouped else None,
    }
    limits = Limits(series_idle=UNLIMITED_MS, series_stale=UNLIMITED_MS)
    stream = Stream(parse(Detector, document), limits, born_ms=0, live_after_ms=-UNLIMITED_MS)
    labels = tuple(Labels({"machine": "a", "metric": name}) for name in columns)
    for first in range(0, len(times_ms), CHUNK):
        at = times_ms[first : first + CHUNK]
        flat = values[first : first + CHUNK].ravel()
        there = ~np.isnan(flat)
        batch = SampleBatch(
            labels=labels,
            series=np.tile(np.arange(len(columns), dtype=np.int32), len(at))[there],
            timestamps_ms=np.repeat(at, len(columns))[there],
            values=flat[there],
            start_ms=int(at[0]),
            end_ms=int(at[-1]),
            step_ms=entry.step_ms,
            received_ms=int(at[-1]),
        )
        judged = stream.step(batch, int(at[-1]))
        yield from zip(
            judged.rows.timestamps_ms.tolist(), judged.scores.score.tolist(), strict=True
        )
