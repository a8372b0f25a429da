import asyncio

import numpy as np
import polars as pl
import pytest

from ingest.replay import Replay, read_table
from models.errors import InvalidInput, QueryRejected
from models.labels import Labels
from models.source import ReplaySource

FIRST_S = 1_795_000_000
NOW_MS = 1_900_000_000_000


def source(path, **more):
    document = ReplaySource(type="replay", name="file", path=str(path), **more)
    return Replay(document, lambda: NOW_MS)


def read(made, query, start_ms, end_ms, step_ms=10_000):
    batch = asyncio.run(made.read(query, start_ms, end_ms, step_ms))
    return [
        (str(batch.labels[k]), at, value)
        for k, at, value in zip(
            batch.series, batch.timestamps_ms.tolist(), batch.values.tolist(), strict=True
        )
    ]


@pytest.fixture
def samples():
    return pl.DataFrame(
        {
            "timestamp": [FIRST_S + k for k in (0, 10, 3, 20, 10)],
            "value": [1, 2, 9, 3, 5],
            "__name__": ["cpu", "cpu", "cpu", "cpu", "mem"],
            "host": ["a", "a", "a", "a", None],
        }
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_of_samples_is_read_by_selector_and_instant(samples, kind, tmp_path):
    path = tmp_path / f"samples.{kind}"
    getattr(samples, f"write_{kind}")(path)
    made = source(path)
    ms = FIRST_S * 1000
    assert read(made, "cpu", ms, ms + 20_000) == [
        ('cpu{host="a"}', ms, 1.0), ('cpu{host="a"}', ms + 10_000, 2.0), ('cpu{host="a"}', ms + 20_000, 3.0),
    ]  # fmt: skip
    assert read(made, "mem", ms, ms + 20_000) == [("mem{}", ms + 10_000, 5.0)]


def test_a_column_for_each_series(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("timestamp,cpu,mem\n2026-11-21T00:00:10Z,1,2\n2026-11-21T00:00:20Z,3,\n")
    table = read_table(path)
    assert table.labels == (Labels({"__name__": "cpu"}), Labels({"__name__": "mem"}))
    assert table.values.tolist() == [1.0, 2.0, 3.0]
    assert np.diff(table.timestamps_ms).tolist() == [0, 10_000]


@pytest.mark.parametrize(("play", "first_ms"), [("history", NOW_MS - 20_000), ("live", NOW_MS)])
def test_a_file_can_be_history_or_play_live(samples, tmp_path, play, first_ms):
    samples.write_parquet(tmp_path / "s.parquet")
    made = source(tmp_path / "s.parquet", play=play)
    found = read(made, "cpu", NOW_MS - 30_000, NOW_MS + 30_000)
    assert [at for _, at, _ in found] == [first_ms, first_ms + 10_000, first_ms + 20_000]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,value\n1,2\n", "no column 'timestamp'"),
        ("timestamp,value\nsoon,2\n", "neither a number nor RFC 3339"),
        ("timestamp,value\n1,much\n", "not a number"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_words(text, words, tmp_path):
    path = tmp_path / "x.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInput, match=words):
        read_table(path)
    made = source(path)
    assert words in asyncio.run(made.health()).error
    with pytest.raises(QueryRejected, match=words):
        asyncio.run(made.read("x", 0, 10_000, 10_000))


def test_a_query_is_a_selector(tmp_path):
    with pytest.raises(QueryRejected, match="selector"):
        asyncio.run(source(tmp_path / "x.csv").check("rate(x[1m])"))
