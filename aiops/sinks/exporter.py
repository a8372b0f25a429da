"""`/metrics/scores`: the newest score and band of every series, for Prometheus to scrape."""

import asyncio
import math

import numpy as np
from numpy.typing import NDArray

from aiops.shard import Judged
from aiops.sinks.base import FAMILIES, OutputSeries, Packed
from aiops.sinks.decimals import TEXT_MAX, write_decimal
from models.columns import Floats, Rows
from models.jit import borrow, kernel
from models.labels import quote
from models.words import Bytes, copy

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HELP = {
    "anomaly_score": "0 at the expected value, 1 at the edge of the band, above 1 anomalous.",
    "y": "Observed value.",
    "yhat": "Expected value.",
    "yhat_lower": "Lower edge of the band.",
    "yhat_upper": "Upper edge of the band.",
}
_NAMES = tuple(np.frombuffer(family.encode() + bytes(8), np.uint8) for family in FAMILIES)
"""Eight bytes longer than they are, for they are copied eight at a time."""
_NAME_MAX = max(len(name) for name in _NAMES)
_INFINITE = np.frombuffer(b"+Inf-Inf", np.uint8)


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
        scores = judged.scores
        columns = (scores.score, judged.rows.values, scores.expected, scores.lower, scores.upper)
        for column, kept in zip(columns, self.newest, strict=True):
            _keep(judged.rows.rows, judged.live, column, kept)
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

    async def render(self) -> memoryview:
        """The page in text exposition format 0.0.4."""
        pages = [(p.series.packed(), p.newest.copy()) for p in self._pages.values()]
        return await asyncio.to_thread(_render, pages)


def _encode(labels: dict[str, str]) -> tuple[bytes, ...]:
    inner = ",".join(f"{name}={quote(value)}" for name, value in sorted(labels.items()))
    return (f"{{{inner}}} ".encode(),)


def _render(pages: list[tuple[Packed, Floats]]) -> memoryview:
    per_family = [
        len(packed.texts) + len(packed.rows) * (_NAME_MAX + TEXT_MAX) for packed, _ in pages
    ]
    text = np.empty(len(FAMILIES) * (sum(per_family) + 200), np.uint8)
    at = 0
    for index, family in enumerate(FAMILIES):
        head = f"# HELP {family} {_HELP[family]}\n# TYPE {family} gauge\n".encode()
        text[at : at + len(head)] = np.frombuffer(head, np.uint8)
        at += len(head)
        for packed, newest in pages:
            values = newest[index, packed.rows]
            words = values.view(np.uint64)
            at = _write(text, at, _NAMES[index], packed.texts, packed.edges, values, words)
    return text[:at].data


@kernel
def _keep(rows: Rows, live: NDArray[np.bool_], column: Floats, kept: Floats) -> None:
    """In order of time: the newest sample of a row is written last."""
    odd = 0
    for i in range(len(rows)):
        odd += (rows[i] != rows[0] + i) | (not live[i])
    if odd == 0 and len(rows) > 0:
        # Neighbours, each once: the usual tick.
        here = kept[rows[0] : rows[0] + len(rows)]
        for i in range(len(rows)):
            here[i] = column[i]
        return
    for i in range(len(rows)):
        if live[i]:
            kept[rows[i]] = column[i]


@kernel
def _write(
    text: Bytes,
    at: int,
    name: Bytes,
    labels: Bytes,
    edges: NDArray[np.int64],
    values: Floats,
    words: NDArray[np.uint64],
) -> int:
    """Write one family's lines from `at` on, a series each; where they end. NaN is left out."""
    text, name, labels, edges = borrow(text), borrow(name), borrow(labels), borrow(edges)
    values, words = borrow(values), borrow(words)
    for k in range(len(values)):
        value = float(values[k])
        if math.isnan(value):
            continue
        at = copy(text, at, name, 0, len(name) - 8)
        at = copy(text, at, labels, edges[k], edges[k + 1] - edges[k])
        if abs(value) == math.inf:
            for letter in range(4):
                text[at + letter] = _INFINITE[letter if value > 0 else 4 + letter]
            at += 4
        else:
            at = write_decimal(text, at, value, words[k])
        text[at] = 10
        at += 1
    return at
