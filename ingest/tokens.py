"""A log line's tokens: words that stay, places that vary, marks between them.

One pass over the bytes decides what varies, so that the key of a line, a hash of its tokens, says
all that template mining needs to know of it. What counts as varying: every run with a digit in it
(numbers, hex, identifiers, versions, addresses), groups of hex digits with colons (times, MAC and
IPv6 addresses), dates with the names of months and days, URLs, paths, mail addresses, host names,
and units behind a number with a size in brackets behind those.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.known import FNV_OFFSET, FNV_PRIME, Places
from models.jit import borrow, inlined, kernel
from models.words import Bytes, load

Tokens = NDArray[np.int32]
"""(TOKENS_MAX, 3): begin, end and kind of each token."""

TOKENS_MAX = 96
"""A line's tokens beyond this are left unread."""
WORD, WILD, MARK = 0, 1, 2
PADDING = 8
"""Bytes that must follow the last line's text."""


def _classes() -> Bytes:
    classes = np.full(256, MARKS, np.uint8)
    classes[:33] = classes[127] = SPACE
    for characters, kind in (
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_", LETTER),
        (b"0123456789", DIGIT),
        (b".-+@~/%#$", JOINT),
    ):
        classes[list(characters)] = kind
    classes[128:] = LETTER  # Bytes of UTF-8 beyond ASCII.
    return classes


def _packed(words: str) -> NDArray[np.uint64]:
    """Each word's first eight bytes as a number."""
    return np.array(
        [int.from_bytes(word.encode()[:8], "little") for word in words.split()], np.uint64
    )


SPACE, MARKS, LETTER, DIGIT, JOINT = 0, 1, 2, 3, 4
CLASSES = _classes()
MONTHS = _packed(
    "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec January February March April June July August "
    "September October November December"
)
WEEKDAYS = _packed(
    "Mon Tue Wed Thu Fri Sat Sun Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
)
ZONES = _packed("UTC GMT EST EDT CST CDT MST MDT PST PDT CET CEST BST IST JST Z")
DURATIONS = _packed(
    "ns us ms s sec secs second seconds millisecond milliseconds microseconds m min mins minute "
    "minutes h hour hours d day days"
)
SIZES = _packed(
    "B KB MB GB TB PB K M G T P KiB MiB GiB TiB PiB Ki Mi Gi Ti kb mb gb tb k byte bytes Bytes"
)
PACKAGES = _packed("org com net io java javax sun android")
"""First labels of names of code, which are no hosts."""
DOMAINS = _packed("com net org edu gov io")
COLON, SLASH, OPEN, CLOSE, LESS, EQUALS, DOT, AT, COMMA = 58, 47, 40, 41, 60, 61, 46, 64, 44
JOINS = np.zeros(256, np.bool_)
"""Marks between two varying places that make them one."""
JOINS[list(b",;:\\/|.-+#")] = True
ENDS_URL = np.zeros(256, np.bool_)
ENDS_URL[[*range(33), *b"\"'<>,;)]"]] = True


@kernel
def read_line(text: Bytes, begin: int, end: int, tokens: Tokens) -> int:
    """Write the tokens of the line in `text[begin:end]`; how many.

    text: with PADDING bytes behind its last line.
    """
    text, tokens = borrow(text), borrow(tokens)
    count, at = 0, begin
    while at < end and count < TOKENS_MAX - 2:
        kind = CLASSES[text[at]]
        if kind == SPACE:
            at += 1
        elif kind == MARKS:
            count = _mark(text, at, tokens, count)
            at += 1
        else:
            stop = _groups_end(text, at, end)
            if stop > at:
                count = _wild(text, at, stop, tokens, count)
            else:
                stop, digits = _run_end(text, at, end)
                if digits:
                    stop, duration = _with_unit(text, at, stop, end)
                    if duration and _is_below(text, at, tokens, count):
                        count -= 1
                        at -= 1
                    count = _wild(text, at, stop, tokens, count)
                else:
                    url = _url_end(text, stop, end)
                    if url > stop or _varies(text, at, stop, begin, end):
                        stop = max(url, stop)
                        count = _wild(text, at, stop, tokens, count)
                    else:
                        count = _word(text, at, stop, tokens, count)
            at = stop
    return count


@kernel
def key_of(text: Bytes, tokens: Tokens, count: int) -> int:
    """A hash of the tokens, in 63 bits; what varies counts as that alone."""
    text, tokens = borrow(text), borrow(tokens)
    value: Any = np.uint64(FNV_OFFSET)
    for k in range(count):
        begin, end, kind = tokens[k, 0], tokens[k, 1], tokens[k, 2]
        if kind == WORD:
            for at in range(begin, end, 8):
                value = _mixed(value, _eight(text, at, end))
            value = _mixed(value, np.uint64(end - begin))
        elif kind == MARK:
            value = _mixed(value, np.uint64(text[begin]) << np.uint64(32))
        else:
            value = _mixed(value, np.uint64(1) << np.uint64(48))
    return int(value >> np.uint64(1))


@kernel
def look_up(
    text: Bytes, edges: Places, memo_keys: Places, memo: NDArray[np.int32], tokens: Tokens,
    keys: Places, places: NDArray[np.int32],
) -> None:  # fmt: skip
    """Each line's key, and its place by the memo, -1 where that does not know the key.

    edges: (n, 2), where lines begin and end. memo_keys, memo: open addressing, a power of two; -1
    stands for none.
    """
    text, memo_keys, memo = borrow(text), borrow(memo_keys), borrow(memo)
    mask = len(memo) - 1
    for k in range(len(edges)):
        key = key_of(text, tokens, read_line(text, edges[k, 0], edges[k, 1], tokens))
        at = key & mask
        while memo[at] >= 0 and memo_keys[at] != key:
            at = (at + 1) & mask
        keys[k] = key
        places[k] = memo[at]


@inlined
def _mixed(value: Any, more: Any) -> Any:
    value = (value ^ more) * np.uint64(FNV_PRIME)
    return value ^ (value >> np.uint64(32))


@inlined
def _eight(text: Bytes, at: int, end: int) -> Any:
    """The bytes from `at`, at most eight and none from `end` on, as a number."""
    word = load(text, at)
    if end - at < 8:
        word &= (np.uint64(1) << np.uint64(8 * (end - at))) - np.uint64(1)
    return word


@kernel
def _among(text: Bytes, begin: int, end: int, words: NDArray[np.uint64]) -> bool:
    """Whether the word is one of `words`, by its first eight bytes."""
    word = _eight(borrow(text), begin, end)
    for known in borrow(words):  # noqa: SIM110  # A loop compiles better than a generator.
        if known == word:
            return True
    return False


@kernel
def _run_end(text: Bytes, at: int, end: int) -> tuple[int, bool]:
    """Where the letters, digits and joints from `at` on end, and whether there is a digit."""
    text = borrow(text)
    digits = False
    while at < end and CLASSES[text[at]] >= LETTER:
        digits |= CLASSES[text[at]] == DIGIT
        at += 1
    return at, digits


@kernel
def _groups_end(text: Bytes, begin: int, end: int) -> int:
    """Where a time, MAC or IPv6 address that begins here ends; `begin` when there is none."""
    text = borrow(text)
    at, colons, digits, size = begin, 0, False, 0
    while at < end:
        c = text[at]
        if c == COLON:
            if size == 0 and (at == begin or text[at - 1] != COLON):
                return begin
            colons += 1
            size = 0
        elif CLASSES[c] == DIGIT or 97 <= c <= 102 or 65 <= c <= 70:
            size += 1
            digits |= CLASSES[c] == DIGIT
            if size > 4:
                return begin
        else:
            break
        at += 1
    if colons < 2 or not digits or size == 0:
        return begin
    while at + 1 < end and text[at] in (DOT, COMMA) and CLASSES[text[at + 1]] == DIGIT:
        at += 2
        while at < end and CLASSES[text[at]] == DIGIT:
            at += 1
    return begin if at < end and CLASSES[text[at]] in (LETTER, DIGIT) else at


@kernel
def _url_end(text: Bytes, at: int, end: int) -> int:
    """Where the URL whose scheme ends at `at` ends; `at` when it is none."""
    text = borrow(text)
    if at + 3 < end and text[at] == COLON and text[at + 1] == SLASH and text[at + 2] == SLASH:
        while at < end and not ENDS_URL[text[at]]:
            at += 1
    return at


@kernel
def _varies(text: Bytes, begin: int, end: int, first: int, last: int) -> bool:
    """Whether a run without digits is a path, a mail address or a host name.

    first, last: where the line begins and ends.
    """
    text = borrow(text)
    if text[begin] == SLASH:
        return end - begin > 1 and CLASSES[text[begin + 1]] == LETTER
    stop = end
    while stop > begin and CLASSES[text[stop - 1]] == JOINT:
        stop -= 1
    dots, label, lower, mail, code = 0, begin, True, False, False
    for at in range(begin, stop):
        if text[at] == DOT:
            code |= dots == 0 and _among(text, begin, at, PACKAGES)
            dots += 1
            label, lower = at + 1, True
        else:
            code |= text[at] == SLASH
            mail |= text[at] == AT and at > begin
            lower &= 97 <= text[at] <= 122
    if code or dots == 0 or not lower or stop - label < 2:
        return False
    if mail or stop - label > 6:
        return mail
    if dots >= 2:
        return True
    followed = stop == end and end + 1 < last and text[end] == COLON
    if followed and CLASSES[text[end + 1]] == DIGIT:
        return True
    known = stop - label == 2 or _among(text, label, stop, DOMAINS)
    return known and begin > first and text[begin - 1] == EQUALS


@kernel
def _with_unit(text: Bytes, begin: int, at: int, end: int) -> tuple[int, bool]:
    """Where the number in `text[begin:at]` ends with its unit, and whether that is of time."""
    text = borrow(text)
    for k in range(begin, at):
        if CLASSES[text[k]] == LETTER:
            return at, False
    stop, size = _unit_end(text, at, end)
    if not size:
        return stop, stop > at
    opened = stop + (stop < end and text[stop] == 32)
    if opened < end and text[opened] == OPEN:  # "2048 bytes (2 KB)"
        number, digits = _run_end(text, opened + 1, end)
        closed, _ = _unit_end(text, number, end)
        if digits and closed < end and text[closed] == CLOSE:
            return closed + 1, False
    return stop, False


@kernel
def _is_below(text: Bytes, at: int, tokens: Tokens, count: int) -> bool:
    """Whether the mark < stands before this number: "<1 sec" says as little as "2 sec"."""
    text, tokens = borrow(text), borrow(tokens)
    if count == 0 or tokens[count - 1, 2] != MARK or tokens[count - 1, 1] != at:
        return False
    return bool(text[tokens[count - 1, 0]] == LESS and tokens[count - 1, 0] == at - 1)


@kernel
def _unit_end(text: Bytes, at: int, end: int) -> tuple[int, bool]:
    """Where a unit that follows here ends, and whether it is one of size; `at` for none."""
    text = borrow(text)
    begin = at + (at < end and text[at] == 32)
    stop = begin
    while stop < end and CLASSES[text[stop]] == LETTER and stop - begin < 13:
        stop += 1
    if stop == begin or (stop < end and CLASSES[text[stop]] == DIGIT):
        return at, False
    if _among(text, begin, stop, SIZES):
        return stop, True
    return (stop, False) if _among(text, begin, stop, DURATIONS) else (at, False)


@kernel
def _word(text: Bytes, begin: int, end: int, tokens: Tokens, count: int) -> int:
    """Add a run as a word, and the joints at its ends as marks."""
    text, tokens = borrow(text), borrow(tokens)
    while begin < end and CLASSES[text[begin]] == JOINT and count < TOKENS_MAX - 2:
        count = _mark(text, begin, tokens, count)
        begin += 1
    stop = end
    while stop > begin and CLASSES[text[stop - 1]] == JOINT:
        stop -= 1
    if stop > begin:
        count = _add(tokens, count, begin, stop, WORD)
    for at in range(stop, end):
        if count < TOKENS_MAX - 2:
            count = _mark(text, at, tokens, count)
    return count


@kernel
def _wild(text: Bytes, begin: int, end: int, tokens: Tokens, count: int) -> int:
    """Add a varying place; with names of months and days, and with a varying neighbour, one."""
    text, tokens = borrow(text), borrow(tokens)
    while count > 0 and tokens[count - 1, 2] == WORD:
        first, last = tokens[count - 1, 0], tokens[count - 1, 1]
        zone = count > 1 and tokens[count - 2, 2] == WILD and _among(text, first, last, ZONES)
        if not (zone or _among(text, first, last, MONTHS) or _among(text, first, last, WEEKDAYS)):
            break
        count -= 1
        begin = first
    if count > 1 and tokens[count - 1, 2] == MARK and text[tokens[count - 1, 0]] == COMMA:
        first, last = tokens[count - 2, 0], tokens[count - 2, 1]
        if tokens[count - 2, 2] == WORD and _among(text, first, last, WEEKDAYS):
            count -= 2
            begin = first
    before = count
    while before > 0 and tokens[before - 1, 2] == MARK and JOINS[text[tokens[before - 1, 0]]]:
        before -= 1
    if before > 0 and tokens[before - 1, 2] == WILD:
        tokens[before - 1, 1] = end
        return before
    return _add(tokens, count, begin, end, WILD)


@kernel
def _mark(text: Bytes, at: int, tokens: Tokens, count: int) -> int:
    """Add a mark; the same one again at once is one mark."""
    text, tokens = borrow(text), borrow(tokens)
    if count > 0 and tokens[count - 1, 1] == at:
        first, kind = tokens[count - 1, 0], tokens[count - 1, 2]
        if kind == MARK and text[first] == text[at]:
            tokens[count - 1, 1] = at + 1
            return count
        if text[at] == CLOSE and kind == MARK and text[first] == OPEN:
            if first > 0 and CLASSES[text[first - 1]] == SPACE:
                # "from 10.0.0.1 ()": what may stand in the brackets is missing.
                count = _add(tokens, count, at, at, WILD)
        elif text[at] == CLOSE and kind == WILD and _is_unit_number(text, tokens, count):
            return _wild(text, tokens[count - 3, 0], at + 1, tokens, count - 3)
    return _add(tokens, count, at, at + 1, MARK)


@kernel
def _is_unit_number(text: Bytes, tokens: Tokens, count: int) -> bool:
    """Whether the last tokens are a device's name and its number, like LOCAL(0)."""
    text, tokens = borrow(text), borrow(tokens)
    if count < 3 or tokens[count - 2, 2] != MARK or tokens[count - 3, 2] != WORD:
        return False
    name, last = tokens[count - 3, 0], tokens[count - 3, 1]
    opened, begin = tokens[count - 2, 0], tokens[count - 1, 0]
    if last != opened or begin != opened + 1 or text[opened] != OPEN or last - name < 2:
        return False
    for at in range(name, last):
        if not 65 <= text[at] <= 90:
            return False
    for at in range(begin, tokens[count - 1, 1]):  # noqa: SIM110
        if CLASSES[text[at]] != DIGIT:
            return False
    return True


@inlined
def _add(tokens: Tokens, count: int, begin: int, end: int, kind: int) -> int:
    tokens[count, 0] = begin
    tokens[count, 1] = end
    tokens[count, 2] = kind
    return count + 1
