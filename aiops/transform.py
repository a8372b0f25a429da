"""What is judged in place of a sample's value, where the source cannot make it of itself."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.differences import NEVER, differences
from models.columns import Floats, RowBatch, Rows, Times

Kind = Literal["none", "rate", "delta", "log1p"]


class Transform:
    """A function of each series' samples; the rows are those of one table."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._last: Floats = np.zeros(0)
        self._last_ms: Times = np.zeros(0, np.int64)

    def grow(self, rows: int) -> None:
        """Make room for rows below `rows`."""
        more = rows - len(self._last)
        if more > 0 and self.kind in ("rate", "delta"):
            self._last = np.append(self._last, np.zeros(more))
            self._last_ms = np.append(self._last_ms, np.full(more, NEVER, np.int64))

    def forget(self, rows: Rows) -> None:
        """Make these rows as if they had never seen a sample."""
        if len(self._last):
            self._last[rows] = 0.0
            self._last_ms[rows] = NEVER

    def apply(self, rows: RowBatch) -> RowBatch:
        """The batch with other values; the values that came stay as they are."""
        if self.kind == "none":
            return rows
        if self.kind == "log1p":
            with np.errstate(invalid="ignore"):
                return replace(rows, values=np.sign(rows.values) * np.log1p(np.abs(rows.values)))
        values = np.empty(len(rows))
        differences(
            rows.rows, rows.timestamps_ms, rows.values, self._last, self._last_ms,
            self.kind == "rate", values,
        )  # fmt: skip
        return replace(rows, values=values)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that `restore` needs."""
        return {"last": self._last.copy(), "last_ms": self._last_ms.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave."""
        self._last, self._last_ms = state["last"].copy(), state["last_ms"].copy()
