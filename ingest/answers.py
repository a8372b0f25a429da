"""Answers of Prometheus's query API to columns, without a Python object for a known series.

The kernel reads what Prometheus, and those that speak like it, write: no spaces, `metric` first,
`value` or `values` second. Whatever else is in there it does not guess at: the answer then takes
the library's way, with the same result or its error. So a quick reading never differs from a slow
one; tests fuzz the two against each other.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from ingest.decimals import Words, read_decimal, read_digits
from ingest.known import KnownSeries, Places, Room, find, same
from models.columns import Floats, Rows, Times
from models.jit import borrow, inlined, kernel
from models.labels import Labels
from models.words import Bytes

SERIES_BYTES_MIN = 30
SAMPLE_BYTES_MIN = 8
QUOTE, BACKSLASH, COMMA, OPEN, CLOSE, BRACE_OPEN, BRACE_CLOSE = 34, 92, 44, 91, 93, 123, 125
METRIC = np.frombuffer(b'{"metric":', np.uint8)
VALUE = np.frombuffer(b',"value":', np.uint8)
VALUES = np.frombuffer(b',"values":[', np.uint8)
NOT_A_NUMBER = np.frombuffer(b"NaN", np.uint8)
INFINITE = np.frombuffer(b"Inf", np.uint8)
HEADS = tuple(
    (kind, b'{"status":"success","data":{"resultType":"%s","result":[' % kind.encode())
    for kind in ("vector", "matrix")
)
FULL = -2
END, MORE = b"]}}", b']},"'


class _Tail(msgspec.Struct):
    """What may follow the data of a success."""

    warnings: tuple[str, ...] = ()


_labels = msgspec.json.Decoder(dict[str, str])
_tail = msgspec.json.Decoder(_Tail)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """What an answer holds, sample by sample: see `SampleBatch`."""

    kind: str
    labels: tuple[Labels, ...]
    series: Rows
    timestamps_ms: Times
    values: Floats
    warnings: tuple[str, ...] = ()


def read_answer(body: bytes, known: KnownSeries) -> Columns | None:
    """The columns of a success that is written as Prometheus writes it; None for anything else.

    Series not known yet are added.
    """
    head = next(((kind, text) for kind, text in HEADS if body.startswith(text)), None)
    if head is None:
        return None
    kind, text = head
    end = body.rfind(END, max(len(text), len(body) - 8))
    if end < 0:
        end = body.rfind(MORE, len(text))
    try:
        # Behind the data come the last brace, or warnings: `]}}` or `]},"warnings":[...]}`.
        tail = _tail.decode(b"{" + body[end + 2 :].removeprefix(b","))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if end < 0:
        return None
    content = np.frombuffer(body, np.uint8)[len(text) : end]

    def read(room: Room) -> int:
        known_now = known.texts, known.edges, known.table
        return _read(
            content, kind == "matrix", *known_now, room.names, room.places, room.edges,
            room.timestamps_ms, room.values, room.values.view(np.uint64),
        )  # fmt: skip

    # Room for what answers usually hold; one of tiny parts asks again with room for the most.
    room = Room.for_bytes(len(content), 64, 24)
    count = read(room)
    if count == FULL:
        room = Room.for_bytes(len(content), SERIES_BYTES_MIN, SAMPLE_BYTES_MIN)
        count = read(room)
    if count < 0:
        return None
    places = room.places[:count]
    try:
        known.learn(content, room.names, places, _read_labels)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    samples = int(room.edges[count])
    return Columns(
        kind,
        known.named(places),
        np.repeat(np.arange(count, dtype=np.int32), np.diff(room.edges[: count + 1])),
        room.timestamps_ms[:samples],
        room.values[:samples],
        tail.warnings,
    )


def _read_labels(text: bytes) -> Labels:
    return Labels(_labels.decode(text))


@inlined
def _stands(content: Bytes, at: int, text: Bytes) -> bool:
    """Whether `text` stands at `at`."""
    return at + len(text) <= len(content) and same(content[at : at + len(text)], text)


@kernel
def _object_end(content: Bytes, at: int) -> int:
    """Where the flat object that begins at `at` ends; -1 when it does not."""
    if at >= len(content) or content[at] != BRACE_OPEN:
        return -1
    quoted = False
    at += 1
    while at < len(content):
        byte = content[at]
        if byte == QUOTE:
            quoted = not quoted
        elif byte == BACKSLASH:
            at += 1
        elif not quoted:
            if byte == BRACE_CLOSE:
                return at + 1
            if byte == BRACE_OPEN:
                return -1
        at += 1
    return -1


@inlined
def _read_time(content: Bytes, at: int) -> tuple[int, Any]:
    """Where Unix seconds with at most three decimals end, -1 if nowhere, and their milliseconds."""
    negative = at < len(content) and content[at] == 45
    at += negative
    first = at
    at, digits = read_digits(content, at, len(content), np.uint64(0))
    # JSON knows no leading zeros.
    if not 1 <= at - first <= 15 or (content[first] == 48 and at - first > 1):
        return -1, 0
    decimals = 0
    if at < len(content) and content[at] == 46:
        first = at + 1
        at, digits = read_digits(content, first, len(content), digits)
        decimals = at - first
        if not 1 <= decimals <= 3:
            return -1, 0
    total = np.int64(digits)
    for _ in range(3 - decimals):
        total *= 10
    return at, -total if negative else total


@kernel
def _read_word(content: Bytes, at: int) -> tuple[int, float]:
    """Where `NaN`, `+Inf`, `-Inf` or `Inf` ends, -1 when it is none of them, and its value."""
    if _stands(content, at, NOT_A_NUMBER):
        return at + 3, np.nan
    signed = at < len(content) and (content[at] == 43 or content[at] == 45)
    if _stands(content, at + signed, INFINITE):
        return at + signed + 3, -np.inf if content[at] == 45 else np.inf
    return -1, 0.0


@inlined
def _read_sample(
    content: Bytes, at: int, slot: int, times: Times, values: Floats, words: Words
) -> int:
    """Read `[seconds,"number"]` that begins at `at` into `slot`; where it ends, -1 if it is not."""
    if at >= len(content) or content[at] != OPEN:
        return -1
    at, milliseconds = _read_time(content, at + 1)
    if at < 0 or at + 1 >= len(content) or content[at] != COMMA or content[at + 1] != QUOTE:
        return -1
    at += 2
    end, value, bits = read_decimal(content, at, len(content))
    if end < 0:
        end, value = _read_word(content, at)
        if end < 0:
            return -1
    if end + 1 >= len(content) or content[end] != QUOTE or content[end + 1] != CLOSE:
        return -1
    times[slot] = milliseconds
    if bits != np.uint64(0):
        words[slot] = bits
    else:
        values[slot] = value
    return end + 2


@kernel
def _read(
    content: Bytes,
    matrix: bool,
    known_texts: Bytes,
    known_edges: Places,
    table: Places,
    names: Places,
    places: Places,
    edges: Places,
    times: Times,
    values: Floats,
    words: Words,
) -> int:
    """Read all series; how many there are, -1 when something is not as Prometheus writes it, FULL
    when the arrays are too small.

    content: what stands between the brackets of `result`. The arrays are those of `Room`; words:
    the values' bits. The k-th series is looked for after the one that came before it: an answer
    names them in the order of the last one.
    """
    content, known_texts, known_edges = borrow(content), borrow(known_texts), borrow(known_edges)
    table, times, values, words = borrow(table), borrow(times), borrow(values), borrow(words)
    at = count = samples = guess = 0
    edges[0] = 0
    while at < len(content):
        if count > 0:
            if content[at] != COMMA:
                return -1
            at += 1
        if count == len(places):
            return FULL
        if not _stands(content, at, METRIC):
            return -1
        at += len(METRIC)
        end = -1
        if guess < len(known_edges) - 1:
            text = known_texts[known_edges[guess] : known_edges[guess + 1]]
            if _stands(content, at, text):
                end = at + len(text)
        if end > 0:
            places[count] = guess
        else:
            end = _object_end(content, at)
            if end < 0:
                return -1
            places[count] = find(content[at:end], -1, known_texts, known_edges, table)
        names[count, 0] = at
        names[count, 1] = end
        guess = (places[count] if places[count] >= 0 else guess) + 1
        key = VALUES if matrix else VALUE
        if not _stands(content, end, key):
            return -1
        at = end + len(key)
        while True:
            if samples == len(times):
                return FULL
            at = _read_sample(content, at, samples, times, values, words)
            if at < 0 or at >= len(content):
                return -1
            samples += 1
            if not matrix:
                break
            at += 1
            if content[at - 1] == CLOSE:
                break
            if content[at - 1] != COMMA:
                return -1
        if at >= len(content) or content[at] != BRACE_CLOSE:
            return -1
        at += 1
        count += 1
        edges[count] = samples
    return count
