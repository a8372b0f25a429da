"""Series that belong together judged as one: a group's score is the mean of its channels' largest.

A channel is a series of the detector, a group all channels that agree on the labels of `group_by`.
Channels are scored by themselves, so one may be missing, late to come or gone, and their order
means nothing; a group is judged at each instant that any of its channels has a sample.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


class Groups:
    """The groups of one detector's series.

    by: labels that name a group. most: channels whose scores are averaged.
    """

    def __init__(self, by: list[str], most: int, table: SeriesTable) -> None:
        self.table = table
        self._by = by
        self._most = most
        self._names: dict[Labels, int] = {}
        self._group_of: Rows = np.empty(0, np.int32)

    def fold(
        self,
        rows: RowBatch,
        scores: ScoreColumns,
        labels: list[Labels | None],
        batch: SampleBatch,
    ) -> tuple[RowBatch, ScoreColumns]:
        """The groups' samples, how many channels are outside their band, and their scores."""
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
        # The table settles what is late or new; the values it is given say which sample is which.
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
        located = self.table.locate(gathered)
        kept = located.values.astype(np.int64)
        none = np.full(len(kept), np.nan)
        spoke = np.where(np.isnan(score[kept]), -1, 0).astype(np.int8)
        judged = ScoreColumns(score[kept], none, none, none, parts[kept], spoke, channels[kept])
        return replace(located, values=outside[kept]), judged

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
