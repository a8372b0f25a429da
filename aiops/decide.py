"""Scores to anomalies: hold, recover, one event from open to close, with its explanation.

An episode begins with a score above 1. When scores stay above 1 for `hold`, the anomaly opens; when
they stay at 1 or below for `recover`, it closes. Only the rows with an episode, or with a score
above 1, are looked at one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.anomaly import Anomaly, Close, Direction, Explanation, anomaly_id
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times, is_stale
from models.detector import Detector
from models.jit import kernel
from models.labels import Labels


class Peak(msgspec.Struct):
    """The strangest sample of an episode; None where there was no number."""

    at_ms: int
    score: float
    observed: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    missing_steps: int
    scored: int
    outside: int
    parts: dict[str, float] = {}
    spoke: str | None = None
    edge: float = 1.0


class Episode(msgspec.Struct):
    """What is remembered of a row from its first score above 1 until it is back."""

    started_ms: int
    last_ms: int
    peak: Peak
    previous_ms: int | None
    opened_ms: int | None = None
    below_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """When a batch arrived and was scored, and which of its samples are only to be learned from."""

    received_ms: int
    scored_ms: int
    live_after_ms: int
    end_ms: int


@kernel
def count_calm(rows: Rows, score: Floats, scored: Times) -> bool:
    """Count the judged samples of each row, if none is above 1; else nothing is counted."""
    above = 0
    for i in range(len(score)):
        above += score[i] > 1.0
    if above == 0:
        for i in range(len(score)):
            scored[rows[i]] += score[i] <= 1.0
    return above == 0


class Decider:
    """Decides for the rows of one table.

    model: kind and parameters, for explanations. parts: names of the scores' parts. stale_ms: an
    episode without a sample for this long ends, for its series has.
    """

    def __init__(
        self, document: Detector, model: dict[str, object], parts: tuple[str, ...], stale_ms: int
    ) -> None:
        self.document = document
        self._model = model
        self._parts = parts
        self.channels: list[Labels | None] = []
        """The series that parts of groups are of, by row."""
        self._stale_ms = stale_ms
        self._scored: Times = np.zeros(0, np.int64)
        self._outside: Times = np.zeros(0, np.int64)
        self._outside_ms: Times = np.zeros(0, np.int64)
        self._episodes: dict[int, Episode] = {}

    @property
    def open_count(self) -> int:
        """Anomalies that are open now."""
        return sum(episode.opened_ms is not None for episode in self._episodes.values())

    def grow(self, rows: int) -> None:
        """Make room for rows below `rows`."""
        more = np.zeros(max(0, rows - len(self._scored)), np.int64)
        self._scored = np.append(self._scored, more)
        self._outside = np.append(self._outside, more)
        self._outside_ms = np.append(self._outside_ms, more)

    def fold(
        self,
        rows: RowBatch,
        scores: ScoreColumns,
        labels: list[Labels | None],
        moment: Moment,
    ) -> list[Anomaly]:
        """What there is to tell after this batch: anomalies opened, risen and closed, in order."""
        told: list[Anomaly] = []
        if not self._episodes and count_calm(rows.rows, scores.score, self._scored):
            return told
        judged = ~np.isnan(scores.score)
        with np.errstate(invalid="ignore"):
            above = scores.score > 1.0
        touched = np.zeros(len(self._scored), np.bool_)
        touched[rows.rows[above]] = True
        touched[list(self._episodes)] = True
        chosen = touched[rows.rows]
        plain = rows.rows[judged & ~chosen]
        self._scored += np.bincount(plain, minlength=len(self._scored))
        stale = is_stale(rows.values)
        for i in np.flatnonzero(chosen).tolist():
            row = int(rows.rows[i])
            at_ms = int(rows.timestamps_ms[i])
            name = labels[row]
            assert name is not None
            episode = self._episodes.get(row)
            if episode is not None and at_ms - episode.last_ms > self._stale_ms:
                told.extend(self._end(row, name, "series ended", moment))
                episode = None
            if stale[i]:
                told.extend(self._end(row, name, "series ended", moment))
                continue
            if episode is not None:
                episode.last_ms = at_ms
            if not judged[i]:
                continue
            self._scored[row] += 1
            if above[i]:
                told.extend(self._rise(row, name, i, rows, scores, moment))
            elif episode is not None:
                told.extend(self._fall(row, name, at_ms, float(scores.score[i]), moment))
        for row in [
            r for r, e in self._episodes.items() if moment.end_ms - e.last_ms > self._stale_ms
        ]:
            name = labels[row]
            assert name is not None
            told.extend(self._end(row, name, "series ended", moment))
        return told

    def forget(self, rows: Rows, labels: list[Labels | None], moment: Moment) -> list[Anomaly]:
        """Make these rows as if they had never seen a sample; what was open closes."""
        told: list[Anomaly] = []
        for row in rows.tolist():
            name = labels[row]
            assert name is not None
            told.extend(self._end(row, name, "series ended", moment))
        for array in (self._scored, self._outside, self._outside_ms):
            array[rows] = 0
        return told

    def close(self, labels: list[Labels | None], because: Close, moment: Moment) -> list[Anomaly]:
        """End every episode, for the detector itself ends."""
        told: list[Anomaly] = []
        for row in list(self._episodes):
            name = labels[row]
            assert name is not None
            told.extend(self._end(row, name, because, moment))
        return told

    def state(self) -> dict[str, NDArray[Any]]:
        """All that `restore` needs."""
        return {
            "scored": self._scored.copy(),
            "outside": self._outside.copy(),
            "outside_ms": self._outside_ms.copy(),
            "episodes": np.frombuffer(msgspec.json.encode(self._episodes), np.uint8),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        self._scored = state["scored"].copy()
        self._outside = state["outside"].copy()
        self._outside_ms = state["outside_ms"].copy()
        self._episodes = msgspec.json.decode(state["episodes"].tobytes(), type=dict[int, Episode])

    def _rise(
        self, row: int, name: Labels, i: int, rows: RowBatch, scores: ScoreColumns, moment: Moment
    ) -> list[Anomaly]:
        at_ms = int(rows.timestamps_ms[i])
        score = float(scores.score[i])
        previous_ms = int(self._outside_ms[row]) or None
        self._outside[row] += 1
        self._outside_ms[row] = at_ms
        if at_ms <= moment.live_after_ms:
            return []
        peak = Peak(
            at_ms=at_ms,
            score=score,
            observed=_number(rows.values[i]),
            expected=_number(scores.expected[i]),
            lower=_number(scores.lower[i]),
            upper=_number(scores.upper[i]),
            missing_steps=round(score) if rows.missing[i] and np.isnan(rows.values[i]) else 0,
            scored=int(self._scored[row]),
            outside=int(self._outside[row]),
        )
        peak.parts, peak.spoke = self._told_parts(i, name, scores)
        if scores.edge is not None:
            peak.edge = float(scores.edge[i])
        episode = self._episodes.get(row)
        if episode is None:
            episode = Episode(started_ms=at_ms, last_ms=at_ms, peak=peak, previous_ms=previous_ms)
            self._episodes[row] = episode
        higher = score > episode.peak.score
        if higher:
            episode.peak = peak
        episode.below_ms = None
        if episode.opened_ms is None:
            if at_ms - episode.started_ms < self.document.policy.hold:
                return []
            episode.opened_ms = at_ms
        elif not higher:
            return []
        return [self._tell(name, episode, at_ms, score, moment)]

    def _told_parts(
        self, i: int, name: Labels, scores: ScoreColumns
    ) -> tuple[dict[str, float], str | None]:
        """The parts of a sample's score by name, and the one that spoke loudest."""
        if scores.parts is None or scores.spoke is None:
            return {}, None
        names = list(self._parts)
        if scores.channels is not None:
            # Scores of channels have their own names for their parts; groups show none of them.
            own = scores.parts.shape[1] - scores.channels.shape[1]
            names = names[:own]
            names += [_channel(self.channels, row, name) for row in scores.channels[i].tolist()]
        named = zip(names, scores.parts[i].tolist(), strict=True)
        parts = {key: part for key, part in named if key and np.isfinite(part)}
        return parts, names[scores.spoke[i]] if scores.spoke[i] >= 0 else None

    def _fall(
        self, row: int, name: Labels, at_ms: int, score: float, moment: Moment
    ) -> list[Anomaly]:
        episode = self._episodes[row]
        if episode.opened_ms is None:
            del self._episodes[row]
            return []
        if episode.below_ms is None:
            episode.below_ms = at_ms
        if at_ms - episode.below_ms < self.document.policy.recover:
            return []
        del self._episodes[row]
        return [self._tell(name, episode, at_ms, score, moment, episode.below_ms, "recovered")]

    def _end(self, row: int, name: Labels, because: Close, moment: Moment) -> list[Anomaly]:
        episode = self._episodes.pop(row, None)
        if episode is None or episode.opened_ms is None:
            return []
        return [self._tell(name, episode, episode.last_ms, 0.0, moment, episode.last_ms, because)]

    def _tell(
        self,
        name: Labels,
        episode: Episode,
        at_ms: int,
        score: float,
        moment: Moment,
        ended_ms: int | None = None,
        because: Close | None = None,
    ) -> Anomaly:
        peak = episode.peak
        assert episode.opened_ms is not None
        return Anomaly(
            id=anomaly_id(self.document.name, name, episode.started_ms),
            detector=self.document.name,
            source=self.document.source,
            query=self.document.query,
            labels=dict(name) | self.document.labels,
            state="open" if ended_ms is None else "closed",
            direction=_direction(peak),
            started_at=episode.started_ms,
            opened_at=episode.opened_ms,
            ended_at=ended_ms,
            closed_because=because,
            score=score,
            peak_score=peak.score,
            peak_at=peak.at_ms,
            explanation=Explanation(
                observed=peak.observed,
                expected=peak.expected,
                lower=peak.lower,
                upper=peak.upper,
                score=peak.score,
                edge=peak.edge,
                missing_steps=peak.missing_steps,
                model=self._model,
                scored=peak.scored,
                outside=peak.outside,
                previous_at=episode.previous_ms,
                parts=peak.parts,
                spoke=peak.spoke,
            ),
            sample_at=at_ms,
            received_at=moment.received_ms,
            scored_at=moment.scored_ms,
        )


def _number(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None


def _channel(channels: list[Labels | None], row: int, group: Labels) -> str:
    """What tells a channel from the others of its group; nothing for none."""
    labels = channels[row] if row >= 0 else None
    if labels is None:
        return ""
    own = {key: value for key, value in labels.items() if key not in group}
    return str(Labels(own))


def _direction(peak: Peak) -> Direction:
    if peak.missing_steps:
        return "missing"
    if peak.observed is None or peak.expected is None:
        return "unknown"
    return "above" if peak.observed > peak.expected else "below"
