"""What pydantic found wrong, as faults a person can act on."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from models.errors import FieldFault, InvalidInput

R = TypeVar("R", bound=BaseModel)


def parse(record: type[R], raw: object) -> R:
    """`raw` as a record. Raises InvalidInput that names every wrong field."""
    try:
        return record.model_validate(raw)
    except ValidationError as error:
        faults = faults_of(error.errors(include_url=False, include_input=False), record)
        raise InvalidInput(summary(faults), faults) from error


def faults_of(
    errors: list[Any] | tuple[Any, ...], record: type[BaseModel] | None = None
) -> tuple[FieldFault, ...]:
    """pydantic's error entries as JSON pointers and sentences; with `record`, with suggestions."""
    return tuple(FieldFault(pointer(error["loc"]), _sentence(error, record)) for error in errors)


def summary(faults: tuple[FieldFault, ...]) -> str:
    """The first fault, and how many more there are."""
    first = f"{faults[0].pointer or '/'}: {faults[0].detail}"
    return first if len(faults) == 1 else f"{first} (and {len(faults) - 1} more)"


def pointer(location: tuple[int | str, ...]) -> str:
    """RFC 6901.

    >>> pointer(("model", "a/b", 0))
    '/model/a~1b/0'
    """
    return "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in location)


def _sentence(error: Mapping[str, Any], record: type[BaseModel] | None) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] != "extra_forbidden":
        return message
    key = str(error["loc"][-1])
    known = set(_keys(record, tuple(error["loc"][:-1]))) if record is not None else set[str]()
    close = get_close_matches(key, known - {key}, 1)
    if close:
        return f"unknown key {key!r}; did you mean {close[0]!r}?"
    return f"unknown key {key!r}" + (f"; known: {', '.join(sorted(known))}" if known else "")


def _keys(record: type[BaseModel], location: tuple[int | str, ...]) -> Iterator[str]:
    """The keys of the record, or of each record that can stand at that place in it."""
    if not location:
        for name, field in record.model_fields.items():
            yield field.alias or name
        return
    for name, field in record.model_fields.items():
        if location[0] in (name, field.alias):
            for inner in _records(field.annotation):
                rest = location[1:]
                # Positions in lists and tags of unions are no fields.
                while rest and (isinstance(rest[0], int) or rest[0] not in inner.model_fields):
                    rest = rest[1:]
                yield from _keys(inner, rest)


def _records(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _records(argument)
