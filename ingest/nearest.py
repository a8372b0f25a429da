"""How far a template is from those known: words and pairs of words, hashed and counted.

Templates, not lines, so that some thousand vectors and one pass over them are enough. Whole numbers
up to the last division: the same distance on every machine. Hashed counts with signs as in feature
hashing (Weinberger et al., ICML 2009).
"""

import math
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ingest.closure import VARIES, Form
from models.columns import Floats
from models.jit import borrow, kernel

SIZE = 128
COUNT_MAX = 15
"""Counts are cut off here, so that a product of two vectors fits into 16 bits."""
PAIR, MASK = 0x9E3779B1, (1 << 32) - 1


class Nearest:
    """The vectors of the templates seen, in order."""

    def __init__(self) -> None:
        # A vector is a column: most counts are 0, and a product reads only the rows of the others.
        self._counts = np.zeros((SIZE, 64), np.int8)
        self._inverse_norms = np.zeros(64)
        self._products = np.zeros(64, np.int16)
        self._places: list[int] = []

    def add(self, form: Form, place: int) -> tuple[float, int | None]:
        """Take in a template; its distance from the nearest known, and that one's place.

        The distance is 1 - cosine: 0 for the same words, about 1 for none in common.
        """
        count = len(self._places)
        if count == len(self._products):
            self._counts = np.append(self._counts, np.zeros_like(self._counts), axis=1)
            self._inverse_norms = np.append(self._inverse_norms, np.zeros(count))
            self._products = np.zeros(2 * count, np.int16)
        places, weights = _counts(form)
        norm = math.sqrt(sum(weight * weight for weight in weights))
        self._places.append(place)
        self._inverse_norms[count] = 1.0 / norm if norm else 0.0
        best, cosine = _nearest(
            np.array(places, np.int64), np.array(weights, np.int64),
            self._counts, self._inverse_norms, count, self._products,
        )  # fmt: skip
        if count == 0:
            return 1.0, None
        return min(1.0, max(0.0, 1.0 - cosine * self._inverse_norms[count])), self._places[best]


def _counts(form: Form) -> tuple[list[int], list[int]]:
    """The places of a template's vector that are not 0, and what stands there."""
    counts: dict[int, int] = {}
    before = 0
    for word in form:
        if word != VARIES and word[0].isalnum():
            code = crc32(word.lower().encode("utf-8", "replace"))
            for term in (code, (before * PAIR + code) & MASK) if before else (code,):
                place = term % SIZE
                counts[place] = counts.get(place, 0) + (1 if term >> 16 & 1 else -1)
            before = code
    kept = [place for place, count in counts.items() if count]
    return kept, [max(-COUNT_MAX, min(COUNT_MAX, counts[place])) for place in kept]


@kernel
def _nearest(
    places: NDArray[np.int64], weights: NDArray[np.int64], counts: NDArray[np.int8],
    inverse_norms: Floats, size: int, products: NDArray[np.int16],
) -> tuple[int, float]:  # fmt: skip
    """The first of `size` columns with the largest product by its norm, and that; writes the vector
    into the column behind them."""
    counts, products = borrow(counts), borrow(products)
    for k in range(size):
        products[k] = 0
    for i in range(len(places)):
        weight, row = np.int16(weights[i]), counts[places[i]]
        for k in range(size):
            products[k] += weight * np.int16(row[k])
        row[size] = weight
    best, highest = 0, -np.inf
    for k in range(size):
        cosine = products[k] * inverse_norms[k]
        if cosine > highest:
            best, highest = k, cosine
    return best, highest
