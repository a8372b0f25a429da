"""Changes to a document as JSON merge patch, RFC 7396."""

from collections.abc import Mapping
from typing import Any


def merged(target: Any, changes: Any) -> Any:
    """`target` with `changes`: null removes a key, objects merge, all else replaces.

    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'b': {'c': 4, 'd': 3}}
    """
    if not isinstance(changes, Mapping):
        return changes
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, change in changes.items():
        if change is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), change)
    return result
