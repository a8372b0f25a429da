"""Compares models on a recording without labels: how much they tell, how surely, what they find.

The first half is learned and the second judged, by the same stream as live. How much: anomalies a
day. How surely: how many of them are told as well by a model that learned half as long before. What
they find: of anomalies that were put in, those that are told and were not without. A share of true
alerts is not among these: nobody knows it without labels.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from aiops.injection import SHAPES, Disturbed, Injected, disturb
from aiops.intervals import of_count, of_share
from aiops.offline import LONG_MS, recorded
from aiops.scoring import build_detector
from models.anomaly import Anomaly
from models.columns import SampleBatch
from models.detector import Detector, Model
from models.labels import Labels

DAY_MS = 86_400_000
CHUNK_SAMPLES = 200_000
GRACE_STEPS = 5
"""So long after its end an anomaly may still be told."""

CANDIDATES: tuple[dict[str, Any], ...] = (
    {"kind": "auto"},
    {"kind": "mad", "window": "1h"},
    {"kind": "mad", "window": "1d"},
    {"kind": "ewma"},
    {"kind": "seasonal"},
    {"kind": "forecast"},
    {"kind": "similarity"},
    {"kind": "half_space_trees"},
)
"""What is compared when nothing is named."""


class Estimate(NamedTuple):
    """A figure, and where 95 of 100 such recordings would put it; None without a single case."""

    value: float
    low: float
    high: float

    @classmethod
    def share(cls, count: int, whole: int) -> "Estimate | None":
        """Of the chance behind `count` of `whole`."""
        return cls(count / whole, *of_share(count, whole)) if whole else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One model's figures.

    alerts_per_day: of all series or groups together. stability: share of anomalies that a model
    with half the past tells as well. recall: of what was put in, and by its shape.
    """

    model: dict[str, object]
    alerts_per_day: Estimate
    stability: Estimate | None
    recall: Estimate | None
    by_shape: dict[str, Estimate | None]
    nanoseconds: float
    """Of a sample."""


class _Spans:
    """When a stream told something, by the labels of its anomalies."""

    def __init__(self, anomalies: Sequence[Anomaly]) -> None:
        self.all = [
            (Labels(a.labels), a.started_at, a.ended_at if a.ended_at is not None else LONG_MS)
            for a in anomalies
        ]
        self._by: dict[Labels, list[tuple[int, int]]] = {}
        for labels, start_ms, end_ms in sorted(self.all, key=lambda span: span[1]):
            self._by.setdefault(labels, []).append((start_ms, end_ms))

    def touch(self, labels: Labels, start_ms: int, end_ms: int) -> bool:
        """Whether something was told of that series, or group, in that time."""
        spans = self._by.get(labels, [])
        # Spans of one series follow each other, so their ends rise as well.
        at = bisect_left(spans, start_ms, key=lambda span: span[1])
        return at < len(spans) and spans[at][0] <= end_ms


def judge(
    document: Detector,
    models: Sequence[dict[str, Any]],
    batch: SampleBatch,
    *,
    injections: int,
    seed: int,
    advance: Callable[[int, int], None],
) -> Iterator[Verdict]:
    """Each model's verdict on a recording, whose samples stand in order of time.

    document: everything but the model. advance: called with the passes done, and of how many.
    Raises InvalidInput for a model that cannot be built or a recording that is too short.
    """
    halfway_ms = (batch.start_ms + batch.end_ms) // 2
    quarter_ms = (batch.start_ms + halfway_ms) // 2
    disturbed = disturb(batch, halfway_ms, injections, seed)
    candidates = [document.model_copy(update={"model": Model(**model)}) for model in models]
    for candidate in candidates:
        build_detector(candidate)  # A wrong one is told before any work.
    passes = 3 * len(candidates)
    for number, candidate in enumerate(candidates):
        started = time.perf_counter()
        plain = _told(candidate, batch, batch.start_ms, halfway_ms)
        took = time.perf_counter() - started
        advance(3 * number + 1, passes)
        shorter = _told(candidate, batch, quarter_ms, halfway_ms)
        advance(3 * number + 2, passes)
        found = _told(candidate, disturbed.batch, batch.start_ms, halfway_ms)
        advance(3 * number + 3, passes)
        days = (batch.end_ms - halfway_ms) / DAY_MS
        low, high = of_count(len(plain.all))
        by_shape = {shape: _recall(candidate, disturbed, plain, found, {shape}) for shape in SHAPES}
        yield Verdict(
            model=candidate.model.model_dump(),
            alerts_per_day=Estimate(len(plain.all) / days, low / days, high / days),
            stability=_stability(candidate, plain, shorter),
            recall=_recall(candidate, disturbed, plain, found, set(SHAPES)),
            by_shape=by_shape,
            nanoseconds=took * 1e9 / max(len(batch), 1),
        )


def _stability(document: Detector, plain: _Spans, shorter: _Spans) -> Estimate | None:
    """Of what either of them tells, the share that the other tells as well."""
    near_ms = document.policy.recover
    again = sum(
        other.touch(labels, start_ms - near_ms, end_ms + near_ms)
        for own, other in ((plain, shorter), (shorter, plain))
        for labels, start_ms, end_ms in own.all
    )
    return Estimate.share(again, len(plain.all) + len(shorter.all))


def _recall(
    document: Detector, disturbed: Disturbed, plain: _Spans, found: _Spans, shapes: set[str]
) -> Estimate | None:
    """Of what was put in where nothing is told without it, the share that is told."""
    late_ms = GRACE_STEPS * document.step + document.policy.hold
    names = disturbed.batch.labels

    def touched(spans: _Spans, one: Injected) -> bool:
        own, by = dict(names[one.series]), document.group_by
        judged = own if by is None else {key: own[key] for key in by if key in own}
        labels = Labels(judged | document.labels)
        return spans.touch(labels, one.start_ms, one.end_ms + late_ms)

    counted = [one for one in disturbed.injected if one.shape in shapes]
    counted = [one for one in counted if not touched(plain, one)]
    return Estimate.share(sum(touched(found, one) for one in counted), len(counted))


def _told(document: Detector, batch: SampleBatch, from_ms: int, live_after_ms: int) -> _Spans:
    """What a stream tells of the samples after `live_after_ms`, having learned those before."""
    stream = recorded(document, live_after_ms)
    told: dict[str, Anomaly] = {}
    for part in _parts(batch, from_ms):
        told.update({a.id: a for a in stream.step(part, part.end_ms).anomalies})
    return _Spans(list(told.values()))


def _parts(batch: SampleBatch, from_ms: int) -> Iterator[SampleBatch]:
    """The samples from an instant on, in batches of whole instants."""
    step_ms, times = batch.step_ms, batch.timestamps_ms
    steps = (batch.end_ms - batch.start_ms) // step_ms + 1
    reach_ms = max(1, CHUNK_SAMPLES * steps // max(len(batch), 1)) * step_ms
    at_ms = batch.start_ms + -(-(from_ms - batch.start_ms) // step_ms) * step_ms
    while at_ms <= batch.end_ms:
        until_ms = min(at_ms + reach_ms - step_ms, batch.end_ms)
        first, last = np.searchsorted(times, [at_ms, until_ms + 1])
        here = slice(int(first), int(last))
        yield replace(
            batch,
            series=batch.series[here],
            timestamps_ms=times[here],
            values=batch.values[here],
            start_ms=at_ms,
            end_ms=until_ms,
            received_ms=until_ms,
        )
        at_ms = until_ms + step_ms
