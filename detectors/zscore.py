"""Z-score: distance from the sliding mean, in sliding standard deviations."""

import math
from dataclasses import dataclass
from typing import ClassVar

from detectors.windowed import WindowedMoments, check_window


@dataclass(frozen=True, slots=True)
class ZscoreParams:
    """Mean and standard deviation of a window; quicker than mad, but outliers widen the band."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    window: str = "1h"
    """How much of the past is compared with, as a duration; at most 20000 steps."""
    threshold: float = 4.0
    """Standard deviations from the mean to the edge of the band."""
    warmup: int = 30
    """Samples in the window before a series gets a score; at most what the window holds."""

    def __post_init__(self) -> None:
        check_window(self.window, self.warmup)
        if not 0.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")


class Zscore(WindowedMoments):
    """Sliding mean and (population) standard deviation.

    Floor: half the band is at least 0.1 % of the mean (see `kernels/band.py`). A value beyond 1e150
    is judged, not learned.
    """

    kind: ClassVar[str] = "zscore"
    Params = ZscoreParams

    def band(self) -> tuple[float, float, float]:
        return self.params.threshold, 0.0, 0.0
