"""The shard: everything series need between two samples, in one place that can be saved whole.

A stream is one detector's part of it: its series, their scores' state, its place in time. One
process holds one shard; on a cluster each worker would hold one, by hash of the labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from aiops.budget import BudgetKeeper
from aiops.decide import Decider, Moment
from aiops.groups import Groups, ScoredGroups, WholeGroups
from aiops.scoring import Scoring
from aiops.series import SeriesTable
from aiops.transform import Transform
from ingest.log_series import TEMPLATE, LogSeries
from models.anomaly import Anomaly, Close
from models.columns import Batch, LineBatch, RowBatch, Rows, SampleBatch, ScoreColumns
from models.detector import Detector, parse_budget
from models.errors import SnapshotDamaged
from models.labels import Labels
from models.settings import Limits

ZERO_STEPS_MAX = 120
"""Zeros that a series of counts is known by when it comes for the first time."""
log = structlog.get_logger()

STALE_STEPS = 5
"""A series is stale after at least this many steps without a sample."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One batch after the road's middle: what sinks need to tell it on.

    labels: by row. quiet: rows whose series fell silent with this batch. live: (n,) whether each
    sample lies after the detector's history, and so is for others to see.
    """

    detector: Detector
    rows: RowBatch
    scores: ScoreColumns
    labels: list[Labels | None]
    quiet: dict[int, Labels]
    live: NDArray[np.bool_]
    moment: Moment
    anomalies: list[Anomaly]


class Stream:
    """One detector over its series.

    born_ms: when the detector was made; its history lies before. live_after_ms: samples up to here
    are learned and never told. absent_is_zero: what a step without a sample means when the policy
    ignores it. Raises InvalidInput when the document's model cannot be built.
    """

    def __init__(
        self,
        document: Detector,
        limits: Limits,
        *,
        born_ms: int,
        live_after_ms: int,
        absent_is_zero: bool = False,
    ) -> None:
        stale_ms = max(limits.series_stale, STALE_STEPS * document.step)
        missing = document.policy.missing
        self._absent_is_zero = absent_is_zero and missing == "ignore"
        self.document = document
        self.born_ms = born_ms
        self.live_after_ms = live_after_ms
        self.position_ms: int | None = None
        self.samples_total = 0
        self.warming = 0
        self.series_count = 0
        """As of the last whole step, like `warming`: a status may be asked for within one."""
        self.scoring = Scoring(document)
        self.series = SeriesTable(
            missing="zero" if self._absent_is_zero else missing,
            series_max=limits.series_per_detector,
            stale_ms=stale_ms,
            idle_ms=limits.series_idle,
        )
        self.groups = self._make_groups(limits, stale_ms)
        self.budget: BudgetKeeper | None = None
        if document.budget is not None:
            asked, calm_ms = parse_budget(document.budget), document.policy.recover
            self.budget = BudgetKeeper(asked, document.step, calm_ms)
        self.transform = Transform(document.transform)
        self.lines: LogSeries | None = None
        parts = self.scoring.detector.parts
        self.decider = Decider(document, self.scoring.model, parts, stale_ms)

    def _make_groups(self, limits: Limits, stale_ms: int) -> Groups | None:
        document = self.document
        if document.group_by is None:
            return None
        table = SeriesTable(
            missing="ignore",
            series_max=limits.series_per_detector,
            stale_ms=stale_ms,
            idle_ms=limits.series_idle,
        )
        if self.scoring.detector.judges_groups:
            return WholeGroups(document.group_by, table, self.scoring, limits.series_idle)
        return ScoredGroups(document.group_by, table, self.scoring, document.group_channels)

    @property
    def _judged(self) -> SeriesTable:
        """Where what is judged has its rows: series, or groups of them."""
        return self.series if self.groups is None else self.groups.table

    @property
    def kin(self) -> str:
        """Names what the learned state depends on; state of other kin does not fit."""
        text = msgspec.json.encode(self.document.learned_from, order="sorted")
        return blake2b(text, digest_size=8).hexdigest()

    def amend(self, document: Detector) -> None:
        """Take a new policy, delay or labels; what was learned stays."""
        self.document = document
        self.scoring.policy = document.policy
        self.decider.document = document

    def step(self, batch: Batch, scored_ms: int) -> Judged:
        """Locate, score, decide: the middle of the road. Log lines are counted first."""
        moment = Moment(batch.received_ms, scored_ms, self.live_after_ms, batch.end_ms)
        if isinstance(batch, LineBatch):
            batch = self._counted(batch)
        if self._absent_is_zero:
            batch = self._with_past(batch)
        rows = self.series.locate(batch)
        self.transform.grow(self.series.capacity)
        rows = self.transform.apply(rows)
        self.samples_total += len(rows)
        judged = self._judged
        rows, scores = self._score(rows, batch)
        if self.budget is not None:
            self.budget.grow(judged.capacity)
            kept, edges = self.budget.step(rows, scores)
            scores = replace(scores, score=kept, edge=edges)
        self.decider.grow(judged.capacity)
        self.decider.channels = self.series.labels
        anomalies = self.decider.fold(rows, scores, judged.labels, moment)
        quiet, left = judged.sweep(batch.end_ms)
        silent = {row: own for row in quiet.tolist() if (own := judged.labels[row]) is not None}
        labels = list(judged.labels) if len(left) else judged.labels
        if len(left):
            anomalies += self.decider.forget(left, judged.labels, moment)
        if self.groups is not None:
            self.groups.release(left)
        else:
            self._forget(left)
        if self.budget is not None:
            self.budget.forget(left)
            self._count_opened(anomalies)
        anomalies = self._with_evidence(anomalies)
        self.position_ms = batch.end_ms
        if len(rows):
            # Of the newest instant that has samples: the very last may have none yet.
            newest = rows.timestamps_ms == rows.timestamps_ms.max()
            self.warming = int(np.count_nonzero(newest & np.isnan(scores.score) & ~rows.missing))
        self.series_count = len(judged)
        live = rows.timestamps_ms > max(self.live_after_ms, batch.start_ms - 1)
        return Judged(self.document, rows, scores, labels, silent, live, moment, anomalies)

    def _score(self, rows: RowBatch, batch: SampleBatch) -> tuple[RowBatch, ScoreColumns]:
        """What is judged, series or groups, and its scores."""
        if self.groups is None:
            self.scoring.grow(self.series.capacity)
            return rows, self.scoring.step(rows)
        rows, scores = self.groups.score(rows, self.series, batch)
        self._forget(self.series.sweep(batch.end_ms)[1])
        return rows, scores

    def close(self, because: Close, now_ms: int) -> list[Anomaly]:
        """End every open anomaly, for the detector itself ends."""
        moment = Moment(now_ms, now_ms, self.live_after_ms, self.position_ms or now_ms)
        return self._with_evidence(self.decider.close(self._judged.labels, because, moment))

    def state(self) -> dict[str, NDArray[Any]]:
        """All that `restore` needs, copied: arrays and place in time of the same moment."""
        place = [self.position_ms, self.samples_total, self.kin, self.born_ms]
        parts = {
            "series": self.series.state(),
            "transform": self.transform.state(),
            "scoring": self.scoring.state(),
            "decide": self.decider.state(),
        }
        if self.lines is not None:
            parts["lines"] = self.lines.state()
        if self.groups is not None:
            parts["groups"] = self.groups.state()
        if self.budget is not None:
            parts["budget"] = self.budget.state()
        arrays = {f"{part}/{k}": v for part, own in parts.items() for k, v in own.items()}
        return arrays | {"place": np.frombuffer(msgspec.json.encode(place), np.uint8)}

    def restore(self, state: Mapping[str, NDArray[Any]], *, of_any_age: bool = False) -> bool:
        """Take over what `state` gave; False when it was learned under another document.

        of_any_age: also what a detector of the same document, made at another time, learned.

        Raises SnapshotDamaged when it is of this document and still does not fit.
        """
        try:
            position_ms, samples_total, kin, born_ms = msgspec.json.decode(state["place"].tobytes())
            if kin != self.kin or (born_ms != self.born_ms and not of_any_age):
                return False
            self.series.restore(_part(state, "series"))
            self.transform.restore(_part(state, "transform"))
            self.scoring.restore(_part(state, "scoring"))
            self.decider.restore(_part(state, "decide"))
            if self.groups is not None:
                self.groups.restore(_part(state, "groups"))
            if self.budget is not None:
                self.budget.restore(_part(state, "budget"))
            lines = _part(state, "lines")
            if lines:
                self.lines = self._make_lines()
                self.lines.restore(lines)
        except (KeyError, ValueError, TypeError) as error:
            raise SnapshotDamaged(f"state of {self.document.name!r}: {error}") from error
        self.position_ms = position_ms
        self.samples_total = samples_total
        self.series_count = len(self._judged)
        return True

    def _make_lines(self) -> LogSeries:
        document = self.document
        novelty = self.scoring.detector.reads_lines
        return LogSeries(document.query, document.logs, "novelty" if novelty else "counts")

    def _counted(self, batch: LineBatch) -> SampleBatch:
        if self.lines is None:
            self.lines = self._make_lines()
        samples = self.lines.count(batch)
        ended = self.lines.take_ended()
        if ended:
            log.info("templates ended", detector=self.document.name, templates=sorted(ended))
            self.series.end(lambda labels: labels.get(TEMPLATE) in ended)
        return samples

    def _with_past(self, batch: SampleBatch) -> SampleBatch:
        """The batch with the zeros that its new series had before their first sample.

        Or a level or template that comes for the first time would have to come for a while before
        its burst could be told from its usual.
        """
        fresh = [k for k, labels in enumerate(batch.labels) if labels not in self.series]
        step_ms = self.document.step
        first_ms = np.full(len(batch.labels), np.iinfo(np.int64).max)
        np.minimum.at(first_ms, batch.series, batch.timestamps_ms)
        begin_ms = (self.born_ms - self.document.history) // step_ms * step_ms + step_ms
        parts = [
            (k, np.arange(max(begin_ms, until_ms - ZERO_STEPS_MAX * step_ms), until_ms, step_ms))
            for k, until_ms in ((k, int(first_ms[k])) for k in fresh)
        ]
        parts = [(k, times) for k, times in parts if len(times)]
        if not parts:
            return batch
        series = [np.full(len(times), k, np.int32) for k, times in parts]
        more = sum(map(len, series))
        return replace(
            batch,
            series=np.concatenate([*series, batch.series]),
            timestamps_ms=np.concatenate([*(times for _, times in parts), batch.timestamps_ms]),
            values=np.concatenate([np.zeros(more), batch.values]),
        )

    def _with_evidence(self, anomalies: list[Anomaly]) -> list[Anomaly]:
        if self.lines is None:
            return anomalies
        return [
            anomaly.model_copy(update={"log": self.lines.evidence(anomaly.labels)})
            for anomaly in anomalies
        ]

    def _count_opened(self, anomalies: list[Anomaly]) -> None:
        assert self.budget is not None
        for anomaly in anomalies:
            if anomaly.state == "open" and anomaly.sample_at == anomaly.opened_at:
                self.budget.opened(anomaly.opened_at)

    def _forget(self, rows: Rows) -> None:
        """Make these rows free for other series."""
        if len(rows):
            self.transform.forget(rows)
            if self.groups is None:
                self.scoring.forget(rows)
            else:
                self.groups.forget(rows)
        self.series.release(rows)


class Shard:
    """The streams of one process, by detector name."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}

    def state(self) -> dict[str, NDArray[Any]]:
        """Every stream's state under `NAME/`."""
        return {
            f"{name}/{key}": array
            for name, stream in self.streams.items()
            for key, array in stream.state().items()
        }


def stream_state(state: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    """One stream's part of a shard's state; empty when it is not in there."""
    return _part(state, name)


def _part(state: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    prefix = f"{name}/"
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
