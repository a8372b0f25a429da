"""Durations as Prometheus writes them (`15s`, `1h30m`, `7d`) and as whole milliseconds."""

import re

_UNITS_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_PATTERN = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?"
)
_ORDER = ("y", "w", "d", "h", "m", "s", "ms")


def parse_duration(text: str) -> int:
    """Milliseconds in `text`: largest unit first, each unit at most once, as in PromQL.

    Raises ValueError with an example of what would be right.

    >>> parse_duration("1h30m")
    5400000
    """
    match = _PATTERN.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"{text!r} is not a duration; write it like 15s, 5m, 1h30m or 7d")
    return sum(
        int(count) * _UNITS_MS[unit]
        for count, unit in zip(match.groups(), _ORDER, strict=True)
        if count
    )


def format_duration(duration_ms: int) -> str:
    """The shortest text that `parse_duration` reads back as `duration_ms`.

    >>> format_duration(5_400_000), format_duration(0), format_duration(604_800_000)
    ('1h30m', '0s', '7d')
    """
    if duration_ms == 0:
        return "0s"
    parts: list[str] = []
    rest = duration_ms
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNITS_MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
