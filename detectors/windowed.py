"""What kinds that compare with a sliding window share: the window's size, its ring, its order."""

from abc import abstractmethod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detectors.base import Detector, Field
from detectors.kernels.order import sizes
from detectors.kernels.sums import judge_moments
from detectors.ticks import in_ticks
from models.columns import RowBatch, ScoreColumns
from models.durations import format_duration, parse_duration

WINDOW_SAMPLES_MAX = 20_000

Precision = Literal["single", "double"]


class Windowed(Detector):
    """A kind with the parameters `window`, a duration, and `warmup`, in samples.

    window: steps that the window holds, each with one sample at most. warmup: samples in it before
    the first score, at most what it holds.
    Raises ValueError when the window holds no step, or more than WINDOW_SAMPLES_MAX.
    """

    def __init__(self, params: Any, step_ms: int) -> None:
        self.window = parse_duration(params.window) // step_ms
        if not 1 <= self.window <= WINDOW_SAMPLES_MAX:
            raise ValueError(
                f"window {params.window} is {self.window} steps of {format_duration(step_ms)}; "
                f"it must hold between 1 and {WINDOW_SAMPLES_MAX}"
            )
        self.warmup = min(params.warmup, self.window)
        super().__init__(params, step_ms)

    @abstractmethod
    def fields(self) -> tuple[Field, ...]:
        """The window as `kernels/window.py` describes it, in double precision."""
        return self._window(np.float64)

    def _window(self, dtype: type[np.floating[Any]]) -> tuple[Field, ...]:
        return (
            Field("ring", dtype, (self.window,), np.inf, rows_last=True),
            Field("newest", np.int64),
            Field("count", np.int32),
        )


class Ordered(Windowed):
    """A windowed kind that needs its samples in order of size too; it has a `precision`."""

    def fields(self) -> tuple[Field, ...]:
        """The window, and its order as `kernels/order.py` describes it."""
        size, padded = sizes(self.window)
        dtype: type[np.floating[Any]] = (
            np.float32 if self.params.precision == "single" else np.float64
        )
        leaves = (
            Field("low", dtype, (padded,), np.inf),
            Field("before", np.int16, (padded,)),
            Field("near", np.int32, (4,)),
        )
        return (
            *self._window(dtype),
            Field("offset", np.float64),
            Field("entries", dtype, (size,), np.inf),
            *(leaves if padded else ()),
        )

    def leaves(self, name: str) -> NDArray[Any] | None:
        """The array of the leaves by that name; None when the window fits into one."""
        return self.array(name) if sizes(self.window)[1] else None


class WindowedMoments(Windowed):
    """A windowed kind whose band comes of mean and variance; see `kernels/sums.py`."""

    @abstractmethod
    def band(self) -> tuple[float, float, float]:
        """`threshold`, `tail` and `z` of `judge_moments`."""

    def fields(self) -> tuple[Field, ...]:
        """The window and its sums."""
        sums = ("center", "total", "squares")
        return (*super().fields(), *(Field(name, np.float64) for name in sums))

    def step(self, batch: RowBatch) -> ScoreColumns:
        ticks = in_ticks(batch)
        out = np.empty((4, len(batch)))
        judge_moments(
            ticks.edges,
            ticks.rows,
            ticks.timestamps_ms,
            ticks.values,
            self.array("ring"),
            self.array("newest"),
            self.array("count"),
            self.array("center"),
            self.array("total"),
            self.array("squares"),
            self.step_ms,
            *self.band(),
            self.warmup,
            out,
        )
        return ticks.columns(out)


def check_window(window: str, warmup: int) -> None:
    """Raise ValueError for a window or a warm-up that no step can make right."""
    parse_duration(window)
    if not 1 <= warmup <= WINDOW_SAMPLES_MAX:
        raise ValueError(f"warmup must be between 1 and {WINDOW_SAMPLES_MAX} samples, got {warmup}")


def check_precision(precision: str) -> None:
    """Raise ValueError for a precision that is none."""
    if precision not in ("single", "double"):
        raise ValueError(f"precision must be single or double, got {precision!r}")
