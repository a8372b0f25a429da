"""The saved form of what was learned: versioned, checksummed, written atomically.

A snapshot file is: 8 bytes `AIOPSNAP`, the format version and the length of the index (two
little-endian 64-bit numbers), the index as JSON (name, dtype, shape of each array), the arrays one
after another, and a BLAKE2b digest of all before it. It is written to a temporary file, synced and
renamed, so a file with the right name is whole or was damaged later; the digest tells.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from models.errors import SnapshotDamaged

MAGIC = b"AIOPSNAP"
FORMAT_VERSION = 1
SUFFIX = ".snapshot"
DIGEST_BYTES = 32
_HEAD_BYTES = len(MAGIC) + 16

log = structlog.get_logger()

Arrays = Mapping[str, NDArray[Any]]


class _Entry(msgspec.Struct, array_like=True):
    name: str
    dtype: str
    shape: list[int]


@dataclass(frozen=True, slots=True)
class Restored:
    """The newest good snapshot: its arrays, its file, and how many newer ones were damaged."""

    arrays: dict[str, NDArray[Any]]
    path: Path
    skipped: int


class SnapshotFolder:
    """The snapshots of one engine, newest last; keeps `keep` of them."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self._keep = keep

    def write(self, arrays: Arrays, created_ms: int) -> Path:
        """Save; then drop the oldest beyond `keep`. Raises OSError and leaves the old ones."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{created_ms:015d}{SUFFIX}"
        temporary = path.with_suffix(".writing")
        try:
            with temporary.open("wb") as file:
                digest = blake2b(digest_size=DIGEST_BYTES)
                for part in _encode(arrays):
                    digest.update(part)
                    file.write(part)
                file.write(digest.digest())
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(self.folder)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        for old in self._paths()[: -self._keep]:
            old.unlink(missing_ok=True)
        return path

    def newest(self) -> Restored | None:
        """The newest snapshot that is whole, or None; damaged ones are skipped with a warning."""
        skipped = 0
        for path in reversed(self._paths()):
            try:
                return Restored(read_snapshot(path), path, skipped)
            except SnapshotDamaged as error:
                skipped += 1
                log.warning("snapshot skipped", path=str(path), reason=error.detail)
        return None

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"))


def read_snapshot(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of one file. Raises SnapshotDamaged when it is not what was written."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SnapshotDamaged(f"cannot be read: {error}") from error
    return decode(content)


def decode(content: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of a file's bytes. Raises SnapshotDamaged when they are not what was written."""
    if len(content) < _HEAD_BYTES + DIGEST_BYTES or not content.startswith(MAGIC):
        raise SnapshotDamaged("not a snapshot file")
    body = memoryview(content)[:-DIGEST_BYTES]
    version, index_bytes = np.frombuffer(content, "<u8", 2, len(MAGIC)).tolist()
    if version != FORMAT_VERSION:
        raise SnapshotDamaged(f"format {version}, this engine reads {FORMAT_VERSION}")
    if blake2b(body, digest_size=DIGEST_BYTES).digest() != content[-DIGEST_BYTES:]:
        raise SnapshotDamaged("checksum does not match")
    index = msgspec.json.decode(body[_HEAD_BYTES : _HEAD_BYTES + index_bytes], type=list[_Entry])
    at = _HEAD_BYTES + index_bytes
    arrays: dict[str, NDArray[Any]] = {}
    for entry in index:
        count = prod(entry.shape)
        array = np.frombuffer(body, np.dtype(entry.dtype), count, at)
        arrays[entry.name] = array.reshape(entry.shape)
        at += array.nbytes
    return arrays


def _encode(arrays: Arrays) -> list[bytes | memoryview]:
    index = [_Entry(name, array.dtype.str, list(array.shape)) for name, array in arrays.items()]
    index_json = msgspec.json.encode(index)
    sizes = np.array([FORMAT_VERSION, len(index_json)], "<u8").tobytes()
    parts: list[bytes | memoryview] = [MAGIC, sizes, index_json]
    parts.extend(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data for a in arrays.values())
    return parts


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
