"""Series that earlier answers named: their labels by the very bytes that named them."""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.columns import Floats, Times
from models.jit import kernel
from models.labels import Labels
from models.words import Bytes, load

SERIES_MAX = 2_000_000
ROOM_FIRST = 64
FNV_OFFSET, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3

Places = NDArray[np.int64]


class Room(NamedTuple):
    """Where a kernel writes what it reads.

    names: (series, 2), where each series' naming text begins and ends. places: (series,) where it
    is known, -1 where not. edges: (series + 1,), where its samples begin and end.
    """

    names: Places
    places: Places
    edges: Places
    timestamps_ms: Times
    values: Floats

    @classmethod
    def for_bytes(cls, size: int, series_bytes: int, sample_bytes: int) -> Self:
        """Room for what fits into `size` bytes when a series and a sample take at least these."""
        series, samples = size // series_bytes + 1, size // sample_bytes + 1
        return cls(
            np.empty((series, 2), np.int64),
            np.empty(series, np.int64),
            np.empty(series + 1, np.int64),
            np.empty(samples, np.int64),
            np.empty(samples, np.float64),
        )


class KnownSeries:
    """The series of one query, or of one sender, in order of first sight.

    When they would be more than SERIES_MAX, or an answer names none of them, they are forgotten;
    in_parts: answers name different parts of the series, so that naming none means nothing.

    texts: every naming text, one behind the other. edges: where each begins and ends in there.
    table: places by hash, open addressing, -1 for none; twice as many as there may be series.
    """

    def __init__(self, *, in_parts: bool = False) -> None:
        self.labels: list[Labels] = []
        self._in_parts = in_parts
        self.texts: Bytes = np.empty(0, np.uint8)
        self.edges: Places = np.zeros(1, np.int64)
        self.table: Places = np.full(2 * ROOM_FIRST, -1, np.int64)
        self._answer: tuple[Places, tuple[Labels, ...]] = (np.empty(0, np.int64), ())

    def __len__(self) -> int:
        return len(self.labels)

    def learn(
        self, content: Bytes, names: Places, places: Places, read: Callable[[bytes], Labels]
    ) -> None:
        """Know the series whose place is -1 from now on, and write their places.

        content, names: where each series' naming text stands. read: what it says; what this raises
        leaves everything as it was.
        """
        unknown = np.flatnonzero(places < 0).tolist()
        if not unknown:
            return
        anew = len(unknown) == len(places) and not self._in_parts
        if len(self.labels) + len(unknown) > SERIES_MAX:
            anew = True
            unknown = list(range(len(places)))
        texts = [content[names[k, 0] : names[k, 1]].tobytes() for k in unknown]
        named = {text: read(text) for text in texts}
        if anew:
            self.labels, self.table = [], np.full(2 * ROOM_FIRST, -1, np.int64)
            self.texts, self.edges = np.empty(0, np.uint8), np.zeros(1, np.int64)
            self._answer = (np.empty(0, np.int64), ())
        first = len(self.labels)
        fresh = {text: first + k for k, text in enumerate(named)}
        self.labels.extend(named.values())
        self.texts = np.append(self.texts, np.frombuffer(b"".join(named), np.uint8))
        sizes = np.fromiter(map(len, named), np.int64, len(named))
        self.edges = np.append(self.edges, self.edges[-1] + np.cumsum(sizes))
        if 2 * len(self.labels) > len(self.table):
            self.table = np.full(4 * len(self.labels), -1, np.int64)
            first = 0
        enter(self.texts, self.edges, first, self.table)
        places[unknown] = [fresh[text] for text in texts]

    def named(self, places: Places) -> tuple[Labels, ...]:
        """Labels of the series at these places; the very same tuple for the same places again."""
        if not np.array_equal(places, self._answer[0]):
            self._answer = (places.copy(), tuple(self.labels[k] for k in places.tolist()))
        return self._answer[1]


@kernel
def same(left: Bytes, right: Bytes) -> bool:
    """Whether two texts of one length are equal."""
    size = len(left)
    difference = np.uint64(0)
    if size < 8:
        for k in range(size):
            difference |= np.uint64(left[k] ^ right[k])
    else:
        for k in range(0, size - 7, 8):
            difference |= load(left, k) ^ load(right, k)
        difference |= load(left, size - 8) ^ load(right, size - 8)
    return bool(difference == np.uint64(0))


@kernel
def hash_of(text: Bytes) -> int:
    """FNV-1a, non-negative."""
    value = np.uint64(FNV_OFFSET)
    for k in range(len(text)):
        value = (value ^ np.uint64(text[k])) * np.uint64(FNV_PRIME)
    return int(value >> np.uint64(1))


@kernel
def enter(texts: Bytes, edges: Places, first: int, table: Places) -> None:
    """Put the texts from `first` on into the table."""
    for k in range(first, len(edges) - 1):
        place = hash_of(texts[edges[k] : edges[k + 1]]) % len(table)
        while table[place] >= 0:
            place = (place + 1) % len(table)
        table[place] = k


@kernel
def find(text: Bytes, guess: int, texts: Bytes, edges: Places, table: Places) -> int:
    """The place of `text`, looked for at `guess` first; -1 when it is not known."""
    size = len(text)
    if 0 <= guess < len(edges) - 1:
        begin = edges[guess]
        if edges[guess + 1] - begin == size and same(text, texts[begin : begin + size]):
            return guess
    place = hash_of(text) % len(table)
    while table[place] >= 0:
        k = table[place]
        if edges[k + 1] - edges[k] == size and same(text, texts[edges[k] : edges[k + 1]]):
            return int(k)
        place = (place + 1) % len(table)
    return -1
