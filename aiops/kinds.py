"""The kinds of models as people read them: parameters as JSON Schema, with defaults and text."""

from inspect import cleandoc

from aiops.scoring import adapter
from detectors.base import Detector
from detectors.catalog import kinds
from models.errors import NotFound
from models.kind import Kind


def describe_kinds() -> list[Kind]:
    """Every kind, by name."""
    return [_describe(kind) for kind in kinds().values()]


def describe_kind(name: str) -> Kind:
    """One kind. Raises NotFound."""
    kind = kinds().get(name)
    if kind is None:
        raise NotFound(f"no kind {name!r}; known: {', '.join(kinds())}")
    return _describe(kind)


def _describe(kind: type[Detector]) -> Kind:
    text = cleandoc(kind.__doc__ or "")
    return Kind(
        kind=kind.kind,
        summary=text.partition("\n")[0],
        description=text,
        parameters=adapter(kind).json_schema(),
    )
