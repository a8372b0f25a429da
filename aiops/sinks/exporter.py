"""`/metrics/scores`: the newest score and band of every series, for Prometheus to scrape."""

import asyncio
from itertools import compress

import msgspec
import numpy as np

from aiops.shard import Judged
from aiops.sinks.base import FAMILIES, OutputSeries, output_columns
from models.columns import Floats
from models.labels import quote

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HELP = {
    "anomaly_score": "0 at the expected value, 1 at the edge of the band, above 1 anomalous.",
    "y": "Observed value.",
    "yhat": "Expected value.",
    "yhat_lower": "Lower edge of the band.",
    "yhat_upper": "Upper edge of the band.",
}


class _Page:
    """One detector's newest values: (5, rows), NaN where there is none."""

    def __init__(self) -> None:
        self.series = OutputSeries(_encode)
        self.newest: Floats = np.full((len(FAMILIES), 0), np.nan)

    def take(self, judged: Judged) -> None:
        self.series.add(judged)
        lacking = len(judged.labels) - self.newest.shape[1]
        if lacking > 0:
            more = np.full((len(FAMILIES), 2 * lacking), np.nan)
            self.newest = np.concatenate([self.newest, more], axis=1)
        # In order of time: the newest sample of a row is written last.
        live = judged.live
        self.newest[:, judged.rows.rows[live]] = output_columns(judged)[:, live]
        self.series.end(judged)
        shown = [row for row in judged.quiet if row < self.newest.shape[1]]
        self.newest[:, shown] = np.nan


class Exporter:
    """Keeps the newest values; they have no timestamps, so staleness is Prometheus's own."""

    def __init__(self) -> None:
        self._pages: dict[str, _Page] = {}

    def take(self, judged: Judged) -> None:
        """Remember the batch's newest sample of each series."""
        self._pages.setdefault(judged.detector.name, _Page()).take(judged)

    def end(self, detector: str, at_ms: int) -> None:  # noqa: ARG002
        """Show this detector's series no more."""
        self._pages.pop(detector, None)

    async def render(self) -> bytes:
        """The page in text exposition format 0.0.4."""
        pages = [(dict(p.series.encoded), p.newest.copy()) for p in self._pages.values()]
        return await asyncio.to_thread(_render, pages)


def _encode(labels: dict[str, str]) -> tuple[bytes, ...]:
    inner = ",".join(f"{name}={quote(value)}" for name, value in sorted(labels.items()))
    return tuple(f"\n{family}{{{inner}}} ".encode() for family in FAMILIES)


def _render(pages: list[tuple[dict[int, tuple[bytes, ...]], Floats]]) -> bytes:
    parts: list[bytes] = []
    for index, family in enumerate(FAMILIES):
        start = "\n" if parts else ""
        parts.append(f"{start}# HELP {family} {_HELP[family]}\n# TYPE {family} gauge".encode())
        for encoded, newest in pages:
            rows = np.fromiter(encoded, np.int64, len(encoded))
            values = newest[index, rows]
            there = ~np.isnan(values)
            prefixes = [prefixes[index] for prefixes in encoded.values()]
            # One call writes all numbers, each as short as it can be read back from.
            numbers = msgspec.json.encode(values[there].tolist())[1:-1].split(b",")
            for k in np.flatnonzero(np.isinf(values[there])).tolist():
                numbers[k] = b"+Inf" if values[there][k] > 0 else b"-Inf"
            lines = [b""] * (2 * int(there.sum()))
            lines[0::2] = compress(prefixes, there.tolist())
            lines[1::2] = numbers if lines else []
            parts.extend(lines)
    return b"".join(parts) + b"\n"
