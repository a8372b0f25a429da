"""The table of series: labels to row, growth, gaps, staleness, eviction.

Late, duplicate and missing samples are settled here, once; whatever comes after sees each row's
samples in strict order of time. All decisions go by the samples' own time, so that catching up
after an outage gives the same rows and values as living through it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.kernels.gaps import carry_previous
from models.columns import Flags, Floats, RowBatch, Rows, SampleBatch, Times
from models.jit import kernel
from models.labels import Labels

NEVER_MS = np.iinfo(np.int64).min // 2
CAPACITY_FIRST = 64


@dataclass(slots=True)
class SeriesCounters:
    """Samples and series that did not go the usual way."""

    late: int = 0
    """Samples older than the newest of their series: dropped."""
    duplicate: int = 0
    """Samples with the newest timestamp of their series: the first one stands."""
    refused: int = 0
    """Samples of new series beyond the limit: dropped."""
    evicted: int = 0
    """Series forgotten after being idle."""


@kernel
def _is_tick(
    series: Rows, rows: Rows, timestamps_ms: Times, last_ms: Times, at_ms: int, oldest_ms: int
) -> bool:
    """Whether sample k is of series k, all are of one instant, and all rows ascend and are due.

    oldest_ms: a row whose newest sample lies before is back from being idle.
    """
    before, odd = np.int32(-1), 0
    for k in range(len(series)):
        row = rows[k]
        last = last_ms[max(row, 0)]
        odd += (series[k] != k) | (timestamps_ms[k] != at_ms) | (row <= before)
        odd += (last >= at_ms) | ((last < oldest_ms) & (last != NEVER_MS))
        before = row
    return odd == 0


class SeriesTable:
    """Which row each series of one detector has.

    missing: the policy for a step without a sample. series_max: rows at most. stale_ms: after this
    long without a sample a series counts as quiet. idle_ms: after this long it is forgotten and its
    row is given to another.
    """

    def __init__(
        self,
        *,
        missing: Literal["ignore", "zero", "previous", "alert"],
        series_max: int,
        stale_ms: int,
        idle_ms: int,
    ) -> None:
        self.missing = missing
        self.counters = SeriesCounters()
        self.labels: list[Labels | None] = []
        self._series_max = series_max
        self._idle_ms = max(idle_ms, stale_ms)
        self._quiet_ms = stale_ms if missing == "ignore" else self._idle_ms
        self._rows: dict[Labels, int] = {}
        self._free: list[int] = []
        self._left: list[int] = []
        self._last_ms: Times = np.empty(0, np.int64)
        self._last: Floats = np.empty(0)
        self._quiet: Flags = np.empty(0, np.bool_)
        self._used: Flags = np.empty(0, np.bool_)
        self._known: tuple[tuple[Labels, ...], Rows] = ((), np.empty(0, np.int32))

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, labels: Labels) -> bool:
        return labels in self._rows

    @property
    def capacity(self) -> int:
        """Rows there is room for; every row is below it."""
        return len(self._last_ms)

    def locate(self, batch: SampleBatch) -> RowBatch:
        """Each sample's row, in order of time; gaps filled as the policy says.

        New series get a row. After the batch has been used, `sweep` must be called.
        """
        known = self._rows_of(batch)
        if self.missing == "ignore" and self._is_plain_tick(batch, known):
            absent = np.zeros(len(batch), np.bool_)
            return RowBatch(known, batch.timestamps_ms, batch.values, absent)
        rows: Rows = known[batch.series]
        kept = rows >= 0
        self.counters.refused += int(np.count_nonzero(~kept))
        fresh = batch.timestamps_ms > self._last_ms[rows]
        duplicate = kept & (batch.timestamps_ms == self._last_ms[rows])
        self.counters.duplicate += int(np.count_nonzero(duplicate))
        self.counters.late += int(np.count_nonzero(kept & ~fresh & ~duplicate))
        kept &= fresh
        rows, times, values = rows[kept], batch.timestamps_ms[kept], batch.values[kept]
        rows, times, values = self._in_order(rows, times, values)
        rows = self._replace_returned(rows, times)
        first_known: Flags = self._last_ms != NEVER_MS
        self._last_ms[rows] = times  # In order of time: the newest sample of a row is written last.
        self._quiet[rows] = False
        absent = np.zeros(len(rows), np.bool_)
        if self.missing != "ignore" and batch.step_ms > 0:
            rows, times, values, absent = self._fill(batch, rows, times, values, first_known)
        return RowBatch(rows, times, values, absent)

    def _is_plain_tick(self, batch: SampleBatch, known: Rows) -> bool:
        """Whether the batch is one fresh sample of each of its series, in order: the usual case.

        The table has then taken it in; else it is as it was.
        """
        if not 0 < len(batch) == len(known):
            return False
        at_ms = int(batch.timestamps_ms[0])
        oldest_ms = at_ms - self._idle_ms
        args = (batch.series, known, batch.timestamps_ms, self._last_ms)
        if not _is_tick(*args, at_ms, oldest_ms):
            return False
        self._last_ms[known] = at_ms
        self._quiet[known] = False
        return True

    def sweep(self, end_ms: int) -> tuple[Rows, Rows]:
        """Rows that fell quiet by `end_ms`, and rows that were given up and hold nothing now.

        Each row is told once. A row given up is also told as quiet if it was not before.
        """
        silent_ms = end_ms - self._last_ms
        idle = self._used & (silent_ms > self._idle_ms)
        idle[self._left] = False
        for row in np.flatnonzero(idle).tolist():
            labels = self.labels[row]
            assert labels is not None
            del self._rows[labels]
            self._left.append(row)
        left = np.array(sorted(self._left), np.int32)
        self.counters.evicted += len(left)
        quiet = self._used & ~self._quiet & (silent_ms > self._quiet_ms)
        quiet[left] = ~self._quiet[left]
        self._quiet |= quiet
        if len(left):
            self._known = ((), np.empty(0, np.int32))
        return np.flatnonzero(quiet).astype(np.int32), left

    def end(self, wanted: Callable[[Labels], bool]) -> None:
        """Give up the series that are wanted gone; the next `sweep` tells them."""
        for labels in [labels for labels in self._rows if wanted(labels)]:
            self._left.append(self._rows.pop(labels))
            self._known = ((), np.empty(0, np.int32))

    def release(self, rows: Rows) -> None:
        """Let rows that `sweep` gave up be used again, once everyone has forgotten them."""
        for row in rows.tolist():
            self.labels[row] = None
            self._last_ms[row] = NEVER_MS
            self._last[row] = np.nan
            self._quiet[row] = False
            self._used[row] = False
            self._free.append(row)
        self._left.clear()

    def state(self) -> dict[str, NDArray[Any]]:
        """All that `restore` needs."""
        pairs = [None if labels is None else dict(labels) for labels in self.labels]
        counters = self.counters
        return {
            "labels": np.frombuffer(msgspec.json.encode(pairs), np.uint8),
            "last_ms": self._last_ms.copy(),
            "last": self._last.copy(),
            "quiet": self._quiet.copy(),
            "counters": np.array(
                [counters.late, counters.duplicate, counters.refused, counters.evicted], np.int64
            ),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        pairs = msgspec.json.decode(state["labels"].tobytes(), type=list[dict[str, str] | None])
        self.labels = [None if pair is None else Labels(pair) for pair in pairs]
        self._rows = {labels: row for row, labels in enumerate(self.labels) if labels is not None}
        self._free = [row for row, labels in enumerate(self.labels) if labels is None]
        self._last_ms = state["last_ms"].copy()
        self._last = state["last"].copy()
        self._quiet = state["quiet"].copy()
        self._used = np.zeros(self.capacity, np.bool_)
        self._used[list(self._rows.values())] = True
        self.counters = SeriesCounters(*state["counters"].tolist())
        self._known = ((), np.empty(0, np.int32))

    def _rows_of(self, batch: SampleBatch) -> Rows:
        """(len(batch.labels),) int32: the row of each label set, -1 where there is no room."""
        labels, rows = self._known
        if labels is not batch.labels and labels != batch.labels:
            rows = np.fromiter(map(self._row, batch.labels), np.int32, len(batch.labels))
            self._known = (batch.labels, rows)
        return rows

    def _row(self, labels: Labels) -> int:
        row = self._rows.get(labels)
        if row is not None:
            return row
        if len(self._rows) >= self._series_max:
            return -1
        row = self._new_row(labels)
        self._rows[labels] = row
        return row

    def _new_row(self, labels: Labels) -> int:
        if self._free:
            row = self._free.pop()
            self.labels[row] = labels
        else:
            row = len(self.labels)
            self.labels.append(labels)
        if row >= self.capacity:
            more = max(CAPACITY_FIRST, self.capacity)
            self._last_ms = np.append(self._last_ms, np.full(more, NEVER_MS, np.int64))
            self._last = np.append(self._last, np.full(more, np.nan))
            self._quiet = np.append(self._quiet, np.zeros(more, np.bool_))
            self._used = np.append(self._used, np.zeros(more, np.bool_))
        self._used[row] = True
        return row

    def _in_order(self, rows: Rows, times: Times, values: Floats) -> tuple[Rows, Times, Floats]:
        """By time, then row; of samples with both the same, the first."""
        if len(times) == 0:
            return rows, times, values
        order = np.lexsort((rows, times))
        rows, times, values = rows[order], times[order], values[order]
        again = np.zeros(len(rows), np.bool_)
        again[1:] = (rows[1:] == rows[:-1]) & (times[1:] == times[:-1])
        if again.any():
            self.counters.duplicate += int(np.count_nonzero(again))
            rows, times, values = rows[~again], times[~again], values[~again]
        return rows, times, values

    def _replace_returned(self, rows: Rows, times: Times) -> Rows:
        """A series that comes back after being idle starts in a fresh row, wherever batches end."""
        last = self._last_ms
        if len(rows) == 0:
            return rows
        gap = times - np.where(last[rows] == NEVER_MS, times, last[rows])
        if gap.max() <= self._idle_ms and times[-1] - times[0] <= self._idle_ms:
            return rows
        by_row = np.lexsort((times, rows))
        ordered_rows, ordered_times = rows[by_row], times[by_row]
        before = np.empty_like(ordered_times)
        before[1:] = ordered_times[:-1]
        firsts = np.ones(len(rows), np.bool_)
        firsts[1:] = ordered_rows[1:] != ordered_rows[:-1]
        before[firsts] = last[ordered_rows[firsts]]
        returned = (before != NEVER_MS) & (ordered_times - before > self._idle_ms)
        rows = rows.copy()
        for i in np.flatnonzero(returned).tolist():
            old = int(ordered_rows[i])
            labels = self.labels[old]
            assert labels is not None
            current = self._rows[labels]
            self._left.append(current)
            self._rows[labels] = self._new_row(labels)
            rows[(rows == current) & (times >= ordered_times[i])] = self._rows[labels]
            self._known = ((), np.empty(0, np.int32))
        return rows

    def _fill(
        self, batch: SampleBatch, rows: Rows, times: Times, values: Floats, known: Flags
    ) -> tuple[Rows, Times, Floats, Flags]:
        """Add a sample for each instant of the grid at which a series that exists has none."""
        grid = np.arange(batch.start_ms, batch.end_ms + 1, batch.step_ms, dtype=np.int64)
        first_ms = np.full(self.capacity, np.iinfo(np.int64).max)
        np.minimum.at(first_ms, rows, times)
        first_ms[: len(known)][known] = batch.start_ms
        used: Rows = np.flatnonzero(self._used).astype(np.int32)
        until_ms = self._last_ms + self._idle_ms
        lacking = (grid >= first_ms[used, None]) & (grid <= until_ms[used, None])
        place = np.full(self.capacity, -1)
        place[used] = np.arange(len(used))
        on_grid = (times - batch.start_ms) % batch.step_ms == 0
        on_grid &= (times >= batch.start_ms) & (times <= batch.end_ms)
        lacking[place[rows[on_grid]], (times[on_grid] - batch.start_ms) // batch.step_ms] = False
        which, when = np.nonzero(lacking)
        filler = 0.0 if self.missing == "zero" else np.nan
        all_rows = np.concatenate([rows, used[which]])
        all_times = np.concatenate([times, grid[when]])
        all_values = np.concatenate([values, np.full(len(which), filler)])
        absent = np.arange(len(all_rows)) >= len(rows)
        order = np.lexsort((all_rows, all_times))
        filled: tuple[Rows, Times, Floats, Flags] = (
            all_rows[order],
            all_times[order],
            all_values[order],
            absent[order],
        )
        if self.missing == "previous":
            carry_previous(filled[0], filled[2], filled[3], self._last)
        return filled
