"""Instants: milliseconds since the Unix epoch inside, RFC 3339 UTC text outside."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_timestamp(timestamp_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds.

    >>> format_timestamp(1_795_205_148_250)
    '2026-11-20T20:05:48.250Z'
    """
    moment = _EPOCH + timedelta(milliseconds=timestamp_ms)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{timestamp_ms % 1000:03d}Z"


def parse_timestamp(text: str) -> int:
    """Milliseconds since the epoch of RFC 3339 text or of Unix seconds.

    Raises ValueError when the text is neither, or names no time zone.

    >>> parse_timestamp("2026-11-20T20:05:48.250Z") == parse_timestamp("1795205148.25")
    True
    """
    try:
        return round(float(text) * 1000)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{text!r} is not a time; write it like 2026-11-20T20:05:48Z")
    return round((moment - _EPOCH) / timedelta(milliseconds=1))
