"""Sample batches and streams for tests."""

import numpy as np

from aiops.shard import Stream
from models.columns import SampleBatch
from models.detector import Detector
from models.labels import Labels
from models.settings import Limits
from models.validation import parse

STEP_MS = 1_000


def sample_batch(series, start_ms, end_ms, step_ms=STEP_MS):
    """{labels text or Labels: {timestamp_ms: value}} as a batch over that grid."""
    labels = tuple(k if isinstance(k, Labels) else Labels({"series": k}) for k in series)
    samples = [(i, t, v) for i, own in enumerate(series.values()) for t, v in own.items()]
    index, times, values = zip(*samples, strict=True) if samples else ((), (), ())
    return SampleBatch(
        labels=labels,
        series=np.array(index, np.int32),
        timestamps_ms=np.array(times, np.int64),
        values=np.array(values, np.float64),
        start_ms=start_ms,
        end_ms=end_ms,
        step_ms=step_ms,
        received_ms=end_ms + 100,
    )


def window(series, first, last):
    """The part of `series` on steps first … last."""
    start_ms, end_ms = first * STEP_MS, last * STEP_MS
    chosen = {
        name: {t: v for t, v in own.items() if start_ms <= t <= end_ms}
        for name, own in series.items()
    }
    present = {name: own for name, own in chosen.items() if own}
    return sample_batch(present, start_ms, end_ms)


def document(**changes):
    """A detector that is warm after five samples."""
    base = {
        "name": "shop",
        "source": "prom",
        "query": "up",
        "step": "1s",
        "delay": "1s",
        "history": "1m",
        "model": {"kind": "mad", "window": "30s", "warmup": 5},
        "policy": {"recover": "3s"},
    }
    return parse(Detector, base | changes)


def stream(live_after_ms=0, limits=None, **changes):
    """A stream of that detector."""
    return Stream(
        document(**changes), limits or Limits(), born_ms=live_after_ms, live_after_ms=live_after_ms
    )
