"""How the engine stands, part by part."""

from typing import Literal

from models.records import Record


class ComponentHealth(Record):
    """One part of the engine."""

    ok: bool
    detail: str
    """What it does now, or what is wrong and what becomes of it."""


class Health(Record):
    """The whole: degraded when any part is not well."""

    status: Literal["ok", "degraded"]
    version: str
    components: dict[str, ComponentHealth]
