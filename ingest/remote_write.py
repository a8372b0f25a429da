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
from ingest.known import KnownSeries, Places, find
from models.columns import Times
from models.errors import FieldFault, InvalidInput
from models.jit import borrow, inlined, kernel
from models.labels import Labels
from models.words import Bytes, load

BODY_BYTES_MAX = 64 * 2**20
SERIES_BYTES_MIN, SAMPLE_BYTES_MIN = 4, 4
VARINT, DOUBLE, TEXT, WORD = 0, 1, 2, 5
SERIES = LABEL = 1
SAMPLE = 2
MALFORMED, DISORDERED = -1, -2


def read_body(body: bytes, known: KnownSeries) -> Columns:
    """The samples of a snappy-compressed WriteRequest, series by series as they come.

    Raises InvalidInput when it is not one, or larger than BODY_BYTES_MAX uncompressed. Metadata,
    exemplars and native histograms are passed over.
    """
    try:
        if cramjam.snappy.decompress_raw_len(body) > BODY_BYTES_MAX:
            raise _refused(f"larger than {BODY_BYTES_MAX >> 20} MiB uncompressed")
        raw = bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise _refused(f"not compressed with snappy's block format: {error}") from error
    content = np.frombuffer(raw, np.uint8)
    names = np.empty((len(raw) // SERIES_BYTES_MIN + 1, 2), np.int64)
    places = np.empty(len(names), np.int64)
    edges = np.empty(len(names) + 1, np.int64)
    times = np.empty(len(raw) // SAMPLE_BYTES_MIN + 1, np.int64)
    values = np.empty(len(times), np.float64)
    count = _scan(
        content, known.texts, known.edges, known.table,
        names, places, edges, times, values.view(np.uint64),
    )  # fmt: skip
    if count == MALFORMED:
        raise _refused("not a WriteRequest")
    if count == DISORDERED:
        return _read_plainly(raw)
    places = places[:count]
    known.learn(content, names[:count], places, lambda text: _labels(_fields(text)))
    samples = int(edges[count])
    return Columns(
        "remote write",
        known.named(places),
        np.repeat(np.arange(count, dtype=np.int32), np.diff(edges[: count + 1])),
        times[:samples],
        values[:samples],
    )


def _read_plainly(raw: bytes) -> Columns:
    """The same, field by field, in any order."""
    labels: list[Labels] = []
    series: list[int] = []
    times: list[int] = []
    values: list[float] = []
    for number, own in _fields(raw):
        if number != SERIES or not isinstance(own, bytes):
            continue
        parts = list(_fields(own))
        for which, sample in parts:
            if which == SAMPLE and isinstance(sample, bytes):
                fields = dict(_fields(sample))
                bits, at = fields.get(1, 0), fields.get(2, 0)
                if not isinstance(bits, int) or not isinstance(at, int):
                    raise _refused("a sample is not a value and a timestamp")
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
    for number, text in fields:
        if number == LABEL and isinstance(text, bytes):
            pair = dict(_fields(text))
            name, value = pair.get(1, b""), pair.get(2, b"")
            if not isinstance(name, bytes) or not isinstance(value, bytes):
                raise _refused("a label is not a name and a value")
            try:
                pairs[name.decode()] = value.decode()
            except UnicodeDecodeError as error:
                raise _refused(f"a label is not UTF-8: {error}") from error
    return Labels(pairs)


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and content of each field; fixed numbers as their bits."""
    text = np.frombuffer(raw, np.uint8)
    at = 0
    while at < len(raw):
        at, key = _varint(text, at, len(raw))
        end, begin, word = _field(text, at, len(raw), int(key) & 7) if at >= 0 else (-1, 0, 0)
        if end < 0:
            raise _refused("not a WriteRequest")
        yield int(key) >> 3, raw[begin:end] if int(key) & 7 == TEXT else int(word)
        at = end


def _refused(why: str) -> InvalidInput:
    return InvalidInput(f"remote write: {why}", (FieldFault("", why),))


@inlined
def _varint(text: Bytes, at: int, end: int) -> tuple[int, np.uint64]:
    """Where the number that begins at `at` ends, -1 when it does not, and what it is."""
    value = np.uint64(0)
    for k in range(10):
        if at + k >= end:
            break
        byte = np.uint64(text[at + k])
        value |= (byte & np.uint64(0x7F)) << np.uint64(7 * k)
        if byte < np.uint64(0x80):
            return at + k + 1, value
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


@kernel
def _scan_sample(text: Bytes, at: int, end: int) -> tuple[int, np.uint64, np.uint64]:
    """0 for a sample from `at` to `end`, its timestamp and its value's bits; else MALFORMED."""
    moment, bits = np.uint64(0), np.uint64(0)
    while at < end:
        at, key = _varint(text, at, end)
        if at < 0:
            return MALFORMED, moment, bits
        number, kind = np.int64(key) >> 3, np.int64(key) & 7
        at, _, word = _field(text, at, end, kind)
        if at < 0 or number == 0:
            return MALFORMED, moment, bits
        if (number == 1 and kind != DOUBLE) or (number == 2 and kind != VARINT):
            return MALFORMED, moment, bits
        if number == 1:
            bits = word
        elif number == 2:
            moment = word
    return 0, moment, bits


@kernel
def _scan_series(
    text: Bytes, at: int, end: int, name: Places, samples: int, times: Times, words: Words
) -> int:
    """Read a series from `at` to `end`: where its labels begin and end into `name`, its samples
    from place `samples` on; how many there are then, or MALFORMED or DISORDERED."""
    name[0] = name[1] = at
    others = False
    while at < end:
        at, key = _varint(text, at, end)
        if at < 0:
            return MALFORMED
        number, kind = np.int64(key) >> 3, np.int64(key) & 7
        stop, begin, _ = _field(text, at, end, kind)
        if stop < 0 or number == 0 or (number <= SAMPLE and kind != TEXT):
            return MALFORMED
        if number == LABEL:
            if others:
                return DISORDERED
            name[1] = stop
        else:
            others = True
        if number == SAMPLE:
            wrong, moment, bits = _scan_sample(text, begin, stop)
            if wrong:
                return MALFORMED
            times[samples] = np.int64(moment)
            words[samples] = bits
            samples += 1
        at = stop
    return samples


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
    """Read a WriteRequest; how many series it has, or MALFORMED or DISORDERED.

    The arrays are those of `answers.py`. A series is looked for after the one before it.
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
            samples = _scan_series(text, begin, stop, names[count], samples, times, words)
            if samples < 0:
                return samples
            name = text[names[count, 0] : names[count, 1]]
            places[count] = find(name, guess, known_texts, known_edges, table)
            guess = (places[count] if places[count] >= 0 else guess) + 1
            count += 1
            edges[count] = samples
        at = stop
    return count
