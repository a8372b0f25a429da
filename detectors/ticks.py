"""A batch as ticks: what all kinds with compiled kernels loop over."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.jit import kernel


@dataclass(frozen=True, slots=True, eq=False)
class Ticks:
    """A batch in order of time, then row, cut where the time changes.

    rows, timestamps_ms, values: (n,), in order. edges: (ticks + 1,) int64; tick t is
    edges[t]:edges[t + 1], one instant with ascending rows. order: where each sample stood in the
    batch, None when it was in order already.
    """

    rows: Rows
    timestamps_ms: Times
    values: Floats
    edges: Times
    order: NDArray[np.intp] | None

    def columns(self, out: Floats) -> ScoreColumns:
        """Score, expected, lower and upper in order of the ticks, as columns in the batch's order.

        out: (4, n), or (2, n) from a kind without a band.
        """
        if self.order is not None:
            back = np.empty_like(out)
            back[:, self.order] = out
            out = back
        if len(out) == 2:
            without = np.broadcast_to(np.nan, len(self.rows))
            return ScoreColumns(out[0], out[1], without, without)
        score, expected, lower, upper = out
        return ScoreColumns(score, expected, lower, upper)


def in_ticks(batch: RowBatch) -> Ticks:
    """Cut a batch into ticks; scattered samples are sorted first, a row's own order stays.

    Sorting costs more than scoring: a dense tick in stable order is what the engine's table gives.
    """
    rows, times, values, order = batch.rows, batch.timestamps_ms, batch.values, None
    count = _count(rows, times)
    if count < 0:
        order = np.lexsort((rows, times))
        rows, times, values = rows[order], times[order], values[order]
        count = _count(rows, times)
        assert count >= 0, "a row has two samples at one instant"
    edges = np.empty(count + 1, np.int64)
    _cut(times, edges)
    return Ticks(rows, times, values, edges, order)


@kernel
def _count(rows: Rows, timestamps_ms: Times) -> int:
    """How many ticks; -1 when the samples are not in order of time, then row."""
    ticks = min(len(rows), 1)
    wrong = 0
    for i in range(1, len(rows)):
        later = timestamps_ms[i] - timestamps_ms[i - 1]
        ticks += later != 0
        wrong += (later < 0) | ((later == 0) & (rows[i] <= rows[i - 1]))
    return -1 if wrong else ticks


@kernel
def _cut(timestamps_ms: Times, edges: Times) -> None:
    """Write where each tick begins, and the end."""
    edges[len(edges) - 1] = len(timestamps_ms)
    if len(edges) == 2:
        edges[0] = 0
        return
    tick = 0
    for i in range(len(timestamps_ms)):
        if i == 0 or timestamps_ms[i] != timestamps_ms[i - 1]:
            edges[tick] = i
            tick += 1
