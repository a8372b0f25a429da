"""Bodies of Loki's push API: JSON or snappy-compressed protobuf, as Promtail or Alloy send.

Source: Loki's HTTP API and pkg/push/push.proto (PushRequest, StreamAdapter, EntryAdapter).
Structured metadata is passed over: it belongs to a line, not to a stream.
"""

import zlib
from typing import Any, NamedTuple

import msgspec

from ingest.remote_write import BODY_BYTES_MAX, decompress, fields_of
from models.errors import FieldFault, InvalidInput
from models.labels import Labels, parse_labels

LINE_BYTES_MAX = 256 * 2**10
"""Loki refuses longer lines; here they are refused too, so that a sender sees no difference."""
STREAMS, LABELS, ENTRIES = 1, 1, 2
TIMESTAMP, LINE = 1, 2


class Line(NamedTuple):
    """A line that was pushed; ns: nanoseconds since the Unix epoch."""

    ns: int
    text: bytes
    labels: Labels


class _Stream(msgspec.Struct):
    stream: dict[str, str]
    values: list[list[msgspec.Raw]] = []


class _Push(msgspec.Struct):
    streams: list[_Stream] = []


_push = msgspec.json.Decoder(_Push)
_text = msgspec.json.Decoder(str)


def read_json(body: bytes, encoding: str) -> list[Line]:
    """The lines of a JSON body; encoding: `gzip` or nothing. Raises InvalidInput."""
    if encoding == "gzip":
        body = _gunzip(body)
    try:
        found = _push.decode(body)
        lines = [
            Line(int(_text.decode(value[0])), _text.decode(value[1]).encode(), labels)
            for own in found.streams
            for labels in (Labels(own.stream),)
            for value in own.values
        ]
    except (msgspec.DecodeError, ValueError, IndexError, UnicodeError) as error:
        right = '{"streams": [{"stream": {…}, "values": [["<ns as string>", "<line>"]]}]}'
        raise refused(f"not {right}: {error}") from error
    return _checked(lines)


def read_protobuf(body: bytes) -> list[Line]:
    """The lines of a snappy-compressed PushRequest. Raises InvalidInput."""
    lines: list[Line] = []
    for number, stream in fields_of(bytes(decompress(body))):
        if number != STREAMS or not isinstance(stream, bytes):
            continue
        parts = list(fields_of(stream))
        text = next((own for which, own in parts if which == LABELS), b"{}")
        try:
            labels = parse_labels(text.decode() if isinstance(text, bytes) else "")
        except (ValueError, UnicodeDecodeError) as error:
            raise refused(f"labels {text!r}: {error}") from error
        for which, entry in parts:
            if which == ENTRIES and isinstance(entry, bytes):
                own = dict(fields_of(entry))
                line = own.get(LINE, b"")
                lines.append(Line(_nanoseconds(own.get(TIMESTAMP, b"")), _bytes(line), labels))
    return _checked(lines)


def refused(why: str) -> InvalidInput:
    """The error for a push that cannot be read."""
    return InvalidInput(f"push: {why}", (FieldFault("", why),))


def _checked(lines: list[Line]) -> list[Line]:
    for line in lines:
        if len(line.text) > LINE_BYTES_MAX:
            raise refused(
                f"a line of {len(line.text)} bytes in {line.labels}; at most {LINE_BYTES_MAX}"
            )
        if not 0 < line.ns < 1 << 62:
            raise refused(f"timestamp {line.ns} is not in nanoseconds since 1970")
    return lines


def _gunzip(body: bytes) -> bytes:
    unpacked = zlib.decompressobj(31)
    try:
        text = unpacked.decompress(body, BODY_BYTES_MAX)
    except zlib.error as error:
        raise refused(f"not compressed with gzip: {error}") from error
    if unpacked.unconsumed_tail or not unpacked.eof:
        raise refused(f"cut off, or larger than {BODY_BYTES_MAX >> 20} MiB uncompressed")
    return text


def _nanoseconds(raw: int | bytes) -> int:
    parts: dict[int, Any] = dict(fields_of(_bytes(raw)))
    seconds, rest = parts.get(1, 0), parts.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(rest, int):
        raise refused("a timestamp is not seconds and nanoseconds")
    return (seconds - (1 << 64) if seconds >> 63 else seconds) * 1_000_000_000 + rest


def _bytes(raw: int | bytes) -> bytes:
    if isinstance(raw, int):
        raise refused("an entry is not a timestamp and a line")
    return raw
