import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.decimals import read_decimal


def read(text):
    """The number that `text` is, or None when it takes a slower way."""
    raw = np.frombuffer(text.encode() or b" ", np.uint8)
    end, value, bits = read_decimal(raw, 0, len(text))
    if end < 0:
        return None
    assert end == len(text)
    return struct.unpack("<d", struct.pack("<Q", int(bits)))[0] if bits else value


@settings(max_examples=1000)
@given(
    st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.tuples(st.integers(-(10**19), 10**19), st.integers(-350, 350)).map(
        lambda t: f"{t[0]}e{t[1]}"
    )
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
)
@example("9007199254740993")
@example("1e23")
@example("6.9294956446009195e15")
@example("2.2250738585072014e-308")
@example("0.000000000000000000000000000001")
@example("123456789012345678")
def test_what_it_reads_has_the_bits_of_float(text):
    got = read(text)
    if got is not None:
        assert struct.pack("<d", got) == struct.pack("<d", float(text))


@pytest.mark.parametrize("text", ["0", "-0", "1", "0.5", "100.25", "1e5", "-1.5e-7", "17179869184"])
def test_usual_numbers_take_the_quick_way(text):
    assert read(text) == float(text)


@pytest.mark.parametrize(
    "text", ["", "-", ".5", "1.", "1e", "01", "00.5", "+1", "e5", "1e400", "5e-324"]
)
def test_what_is_odd_takes_the_slower_way(text):
    assert read(text) is None
