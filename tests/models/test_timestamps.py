import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.timestamps import format_timestamp, parse_timestamp


@given(st.integers(-(10**12), 10**14))
def test_what_is_written_is_read_back(timestamp_ms):
    assert parse_timestamp(format_timestamp(timestamp_ms)) == timestamp_ms


@pytest.mark.parametrize("text", ["", "today", "2026-11-20", "2026-11-20T20:05:48", "nan", "inf"])
def test_what_names_no_instant_is_refused(text):
    with pytest.raises(ValueError, match="is not a time"):
        parse_timestamp(text)
