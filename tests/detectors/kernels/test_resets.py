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


def test_ticks_of_neighbours_give_what_each_row_gives_alone():
    rng = np.random.default_rng(3)
    rows, ticks = 40, 150
    values = np.cumsum(rng.uniform(0.5, 2.0, (ticks, rows)), axis=0)
    values[100:, ::7] -= values[99, ::7]
    values[:, 1::7] = rng.normal(size=(ticks, 6))
    values[rng.random((ticks, rows)) < 0.05] = np.nan
    last, rises, lost = np.zeros(rows), np.zeros(rows, np.int32), np.zeros(rows)
    lossy, together = False, np.zeros((ticks, rows))
    for tick in range(ticks):
        here = np.zeros(rows)
        index = np.arange(rows, dtype=np.int32)
        lossy = absorb(index, values[tick], last, rises, lost, lossy, here)
        together[tick] = here
    assert lossy
    for row in range(rows):
        np.testing.assert_array_equal(together[:, row], added(values[:, row]))
