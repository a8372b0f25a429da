"""Doubles to the shortest decimal text that reads back as the same double."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.jit import inlined
from models.words import Bytes, leading_zeros, load, multiply_high, store

Words = NDArray[np.uint64]

POWER_MIN, POWER_MAX = -293, 325
TEXT_MAX = 32
"""Bytes that writing a number touches at most."""
POWERS = np.array([10**k for k in range(20)], np.uint64)
ZERO, DOT, MINUS, PLUS, SMALL_E, NEW_LINE = 48, 46, 45, 43, 101, 10
PLAIN_BELOW, PLAIN_ABOVE = -5, 16
"""Powers of ten of the first digit between which a number is written without an exponent."""


def _tens() -> tuple[Words, Words]:
    """High and low words of 10^k, normalised to 128 bits and rounded up, from POWER_MIN on."""
    high, low = [], []
    for k in range(POWER_MIN, POWER_MAX + 1):
        over, under = (10**k, 1) if k >= 0 else (1, 10**-k)
        shift = over.bit_length() - under.bit_length() - 128
        power = 0
        while power.bit_length() != 128:
            scaled, unit = over << abs(min(shift, 0)), under << abs(max(shift, 0))
            power = -(-scaled // unit)
            shift += power.bit_length() - 128
        high.append(power >> 64)
        low.append(power & (1 << 64) - 1)
    return np.array(high, np.uint64), np.array(low, np.uint64)


TENS_HIGH, TENS_LOW = _tens()


@inlined
def _scaled(place: int, number: np.uint64) -> Any:
    """number · 10^k without its lower 128 bits; the last bit says whether they were not 0."""
    upper, lower = TENS_HIGH[place], TENS_LOW[place]
    middle = upper * number
    total = middle + multiply_high(lower, number)
    carried = np.uint64(1) if total < middle else np.uint64(0)
    rest = np.uint64(1) if total > np.uint64(1) else np.uint64(0)
    return (multiply_high(upper, number) + carried) | rest


@inlined
def shortest(bits: np.uint64) -> tuple[np.uint64, Any]:
    """Digits and exponent of the shortest decimal in the interval of a finite, positive double.

    Giulietti, The Schubfach way to render doubles, 2020, figure 4; the same names.
    """
    one, two, four = np.uint64(1), np.uint64(2), np.uint64(4)
    fraction = bits & np.uint64((1 << 52) - 1)
    binary: Any = np.int64(bits >> np.uint64(52))
    c = fraction | np.uint64(1 << 52) if binary > 0 else fraction
    q = (binary if binary > 1 else 1) - 1075
    closer = fraction == np.uint64(0) and binary > 1
    odd = c & one
    k = (q * 1262611 - (524031 if closer else 0)) >> 22
    h = np.uint64(q + ((-k * 1741647) >> 19) + 1)
    place = -k - POWER_MIN
    lower = _scaled(place, (four * c - (one if closer else two)) << h) + odd
    middle = _scaled(place, (four * c) << h)
    upper = _scaled(place, (four * c + two) << h) - odd
    s = middle >> two
    if s >= np.uint64(10):
        tens = s // np.uint64(10)
        inside = lower <= np.uint64(40) * tens
        above = np.uint64(40) * tens + np.uint64(40) <= upper
        if inside != above:
            return tens + (one if above else np.uint64(0)), k + 1
    inside = lower <= four * s
    above = four * s + four <= upper
    if inside != above:
        return s + (one if above else np.uint64(0)), k
    half = four * s + two
    up = middle > half or (middle == half and s & one == one)
    return s + (one if up else np.uint64(0)), k


@inlined
def _eight_digits(number: np.uint64) -> np.uint64:
    """The text of a number below 1e8 in eight digits, the first in the lowest byte."""
    halves = number // np.uint64(10_000) | (number % np.uint64(10_000)) << np.uint64(32)
    tops = ((halves * np.uint64(10_486)) >> np.uint64(20)) & np.uint64(0x0000007F0000007F)
    pairs = ((halves - np.uint64(100) * tops) << np.uint64(16)) + tops
    tens = ((pairs * np.uint64(103)) >> np.uint64(10)) & np.uint64(0x000F000F000F000F)
    digits = ((pairs - np.uint64(10) * tens) << np.uint64(8)) + tens
    return digits + np.uint64(0x3030303030303030)


@inlined
def write_decimal(text: Bytes, at: int, value: float, bits: np.uint64) -> Any:
    """Write a finite double at `at`, where TEXT_MAX bytes are free; where it ends.

    at: 8 or more, for eight bytes are written at a time. bits: those of `value`. Numbers whose
    first digit is between 1e-5 and 1e15 are written plainly, others like 1.5e+20.
    """
    if bits >> np.uint64(63) != np.uint64(0):
        text[at] = MINUS
        at += 1
        bits = bits & np.uint64((1 << 63) - 1)
    if bits == np.uint64(0):
        text[at] = ZERO
        return at + 1
    if abs(value) < 1e15 and value == np.floor(value):
        digits, ten = np.uint64(abs(value)), 0
    else:
        digits, ten = shortest(bits)
        while digits % np.uint64(10) == np.uint64(0):
            digits = digits // np.uint64(10)
            ten += 1
    return _write_digits(text, at, digits, ten)


@inlined
def _write_digits(text: Bytes, at: int, digits: np.uint64, ten: int) -> Any:
    """Write digits · 10^ten; where it ends."""
    # log10 from log2, which is right or one too small.
    count = ((64 - leading_zeros(digits)) * 1233) >> 12
    count += 1 if digits >= POWERS[count] else 0
    first = ten + count - 1
    plain = PLAIN_BELOW <= first < PLAIN_ABOVE
    if plain and first < 0:
        for k in range(1 - first):
            text[at + k] = DOT if k == 1 else ZERO
        at += 1 - first
        if first == -1:
            text[at - 1] = DOT
    whole = count if (plain and (ten >= 0 or first < 0)) else (first + 1 if plain else 1)
    # Eight digits at a time from the end, one place late when there is a dot to come. What this
    # writes over before the first one is put back.
    begin = at + (1 if whole < count else 0)
    end = begin + count
    before = load(text, begin - 8)
    eight = np.uint64(100_000_000)
    for k in range(1, 4):
        store(text, end - 8 * k, _eight_digits(digits % eight))
        digits = digits // eight
        if digits == np.uint64(0):
            break
    store(text, begin - 8, before)
    if whole < count:
        if whole < 8:
            word = load(text, begin)
            kept = (np.uint64(1) << np.uint64(8 * whole)) - np.uint64(1)
            later = ((word & ~kept) << np.uint64(8)) | (np.uint64(DOT) << np.uint64(8 * whole))
            store(text, at, (word & kept) | later)
        else:
            for k in range(whole):
                text[at + k] = text[begin + k]
            text[at + whole] = DOT
    if plain:
        for k in range(ten):
            text[end + k] = ZERO
        return end + max(ten, 0)
    text[end] = SMALL_E
    text[end + 1] = MINUS if first < 0 else PLUS
    size = abs(first)
    end += 2
    if size >= 100:
        text[end] = ZERO + size // 100
        end += 1
    text[end] = ZERO + size // 10 % 10
    text[end + 1] = ZERO + size % 10
    return end + 2
