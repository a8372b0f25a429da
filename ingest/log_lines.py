"""What a log line says beside its template: message, level, what it is about, what to hide."""

import re
from collections.abc import Mapping, Sequence

import msgspec

REDACTED = (
    (
        re.compile(
            r"(?i)((?:password|passwd|pwd|secret|token|api_?key)\"?\s*[=:]\s*\"?)[^\s\",;&]+"
        ),
        r"\1<secret>",
    ),
    (
        re.compile(r"(?i)(authorization\"?\s*[=:]\s*\"?(?:basic|bearer)?\s*)[^\s\",;]+"),
        r"\1<secret>",
    ),
    (re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"), "<secret>"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "<secret>"),
    (re.compile(r"(?i)\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"), "<email>"),
)
"""What no stored line shows: passwords, tokens, keys, mail addresses."""

CATEGORIES = tuple(
    (name, re.compile(rf"(?i)(?:{words})"))
    for name, words in (
        ("memory", r"out of memory|\boom\b|cannot allocate|heap space|memory limit"),
        ("disk", r"no space left|disk (?:full|quota)|i/o error|input/output error|read-only file"),
        ("tls", r"\btls\b|\bssl\b|certificate|x509|handshake"),
        ("timeout", r"time[ds]? ?-?out|timeout|deadline exceeded"),
        (
            "refused",
            r"connection (?:refused|reset|closed|aborted)|broken pipe|unreachable|no route",
        ),
        (
            "permission",
            r"permission|denied|unauthori[sz]ed|forbidden|not allowed|authentication fail",
        ),
        ("not found", r"not found|no such|does not exist|unknown host|cannot resolve|resolve host"),
        (
            "overload",
            r"too many|rate limit|throttl|overload|queue full|backpressure|quota exceeded",
        ),
        ("crash", r"panic|segfault|segmentation fault|core dumped|fatal|traceback|unhandled"),
        ("corruption", r"corrupt|checksum|parity|bad (?:block|sector)|invalid magic"),
        (
            "configuration",
            r"invalid (?:config|option|argument)|misconfigur|parse error|syntax error",
        ),
    )
)

LEVELS = {
    "trace": "trace", "debug": "debug", "dbg": "debug", "info": "info", "information": "info",
    "notice": "info", "warn": "warn", "warning": "warn", "err": "error", "error": "error",
    "severe": "error", "crit": "critical", "critical": "critical", "alert": "critical",
    "emerg": "critical", "fatal": "critical", "panic": "critical",
}  # fmt: skip
UNKNOWN = "unknown"
_LEVEL_LABELS = ("level", "severity", "detected_level")
_LEVEL_FIELD = re.compile(rb'(?i)\b"?(?:level|lvl|severity|loglevel)"?\s*[=:]\s*"?([a-z]+)')
_LEVEL_WORD = re.compile(
    rb"\b(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERR(?:OR)?|SEVERE|CRIT(?:ICAL)?|FATAL|PANIC)\b"
)
_LEVEL_BYTES = 200
"""A level stands at the start of a line."""
_LOGFMT = re.compile(rb'(?:^|\s)([A-Za-z_][\w.-]*)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')
_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "secs": 1.0,
    "second": 1.0, "seconds": 1.0, "m": 60.0, "min": 60.0, "minutes": 60.0, "h": 3600.0,
    "hours": 3600.0, "d": 86400.0, "days": 86400.0, "": 1.0,
}  # fmt: skip
_BYTES = {"B": 1.0, "byte": 1.0, "bytes": 1.0} | {
    f"{prefix}{end}": base**power
    for end, base in (("B", 1000.0), ("iB", 1024.0), ("b", 1000.0))
    for power, prefixes in enumerate(("", "kK", "mM", "gG", "tT"))
    for prefix in prefixes
    if power
}
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?) ?([A-Za-zµ]*)")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_quantity(text: str) -> float | None:
    """A number, in seconds or bytes when it has such a unit; None when it is none.

    >>> read_quantity("1.5ms"), read_quantity("2 KiB"), read_quantity("1m30s"), read_quantity("-7")
    (0.0015, 2048.0, 90.0, -7.0)
    """
    text = text.strip()
    parts = _QUANTITY.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        return None
    if len(parts) > 1 and any(unit not in _SECONDS for _, unit in parts):
        return None
    scales = [_SECONDS.get(unit, _BYTES.get(unit)) for _, unit in parts]
    if None in scales:
        return None
    return sum(float(n) * scale for (n, _), scale in zip(parts, scales, strict=True) if scale)


def read_message(line: bytes, fields: Sequence[str]) -> bytes:
    """The message of a JSON or logfmt line, or the line; of several lines the first.

    fields: where messages stand, the first that is there counts.

    >>> read_message(b'level=info msg="user in" id=7', ["msg"])
    b'user in'
    >>> read_message(b'{"message": "user in", "id": 7}', ["msg", "message"])
    b'user in'
    """
    message = line.strip()
    if message.startswith(b"{"):
        message = _json_message(message, fields)
    elif b"=" in message:
        message = _logfmt_message(message, fields)
    return message.partition(b"\n")[0]


def read_level(line: bytes, labels: Mapping[str, str]) -> str:
    """The level by the stream's labels, or by the line, in one spelling; `unknown` when neither.

    >>> read_level(b"2026-11-21 WARNING slow", {}), read_level(b"x", {"level": "Err"})
    ('warn', 'error')
    """
    for name in _LEVEL_LABELS:
        if name in labels:
            return LEVELS.get(labels[name].lower(), labels[name].lower())
    start = line[:_LEVEL_BYTES]
    found = _LEVEL_FIELD.search(start) or _LEVEL_WORD.search(start)
    return LEVELS.get(found[1].decode().lower(), UNKNOWN) if found else UNKNOWN


def _json_message(line: bytes, fields: Sequence[str]) -> bytes:
    try:
        found = _object.decode(line)
        for name in fields:
            if name in found:
                text = msgspec.json.decode(found[name])
                return (text if isinstance(text, str) else str(text)).encode()
    except (msgspec.DecodeError, UnicodeError):
        pass
    return line


def _logfmt_message(line: bytes, fields: Sequence[str]) -> bytes:
    found = {match[1]: match for match in _LOGFMT.finditer(line)}
    for name in fields:
        match = found.get(name.encode())
        if match is not None:
            quoted = match[2]
            return match[3] if quoted is None else quoted.replace(b'\\"', b'"')
    return line
