"""A threshold that follows from how many anomalies people want to hear of.

Scores that come near the edge are gathered to peaks: a row's peak ends when its score has stayed
below NEAR of the edge for the policy's `recover`. Peaks are counted in a histogram that forgets;
every UPDATE_STEPS steps the edge is put where the peaks above it come as often as the
budget says. Where too few peaks lie above it to count them, the tail is a Pareto one, fitted by
Hill's estimator to the highest peaks. All series of the detector share the budget and the edge.
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiops.intervals import of_count
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.detector import Budget
from models.jit import kernel
from models.records import Interval

DAY_MS = 86_400_000
MEMORY_MS = 7 * DAY_MS, 28 * DAY_MS
REMEMBERED = 40.0
"""Anomalies of the budget that the histogram remembers, as long as that is within MEMORY_MS."""
GAIN, BIAS_MOST = 0.1, 4.0
"""Each anomaly told too many or too few moves what is aimed at by so much, up to BIAS_MOST: scores
that grow calmer with what is learned, or a quiet month, would else leave the budget unused."""
UPDATE_STEPS = 60
NEAR = 0.5
"""Share of the edge above which a score begins a peak: what lies below is never counted."""
BINS, LOWEST, HIGHEST = 600, 1e-2, 1e6
"""Of the logarithm of peaks: three percent each."""
COUNTED = 8.0
"""With so many peaks in the budget, they are counted; with fewer, the tail is fitted."""
FITTED = 40.0
LEAST_DAYS = 1.0
"""After less than this, and fewer peaks than FITTED, the kind's own edge stands."""
SINK = 0.9
"""The edge falls by this factor where no peak comes near it."""
OPENED_MAX = 10_000

Counts = NDArray[np.int64]


@kernel
def _gather(
    rows: Rows,
    timestamps_ms: Times,
    score: Floats,
    near: float,
    calm_ms: int,
    peak: Floats,
    last_ms: Times,
    counts: Counts,
    edge: float,
) -> int:
    """Follow each row's peak; count those that end. How many of them were above the edge.

    peak: (rows,) the highest score since it began, 0 for none.
    """
    told = np.int64(0)
    scale = len(counts) / math.log(HIGHEST / LOWEST)
    for i in range(len(rows)):
        row = rows[i]
        own = score[i]
        if peak[row] > 0.0 and timestamps_ms[i] - last_ms[row] > calm_ms:
            place = int(math.log(peak[row] / LOWEST) * scale)
            counts[min(max(place, 0), len(counts) - 1)] += 1
            told += np.int64(peak[row] > edge)
            peak[row] = 0.0
        if own > near:
            peak[row] = max(peak[row], own)
            last_ms[row] = timestamps_ms[i]
    return int(told)


class BudgetKeeper:
    """Moves one detector's edge.

    budget: what is asked for. calm_ms: how long a score stays low before its peak has ended.
    """

    def __init__(self, budget: Budget, step_ms: int, calm_ms: int) -> None:
        self.budget = budget
        self.edge = 1.0
        """The score that counts as 1 now."""
        self._update_ms = UPDATE_STEPS * step_ms
        self._calm_ms = max(calm_ms, step_ms)
        self._peak: Floats = np.zeros(0)
        self._last_ms: Times = np.zeros(0, np.int64)
        self._counts: Counts = np.zeros(BINS, np.int64)
        self._histogram: Floats = np.zeros(BINS)
        self._weight_ms = 0.0
        least_ms, most_ms = MEMORY_MS
        self._memory_ms = min(max(REMEMBERED / budget.often * budget.unit_ms, least_ms), most_ms)
        self._bias = 1.0
        self._told = 0
        self._due_ms = -1
        self._opened: deque[int] = deque(maxlen=OPENED_MAX)

    def grow(self, rows: int) -> None:
        """Make room for rows below `rows`."""
        more = max(0, rows - len(self._peak))
        if more:
            self._peak = np.append(self._peak, np.zeros(more))
            self._last_ms = np.append(self._last_ms, np.zeros(more, np.int64))

    def forget(self, rows: Rows) -> None:
        """Make these rows as if they had never seen a sample."""
        self._peak[rows] = 0.0

    def step(self, rows: RowBatch, scores: ScoreColumns) -> tuple[Floats, Floats]:
        """Scores in distances to the edge of their time, and that edge; then learn them.

        An edge holds from one multiple of its interval to the next, however samples are cut into
        batches.
        """
        score, edges = np.empty(len(rows)), np.empty(len(rows))
        slots = rows.timestamps_ms // self._update_ms
        order = np.argsort(slots, kind="stable")
        firsts = np.flatnonzero(np.diff(slots[order], prepend=-1))
        for first, last in zip(firsts, [*firsts[1:], len(order)], strict=True):
            here = order[first:last]
            self._turn(int(slots[here[0]]) * self._update_ms)
            edges[here] = self.edge
            score[here] = scores.score[here] / self.edge
            self._told += _gather(
                rows.rows[here],
                rows.timestamps_ms[here],
                scores.score[here],
                NEAR * self.edge,
                self._calm_ms,
                self._peak,
                self._last_ms,
                self._counts,
                self.edge,
            )
        return score, edges

    def opened(self, at_ms: int) -> None:
        """An anomaly was told."""
        self._opened.append(at_ms)

    def realised(self, now_ms: int, since_ms: int) -> tuple[float, Interval | None]:
        """Anomalies told in the budget's unit of time, with their interval.

        now_ms: the newest instant judged. since_ms: when telling began.
        """
        begin_ms = max(since_ms, now_ms - MEMORY_MS[1])
        units = (now_ms - begin_ms) / self.budget.unit_ms
        count = sum(at > begin_ms for at in self._opened)
        if units <= 0.0:
            return 0.0, None
        low, high = of_count(count)
        return count / units, Interval(low=low / units, high=high / units)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that `restore` needs."""
        numbers = [self.edge, self._weight_ms, float(self._due_ms), self._bias, float(self._told)]
        return {
            "peak": self._peak.copy(),
            "last_ms": self._last_ms.copy(),
            "counts": self._counts.copy(),
            "histogram": self._histogram.copy(),
            "numbers": np.array(numbers),
            "opened": np.array(self._opened, np.int64),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        self._peak, self._last_ms = state["peak"].copy(), state["last_ms"].copy()
        self._counts, self._histogram = state["counts"].copy(), state["histogram"].copy()
        self.edge, self._weight_ms, due_ms, self._bias, told = state["numbers"].tolist()
        self._due_ms, self._told = int(due_ms), int(told)
        self._opened = deque(state["opened"].tolist(), maxlen=OPENED_MAX)

    def _turn(self, slot_ms: int) -> None:
        """Go on to an interval: forget a little, take in what was counted, move the edge."""
        if self._due_ms >= 0 and slot_ms > self._due_ms:
            keep = math.exp(-(slot_ms - self._due_ms) / self._memory_ms)
            self._histogram = self._histogram * keep + self._counts
            self._weight_ms = self._weight_ms * keep + (slot_ms - self._due_ms)
            self._counts[:] = 0
            due = self.budget.often * (slot_ms - self._due_ms) / self.budget.unit_ms
            if self.edge != 1.0:
                bias = self._bias * math.exp(GAIN * (due - self._told))
                self._bias = min(max(bias, 1.0 / BIAS_MOST), BIAS_MOST)
            self._told = 0
            self.edge = self._placed()
        self._due_ms = max(self._due_ms, slot_ms)

    def _placed(self) -> float:
        """Where the budget puts the edge now."""
        above = np.cumsum(self._histogram[::-1])[::-1]
        if self._weight_ms < LEAST_DAYS * DAY_MS and above[0] < FITTED:
            return self.edge
        wanted = self._bias * self.budget.often * self._weight_ms / self.budget.unit_ms
        if above[0] < min(FITTED, wanted):
            return max(self.edge * SINK, LOWEST)
        if wanted >= COUNTED:
            place = int(np.searchsorted(-above, -wanted, side="left"))
            return float(_value(min(place, BINS - 1)))
        from_bin = int(np.searchsorted(-above, -min(FITTED, above[0]), side="right")) - 1
        base, count = _value(from_bin), float(above[from_bin])
        logs = np.log(_value(np.arange(from_bin, BINS) + 0.5) / base)
        index = float((logs * self._histogram[from_bin:]).sum() / count)
        return float(min(base * (count / wanted) ** max(index, 0.02), HIGHEST))


def _value(place: Any) -> Any:
    """The peak at the lower edge of a bin."""
    return LOWEST * (HIGHEST / LOWEST) ** (place / BINS)
