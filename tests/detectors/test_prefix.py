"""Later samples never change earlier scores, on real series."""

import numpy as np
import polars as pl
import pytest

from benchmarks.accuracy.replay import entries, replay

pytestmark = pytest.mark.compiled

SETS = ("nab", "kpi", "asd_uv", "smd_uv", "asd_mv")
MODELS = ({"kind": "auto"}, {"kind": "auto", "settle": 500}, {"kind": "half_space_trees"})


@pytest.mark.parametrize("dataset", SETS)
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_scores_of_a_prefix_are_the_prefix_of_the_scores(request, tmp_path, dataset, model):
    data = request.config.getoption("--shared") / "data"
    if not (data / "manifest.csv").is_file():
        pytest.skip(f"no labelled series at {data}; name their place with --shared")
    entry = min(entries(data, {dataset}), key=lambda own: (own.file.stat().st_size, own.series_id))
    frame = pl.read_parquet(entry.file).head(9_000)
    cut = len(frame) * 3 // 5 + 1
    whole, part = tmp_path / "whole.parquet", tmp_path / "part.parquet"
    frame.write_parquet(whole)
    frame.head(cut).write_parquet(part)
    scores = [replay(_moved(entry, path), model)["score"].to_numpy() for path in (whole, part)]
    assert np.isfinite(scores[1]).any()
    np.testing.assert_array_equal(scores[0][:cut], scores[1])


def _moved(entry, path):
    return type(entry)(entry.dataset, entry.series_id, path, entry.column, entry.step_ms)
