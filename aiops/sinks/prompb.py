"""The few fields of Prometheus's WriteRequest that we send, written as protobuf wire format.

Source: prometheus/prompb types.proto and remote.proto, remote-write specification 1.0.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.columns import STALE_BITS, Rows
from models.jit import borrow, kernel
from models.words import Bytes

Words = NDArray[np.uint64]

ABSOLUTE, INFINITE = np.uint64((1 << 63) - 1), np.uint64(0x7FF0000000000000)
MARKER = np.uint64(STALE_BITS)
_LABELS, _SAMPLES, _TIMESERIES, _VALUE = b"\x0a", b"\x12", b"\x0a", b"\x09"
_TIMESTAMP = b"\x10"
TIMESTAMP_BYTES = 6
"""What milliseconds take as a varint from 1971 to 2109."""


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


def encode_head(labels: bytes) -> bytes:
    """WriteRequest.timeseries with one sample, up to its value: the same for each of its samples.

    What follows is the value as a little-endian double, then `encode_tail` of its timestamp.
    """
    sample = len(_VALUE) + 8 + len(_TIMESTAMP) + TIMESTAMP_BYTES
    head = labels + _SAMPLES + varint(sample) + _VALUE
    return _TIMESERIES + varint(len(head) - len(_VALUE) + sample) + head


def encode_tail(timestamp_ms: int) -> bytes:
    """Sample.timestamp, always of the same size, so that the sizes before it are known.

    Instants before 1971 are padded with empty groups, which every reader of protobuf takes.

    >>> encode_tail(1_795_205_148_250).hex(), encode_tail(300).hex()
    ('10dadcc2d49f34', '10ac8280808000')
    """
    assert 0 <= timestamp_ms < 1 << 7 * TIMESTAMP_BYTES
    groups = [timestamp_ms >> 7 * k & 0x7F | 0x80 for k in range(TIMESTAMP_BYTES)]
    groups[-1] &= 0x7F
    return _TIMESTAMP + bytes(groups)


@kernel
def write_samples(
    body: Bytes, places: Rows, words: Words, texts: Bytes, edges: NDArray[np.int64], tail: Bytes
) -> tuple[Any, int]:
    """Write a sample of each output series that has one; where they end, and how many.

    places: (n,) whose samples. words: (parts, n) their values' bits; a NaN that is no stale marker
    is nothing to send. texts, edges: the heads, part by part of each place.
    """
    body, texts, edges, tail = borrow(body), borrow(texts), borrow(edges), borrow(tail)
    at = samples = 0
    parts = len(words)
    for i in range(len(places)):
        for part in range(parts):
            word = words[part, i]
            if word & ABSOLUTE > INFINITE and word != MARKER:
                continue
            k = places[i] * parts + part
            size = edges[k + 1] - edges[k]
            body[at : at + size] = texts[edges[k] : edges[k + 1]]
            at += size
            for byte in range(8):
                body[at + byte] = np.uint8((word >> np.uint64(8 * byte)) & np.uint64(0xFF))
            body[at + 8 : at + 8 + len(tail)] = tail
            at += 8 + len(tail)
            samples += 1
    return at, samples


def _text(tag: bytes, text: str) -> bytes:
    encoded = text.encode()
    return tag + varint(len(encoded)) + encoded
