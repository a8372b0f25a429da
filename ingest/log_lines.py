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
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


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
