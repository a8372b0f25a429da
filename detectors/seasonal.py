"""Seasonal: distance from what is usual at this time of day or hour of the week."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from detectors.base import Detector, Field
from detectors.kernels.band import edge_score, half_width
from detectors.kernels.moments import BLOCK
from detectors.kernels.window import SINGLE_MAX
from detectors.ticks import in_ticks
from models.columns import Floats, RowBatch, Rows, ScoreColumns, Times
from models.durations import parse_duration
from models.jit import inlined, kernel

DAY_MS = 86_400_000
PERIODS_MS = {"day": DAY_MS, "week": 7 * DAY_MS}
MONDAY_MS = 3 * DAY_MS
"""The Unix epoch was a Thursday."""
QUARTER_MS = 900_000
"""Offsets from UTC change at whole quarters of an hour."""
SLOTS_MAX = 2_016
COUNT_MAX = 20_000
"""A slot remembers at most so many samples, or single precision would lose its steps: what they
take to move the level stays above a tenth of the floor."""
FREE = 16
"""Samples of a slot that are learned whole; later ones are clipped."""
LEVEL_CLIP = 3.0
SPREAD_CLIP = 10.0
NORMAL_CONSISTENCY = 1.2533
"""√(π/2): makes the mean absolute deviation of normal samples their standard deviation."""

Singles = NDArray[np.float32]
Counts = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class SeasonalParams:
    """What is usual at this time of day or hour of the week; for load with a daily shape."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "use_attribute_docstrings": True}

    period: Literal["day", "week"] = "day"
    """What repeats: the day, or the week, whose hours differ from day to day."""
    slot: str = "1h"
    """Samples within one slot of the period are compared with each other; it divides a day."""
    neighbours: int = 0
    """Slots on either side whose band counts too, for load that comes early or late."""
    timezone: str = "UTC"
    """The time zone whose clock the period follows, summer time included, like Europe/Berlin."""
    days: int = 28
    """How long a slot remembers, in days; what is older has next to no weight."""
    threshold: float = 5.0
    """Standard deviations, estimated robustly, from the level to the edge of the band."""
    warmup: int = 30
    """Samples in a slot before it is judged."""

    def __post_init__(self) -> None:
        if self.period not in PERIODS_MS:
            raise ValueError(f"period must be day or week, got {self.period!r}")
        slot_ms = parse_duration(self.slot)
        if slot_ms <= 0 or DAY_MS % slot_ms or PERIODS_MS[self.period] // slot_ms > SLOTS_MAX:
            raise ValueError(
                f"slot must divide a day and be at least {PERIODS_MS[self.period] // SLOTS_MAX} ms "
                f"for a {self.period}, got {self.slot}"
            )
        if not 0 <= 2 * self.neighbours < PERIODS_MS[self.period] // slot_ms:
            raise ValueError(f"neighbours must fit into the period, got {self.neighbours}")
        if not 1 <= self.days <= 3_650:
            raise ValueError(f"days must be between 1 and 3650, got {self.days}")
        if not 0.0 < self.threshold < math.inf:
            raise ValueError(f"threshold must be above 0 and finite, got {self.threshold}")
        if not 1 <= self.warmup <= COUNT_MAX:
            raise ValueError(f"warmup must be between 1 and {COUNT_MAX} samples, got {self.warmup}")
        try:
            ZoneInfo(self.timezone)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"timezone {self.timezone!r} is unknown; give one like Europe/Berlin"
            ) from error


@inlined
def _learned(
    level: float, spread: float, count: int, value: float, count_max: int
) -> tuple[float, float]:
    """Level and mean absolute deviation of a slot with `value` let in.

    Huber's clipping (Robust Estimation of a Location Parameter, 1964) in an average that forgets:
    an outlier moves the level by no more than three spreads' share. The deviation is clipped
    later, so that a lasting shift widens it and then moves the level within the memory.
    """
    weight = 1.0 / min(count + 1, count_max)
    sigma = half_width(level, NORMAL_CONSISTENCY * spread)
    clip = math.inf if count < FREE else sigma
    distance = value - level
    moved = min(max(distance, -LEVEL_CLIP * clip), LEVEL_CLIP * clip)
    far = min(abs(distance), SPREAD_CLIP * clip)
    first = count == 0
    return (
        value if first else level + weight * moved,
        0.0 if first else spread + weight * (far - spread),
    )


@kernel
def _widen(
    rows: Rows | None,
    level: Singles,
    spread: Singles,
    count: Counts,
    least: int,
    reach: float,
    lower: Floats,
    upper: Floats,
) -> None:
    """Let the band include that of a slot, in rows that have `least` samples of it.

    rows: None when they are all rows in order: then there is no branch, and no gathering.
    """
    for i in range(len(lower)):
        row = i if rows is None else rows[i]
        m = float(level[row])
        half = half_width(m, reach * float(spread[row]))
        warm = count[row] >= least
        # Always stored: a store that most lanes mask out was measured to take nine times as long.
        lower[i] = min(lower[i], m - half if warm else math.inf)
        upper[i] = max(upper[i], m + half if warm else -math.inf)


@kernel
def _judge_and_learn(
    rows: Rows | None,
    values: Floats,
    level: Singles,
    spread: Singles,
    count: Counts,
    reach: float,
    warmup: int,
    count_max: int,
    widened: bool,
    score: Floats,
    expected: Floats,
    lower: Floats,
    upper: Floats,
) -> None:
    """Score each sample in its slot's band, `widened` by others or not, then learn it."""
    for i in range(len(values)):
        row = i if rows is None else rows[i]
        x = float(values[i])
        m, s, n = float(level[row]), float(spread[row]), int(count[row])
        half = half_width(m, reach * s)
        low, high = m - half, m + half
        if widened:
            low, high = min(low, lower[i]), max(high, upper[i])
        warm = n >= warmup
        judged = edge_score(x, m, low, high)
        score[i] = judged if warm and abs(x) < math.inf else math.nan
        expected[i] = m if warm else math.nan
        lower[i] = low if warm else math.nan
        upper[i] = high if warm else math.nan
        there = abs(x) <= SINGLE_MAX
        moved, wider = _learned(m, s, n, x, count_max)
        level[row] = np.float32(moved if there else m)
        spread[row] = np.float32(min(wider, SINGLE_MAX) if there else s)
        count[row] = np.uint16(min(n + 1, count_max) if there else n)


@kernel
def _step(
    edges: Times,
    rows: Rows,
    values: Floats,
    slots: Times,
    level: Singles,
    spread: Singles,
    count: Counts,
    neighbours: int,
    threshold: float,
    warmup: int,
    count_max: int,
    out: Floats,
) -> None:
    """Score, then learn, tick by tick; slots: (ticks,) which slot each tick is in.

    level, spread, count: (slots, rows). out: (4, n) score, expected, lower, upper. A band reaches
    from the lowest lower edge to the highest upper one of the slots around that are warm.
    """
    reach = threshold * NORMAL_CONSISTENCY
    if neighbours > 0:
        out[2] = math.inf
        out[3] = -math.inf
    for tick in range(len(edges) - 1):
        slot = int(slots[tick])
        for begin in range(edges[tick], edges[tick + 1], BLOCK):
            end = min(begin + BLOCK, edges[tick + 1])
            here, first = slice(begin, end), int(rows[begin])
            dense = rows[end - 1] - first == end - begin - 1
            near = slice(first, first + end - begin)
            lower, upper = out[2, here], out[3, here]
            for k in range(-neighbours, neighbours + 1):
                beside = (slot + k) % len(level)
                m, s, n = level[beside], spread[beside], count[beside]
                if k != 0 and dense:
                    _widen(None, m[near], s[near], n[near], warmup, reach, lower, upper)
                elif k != 0:
                    _widen(rows[here], m, s, n, warmup, reach, lower, upper)
            m, s, n = level[slot], spread[slot], count[slot]
            columns = out[0, here], out[1, here], lower, upper
            x = values[here]
            if dense:
                _judge_and_learn(
                    None,
                    x,
                    m[near],
                    s[near],
                    n[near],
                    reach,
                    warmup,
                    count_max,
                    neighbours > 0,
                    *columns,
                )
            else:
                _judge_and_learn(
                    rows[here], x, m, s, n, reach, warmup, count_max, neighbours > 0, *columns
                )


class Seasonal(Detector):
    """Level and spread of each slot of the day or week, with outliers clipped.

    Floor: a slot's half band is at least 0.1 % of its level (see `kernels/band.py`). A slot
    remembers `days`; one that holds less weighs its samples alike. A value beyond 1e37 is judged,
    not learned.
    """

    kind: ClassVar[str] = "seasonal"
    Params = SeasonalParams

    def __init__(self, params: Any, step_ms: int) -> None:
        self._period_ms = PERIODS_MS[params.period]
        self._slot_ms = parse_duration(params.slot)
        self._zone = ZoneInfo(params.timezone)
        self._slots = self._period_ms // self._slot_ms
        per_day = max(1, self._slot_ms // step_ms)
        days = max(1, params.days * DAY_MS // self._period_ms)
        self._count_max = max(min(per_day * days, COUNT_MAX), params.warmup)
        super().__init__(params, step_ms)

    def fields(self) -> tuple[Field, ...]:
        return (
            Field("level", np.float32, (self._slots,), rows_last=True),
            Field("spread", np.float32, (self._slots,), rows_last=True),
            Field("count", np.uint16, (self._slots,), rows_last=True),
        )

    def step(self, batch: RowBatch) -> ScoreColumns:
        ticks = in_ticks(batch)
        out = np.empty((4, len(batch)))
        _step(
            ticks.edges,
            ticks.rows,
            ticks.values,
            self._slots_at(ticks.timestamps_ms[ticks.edges[:-1]]),
            self.array("level"),
            self.array("spread"),
            self.array("count"),
            self.params.neighbours,
            self.params.threshold,
            self.params.warmup,
            self._count_max,
            out,
        )
        return ticks.columns(out)

    def _slots_at(self, timestamps_ms: Times) -> Times:
        """The slot that each instant falls into by the clock of the time zone."""
        quarters, which = np.unique(timestamps_ms // QUARTER_MS, return_inverse=True)
        offsets_ms = np.array([self._offset_ms(int(quarter)) for quarter in quarters], np.int64)
        local_ms = timestamps_ms + offsets_ms[which] if len(which) else timestamps_ms
        slots: Times = (local_ms + MONDAY_MS) % self._period_ms // self._slot_ms
        return slots

    def _offset_ms(self, quarter: int) -> int:
        """What the local clock is ahead of UTC in that quarter of an hour since the epoch."""
        at = datetime(1970, 1, 1, tzinfo=UTC) + quarter * timedelta(milliseconds=QUARTER_MS)
        offset = at.astimezone(self._zone).utcoffset()
        assert offset is not None
        return offset // timedelta(milliseconds=1)
