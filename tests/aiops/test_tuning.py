import numpy as np
import pytest

from aiops import intervals
from aiops.tuning import judge
from models.columns import SampleBatch
from models.detector import Detector
from models.errors import InvalidInput
from models.labels import Labels
from models.validation import parse

STEP_MS = 60_000
COUNT = 8_000
MAD = {"kind": "mad", "window": "1h", "threshold": 8}
DEAF = {"kind": "threshold", "upper": 1e12}


def recording(levels=("a", "b", "c"), seed=1):
    """Noise; half way and later, some bursts of its own."""
    rng = np.random.default_rng(seed)
    times = np.repeat(STEP_MS * np.arange(1, COUNT + 1), len(levels))
    values = rng.normal(50, 1, (COUNT, len(levels)))
    values[COUNT - 500 :: 200, 0] += 100
    labels = tuple(Labels({"host": name, "rack": "r"}) for name in levels)
    index = np.tile(np.arange(len(levels), dtype=np.int32), COUNT)
    end_ms = COUNT * STEP_MS
    return SampleBatch(labels, index, times, values.ravel(), STEP_MS, end_ms, STEP_MS, end_ms)


def document(**more):
    base = {"name": "d", "source": "file", "query": "q", "step": "1m"}
    return parse(Detector, base | more)


def verdicts(models, doc=None, injections=30, **more):
    steps = []
    found = list(
        judge(
            doc or document(), models, recording(**more), injections=injections, seed=2,
            advance=lambda done, whole: steps.append((done, whole)),
        )
    )  # fmt: skip
    assert steps == [(k, 3 * len(models)) for k in range(1, 3 * len(models) + 1)]
    return found


def test_what_a_model_tells_and_finds_is_counted():
    mad, deaf = verdicts([MAD, DEAF])
    days = COUNT / 2 / 1_440
    # Three bursts of the recording's own, each one anomaly.
    assert mad.alerts_per_day.value == pytest.approx(3 / days, rel=1e-3)
    assert mad.alerts_per_day.low < 3 / days < mad.alerts_per_day.high
    assert mad.stability.value == 1
    assert mad.recall.value > 0.3
    assert mad.nanoseconds > 0
    assert deaf.alerts_per_day.value == 0
    assert deaf.alerts_per_day.high == pytest.approx(3.69 / days, rel=1e-2)
    assert deaf.stability is None
    assert deaf.recall.value == 0
    assert deaf.recall.high < 0.2


def test_the_same_recording_gives_the_same_verdict():
    first, again = (verdicts([MAD])[0] for _ in range(2))
    assert first.recall == again.recall
    assert first.alerts_per_day == again.alerts_per_day


def test_a_more_nervous_model_tells_more_and_finds_more():
    calm, nervous = verdicts([MAD, MAD | {"threshold": 4}])
    assert nervous.alerts_per_day.value > calm.alerts_per_day.value
    assert nervous.recall.value > calm.recall.value


def test_groups_and_labels_of_the_detector_are_matched():
    doc = document(group_by=["rack"], group_channels=1, labels={"team": "shop"})
    (alone,) = verdicts([MAD])
    (grouped,) = verdicts([MAD], doc)
    assert grouped.recall.value == pytest.approx(alone.recall.value, abs=0.15)


def test_a_wrong_model_is_told_before_any_work():
    with pytest.raises(InvalidInput, match="unknown kind 'mda'"):
        verdicts([MAD, {"kind": "mda"}])


def test_intervals_hold_what_they_promise():
    rng = np.random.default_rng(4)
    counts = rng.poisson(7, 2_000)
    held = np.mean([low <= 7 <= high for low, high in map(intervals.of_count, counts.tolist())])
    assert 0.95 <= held <= 0.99
    shares = rng.binomial(40, 0.3, 2_000).tolist()
    held = np.mean(
        [low <= 0.3 <= high for low, high in (intervals.of_share(k, 40) for k in shares)]
    )
    assert 0.95 <= held <= 0.99
    assert intervals.of_share(0, 5)[0] == 0
    assert intervals.of_share(5, 5)[1] == 1
