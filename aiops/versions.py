"""What detectors learned in trainings: files to go back to, to take away and to bring in."""

from pathlib import Path

import msgspec

from aiops.shard import Stream
from aiops.snapshot import Arrays, SnapshotFolder, decode
from models.errors import InvalidInput, NotFound, SnapshotDamaged
from models.job import Version

KEPT = 10
"""Versions of a detector that are kept; the oldest that is not active goes first."""


class _About(msgspec.Struct):
    created_ms: int
    position_ms: int
    series: int
    samples: int
    size_bytes: int
    active: bool = False


class Versions:
    """The versions of all detectors: `FOLDER/<detector>/<version>/…snapshot`, each with a note."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def listing(self, detector: str) -> list[Version]:
        """A detector's versions, the newest first."""
        notes = sorted((self._folder / detector).glob("*/about.json"))
        found = [_version(detector, note) for note in notes]
        return sorted(found, key=lambda version: (version.created_at, version.id), reverse=True)

    def get(self, detector: str, version: str) -> Version:
        """One version. Raises NotFound."""
        note = self._place(detector, version) / "about.json"
        if not note.is_file():
            raise NotFound(f"detector {detector!r} has no version {version!r}")
        return _version(detector, note)

    def save(self, version: str, stream: Stream, created_ms: int) -> Version:
        """Keep what a stream learned. Raises OSError, and then keeps the others as they were."""
        detector = stream.document.name
        place = self._place(detector, version)
        path = SnapshotFolder(place, keep=1).write(stream.state(), created_ms)
        about = _About(
            created_ms=created_ms,
            position_ms=stream.position_ms or 0,
            series=len(stream.series),
            samples=stream.samples_total,
            size_bytes=path.stat().st_size,
        )
        (place / "about.json").write_bytes(msgspec.json.encode(about))
        for old in [known for known in self.listing(detector) if not known.active][KEPT:]:
            self.delete(detector, old.id)
        return self.get(detector, version)

    def arrays(self, detector: str, version: str) -> Arrays:
        """What was learned. Raises NotFound, SnapshotDamaged."""
        self.get(detector, version)
        restored = SnapshotFolder(self._place(detector, version), keep=1).newest()
        if restored is None:
            raise SnapshotDamaged(f"version {version!r} of {detector!r} cannot be read")
        return restored.arrays

    def content(self, detector: str, version: str) -> bytes:
        """The file, as `bring` takes it. Raises NotFound."""
        self.get(detector, version)
        return max(self._place(detector, version).glob("*.snapshot")).read_bytes()

    def bring(self, version: str, stream: Stream, content: bytes, now_ms: int) -> Version:
        """Take in a file; `stream` is fresh and of the detector that it must fit.

        Raises InvalidInput when it is damaged or was learned by another detector.
        """
        try:
            fits = stream.restore(decode(content), of_any_age=True)
        except SnapshotDamaged as error:
            raise InvalidInput(f"not a version that can be used: {error.detail}") from error
        if not fits:
            raise InvalidInput(
                f"learned with another source, query, step, model or history than "
                f"{stream.document.name!r} has now"
            )
        return self.save(version, stream, now_ms)

    def activate(self, detector: str, version: str) -> None:
        """Note which one the detector goes on from."""
        for known in self.listing(detector):
            note = self._place(detector, known.id) / "about.json"
            about = msgspec.json.decode(note.read_bytes(), type=_About)
            about.active = known.id == version
            note.write_bytes(msgspec.json.encode(about))

    def delete(self, detector: str, version: str) -> None:
        """Forget a version. Raises NotFound."""
        self.get(detector, version)
        place = self._place(detector, version)
        for file in place.iterdir():
            file.unlink()
        place.rmdir()

    def forget(self, detector: str) -> None:
        """Forget all versions of a detector that is gone."""
        for version in self.listing(detector):
            self.delete(detector, version.id)

    def _place(self, detector: str, version: str) -> Path:
        # Both come from URLs; neither may name a place outside.
        if not version.isalnum():
            raise NotFound(f"detector {detector!r} has no version {version!r}")
        return self._folder / detector / version


def _version(detector: str, note: Path) -> Version:
    about = msgspec.json.decode(note.read_bytes(), type=_About)
    return Version(
        id=note.parent.name,
        detector=detector,
        created_at=about.created_ms,
        position=about.position_ms,
        series=about.series,
        samples=about.samples,
        size_bytes=about.size_bytes,
        active=about.active,
    )
