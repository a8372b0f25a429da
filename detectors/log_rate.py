"""Log rate: is this count rare among those of a window? For lines per step and other counts."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

from detectors.windowed import WindowedMoments, check_window


@dataclass(frozen=True, slots=True)
class LogRateParams:
    """Counts are mostly 0 and vary more than chance would have them; a normal band fits neither."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    window: str = "1h"
    """How much of the past is compared with, as a duration; at most 20000 steps."""
    rarity: float = 0.001
    """The share of counts that may lie outside the band, half of it on each side."""
    warmup: int = 30
    """Steps in the window before a series gets a score; at most what the window holds."""

    def __post_init__(self) -> None:
        check_window(self.window, self.warmup)
        if not 0.0 < self.rarity < 0.5:
            raise ValueError(f"rarity must be above 0 and below 0.5, got {self.rarity}")


class LogRate(WindowedMoments):
    """Negative binomial of the window's mean and variance, as its next count is foreseen.

    Floor: the distribution is never narrower than Poisson's, and a window of zeros counts as half
    an event. An edge lies half a count outside the band.
    """

    kind: ClassVar[str] = "log_rate"
    mends_resets: ClassVar[bool] = False
    Params = LogRateParams

    def band(self) -> tuple[float, float, float]:
        tail = self.params.rarity / 2
        return 0.0, tail, NormalDist().inv_cdf(1.0 - tail)
