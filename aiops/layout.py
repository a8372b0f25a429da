"""Refuses to run with strangers: the five packages have plain names that others could claim."""

from importlib.util import find_spec
from pathlib import Path

SIBLINGS = ("api", "detectors", "ingest", "models")


def refuse_strangers() -> None:
    """Raise ImportError when a sibling package does not lie beside this one."""
    home = Path(__file__).resolve().parent.parent
    for name in SIBLINGS:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin is None or origin.parent.parent != home:
            raise ImportError(
                f"package {name!r} comes from {origin}, not from {home}; "
                "install aiops-engine in an environment of its own"
            )
