"""Decimal text to doubles, in bulk, with exactly the result of `float()`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.jit import inlined
from models.words import Bytes, leading_zeros, load, multiply_high

Words = NDArray[np.uint64]

EXPONENT_MIN = -342
EXPONENT_MAX = 308
DIGITS_MAX = 19
"""As many decimal digits always fit into 64 bits."""
EXACT_INTEGER = np.uint64(1 << 53)
TENS = np.array([10**k for k in range(9)], np.uint64)
ZEROS = 0x3030303030303030
MINUS, PLUS, DOT, ZERO, NINE = 45, 43, 46, 48, 57
EXPONENT = (69, 101)


def _fives() -> tuple[Words, Words]:
    """High and low words of 5^q, normalised to 128 bits, for q from EXPONENT_MIN on.

    Positive powers are truncated, negative ones rounded up, as the proof of `_nearest` asks.
    """
    high, low = [], []
    for q in range(EXPONENT_MIN, EXPONENT_MAX + 1):
        power = 5 ** abs(q)
        if q < 0:
            bits = (power - 1).bit_length()
            power = (1 << (bits + 127 if q >= -27 else 2 * bits + 128)) // power + 1
        shift = power.bit_length() - 128
        power = power >> shift if shift > 0 else power << -shift
        high.append(power >> 64)
        low.append(power & (1 << 64) - 1)
    return np.array(high, np.uint64), np.array(low, np.uint64)


FIVES_HIGH, FIVES_LOW = _fives()


@inlined
def _digits_in(word: np.uint64) -> int:
    """How many of the first bytes are decimal digits; the first byte is the lowest."""
    word = word ^ np.uint64(ZEROS)
    other = ((word + np.uint64(0x7676767676767676)) | word) & np.uint64(0x8080808080808080)
    # A carry out of a byte that is no digit only reaches bytes after it.
    return (63 - leading_zeros(other & (~other + np.uint64(1)))) >> 3 if other else 8


@inlined
def _eight_digits(word: np.uint64) -> np.uint64:
    """The number that eight decimal digits say; Lemire, section 4 of the same paper."""
    pairs = np.uint64(0x000000FF000000FF)
    word = word - np.uint64(ZEROS)
    word = word * np.uint64(10) + (word >> np.uint64(8))
    upper = (word & pairs) * np.uint64(0x000F424000000064)
    lower = ((word >> np.uint64(16)) & pairs) * np.uint64(0x0000271000000001)
    return (upper + lower) >> np.uint64(32)


@inlined
def read_digits(text: Bytes, at: int, end: int, digits: np.uint64) -> tuple[int, np.uint64]:
    """Where the decimal digits from `at` on end, and `digits` with them appended, modulo 2^64."""
    there = 8
    while there == 8 and at + 8 <= end:
        word = load(text, at)
        there = _digits_in(word)
        if there > 0:
            # Fewer than eight move to the end, behind zeros.
            if there < 8:
                word = (word << np.uint64(64 - 8 * there)) | (
                    np.uint64(ZEROS) >> np.uint64(8 * there)
                )
            digits = digits * TENS[there] + _eight_digits(word)
            at += there
    while there == 8 and at < end and ZERO <= text[at] <= NINE:
        digits = digits * np.uint64(10) + np.uint64(text[at] - ZERO)
        at += 1
    return at, digits


@inlined
def _nearest(digits: np.uint64, exponent: int) -> Any:
    """Bits of the double nearest to digits · 10^exponent; 0 when that takes a slower way.

    digits: not 0. The method of Eisel and Lemire: Lemire, Number Parsing at a Gigabyte per Second,
    Software: Practice and Experience 2021, section 5. Subnormal and infinite results take the
    slower way, and so do the few that 128 bits cannot decide.
    """
    none, one = np.uint64(0), np.uint64(1)
    if not EXPONENT_MIN <= exponent <= EXPONENT_MAX:
        return none
    shift = leading_zeros(digits)
    digits = digits << np.uint64(shift)
    place = exponent - EXPONENT_MIN
    upper, lower = multiply_high(digits, FIVES_HIGH[place]), digits * FIVES_HIGH[place]
    if upper & np.uint64(0x1FF) == np.uint64(0x1FF):
        more = multiply_high(digits, FIVES_LOW[place])
        lower = lower + more
        if more > lower:
            upper = upper + one
    if lower == np.uint64(0xFFFFFFFFFFFFFFFF) and not -27 <= exponent <= 55:
        return none
    top = upper >> np.uint64(63)
    dropped = top + np.uint64(9)
    mantissa = upper >> dropped
    binary = ((217706 * exponent) >> 16) + 63 + np.int64(top) - shift + 1023
    if binary <= 0 or binary >= 2046:
        return none
    # Halfway between two doubles: to the even one.
    if (
        lower <= one
        and -4 <= exponent <= 23
        and mantissa & np.uint64(3) == one
        and mantissa << dropped == upper
    ):
        mantissa = mantissa & ~one
    mantissa = (mantissa + (mantissa & one)) >> one
    if mantissa >= np.uint64(1 << 53):
        mantissa = np.uint64(1 << 52)
        binary += 1
    return (mantissa & np.uint64((1 << 52) - 1)) | (np.uint64(binary) << np.uint64(52))


@inlined
def _read_exponent(text: Bytes, at: int, end: int) -> tuple[int, int]:
    """Where the exponent that begins at `at` ends, -1 when there is none, and what it is."""
    down = at < end and text[at] == MINUS
    if at < end and (text[at] == MINUS or text[at] == PLUS):
        at += 1
    first, size = at, 0
    while at < end and ZERO <= text[at] <= NINE and at - first < 4:
        size = 10 * size + int(text[at]) - ZERO
        at += 1
    return (at if at > first else -1), (-size if down else size)


@inlined
def read_decimal(text: Bytes, at: int, end: int) -> tuple[int, float, np.uint64]:
    """A number of JSON's or Go's form that begins at `at`.

    Returns where it ends, and its value as a double, or as the double's bits when those are not 0.
    It ends at -1 when there is no number, or one that takes a slower way.
    """
    negative = at < end and text[at] == MINUS
    if negative:
        at += 1
    first = at
    at, digits = read_digits(text, at, end, np.uint64(0))
    whole = at - first
    # Zeros in front are not among the digits that must fit; they are no number of JSON's either.
    count = whole if whole > 0 and text[first] != ZERO else 0
    if whole == 0 or (count == 0 and whole > 1):
        return -1, 0.0, np.uint64(0)
    exponent = 0
    if at < end and text[at] == DOT:
        first = at + 1
        at, digits = read_digits(text, first, end, digits)
        exponent = first - at
        if exponent == 0:
            return -1, 0.0, np.uint64(0)
        while count == 0 and first < at and text[first] == ZERO:
            first += 1
        count += at - first
    if at < end and (text[at] == EXPONENT[0] or text[at] == EXPONENT[1]):
        at, ten = _read_exponent(text, at + 1, end)
        if at < 0:
            return -1, 0.0, np.uint64(0)
        exponent += ten
    if count > DIGITS_MAX:
        return -1, 0.0, np.uint64(0)
    sign = np.uint64(1 << 63) if negative else np.uint64(0)
    if digits == np.uint64(0):
        return at, 0.0, sign
    if exponent == 0 and digits <= EXACT_INTEGER:
        return at, -float(digits) if negative else float(digits), np.uint64(0)
    bits = _nearest(digits, exponent)
    if bits == np.uint64(0):
        return -1, 0.0, np.uint64(0)
    return at, 0.0, bits | sign
