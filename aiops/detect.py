"""Scores on demand, from a copy of what a detector has learned; itself it is untouched."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from aiops.history import Past
from aiops.registry import Registry
from aiops.shard import Judged
from models.columns import SampleBatch
from models.errors import FieldFault, InvalidInput
from models.job import Detect, Detected, DetectedSeries, GivenSeries
from models.labels import Labels

SAMPLES_MAX = 1_000_000


class _Row(NamedTuple):
    """Unix seconds, value, score, expected, lower, upper."""

    at: float
    value: float | None
    score: float | None
    expected: float | None
    lower: float | None
    upper: float | None


class Detection:
    """Answers `detect`. Raises NotFound, Conflict, InvalidInput, SourceError."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def detect(self, name: str, asked: Detect) -> Detected:
        """Judge given series, or the source's answer in a window.

        What is newer than all that the detector knows is judged by it. A window that begins before,
        or by another model, is judged as a backtest does it: after learning the detector's history
        before the window.
        """
        past = await self._registry.copy(name)
        known_ms = past.stream.position_ms
        if asked.series is not None:
            batch = _given(asked.series, past.stream.document.step)
            judged = await asyncio.to_thread(past.stream.step, batch, batch.end_ms)
            found = {(labels, row.at): row for labels, row in _rows(judged)}
            if past.stream.document.group_by is None:
                series = [_answered(given, found) for given in asked.series]
            else:
                series = _series([judged], -1)
            return Detected(series=series, learned_until=known_ms)
        assert asked.start is not None
        assert asked.end is not None
        begin_ms = asked.start
        if asked.model is not None or (known_ms is not None and asked.start < known_ms):
            past = self._registry.scratch(name, asked.start, asked.model)
            begin_ms = asked.start - past.stream.document.history
            known_ms = None
        return Detected(
            series=await self._window(past, begin_ms, asked.start, asked.end),
            learned_until=known_ms,
        )

    async def _window(
        self, past: Past, begin_ms: int, start_ms: int, end_ms: int
    ) -> list[DetectedSeries]:
        kept: list[Judged] = []
        size = 0

        async def tell(judged: Judged) -> None:
            nonlocal size
            if judged.moment.end_ms <= start_ms:
                return
            kept.append(judged)
            size += len(judged.rows)
            if size > SAMPLES_MAX:
                raise InvalidInput(
                    f"the window has more than {SAMPLES_MAX} samples; shorten it, or backtest"
                )

        await past.read(begin_ms, end_ms, tell)
        return _series(kept, start_ms)


def _given(series: list[GivenSeries], step_ms: int) -> SampleBatch:
    """Series as a batch. Raises InvalidInput for times that do not rise."""
    labels: dict[Labels, int] = {}
    for k, given in enumerate(series):
        if labels.setdefault(Labels(given.labels), k) != k:
            raise _wrong(k, "labels", f"the labels {Labels(given.labels)} were given before")
        times = [at for at, _ in given.samples]
        if any(later <= earlier for earlier, later in pairwise(times)):
            raise _wrong(k, "samples", "the times of samples must rise")
    counts = [len(given.samples) for given in series]
    if not sum(counts):
        raise InvalidInput("there is no sample", (FieldFault("/series", "holds no sample"),))
    pairs = [pair for given in series for pair in given.samples]
    times_ms = np.array([round(at * 1_000) for at, _ in pairs], np.int64)
    order = np.argsort(times_ms, kind="stable")
    return SampleBatch(
        labels=tuple(labels),
        series=np.repeat(np.arange(len(series), dtype=np.int32), counts)[order],
        timestamps_ms=times_ms[order],
        values=np.array([np.nan if value is None else value for _, value in pairs])[order],
        start_ms=int(times_ms.min()),
        end_ms=int(times_ms.max()),
        step_ms=step_ms,
        received_ms=int(times_ms.max()),
    )


def _wrong(k: int, key: str, detail: str) -> InvalidInput:
    return InvalidInput(f"series {k}: {detail}", (FieldFault(f"/series/{k}/{key}", detail),))


def _rows(judged: Judged) -> Iterator[tuple[Labels, _Row]]:
    scores = judged.scores
    columns = np.stack(
        [judged.rows.values, scores.score, scores.expected, scores.lower, scores.upper]
    ).T
    times = judged.rows.timestamps_ms / 1_000
    for row, at, own in zip(judged.rows.rows.tolist(), times.tolist(), columns, strict=True):
        labels = judged.labels[row]
        if labels is not None:
            yield labels, _Row(at, *(float(x) if np.isfinite(x) else None for x in own))


def _answered(given: GivenSeries, found: dict[tuple[Labels, float], _Row]) -> DetectedSeries:
    """Every sample that was given; those that are not newer than what is known have no score."""
    labels = Labels(given.labels)
    none = (None, None, None, None)
    rows = [
        tuple(found.get((labels, round(at * 1_000) / 1_000), _Row(at, value, *none)))
        for at, value in given.samples
    ]
    return DetectedSeries.model_validate({"labels": given.labels, "samples": rows})


def _series(kept: list[Judged], after_ms: int) -> list[DetectedSeries]:
    by_labels: dict[Labels, list[_Row]] = {}
    for judged in kept:
        for labels, row in _rows(judged):
            if row.at * 1_000 > after_ms:
                by_labels.setdefault(labels, []).append(row)
    return [
        DetectedSeries.model_validate({"labels": dict(labels), "samples": rows})
        for labels, rows in sorted(by_labels.items(), key=lambda entry: entry[0].pairs)
    ]
