"""Loads the compiled kernels before the first batch, so that no sample waits for a compiler."""

import numpy as np

from aiops.shard import Stream
from detectors.catalog import kinds
from models.columns import SampleBatch
from models.detector import Detector, Model
from models.labels import Labels
from models.settings import Limits


def warm_kernels() -> None:
    """One sample through every kind: reads the compiled code from the cache, or compiles it."""
    for name, kind in kinds().items():
        if not kind.compiled:
            continue
        document = Detector(
            name="warm",
            source="none",
            query="none",
            model=Model(kind=name),
            group_by=[] if kind.judges_groups else None,
        )
        stream = Stream(document, Limits(), born_ms=0, live_after_ms=0)
        one = np.zeros(1, np.int64)
        batch = SampleBatch(
            labels=(Labels({"a": "b"}),),
            series=one.astype(np.int32),
            timestamps_ms=one,
            values=one.astype(np.float64),
            start_ms=0,
            end_ms=0,
            step_ms=document.step,
            received_ms=0,
        )
        stream.step(batch, 0)
