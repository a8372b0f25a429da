"""Label sets, and the matchers that select them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

METRIC_NAME = "__name__"


class Labels(Mapping[str, str]):
    """A label set: sorted by name, hashable, never changed. It is a series' identity."""

    __slots__ = ("_hash", "_pairs")

    def __init__(self, labels: Mapping[str, str]) -> None:
        # Prometheus treats an empty value as an absent label; so do we.
        self._pairs = tuple(sorted((name, value) for name, value in labels.items() if value))
        self._hash = hash(self._pairs)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(name, value) pairs, sorted by name."""
        return self._pairs

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, the same in every process and release."""
        digest = blake2b(digest_size=8)
        for name, value in self._pairs:
            digest.update(name.encode() + b"\xff" + value.encode() + b"\xff")
        return digest.hexdigest()

    def __getitem__(self, name: str) -> str:
        for known, value in self._pairs:
            if known == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self._pairs == other._pairs
        return NotImplemented

    def __str__(self) -> str:
        """As PromQL writes it: `name{a="b"}`."""
        inner = ", ".join(f"{n}={quote(v)}" for n, v in self._pairs if n != METRIC_NAME)
        return f"{self.get(METRIC_NAME, '')}{{{inner}}}"

    def __repr__(self) -> str:
        return f"Labels({str(self)!r})"


def quote(value: str) -> str:
    """A label value in double quotes, escaped as in PromQL and the text exposition format."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def unquote(quoted: str) -> str:
    """The text in single or double quotes, or between backticks as it stands.

    >>> unquote('"say \\\\"hi\\\\""'), unquote("`as it stands`")
    ('say "hi"', 'as it stands')
    """
    if quoted[0] == "`":
        return quoted[1:-1]
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), quoted[1:-1])


@dataclass(frozen=True)
class Matcher:
    """One condition on one label: `=`, `!=`, `=~` or `!~`; the latter match the whole value."""

    name: str
    operator: str
    value: str

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.value)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` meets the condition; an absent label is the empty string."""
        actual = labels.get(self.name, "")
        if self.operator in ("=", "!="):
            return (actual == self.value) == (self.operator == "=")
        return (self._pattern.fullmatch(actual) is not None) == (self.operator == "=~")


@dataclass(frozen=True, slots=True)
class Selector:
    """Matchers that must all hold, as PromQL writes them: `name{a="b", c=~"d.*"}`."""

    matchers: tuple[Matcher, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether every matcher holds."""
        return all(matcher.matches(labels) for matcher in self.matchers)


def parse_labels(text: str) -> Labels:
    """Read `{a="b", c="d"}`, as the push API of Loki writes a stream's labels.

    >>> parse_labels('{app="shop"}')["app"]
    'shop'
    """
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise ValueError(f'{text!r} is not a label set; write it like {{app="shop"}}')
    matchers = list(_read_matchers(text[1:-1]))
    if any(matcher.operator != "=" for matcher in matchers):
        raise ValueError(f"{text!r} has a matcher that is not an equality")
    return Labels({matcher.name: matcher.value for matcher in matchers})


_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_MATCHER = re.compile(
    r"""\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*"""
)
_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'"}


def parse_selector(text: str) -> Selector:
    """Read `name{a="b", c=~"d.*"}`; the name or the braces may be left out, not both.

    Raises ValueError that says where reading stopped.

    >>> parse_selector('up{job=~"node.*"}').matches({"__name__": "up", "job": "node-1"})
    True
    """
    text = text.strip()
    matchers: list[Matcher] = []
    rest = text
    name = _NAME.match(text)
    if name:
        matchers.append(Matcher(METRIC_NAME, "=", name.group()))
        rest = text[name.end() :].strip()
    if rest:
        if not (rest.startswith("{") and rest.endswith("}")):
            raise ValueError(f'{text!r} is not a selector; write it like name{{label="value"}}')
        matchers.extend(_read_matchers(rest[1:-1]))
    if not matchers:
        raise ValueError(f'{text!r} selects everything; name a metric or one label="value"')
    return Selector(tuple(matchers))


def _read_matchers(text: str) -> Iterator[Matcher]:
    at = 0
    while text[at:].strip():
        match = _MATCHER.match(text, at)
        if match is None:
            raise ValueError(f'expected label="value" at {text[at:]!r}')
        name, operator, quoted = match.groups()
        value = unquote(quoted)
        if operator in ("=~", "!~"):
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"regular expression {value!r}: {error}") from error
        yield Matcher(name, operator, value)
        at = match.end()
        if text[at:].strip():
            if text[at] != ",":
                raise ValueError(f"expected a comma at {text[at:]!r}")
            at += 1
