import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.columns import STALE, is_stale
from models.errors import InvalidInput
from tests.batches import STEP_MS, document, sample_batch, stream, window

VALUES = st.one_of(st.floats(-1e9, 1e9), st.just(np.nan), st.just(np.inf))


def made(kind, **changes):
    return stream(
        transform=kind, model={"kind": "threshold", "upper": 1e12, "lower": -1e12}, **changes
    )


def judged(own, series, first=1, last=40):
    return own.step(window(series, first, last), 0).rows.values


def naive(kind, values, step_ms=STEP_MS):
    out, last = [], None
    for k, x in enumerate(values):
        if not np.isfinite(x):
            out.append(np.sign(x) * np.log1p(np.abs(x)) if kind == "log1p" else x)
            continue
        if kind == "log1p":
            out.append(np.sign(x) * np.log1p(np.abs(x)))
        elif last is None:
            out.append(np.nan)
        elif kind == "delta":
            out.append(x - last[1])
        else:
            out.append((x - last[1] if x >= last[1] else x) / ((k - last[0]) * step_ms / 1000))
        last = k, x
    return out


@pytest.mark.parametrize("kind", ["rate", "delta", "log1p"])
@given(values=st.lists(VALUES, min_size=1, max_size=30), cut=st.integers(0, 30))
def test_values_are_those_of_a_plain_loop_wherever_it_is_cut_and_restored(kind, values, cut):
    series = {"a": {k * STEP_MS: v for k, v in enumerate(values, 1)}}
    first, second = made(kind), made(kind)
    got = list(judged(first, series, 1, cut)) if cut else []
    assert second.restore(first.state())
    got += list(judged(second, series, cut + 1, 31))
    np.testing.assert_allclose(got, naive(kind, values), rtol=1e-12)


def test_a_counter_that_was_reset_counts_from_0():
    series = {"a": {1000: 100.0, 2000: 160.0, 3000: 30.0, 5000: 50.0}}
    np.testing.assert_array_equal(judged(made("rate"), series), [np.nan, 60.0, 30.0, 10.0])


def test_a_stale_marker_still_ends_its_series():
    values = judged(made("rate"), {"a": {1000: 1.0, 2000: STALE}})
    assert is_stale(values).tolist() == [False, True]


def test_a_row_that_is_used_again_starts_anew():
    own = made("delta")
    own.series._idle_ms = 2_000
    judged(own, {"a": {1000: 5.0}}, 1, 9)
    values = own.step(sample_batch({"b": {10_000: 7.0}}, 10_000, 10_000), 0).rows.values
    assert np.isnan(values).all()


def test_differences_of_made_up_samples_are_refused():
    with pytest.raises(InvalidInput, match="transform 'rate' with missing 'zero'"):
        document(transform="rate", policy={"missing": "zero"})
