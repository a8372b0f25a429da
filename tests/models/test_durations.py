import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.durations import format_duration, parse_duration


@given(st.integers(0, 10**13))
def test_what_is_written_is_read_back(duration_ms):
    assert parse_duration(format_duration(duration_ms)) == duration_ms


@pytest.mark.parametrize("text", ["", "5", "5 s", "-5s", "1m1h", "1.5h", "5S", "s"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write it like 15s"):
        parse_duration(text)
