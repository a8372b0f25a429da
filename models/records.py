"""What all records share: refuse unknown keys, write times as RFC 3339 and durations as `15s`."""

from typing import Annotated

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
)
from pydantic import WithJsonSchema as JsonSchema

from models.durations import format_duration, parse_duration
from models.timestamps import format_timestamp, parse_timestamp


class Record(BaseModel):
    """One event or document: frozen, unknown keys refused, its fields' docstrings in the schema."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


def _read_duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _read_timestamp(value: object) -> object:
    return parse_timestamp(value) if isinstance(value, str) else value


Duration = Annotated[
    int,
    BeforeValidator(_read_duration, json_schema_input_type=str),
    PlainSerializer(format_duration, return_type=str),
    JsonSchema({"type": "string", "examples": ["15s", "5m", "1h30m", "7d"]}),
]
"""Milliseconds inside, `15s 5m 1h 7d` in files and on the wire."""

Timestamp = Annotated[
    int,
    BeforeValidator(_read_timestamp, json_schema_input_type=str),
    PlainSerializer(format_timestamp, return_type=str),
    JsonSchema({"type": "string", "format": "date-time"}),
]
"""Milliseconds since the epoch inside, RFC 3339 UTC outside."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
"""A detector's or source's name: its identity in URLs, labels and files."""


def _without_secret(url: AnyHttpUrl) -> AnyHttpUrl:
    if url.username or url.password:
        raise ValueError("a URL is shown in logs; put user and password into http.basic_auth")
    return url


Url = Annotated[AnyHttpUrl, AfterValidator(_without_secret)]
"""An http or https address without user and password."""


class Interval(Record):
    """Where a figure may well lie."""

    low: float
    high: float
