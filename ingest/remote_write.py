"""Bodies of Prometheus's remote-write 1.0 to columns, without a Python object for a known series.

The kernel scans the protobuf of the specification (prometheus/prompb remote.proto, types.proto)
as every sender writes it: a series' labels first, then its samples. A body in another order, which
protobuf allows, is read field by field instead, with the same result.
"""

from collections.abc import Iterator
from typing import Any

import cramjam
import numpy as np

from ingest.answers import Columns
from ingest.decimals import Words
from ingest.known import KnownSeries, Places, Room, find, same
from models.columns import Times
from models.errors import FieldFault, InvalidInput
from models.jit import borrow, inlined, kernel
from models.labels import Labels
from models.words import Bytes, load

BODY_BYTES_MAX = 64 * 2**20
VARINT, DOUBLE, TEXT, WORD = 0, 1, 2, 5
SERIES = LABEL = 1
SAMPLE = 2
LABEL_KEY = LABEL << 3 | TEXT
MALFORMED, DISORDERED, FULL = -1, -2, -3


def read_body(body: bytes, known: KnownSeries) -> Columns:
    """The samples of a snappy-compressed WriteRequest, series by series as they come.

    Raises InvalidInput when it is not one, or larger than BODY_BYTES_MAX uncompressed. Metadata,
    exemplars and native histograms are passed over.
    """
    raw = decompress(body)
    content = np.frombuffer(raw, np.uint8)

    def scan(room: Room) -> int:
        known_now = known.texts, known.edges, known.table
        return _scan(
            content, *known_now, room.names, room.places, room.edges, room.timestamps_ms,
            room.values.view(np.uint64),
        )  # fmt: skip

    # Room for what bodies usually hold; one of tiny parts asks again with room for the most.
    room = Room.for_bytes(len(content), 64, 32)
    count = scan(room)
    if count == FULL:
        room = Room.for_bytes(len(content), 2, 2)
        count = scan(room)
    if count == MALFORMED:
        raise refused("not a WriteRequest")
    if count == DISORDERED:
        return _read_plainly(bytes(raw))
    places = room.places[:count]
    known.learn(content, room.names, places, lambda text: _labels(fields_of(text)))
    samples = int(room.edges[count])
    return Columns(
        "remote write",
        known.named(places),
        np.repeat(np.arange(count, dtype=np.int32), np.diff(room.edges[: count + 1])),
        room.timestamps_ms[:samples],
        room.values[:samples],
    )


def decompress(body: bytes) -> Any:
    """What a body holds, as a buffer. Raises InvalidInput."""
    try:
        if cramjam.snappy.decompress_raw_len(body) > BODY_BYTES_MAX:
            raise refused(f"larger than {BODY_BYTES_MAX >> 20} MiB uncompressed")
        return cramjam.snappy.decompress_raw(body)
    except cramjam.DecompressionError as error:
        raise refused(f"not compressed with snappy's block format: {error}") from error


def _read_plainly(raw: bytes) -> Columns:
    """The same, field by field, in any order."""
    labels: list[Labels] = []
    series: list[int] = []
    times: list[int] = []
    values: list[float] = []
    for number, own in fields_of(raw):
        if number != SERIES or not isinstance(own, bytes):
            continue
        parts = list(fields_of(own))
        for which, sample in parts:
            if which == SAMPLE and isinstance(sample, bytes):
                fields = dict(fields_of(sample))
                bits, at = fields.get(1, 0), fields.get(2, 0)
                if not isinstance(bits, int) or not isinstance(at, int):
                    raise refused("a sample is not a value and a timestamp")
                series.append(len(labels))
                values.append(float(np.uint64(bits).view(np.float64)))
                times.append(at - (1 << 64) if at >> 63 else at)
        labels.append(_labels(iter(parts)))
    return Columns(
        "remote write",
        tuple(labels),
        np.array(series, np.int32),
        np.array(times, np.int64),
        np.array(values, np.float64),
    )


def _labels(fields: Iterator[tuple[int, int | bytes]]) -> Labels:
    pairs: dict[str, str] = {}
    count = 0
    for number, text in fields:
        if number == LABEL and isinstance(text, bytes):
            pair = dict(fields_of(text))
            name, value = pair.get(1, b""), pair.get(2, b"")
            if not isinstance(name, bytes) or not isinstance(value, bytes):
                raise refused("a label is not a name and a value")
            try:
                pairs[name.decode()] = value.decode()
            except UnicodeDecodeError as error:
                raise refused(f"a label is not UTF-8: {error}") from error
            count += 1
    if "" in pairs or len(pairs) < count:
        raise refused(f"a series has empty or repeated label names: {list(pairs)[:8]}")
    return Labels(pairs)


def fields_of(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and content of each field; fixed numbers as their bits."""
    text = np.frombuffer(raw, np.uint8)
    at = 0
    while at < len(raw):
        at, key = _varint(text, at, len(raw))
        end, begin, word = _field(text, at, len(raw), int(key) & 7) if at >= 0 else (-1, 0, 0)
        if end < 0:
            raise refused("not a WriteRequest")
        yield int(key) >> 3, raw[begin:end] if int(key) & 7 == TEXT else int(word)
        at = end


def refused(why: str) -> InvalidInput:
    """The error for a body that cannot be read."""
    return InvalidInput(f"remote write: {why}", (FieldFault("", why),))


@inlined
def _varint(text: Bytes, at: int, end: int) -> tuple[int, np.uint64]:
    """Where the number that begins at `at` ends, -1 when it does not, and what it is."""
    value, shift = np.uint64(0), np.uint64(0)
    while at < end and shift < np.uint64(70):
        byte = np.uint64(text[at])
        at += 1
        value |= (byte & np.uint64(0x7F)) << shift
        shift += np.uint64(7)
        if byte < np.uint64(0x80):
            return at, value
    return -1, value


@inlined
def _field(text: Bytes, at: int, end: int, kind: Any) -> tuple[Any, int, np.uint64]:
    """Where a field's content ends, -1 if not by `end`, where it begins, its bits if a number."""
    if kind == VARINT:
        stop, value = _varint(text, at, end)
        return stop, at, value
    if kind == TEXT:
        begin, size = _varint(text, at, end)
        if begin < 0 or size > np.uint64(end - begin):
            return -1, 0, size
        return begin + np.int64(size), begin, size
    if kind == DOUBLE and at + 8 <= end:
        return at + 8, at, load(text, at)
    if kind == WORD and at + 4 <= end:
        return at + 4, at, np.uint64(0)
    return -1, 0, np.uint64(0)


@inlined
def _scan_sample(text: Bytes, at: Any, end: Any) -> tuple[bool, np.uint64, np.uint64]:
    """Whether there is a sample from `at` to `end`, its timestamp and its value's bits."""
    moment, bits = np.uint64(0), np.uint64(0)
    while 0 <= at < end:
        at, key = _varint(text, at, end)
        number, kind = np.int64(key) >> 3, np.int64(key) & 7
        wrong = at < 0 or number == 0
        wrong |= (number == 1 and kind != DOUBLE) or (number == SAMPLE and kind != VARINT)
        at, _, word = _field(text, at, end, -1 if wrong else kind)
        if number == 1:
            bits = word
        elif number == SAMPLE:
            moment = word
    return at == end, moment, bits


@kernel
def _scan_samples(text: Bytes, at: Any, end: Any, samples: int, times: Times, words: Words) -> int:
    """Read what follows a series' labels, its samples from place `samples` on; how many there are
    then, or MALFORMED, DISORDERED or FULL."""
    while at < end:
        at, key = _varint(text, at, end)
        number, kind = np.int64(key) >> 3, np.int64(key) & 7
        stop, begin, _ = _field(text, at, end, kind if at > 0 else -1)
        if stop < 0 or number == 0 or (number <= SAMPLE and kind != TEXT):
            return MALFORMED
        if number == LABEL:
            return DISORDERED
        if number == SAMPLE:
            right, moment, bits = _scan_sample(text, begin, stop)
            if not right:
                return MALFORMED
            if samples == len(times):
                return FULL
            times[samples] = np.int64(moment)
            words[samples] = bits
            samples += 1
        at = stop
    return samples


@kernel
def _labels_end(text: Bytes, at: Any, end: Any) -> Any:
    """Where the labels of a series that begins at `at` end; MALFORMED when they run out of it."""
    while at < end and text[at] == LABEL_KEY:
        begin, size = _varint(text, at + 1, end)
        if begin < 0 or size > np.uint64(end - begin):
            return MALFORMED
        at = begin + np.int64(size)
    return at


@kernel
def _scan(
    text: Bytes,
    known_texts: Bytes,
    known_edges: Places,
    table: Places,
    names: Places,
    places: Places,
    edges: Places,
    times: Times,
    words: Words,
) -> int:
    """Read a WriteRequest; how many series it has, or MALFORMED, DISORDERED or FULL.

    The arrays are those of `Room`; words: the values' bits. A series is looked for after the one
    before it.
    """
    text, known_texts, known_edges = borrow(text), borrow(known_texts), borrow(known_edges)
    table, names, times, words = borrow(table), borrow(names), borrow(times), borrow(words)
    at = count = samples = guess = 0
    edges[0] = 0
    while at < len(text):
        at, key = _varint(text, at, len(text))
        if at < 0:
            return MALFORMED
        number, kind = np.int64(key) >> 3, np.int64(key) & 7
        stop, begin, _ = _field(text, at, len(text), kind)
        if stop < 0 or number == 0 or (number == SERIES and kind != TEXT):
            return MALFORMED
        if number == SERIES:
            if count == len(places):
                return FULL
            middle = -1
            if guess < len(known_edges) - 1:
                size = known_edges[guess + 1] - known_edges[guess]
                name = known_texts[known_edges[guess] : known_edges[guess] + size]
                if begin + size <= stop and same(text[begin : begin + size], name):
                    middle = begin + size
            if middle < 0 or (middle < stop and text[middle] == LABEL_KEY):
                middle = _labels_end(text, begin, stop)
                if middle < 0:
                    return MALFORMED
                places[count] = find(text[begin:middle], -1, known_texts, known_edges, table)
            else:
                places[count] = guess
            names[count, 0], names[count, 1] = begin, middle
            guess = (places[count] if places[count] >= 0 else guess) + 1
            samples = _scan_samples(text, middle, stop, samples, times, words)
            if samples < 0:
                return samples
            count += 1
            edges[count] = samples
        at = stop
    return count
