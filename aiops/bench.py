"""`aiops bench`: what this machine does with so many series, kind by kind, on one core."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from aiops.shard import Stream
from detectors.catalog import kinds
from models.columns import SampleBatch
from models.detector import Detector
from models.labels import Labels
from models.settings import Limits
from models.validation import parse

STEP_MS = 15_000
WARM_TICKS = 80
GROUP = 40
"""Series of a group, for kinds that judge groups."""
FIRST_MS = 1_795_200_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """One kind's cost at its default parameters: locate, score, learn and decide."""

    kind: str
    series: int
    nanoseconds: float
    """Of a sample, the median of the ticks."""
    state_bytes: float
    """Of a series: what the detector keeps."""

    @property
    def samples_per_second(self) -> float:
        return 1e9 / self.nanoseconds


def measure_kinds(series: int, names: Sequence[str], ticks: int) -> Iterator[Pace]:
    """Each kind in turn, over ticks of noise. Raises InvalidInput for a kind that is unknown."""
    labels = tuple(Labels({"series": str(k), "group": str(k // GROUP)}) for k in range(series))
    index = np.arange(series, dtype=np.int32)
    rng = np.random.default_rng(1)
    for name in names or tuple(kinds()):
        document: dict[str, object] = {
            "name": "bench",
            "source": "none",
            "query": "none",
            "model": {"kind": name},
        }
        if name in kinds() and kinds()[name].judges_groups:
            document["group_by"] = ["group"]
        limits = Limits(series_per_detector=max(series, Limits().series_per_detector))
        stream = Stream(parse(Detector, document), limits, born_ms=0, live_after_ms=0)
        seconds = []
        for tick in range(WARM_TICKS + ticks):
            at_ms = FIRST_MS + tick * STEP_MS
            times = np.full(series, at_ms)
            values = rng.normal(0.5, 0.05, series)
            batch = SampleBatch(
                labels, index, times, values, at_ms, at_ms, STEP_MS, received_ms=at_ms
            )
            started = time.perf_counter()
            stream.step(batch, at_ms)
            seconds.append(time.perf_counter() - started)
        held = sum(array.nbytes for array in stream.scoring.detector.state().values())
        rows = stream.scoring.detector.capacity * (GROUP if stream.groups is not None else 1)
        yield Pace(name, series, median(seconds[WARM_TICKS:]) * 1e9 / series, held / rows)
