"""The few fields of Prometheus's WriteRequest that we send, written as protobuf wire format.

Source: prometheus/prompb types.proto and remote.proto, remote-write specification 1.0.
"""

import struct

_DOUBLE = struct.Struct("<d")
_LABELS, _SAMPLES, _TIMESERIES = b"\x0a", b"\x12", b"\x0a"


def varint(number: int) -> bytes:
    """Base-128, low group first; `number` ≥ 0.

    >>> varint(300).hex()
    'ac02'
    """
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def encode_labels(labels: dict[str, str]) -> bytes:
    """TimeSeries.labels, sorted by name as the specification asks."""
    parts: list[bytes] = []
    for name, value in sorted(labels.items()):
        pair = _text(b"\x0a", name) + _text(b"\x12", value)
        parts += [_LABELS, varint(len(pair)), pair]
    return b"".join(parts)


def encode_series(labels: bytes, value: float, timestamp: bytes) -> bytes:
    """One WriteRequest.timeseries with one sample. timestamp: varint of milliseconds."""
    sample = b"\x09" + _DOUBLE.pack(value) + b"\x10" + timestamp
    body = labels + _SAMPLES + varint(len(sample)) + sample
    return _TIMESERIES + varint(len(body)) + body


def _text(tag: bytes, text: str) -> bytes:
    encoded = text.encode()
    return tag + varint(len(encoded)) + encoded
