"""What was accepted and not yet judged, on disk: a push is not sent again once it was accepted.

Segments of records; a record is its length, its CRC-32, when it came, and the body as it came. A
record cut off by a crash ends its segment. Written before the sender is answered, so it survives
the process; not synced to the disk for each request, so a power cut may take the last seconds.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from zlib import crc32

from models.errors import StoreUnavailable

HEAD = struct.Struct("<IIq")
SEGMENT_BYTES_MAX = 64 * 2**20
SEGMENT_MS_MAX = 60_000


class Journal:
    """Records in order of arrival, kept for a time.

    folder: made when it is not there; one process at a time may use it. keep_ms: how long.
    """

    def __init__(self, folder: Path, keep_ms: int) -> None:
        self._folder = folder
        self._keep_ms = keep_ms
        self._segments: dict[Path, int] = {}
        """When the newest record of each came."""
        self._open: IO[bytes] | None = None
        self._opened_ms = 0
        folder.mkdir(parents=True, exist_ok=True)

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Every whole record that is kept: when it came, and what; called once, first."""
        for path in sorted(self._folder.glob("*.journal")):
            newest_ms = 0
            with path.open("rb") as file:
                while len(head := file.read(HEAD.size)) == HEAD.size:
                    size, checksum, at_ms = HEAD.unpack(head)
                    body = file.read(size)
                    if len(body) < size or crc32(body) != checksum:
                        break
                    newest_ms = at_ms
                    yield at_ms, body
            self._segments[path] = newest_ms

    def append(self, at_ms: int, body: bytes) -> None:
        """Write a record. Raises StoreUnavailable when the disk refuses; nothing of it counts."""
        record = HEAD.pack(len(body), crc32(body), at_ms) + body
        try:
            file = self._open
            full = file is not None and file.tell() > SEGMENT_BYTES_MAX
            if file is None or full or at_ms - self._opened_ms > SEGMENT_MS_MAX:
                file = self._next(at_ms)
            if file.write(record) < len(record):
                raise OSError("the disk took a part of the record")
        except OSError as error:
            # A part of a record ends its segment for whoever reads it: the next begins another.
            self.close()
            raise StoreUnavailable(f"journal {str(self._folder)!r}: {error}") from error
        self._segments[Path(file.name)] = at_ms

    def close(self) -> None:
        """Close the open segment."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _next(self, at_ms: int) -> IO[bytes]:
        self.close()
        for path, newest_ms in list(self._segments.items()):
            if newest_ms < at_ms - self._keep_ms:
                path.unlink(missing_ok=True)
                del self._segments[path]
        # A segment of its own after each start: the one before may end with a record cut off.
        number = 0
        while (path := self._folder / f"{at_ms:016d}-{number:04d}.journal").exists():
            number += 1
        # Unbuffered: what a failed write left in a buffer would come out with a later one.
        self._open = path.open("xb", buffering=0)
        self._opened_ms = at_ms
        return self._open
