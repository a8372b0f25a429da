import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.kernels.order import (
    LEAF,
    REWRITE_MAX,
    SPARE,
    entry,
    mean_deviation,
    median,
    median_deviation,
    quantile,
    replace,
    sizes,
)

numbers = st.floats(-1e6, 1e6).map(lambda x: x + 0.0) | st.integers(-3, 3).map(float)
changes = st.lists(st.tuples(st.booleans(), numbers), min_size=1, max_size=60)


class Row:
    """One row of the structure for a window."""

    def __init__(self, window):
        size, padded = sizes(window)
        self.entries = np.full(size, np.inf)
        self.low = np.full(padded, np.inf) if padded else None
        self.before = np.zeros(padded, np.int16) if padded else None
        self.near = np.zeros(4, np.int32) if padded else None
        self.spare = np.empty(size)

    def replace(self, old, new):
        replace(self.entries, self.low, self.before, old, new, self.spare)

    def listed(self, count):
        return [entry(self.entries, self.before, self.near, k) for k in range(count)]


@pytest.mark.parametrize("window", [60, REWRITE_MAX + 1])
@given(changes=changes)
def test_entries_come_go_and_stay_in_order(window, changes):
    row, held = Row(window), []
    for goes, value in changes:
        old = held.pop(0) if goes and held else np.inf
        row.replace(old, value)
        held.append(value)
        assert row.listed(len(held)) == sorted(held)
    while held:
        row.replace(held.pop(), np.inf)
        assert row.listed(len(held)) == sorted(held)
    assert np.isinf(row.entries).all()


@pytest.mark.parametrize("window", [60, REWRITE_MAX + 1])
@given(changes=changes, share=st.floats(0, 1))
def test_statistics_are_numpys(window, changes, share):
    row, held = Row(window), []
    for goes, value in changes:
        old = held.pop(0) if goes and held else np.inf
        row.replace(old, value)
        held.append(value)
        own = np.array(held)
        center = median(row.entries, row.before, row.near, len(held))
        assert center == np.median(own)
        far = np.abs(own - center)
        assert median_deviation(row.entries, row.before, row.near, len(held), center) == np.median(
            far
        )
        mean = mean_deviation(row.entries, row.before, len(held), center)
        np.testing.assert_allclose(mean, np.mean(far), rtol=1e-12)
        np.testing.assert_allclose(
            quantile(row.entries, row.before, row.near, len(held), share),
            np.quantile(own, share), rtol=1e-9, atol=1e-9,
        )  # fmt: skip


@pytest.mark.compiled
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), kinds=st.sampled_from(["normal", "ties", "rising"]))
def test_many_leaves_keep_their_order_while_the_window_slides(seed, kinds):
    rng = np.random.default_rng(seed)
    made = {
        "normal": rng.normal(size=4_000),
        "ties": rng.integers(0, 5, 4_000).astype(float),
        "rising": np.arange(4_000.0),
    }[kinds]
    window = 1_440
    row = Row(window)
    for k, value in enumerate(made):
        row.replace(made[k - window] if k >= window else np.inf, value)
        if k % 97 == 0:
            own = made[max(0, k - window + 1) : k + 1]
            assert row.listed(len(own)) == sorted(own)
    assert np.isinf(row.entries[-SPARE:]).all()
    assert (np.diff(row.before) <= LEAF - 2).all()
