"""A kind of model, as people read it."""

from typing import Any

from models.records import Record


class Kind(Record):
    """What a kind does and which parameters it takes."""

    kind: str
    summary: str
    description: str
    """What it compares a sample with, and its floor for series that never change."""
    parameters: dict[str, Any]
    """JSON Schema of the keys that stand beside `kind` in a detector's `model`."""
