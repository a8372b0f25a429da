"""Finds the kinds: every module of this folder, and entry points of other packages."""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from inspect import isabstract, isclass
from pkgutil import iter_modules

import detectors
from detectors.base import Detector

ENTRY_POINT_GROUP = "aiops.detectors"
_NOT_KINDS = {
    "base",
    "catalog",
    "grouped",
    "kernels",
    "surprised",
    "ticks",
    "window_index",
    "windowed",
}


@cache
def kinds() -> dict[str, type[Detector]]:
    """Every kind by name, sorted. Imports the kinds, and so numba, at the first call.

    Raises ValueError when two classes claim one kind.
    """
    found: dict[str, type[Detector]] = {}
    classes = [
        member
        for module in iter_modules(detectors.__path__)
        if module.name not in _NOT_KINDS
        for member in _kinds_in(f"detectors.{module.name}")
    ]
    classes.extend(entry.load() for entry in entry_points(group=ENTRY_POINT_GROUP))
    for kind in classes:
        if kind.kind in found:
            raise ValueError(f"kind {kind.kind!r} is claimed by {found[kind.kind]} and by {kind}")
        found[kind.kind] = kind
    return dict(sorted(found.items()))


def _kinds_in(name: str) -> list[type[Detector]]:
    members = vars(import_module(name)).values()
    return [
        member
        for member in members
        if isclass(member)
        and issubclass(member, Detector)
        and member.__module__ == name
        and not isabstract(member)
    ]
