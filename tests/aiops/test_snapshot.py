import errno
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.snapshot import SnapshotFolder, read_snapshot
from models.errors import SnapshotDamaged

ARRAYS = {
    "a/values": np.array([[1.5, np.nan], [-np.inf, 0.0]]),
    "a/rows": np.arange(5, dtype=np.int32),
    "empty": np.zeros((0, 3)),
    "text": np.frombuffer(b'{"x": 1}', np.uint8),
    "flags": np.array([True, False]),
}


def same(left, right):
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name])
        assert array.dtype == right[name].dtype


def test_what_is_written_is_read_back(tmp_path):
    folder = SnapshotFolder(tmp_path / "s", 3)
    assert folder.newest() is None
    path = folder.write(ARRAYS, 1_000)
    same(read_snapshot(path), ARRAYS)
    same(folder.newest().arrays, ARRAYS)


def test_only_the_newest_are_kept(tmp_path):
    folder = SnapshotFolder(tmp_path, 2)
    paths = [folder.write(ARRAYS, at) for at in (1, 20, 300)]
    assert sorted(tmp_path.iterdir()) == paths[1:]
    assert folder.newest().path == paths[2]


def test_a_damaged_snapshot_is_skipped_and_the_one_before_is_used(tmp_path):
    folder = SnapshotFolder(tmp_path, 3)
    good = folder.write(ARRAYS, 1)
    bad = folder.write({"b": np.ones(3)}, 2)
    bad.write_bytes(bad.read_bytes()[:-40])
    restored = folder.newest()
    assert (restored.path, restored.skipped) == (good, 1)


def test_every_flipped_byte_is_noticed(tmp_path):
    path = SnapshotFolder(tmp_path, 2).write({"a": np.arange(4.0)}, 1)
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(SnapshotDamaged):
            read_snapshot(path)


@given(st.binary(max_size=200), st.booleans())
def test_no_file_whatever_breaks_the_reader(tmp_path_factory, content, marked):
    path = tmp_path_factory.getbasetemp() / "any.snapshot"
    path.write_bytes(b"AIOPSNAP" * marked + content)
    with pytest.raises(SnapshotDamaged):
        read_snapshot(path)


def test_a_full_disk_leaves_the_old_snapshots_and_no_litter(tmp_path, monkeypatch):
    folder = SnapshotFolder(tmp_path, 2)
    good = folder.write(ARRAYS, 1)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        folder.write(ARRAYS, 2)
    assert list(tmp_path.iterdir()) == [good]
