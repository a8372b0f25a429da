import asyncio
import random
import resource
import shutil
import signal
from contextlib import suppress

import cramjam
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.journal import Journal
from ingest.received import Received
from ingest.remote_write_v2 import read_body_v2
from models.columns import STALE, is_stale
from models.errors import IntakeFull, InvalidInput, QueryRejected, StoreUnavailable
from models.labels import Labels
from models.source import RemoteWriteSource
from tests.ingest.test_remote_write import encoded
from tests.protobuf import field, varint

NOW_MS = 1_795_000_000_000
STEP_MS = 10_000


MADE = []


@pytest.fixture(autouse=True)
def closed():
    yield
    while MADE:
        asyncio.run(MADE.pop().source.close())


class Intake:
    def __init__(self, folder=None, **settings):
        MADE.append(self)
        self.now_ms = NOW_MS
        document = RemoteWriteSource(type="remote_write", name="pushed", **settings)
        self.source = Received(document, folder, lambda: self.now_ms)

    def push(self, series, version_2=False):
        raw = encoded_v2(series) if version_2 else encoded(series)
        return asyncio.run(
            self.source.take(bytes(cramjam.snappy.compress_raw(raw)), version_2=version_2)
        )

    def read(self, query, start_ms, end_ms):
        batch = asyncio.run(self.source.read(query, start_ms, end_ms, STEP_MS))
        return {
            (str(batch.labels[k]), at): value
            for k, at, value in zip(
                batch.series, batch.timestamps_ms.tolist(), batch.values.tolist(), strict=True
            )
        }


def encoded_v2(series):
    symbols, rows = [""], b""
    for labels, samples in series:
        refs = b""
        for pair in sorted(labels.items()):
            for text in pair:
                if text not in symbols:
                    symbols.append(text)
                refs += varint(symbols.index(text))
        row = field(1, refs)
        for value, at in samples:
            row += field(2, field(1, value) + field(2, at))
        rows += field(5, row)
    return b"".join(field(4, symbol.encode()) for symbol in symbols) + rows


UP = {"__name__": "up", "job": "a"}


@pytest.mark.parametrize("version_2", [False, True])
def test_pushed_samples_are_read_at_instants_the_newest_of_each_step(version_2):
    intake = Intake()
    written = intake.push(
        [
            (UP, [(1.0, NOW_MS - 9_999), (2.0, NOW_MS - 1), (3.0, NOW_MS), (4.0, NOW_MS + 1)]),
            ({"__name__": "up", "job": "b"}, [(5.0, NOW_MS - 5_000)]),
            ({"__name__": "other"}, [(6.0, NOW_MS)]),
        ],
        version_2,
    )
    assert tuple(written) == (6, 0, 0)
    assert intake.read("up", NOW_MS, NOW_MS + STEP_MS) == {
        ('up{job="a"}', NOW_MS): 3.0,
        ('up{job="b"}', NOW_MS): 5.0,
        ('up{job="a"}', NOW_MS + STEP_MS): 4.0,
    }
    assert intake.read('{job="b"}', NOW_MS, NOW_MS) == {('up{job="b"}', NOW_MS): 5.0}
    assert intake.source.counters.samples == 6


samples_of = st.lists(
    st.tuples(st.integers(0, 60_000), st.sampled_from("abc")), min_size=1, max_size=30
)


@settings(max_examples=60)
@given(samples_of, st.integers(1, 6), st.integers(1, 4))
def test_reading_is_that_of_a_plain_loop_whatever_the_pushes_and_windows(samples, size, window):
    intake = Intake()
    numbered = [(at, name, float(k)) for k, (at, name) in enumerate(samples)]
    for k in range(0, len(numbered), size):
        intake.push([({"s": n}, [(v, NOW_MS + at)]) for at, n, v in numbered[k : k + size]])
    expected = {}
    for at, name, value in numbered:
        instant = -(-(NOW_MS + at) // STEP_MS) * STEP_MS
        key = (str(Labels({"s": name})), instant)
        if key not in expected or at > expected[key][0]:
            expected[key] = at, value
    got = {}
    for first in range(0, 7, window):
        last = min(first + window - 1, 6)
        got |= intake.read('{s=~".+"}', NOW_MS + first * STEP_MS, NOW_MS + last * STEP_MS)
    assert got == {key: value for key, (_, value) in expected.items()}


def test_a_stale_marker_ends_the_series_at_its_instant():
    intake = Intake()
    intake.push([(UP, [(1.0, NOW_MS - 5000), (STALE, NOW_MS - 1000)])])
    [value] = intake.read("up", NOW_MS, NOW_MS).values()
    assert is_stale(np.array([value])).all()


def test_what_was_accepted_is_there_after_a_kill(tmp_path):
    first = Intake(tmp_path)
    first.push([(UP, [(1.0, NOW_MS)])])
    first.push([(UP, [(2.0, NOW_MS + STEP_MS)])], version_2=True)
    with next(tmp_path.glob("*.journal")).open("ab") as file:
        file.write(b"cut off in the mid")
    second = Intake(tmp_path)
    assert second.read("up", NOW_MS, NOW_MS + STEP_MS) == first.read("up", NOW_MS, NOW_MS + STEP_MS)
    second.push([(UP, [(3.0, NOW_MS + 2 * STEP_MS)])])
    assert len(Intake(tmp_path).read("up", NOW_MS, NOW_MS + 2 * STEP_MS)) == 3


def test_a_full_intake_sends_back_and_has_room_when_samples_are_old():
    intake = Intake(samples_max=1000, keep="1m")
    intake.push([(UP, [(1.0, NOW_MS + k) for k in range(1000)])])
    with pytest.raises(IntakeFull, match="1000 samples wait"):
        intake.push([(UP, [(1.0, NOW_MS)])])
    intake.now_ms += 61_000
    intake.push([(UP, [(1.0, NOW_MS)])])
    assert (intake.source.counters.full, intake.source.kept_samples) == (1, 1)


def test_samples_behind_what_was_read_are_counted():
    intake = Intake()
    intake.read("up", NOW_MS, NOW_MS)
    intake.push([(UP, [(1.0, NOW_MS), (1.0, NOW_MS + 1)])])
    assert intake.source.counters.late == 1


@pytest.mark.parametrize("version_2", [False, True])
def test_a_series_without_labels_is_refused_and_nothing_of_the_push_kept(version_2):
    intake = Intake()
    with pytest.raises(InvalidInput, match="no labels"):
        intake.push([(UP, [(1.0, NOW_MS)]), ({}, [(1.0, NOW_MS)])], version_2)
    assert intake.source.counters.refused == 1
    assert intake.read("up", NOW_MS, NOW_MS) == {}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (field(4, b"a"), None),
        (field(4, b"a") + field(5, b""), "first symbol"),
        (field(4, b"") + field(5, field(1, b"\x00\x05")), "do not point into"),
        (field(4, b"") + field(5, field(1, b"\x00")), "do not point into"),
        (field(4, b"") + field(5, field(1, b"\xff")), "cut off"),
        (field(4, b"") + field(4, b"x") + field(5, field(1, b"\x01\x01\x01\x01")), "repeated"),
        (field(4, b"\xff"), "not UTF-8"),
        (b"\x0a", "not a WriteRequest"),
    ],
)
def test_what_is_no_request_of_version_2_is_refused(raw, words):
    body = bytes(cramjam.snappy.compress_raw(raw))
    if words is None:
        assert len(read_body_v2(body)[0].values) == 0
        return
    with pytest.raises(InvalidInput, match=words):
        read_body_v2(body)


@settings(max_examples=300)
@given(st.binary(max_size=120))
def test_any_body_of_version_2_is_read_or_refused(raw):
    with suppress(InvalidInput):
        read_body_v2(bytes(cramjam.snappy.compress_raw(raw)))


def test_a_query_is_a_selector():
    with pytest.raises(QueryRejected, match="selector"):
        asyncio.run(Intake().source.check("rate(up[1m])"))


def test_what_is_kept_can_be_looked_through():
    intake = Intake()
    intake.push([(UP, [(1.0, NOW_MS)]), ({"__name__": "load", "host": "x"}, [(1.0, NOW_MS)])])
    source = intake.source
    assert [m.name for m in asyncio.run(source.metrics())] == ["load", "up"]
    assert asyncio.run(source.labels("up")) == ["__name__", "job"]
    assert asyncio.run(source.label_values("job", None)) == ["a"]


def test_a_journal_keeps_whole_records_for_its_time(tmp_path):
    rng = random.Random(1)
    journal = Journal(tmp_path, keep_ms=120_000)
    assert list(journal.read()) == []
    bodies = [(60_000 * k, rng.randbytes(rng.randrange(200))) for k in range(8)]
    for at_ms, body in bodies:
        journal.append(at_ms, body)
    journal.close()
    kept = list(Journal(tmp_path, keep_ms=120_000).read())
    assert kept == bodies[-len(kept) :]
    assert 3 <= len(kept) <= 5


def test_a_disk_that_refuses_is_told_and_nothing_of_the_push_kept(tmp_path):
    intake = Intake(tmp_path / "journal")
    intake.push([(UP, [(1.0, NOW_MS)])])
    shutil.rmtree(tmp_path / "journal")
    intake.now_ms += 61_000
    with pytest.raises(StoreUnavailable, match="journal"):
        intake.push([(UP, [(2.0, NOW_MS + STEP_MS)])])
    assert len(intake.read("up", NOW_MS, NOW_MS + STEP_MS)) == 1
    (tmp_path / "journal").mkdir()
    intake.push([(UP, [(2.0, NOW_MS + STEP_MS)])])
    assert len(intake.read("up", NOW_MS, NOW_MS + STEP_MS)) == 2


def test_a_full_disk_leaves_a_journal_that_can_be_read(tmp_path):
    journal = Journal(tmp_path, keep_ms=10**9)
    journal.append(0, b"whole")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30, limit[1]))
        with pytest.raises(StoreUnavailable):
            journal.append(1, b"does not fit any more")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    journal.append(2, b"after")
    journal.close()
    assert [body for _, body in Journal(tmp_path, 10**9).read()] == [b"whole", b"after"]


def test_a_damaged_record_ends_its_segment_and_no_other(tmp_path):
    journal = Journal(tmp_path, keep_ms=10**9)
    for at_ms in (0, 1, 100_000):
        journal.append(at_ms, f"record {at_ms}".encode())
    journal.close()
    first = min(tmp_path.glob("*.journal"))
    damaged = bytearray(first.read_bytes())
    damaged[-1] ^= 1
    first.write_bytes(damaged)
    found = [body for _, body in Journal(tmp_path, keep_ms=10**9).read()]
    assert found == [b"record 0", b"record 100000"]
