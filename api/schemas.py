"""Pages and parameters of requests; everything else is a record of `models`."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BinasciiError
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, Field

from models.errors import FieldFault, InvalidInput

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=1000, description="Entries at most.")]
Cursor = Annotated[str | None, Query(description="`next` of the page before.", max_length=500)]
LIMIT = 100


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str | None = Field(description="Pass as `cursor` for the following page; null: the last.")


def encode_cursor(place: str) -> str:
    """A place in a list as opaque text."""
    return urlsafe_b64encode(place.encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> str | None:
    """The place. Raises InvalidInput when it is not one of ours."""
    if cursor is None:
        return None
    try:
        place = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (BinasciiError, ValueError):
        place = ""
    # The decoder skips what it does not know; a cursor of ours comes back as it was.
    if encode_cursor(place) != cursor or not place:
        raise bad_parameter("cursor", f"{cursor!r} is not a cursor of this list")
    return place


def bad_parameter(name: str, detail: str) -> InvalidInput:
    """A query parameter that cannot be used."""
    return InvalidInput(f"{name}: {detail}", (FieldFault(f"/{name}", detail),))
