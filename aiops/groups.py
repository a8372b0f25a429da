"""Series that belong together judged as one.

A channel is a series of the detector, a group all channels that agree on the labels of `group_by`.
A group is judged at each instant that any of its channels has a sample. Most kinds score channels
by themselves, and the group's score is the mean of the largest; some judge all channels of an
instant as one point. Either way a channel may be missing, late to come or gone, and their order
means nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.scoring import Scoring
from aiops.series import SeriesTable
from models.columns import Floats, RowBatch, Rows, SampleBatch, ScoreColumns, Times
from models.jit import kernel
from models.labels import Labels


@kernel
def _fold(
    order: NDArray[np.int64],
    groups: Rows,
    times: Times,
    rows: Rows,
    scores: Floats,
    most: int,
    out_group: Rows,
    out_time: Times,
    outside: Floats,
    score: Floats,
    parts: Floats,
    channels: Rows,
) -> int:
    """Fold samples that stand in order of instant and group; how many groups' samples there are."""
    count = 0
    for at in range(len(order)):
        i = order[at]
        if count == 0 or groups[i] != out_group[count - 1] or times[i] != out_time[count - 1]:
            out_group[count], out_time[count] = groups[i], times[i]
            count += 1
        here = count - 1
        own = scores[i]
        if np.isnan(own):
            continue
        outside[here] += own > 1.0
        # Largest first; of equal scores the lower row.
        k = most
        while k > 0 and not parts[here, k - 1] >= own:
            k -= 1
        if k < most:
            for j in range(most - 1, k, -1):
                parts[here, j], channels[here, j] = parts[here, j - 1], channels[here, j - 1]
            parts[here, k], channels[here, k] = own, rows[i]
    for here in range(count):
        known, total = 0, 0.0
        for k in range(most):
            if not np.isnan(parts[here, k]):
                known += 1
                total += parts[here, k]
        score[here] = total / known if known > 0 else np.nan
    return count


@kernel
def _bound(
    order: NDArray[np.int64],
    groups: Rows,
    times: Times,
    out_group: Rows,
    out_time: Times,
    first: NDArray[np.int64],
) -> int:
    """Where each group's sample begins among those that stand in order; how many there are."""
    count = 0
    for at in range(len(order)):
        i = order[at]
        if count == 0 or groups[i] != out_group[count - 1] or times[i] != out_time[count - 1]:
            out_group[count], out_time[count], first[count] = groups[i], times[i], at
            count += 1
    first[count] = len(order)
    return count


@kernel
def _column(owner: Times, last_ms: Times, name: int, at_ms: int, idle_ms: int) -> int:
    """The column of a channel: its own, an unused one, one whose channel has gone; else -1."""
    unused, oldest = -1, 0
    for c in range(len(owner)):
        if owner[c] == name:
            return c
        if unused < 0 and owner[c] == 0:
            unused = c
        if last_ms[c] < last_ms[oldest]:
            oldest = c
    if unused < 0 and at_ms - last_ms[oldest] > idle_ms:
        unused = oldest
    if unused >= 0:
        owner[unused] = name
    return unused


@kernel
def _fill(
    located: Rows,
    samples: NDArray[np.int64],
    first: NDArray[np.int64],
    order: NDArray[np.int64],
    rows: Rows,
    times: Times,
    values: Floats,
    names: Times,
    owner: Times,
    last_ms: Times,
    channel_of: Rows,
    idle_ms: int,
    out: Floats,
    there: Floats,
) -> int:
    """Lay out the values of each group's sample by column; how many have no column."""
    left_out = 0
    for k in range(len(located)):
        group, known = int(located[k]), 0
        for at in range(first[samples[k]], first[samples[k] + 1]):
            i = order[at]
            name, at_ms = int(names[rows[i]]), int(times[i])
            c = _column(owner[group], last_ms[group], name, at_ms, idle_ms)
            if c < 0:
                left_out += 1
                continue
            out[k, c], last_ms[group, c], channel_of[group, c] = values[i], at_ms, rows[i]
            known += not np.isnan(values[i])
        if known > 0:
            there[k] = known
    return left_out


class Groups(ABC):
    """The groups of one detector's series.

    by: labels that name one. table: of the groups. scoring: what judges.
    """

    def __init__(self, by: list[str], table: SeriesTable, scoring: Scoring) -> None:
        self.table = table
        self._scoring = scoring
        self._by = by
        self._names: dict[Labels, int] = {}
        self._group_of: Rows = np.empty(0, np.int32)

    @abstractmethod
    def score(
        self, rows: RowBatch, series: SeriesTable, batch: SampleBatch
    ) -> tuple[RowBatch, ScoreColumns]:
        """The groups' samples and their scores, of samples of series."""

    def forget(self, rows: Rows) -> None:
        """These rows of channels are to be given to others."""
        self._group_of[rows] = -1

    def release(self, left: Rows) -> None:
        """These rows of groups are to be given to others: name the groups anew."""
        if len(left):
            self._names = {}
            self._group_of[:] = -1
        self.table.release(left)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that `restore` needs; which channel is in which group is seen anew."""
        return self.table.state()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        self.table.restore(state)

    def _learn(self, labels: list[Labels | None]) -> None:
        """Find the group of each row that has none yet."""
        if len(labels) > len(self._group_of):
            more = np.full(len(labels) - len(self._group_of), -1, np.int32)
            self._group_of = np.append(self._group_of, more)
        for row in np.flatnonzero(self._group_of < 0).tolist():
            own = labels[row] if row < len(labels) else None
            if own is not None:
                name = Labels({key: own[key] for key in self._by if key in own})
                self._group_of[row] = self._names.setdefault(name, len(self._names))

    def _locate(self, count: int, group: Rows, times: Times, batch: SampleBatch) -> RowBatch:
        """Samples of groups by row; the table settles what is late or new, and their values say
        which sample is which."""
        gathered = SampleBatch(
            labels=tuple(self._names),
            series=group[:count],
            timestamps_ms=times[:count],
            values=np.arange(count, dtype=np.float64),
            start_ms=batch.start_ms,
            end_ms=batch.end_ms,
            step_ms=batch.step_ms,
            received_ms=batch.received_ms,
        )
        return self.table.locate(gathered)


class ScoredGroups(Groups):
    """Groups of channels that are scored by themselves.

    most: channels whose scores are averaged.
    """

    def __init__(self, by: list[str], table: SeriesTable, scoring: Scoring, most: int) -> None:
        super().__init__(by, table, scoring)
        self._most = most

    def score(
        self, rows: RowBatch, series: SeriesTable, batch: SampleBatch
    ) -> tuple[RowBatch, ScoreColumns]:
        """How many channels are outside their band, and the mean of the largest scores."""
        self._scoring.grow(series.capacity)
        return self._fold(rows, self._scoring.step(rows), series.labels, batch)

    def forget(self, rows: Rows) -> None:
        super().forget(rows)
        self._scoring.forget(rows)

    def _fold(
        self,
        rows: RowBatch,
        scores: ScoreColumns,
        labels: list[Labels | None],
        batch: SampleBatch,
    ) -> tuple[RowBatch, ScoreColumns]:
        self._learn(labels)
        groups = self._group_of[rows.rows]
        size = len(rows)
        order = np.lexsort((rows.rows, groups, rows.timestamps_ms))
        group, times = np.empty(size, np.int32), np.empty(size, np.int64)
        outside, score = np.zeros(size), np.full(size, np.nan)
        parts = np.full((size, self._most), np.nan)
        channels = np.full((size, self._most), -1, np.int32)
        out = (group, times, outside, score, parts, channels)
        count = _fold(order, groups, rows.timestamps_ms, rows.rows, scores.score, self._most, *out)
        located = self._locate(count, group, times, batch)
        kept = located.values.astype(np.int64)
        none = np.full(len(kept), np.nan)
        spoke = np.where(np.isnan(score[kept]), -1, 0).astype(np.int8)
        judged = ScoreColumns(score[kept], none, none, none, parts[kept], spoke, channels[kept])
        return replace(located, values=outside[kept]), judged


class WholeGroups(Groups):
    """Groups of channels that are judged together.

    There is room for as many channels of a group as the kind has; more are left out while those
    before are there. idle_ms: a channel that has no sample for so long makes room, and what was
    learned of it is passed on to the next.
    """

    def __init__(self, by: list[str], table: SeriesTable, scoring: Scoring, idle_ms: int) -> None:
        super().__init__(by, table, scoring)
        self._channels = channels = scoring.detector.channels_max
        self._idle_ms = idle_ms
        self._channel_names: Times = np.empty(0, np.int64)
        self._owner: Times = np.empty((0, channels), np.int64)
        self._last_ms: Times = np.empty((0, channels), np.int64)
        self._channel_of: Rows = np.empty((0, channels), np.int32)

    def score(
        self, rows: RowBatch, series: SeriesTable, batch: SampleBatch
    ) -> tuple[RowBatch, ScoreColumns]:
        """How many channels there are, and the scores of what they are together."""
        rows = self._gather(rows, series, batch)
        self._scoring.grow(self.table.capacity)
        scores = self._scoring.step(rows)
        assert scores.channels is not None
        channels = self._channel_of[rows.rows[:, np.newaxis], scores.channels]
        return rows, replace(scores, channels=channels)

    def _gather(self, rows: RowBatch, series: SeriesTable, batch: SampleBatch) -> RowBatch:
        """The groups' samples: the values of their channels, and how many there are."""
        self._learn(series.labels)
        groups, names = self._group_of[rows.rows], self._channel_names[rows.rows]
        size = len(rows)
        order = np.lexsort((names, groups, rows.timestamps_ms))
        group, times = np.empty(size, np.int32), np.empty(size, np.int64)
        first = np.empty(size + 1, np.int64)
        count = _bound(order, groups, rows.timestamps_ms, group, times, first)
        located = self._locate(count, group, times, batch)
        self._grow(self.table.capacity)
        channels = np.full((len(located), self._channels), np.nan)
        there = np.full(len(located), np.nan)
        series.counters.refused += _fill(
            located.rows,
            located.values.astype(np.int64),
            first,
            order,
            rows.rows,
            rows.timestamps_ms,
            rows.values,
            self._channel_names,
            self._owner,
            self._last_ms,
            self._channel_of,
            self._idle_ms,
            channels,
            there,
        )
        return replace(located, values=there, channels=channels)

    def forget(self, rows: Rows) -> None:
        super().forget(rows)
        self._channel_of[np.isin(self._channel_of, rows)] = -1

    def release(self, left: Rows) -> None:
        self._owner[left] = self._last_ms[left] = 0
        self._channel_of[left] = -1
        self._scoring.forget(left)
        super().release(left)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that `restore` needs; which channel has which column must stay."""
        own: dict[str, NDArray[Any]] = {
            "owner": self._owner,
            "last_ms": self._last_ms,
            "channel_of": self._channel_of,
        }
        kept: dict[str, NDArray[Any]] = {f"channel/{name}": own[name].copy() for name in own}
        return super().state() | kept

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        super().restore(state)
        self._owner = state["channel/owner"].copy()
        self._last_ms = state["channel/last_ms"].copy()
        self._channel_of = state["channel/channel_of"].copy()

    def _grow(self, rows: int) -> None:
        more = max(0, rows - len(self._owner))
        if more:
            wider = ((0, more), (0, 0))
            self._owner = np.pad(self._owner, wider)
            self._last_ms = np.pad(self._last_ms, wider)
            self._channel_of = np.pad(self._channel_of, wider, constant_values=-1)

    def _learn(self, labels: list[Labels | None]) -> None:
        """Name the channels that have none yet, by a number that their labels alone decide."""
        new = np.flatnonzero(self._group_of < 0).tolist()
        new += range(len(self._group_of), len(labels))
        super()._learn(labels)
        more = len(self._group_of) - len(self._channel_names)
        self._channel_names = np.append(self._channel_names, np.zeros(more, np.int64))
        for row in new:
            own = labels[row] if row < len(labels) else None
            if own is not None:
                digest = blake2b(str(own).encode(), digest_size=8).digest()
                self._channel_names[row] = int.from_bytes(digest) >> 1 | 1
