"""What kinds that compare with a sliding window share: the window's size and its ring."""

from abc import abstractmethod
from typing import Any

import numpy as np

from detectors.base import Detector, Field
from models.durations import format_duration, parse_duration

WINDOW_SAMPLES_MAX = 20_000


class Windowed(Detector):
    """A kind with the parameters `window`, a duration, and `warmup`, in samples.

    window: samples that the window holds. window_ms: how old a sample in it may be. warmup: samples
    before the first score, at most what the window holds.
    Raises ValueError when the window holds no sample, or more than WINDOW_SAMPLES_MAX.
    """

    def __init__(self, params: Any, step_ms: int) -> None:
        self.window_ms = parse_duration(params.window)
        self.window = self.window_ms // step_ms
        if not 1 <= self.window <= WINDOW_SAMPLES_MAX:
            raise ValueError(
                f"window {params.window} is {self.window} steps of {format_duration(step_ms)}; "
                f"it must hold between 1 and {WINDOW_SAMPLES_MAX}"
            )
        self.warmup = min(params.warmup, self.window)
        super().__init__(params, step_ms)

    @abstractmethod
    def fields(self) -> tuple[Field, ...]:
        """The ring: values and times in order of arrival, the oldest at `head`."""
        return (
            Field("ring", np.float64, (self.window,)),
            Field("ring_ms", np.int64, (self.window,)),
            Field("head", np.int32),
            Field("count", np.int32),
        )


def check_window(window: str, warmup: int) -> None:
    """Raise ValueError for a window or a warm-up that no step can make right."""
    parse_duration(window)
    if not 1 <= warmup <= WINDOW_SAMPLES_MAX:
        raise ValueError(f"warmup must be between 1 and {WINDOW_SAMPLES_MAX} samples, got {warmup}")
