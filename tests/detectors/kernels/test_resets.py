import numpy as np

from detectors.kernels.resets import absorb


def added(values, cuts=()):
    last, rises, lost = np.zeros(1), np.zeros(1, np.int32), np.zeros(1)
    out, lossy = [], False
    for part in np.split(np.array(values, float), cuts):
        here = np.empty(len(part))
        lossy = absorb(np.zeros(len(part), np.int32), part, last, rises, lost, lossy, here)
        out.append(here if lossy else np.zeros(len(part)))
    return np.concatenate(out)


def test_a_counter_that_starts_again_goes_on_where_it_was():
    values = [*range(10, 60), 2, 5, *range(6, 40), 1]
    whole = added(values) + values
    assert (np.diff(whole) > 0).all()
    np.testing.assert_array_equal(added(values, [7, 50, 51]), added(values))


def test_what_falls_now_and_then_is_no_counter():
    rng = np.random.default_rng(1)
    assert not added(100 + rng.normal(size=1_000)).any()


def test_a_smooth_fall_is_no_restart():
    assert not added(100 + 50 * np.sin(np.arange(2_000) / 100)).any()


def test_what_carries_no_number_changes_nothing():
    values = [*range(1, 40), np.nan, np.inf, 2.0]
    assert added(values)[-1] == 39
