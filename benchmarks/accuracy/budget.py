"""How well is a budget kept on weeks that it was not set on?

    python -m benchmarks.accuracy.budget --data DIR

takes the series of a data set and step as one detector's, lets the first half of the time pass and
counts the anomalies that are told in the second.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import polars as pl

from aiops.shard import Stream
from benchmarks.accuracy.replay import CHUNK, UNLIMITED_MS, Entry, entries
from models.columns import SampleBatch
from models.detector import Detector
from models.labels import Labels
from models.settings import Limits
from models.validation import parse

BEGIN_MS = 1_699_999_200_000
CASES = (
    ("kpi", 60_000, "3/week"),
    ("kpi", 60_000, "2/day"),
    ("kpi", 300_000, "3/week"),
    ("asd_uv", 300_000, "1/day"),
    ("asd_uv", 300_000, "7/day"),
    ("smd_uv", 60_000, "1/day"),
    ("smd_uv", 60_000, "10/day"),
)


def main() -> None:
    """Each case in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    arguments = parser.parse_args()
    if not (arguments.data / "manifest.csv").is_file():
        sys.exit(f"no labelled series: {arguments.data / 'manifest.csv'} is absent")
    for dataset, step_ms, budget in CASES:
        found = [e for e in entries(arguments.data, {dataset}) if e.step_ms == step_ms]
        if found:
            print(
                f"{dataset} at {step_ms / 1000:g} s, {budget}: {_kept(found, budget)}", flush=True
            )


def _kept(chosen: list[Entry], budget: str) -> str:
    """Series lie side by side from their first sample on, whenever they were recorded."""
    step_ms = chosen[0].step_ms
    document = {
        "name": "budget",
        "source": "file",
        "query": "series",
        "step": f"{step_ms}ms",
        "model": {"kind": "auto"},
        "budget": budget,
        "policy": {"recover": "10m"},
    }
    limits = Limits(series_idle=UNLIMITED_MS, series_stale=UNLIMITED_MS)
    stream = Stream(parse(Detector, document), limits, born_ms=0, live_after_ms=0)
    labels = tuple(
        Labels({"file": entry.file.stem, "metric": entry.column, "id": entry.series_id})
        for entry in chosen
    )
    frames = [pl.read_parquet(entry.file) for entry in chosen]
    times = [frame["ts"].to_numpy().astype(np.int64) * 1_000 for frame in frames]
    at = np.concatenate([own - own[0] + BEGIN_MS for own in times])
    index = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(own) for own in times])
    values = np.concatenate(
        [
            frame[entry.column].to_numpy().astype(np.float64)
            for frame, entry in zip(frames, chosen, strict=True)
        ]
    )
    order = np.lexsort((index, at))
    at, index, values = at[order], index[order], values[order]
    half_ms = (int(at[0]) + int(at[-1])) // 2
    told = 0
    for first_ms in range(int(at[0]), int(at[-1]) + 1, CHUNK * step_ms // 10):
        last_ms = first_ms + CHUNK * step_ms // 10
        first, last = np.searchsorted(at, [first_ms, last_ms])
        here = slice(int(first), int(last))
        batch = SampleBatch(
            labels, index[here], at[here], values[here], first_ms, last_ms - 1, step_ms, last_ms
        )
        told += sum(
            a.state == "open" and a.sample_at == a.opened_at and a.opened_at > half_ms
            for a in stream.step(batch, last_ms).anomalies
        )
    assert stream.budget is not None
    asked = stream.budget.budget
    units = (int(at[-1]) - half_ms) / asked.unit_ms
    return (
        f"{len(chosen)} series, {told} told in {units:.1f} units of the second half: "
        f"{told / units:.2f}, {told / units / asked.often:.2f} of what was asked"
    )


if __name__ == "__main__":
    main()
