import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiops.sinks.decimals import TEXT_MAX, write_decimal


def written(value):
    text = np.full(8 + TEXT_MAX, 35, np.uint8)
    bits = np.uint64(struct.unpack("<Q", struct.pack("<d", value))[0])
    end = write_decimal(text, 8, value, bits)
    assert bytes(text[:8]) == b"########"
    return bytes(text[8:end]).decode()


def digits_of(text):
    return len(text.partition("e")[0].lstrip("-").replace(".", "").strip("0"))


@settings(max_examples=1000)
@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(10**18), 10**18).map(float)
    | st.integers(-1074, 1023).map(lambda k: 2.0**k)
    | st.decimals(-1000, 1000, places=3).map(float)
)
@example(5e-324)
@example(1.7976931348623157e308)
@example(9007199254740993.0)
@example(2.2250738585072014e-308)
def test_what_is_written_reads_back_as_the_same_double_and_is_shortest(value):
    text = written(value)
    assert struct.pack("<d", float(text)) == struct.pack("<d", value)
    assert digits_of(text) == digits_of(repr(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "-0"), (20.0, "20"), (-1.5, "-1.5"), (0.1, "0.1"), (1e-5, "0.00001"),
        (9e-6, "9e-06"), (1e15, "1000000000000000"), (1e16, "1e+16"), (1.5e-300, "1.5e-300"),
        (123456.789, "123456.789"),
    ],
)  # fmt: skip
def test_numbers_are_written_like_this(value, text):
    assert written(value) == text
