"""Log lines to templates: which lines say the same but for what varies, found as they come.

The tokens of a line (`ingest.tokens`) have its varying places in them; a memo from their hash to
the *form*, the sequence of tokens, makes a known line cheap. Forms that are one template are found
by `ingest.closure`, whatever the order of the lines.

Why not drain3: its similarity threshold puts one truly new line in ten into an old template, its
groups change with the order of lines, and it reads every form of a length for each line.
"""

import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.closure import VARIES, Closure, Form
from ingest.known import Places
from ingest.nearest import Nearest
from ingest.tokens import MARK, TOKENS_MAX, WILD, WORD, look_up, read_line
from models.words import Bytes

OTHER = 0
"""The place of lines beyond the bounds."""
OTHER_ID = "other"
ANY = "<_>"
ANY_RUN = re.compile("(?:<_>)+")
REPEATED = 4
"""Added to the gap before a mark that stands more than once."""
SECRETS = ("password", "passwd", "pwd", "secret", "token", "apikey", "api_key", "authorization")
FORMS_PER_TEMPLATE = 8
"""Forms that are kept, for each template that may be."""
MEMO_FIRST = 1 << 10
MEMO_MAX = 1 << 20


class Merge(NamedTuple):
    """Two templates found to be one: lines of `gone` count under `kept` from now on."""

    gone: str
    kept: str


class Sighting(NamedTuple):
    """A template's first line.

    line: its index in what was read. distance: of the template from the `nearest` one known then.
    """

    line: int
    place: int
    distance: float
    nearest: str | None


@dataclass(slots=True)
class TemplateCounters:
    """What the miner did; other: lines beyond the bounds."""

    merged: int = 0
    evicted: int = 0
    other: int = 0


class _Saved(NamedTuple):
    """A form as it is kept: of which template, and when seen last; found ones were never seen."""

    form: tuple[str, ...]
    gaps: tuple[int, ...]
    template: str
    seen: int


class Templates:
    """The templates of one stream of lines.

    templates_max: how many are kept; see `evict`. A form's *place* is its index and holds until
    then. Lines whose form finds no room are of the template OTHER.
    """

    def __init__(self, templates_max: int) -> None:
        self.counters = TemplateCounters()
        self.merges: list[Merge] = []
        self.sightings: list[Sighting] = []
        self._templates_max = templates_max
        self._forms_max = FORMS_PER_TEMPLATE * templates_max
        self._tokens = np.empty((TOKENS_MAX, 3), np.int32)
        self._groups: NDArray[np.int32] | None = None
        self._start()

    def __len__(self) -> int:
        """How many forms."""
        return len(self._forms)

    def read(self, text: Bytes, edges: Places, now: int) -> NDArray[np.int32]:
        """The form of each line, by place.

        text: the lines' bytes, `ingest.tokens.PADDING` behind the last. edges: (n, 2), where each
        line begins and ends. now: any number that does not fall, to know what was not seen lately.
        """
        keys, places = np.empty(len(edges), np.int64), np.empty(len(edges), np.int32)
        look_up(text, edges, self._memo_keys, self._memo, self._tokens, keys, places)
        unknown = np.flatnonzero(places < 0).tolist()
        learned: dict[int, int] = {}
        for line in unknown:
            key = int(keys[line])
            if key not in learned:
                learned[key] = self._learn(text, edges[line], line)
            places[line] = learned[key]
        for key, place in learned.items():
            self._remember(key, place)
        self._make_room()
        self._seen[places] = now
        self.counters.other += int(np.count_nonzero(places == OTHER))
        return places

    def groups(self) -> NDArray[np.int32]:
        """By place, the oldest place of the same template."""
        if self._groups is None:
            first = self._closure.first
            self._groups = np.array([OTHER, *(first(node) for node in self._nodes[1:])], np.int32)
        return self._groups

    def id_of(self, place: int) -> str:
        """The name of the template that a form belongs to."""
        return OTHER_ID if place == OTHER else self._ids[self._closure.first(self._nodes[place])]

    def text(self, place: int) -> str:
        """The template that a form belongs to, `<*>` where it varies."""
        return "".join(" " * min(gap % REPEATED, 1) + word for gap, word in self._spaced(place))

    def pattern(self, place: int) -> str:
        """The template as a pattern of LogQL's `|>`, where `<_>` is any text but none.

        Where the line has more than one space, or a mark more than once, that is any text too.
        """
        parts: list[str] = []
        for gap, word in self._spaced(place):
            parts.append({0: "", 1: " "}.get(gap % REPEATED, ANY))
            if word == ")" and parts[-1] == "" and parts[-2:-1] == [ANY]:
                continue  # "()" is of "(<*>)" too, and what varies is then the bracket.
            parts.append(ANY if word == VARIES else word + ANY if gap >= REPEATED else word)
        return ANY_RUN.sub(ANY, "".join(parts))

    def _spaced(self, place: int) -> Iterable[tuple[int, str]]:
        """The tokens of a template, each with the gap before it."""
        if place == OTHER:
            return [(0, VARIES)]
        form = self._closure.general(self._nodes[place])
        groups = self.groups()
        gaps = (self._gaps[k] for k in np.flatnonzero(groups == groups[place]).tolist())
        fitting = next((own for own in gaps if len(own) == len(form)), (0,) + (1,) * len(form))
        return zip(fitting, form, strict=False)

    def place_of(self, name: str) -> int | None:
        """A form of the template of that name, None when it is gone."""
        return self._by_name.get(name)

    def text_of(self, name: str) -> str | None:
        """The template of that name, None when it is gone."""
        place = self.place_of(name)
        return None if place is None else self.text(place)

    def take_merges(self) -> list[Merge]:
        """Merges since the last call."""
        taken, self.merges = self.merges, []
        return taken

    def take_sightings(self) -> list[Sighting]:
        """First lines of templates since the last call, without those that merged since."""
        taken, self.sightings = self.sightings, []
        groups = self.groups()
        return [sighting for sighting in taken if groups[sighting.place] == sighting.place]

    def evict(self) -> list[str]:
        """Forget what was seen longest ago when there is too much; the names of templates gone.

        Down to three quarters, so that it is rare. Places change with that.
        """
        groups = self.groups()
        alive = np.unique(groups[1:])
        if len(alive) <= self._templates_max and len(self._forms) <= self._forms_max:
            return []
        seen = self._seen[: len(groups)]
        newest = np.zeros(len(groups), np.int64)
        np.maximum.at(newest, groups, seen)
        room = min(len(alive), 3 * self._templates_max // 4)
        kept = np.sort(alive[np.lexsort((-alive, -newest[alive]))[:room]])
        forms = np.flatnonzero(np.isin(groups, kept))
        room = min(len(forms), 3 * self._forms_max // 4)
        forms = np.sort(forms[np.lexsort((-forms, -seen[forms]))[:room]])
        gone = np.setdiff1d(alive, np.unique(groups[forms]))
        names = [self._ids[place] for place in gone.tolist()]
        self.counters.evicted += len(names)
        self._rebuild(list(self._saved(forms.tolist())))
        return names

    def state(self) -> dict[str, NDArray[Any]]:
        """All that `restore` needs."""
        saved = list(self._saved(range(1, len(self._forms))))
        packed = msgspec.msgpack.encode((saved, astuple(self.counters)))
        return {"templates": np.frombuffer(packed, np.uint8)}

    def restore(self, state: NDArray[Any]) -> None:
        """Take over what `state` gave. Raises ValueError for anything else."""
        kind = tuple[list[_Saved], tuple[int, int, int]]
        saved, counts = msgspec.msgpack.decode(state.tobytes(), type=kind)
        self._rebuild(saved)
        self.counters = TemplateCounters(*counts)

    def _start(self) -> None:
        self._closure = Closure()
        self._nearest = Nearest()
        self._forms: list[Form] = [(VARIES,)]
        self._gaps: list[tuple[int, ...]] = [(0,)]
        self._ids = [OTHER_ID]
        self._nodes = [-1]
        self._places: dict[Form, int] = {}
        self._by_name: dict[str, int] = {}
        self._seen = np.zeros(64, np.int64)
        self._groups = None
        self._forget_keys(MEMO_FIRST)

    def _saved(self, places: Iterable[int]) -> Iterable[_Saved]:
        """These forms, and the forms found for their templates."""
        found: dict[int, str] = {}
        for place in places:
            name = self.id_of(place)
            found[int(self.groups()[place])] = name
            yield _Saved(self._forms[place], self._gaps[place], name, int(self._seen[place]))
        for first, name in found.items():
            for form in self._closure.found_forms(self._nodes[first]):
                yield _Saved(form, (), name, -1)

    def _rebuild(self, saved: Iterable[_Saved]) -> None:
        self._start()
        templates: dict[str, int] = {}
        for form, gaps, name, seen in saved:
            if seen < 0:
                node = self._closure.keep(form)
            else:
                place = self._enter(form, gaps, name)
                node = self._nodes[place]
                self._make_room()
                self._seen[place] = seen
                if name not in templates:
                    self._nearest.add(form, place)
            # What was one template stays one, though its witnesses may be gone.
            self._closure.unite(node, templates.setdefault(name, node))
        self._closure.united.clear()

    def _learn(self, text: Bytes, edge: Places, line: int) -> int:
        """The place of a line whose key the memo did not know."""
        form, gaps = _form(text, int(edge[0]), int(edge[1]), self._tokens)
        place = self._places.get(form)
        if place is not None:
            return place
        if len(self._forms) > 2 * self._forms_max:
            return OTHER
        name = blake2b("\0".join(form).encode(), digest_size=6).hexdigest()
        place = self._enter(form, gaps, name)
        for older, younger in self._closure.united:
            if younger != place:
                self.merges.append(Merge(self._ids[younger], self._ids[older]))
                self.counters.merged += 1
        self._closure.united.clear()
        if self._closure.first(self._nodes[place]) == place:
            distance, nearest = self._nearest.add(form, place)
            known = None if nearest is None else self.id_of(nearest)
            self.sightings.append(Sighting(line, place, distance, known))
        return place

    def _enter(self, form: Form, gaps: tuple[int, ...], name: str) -> int:
        place = self._places[form] = len(self._forms)
        self._forms.append(form)
        self._gaps.append(gaps)
        self._ids.append(name)
        self._by_name.setdefault(name, place)
        self._nodes.append(self._closure.add(form, place))
        self._groups = None
        return place

    def _make_room(self) -> None:
        missing = len(self._forms) - len(self._seen)
        if missing > 0:
            more = np.zeros(missing + len(self._forms), np.int64)
            self._seen = np.append(self._seen, more)

    def _forget_keys(self, size: int) -> None:
        self._memo_keys = np.empty(size, np.int64)
        self._memo = np.full(size, -1, np.int32)
        self._memo_count = 0

    def _remember(self, key: int, place: int) -> None:
        """Enter a key into the memo; a full one grows and, as large as may be, starts anew."""
        size = len(self._memo)
        if 2 * self._memo_count >= size:
            keys, places = self._memo_keys, self._memo
            self._forget_keys(min(2 * size, MEMO_MAX))
            if size < MEMO_MAX:
                for k in np.flatnonzero(places >= 0).tolist():
                    self._remember(int(keys[k]), int(places[k]))
        at = key & (len(self._memo) - 1)
        while self._memo[at] >= 0:
            at = (at + 1) & (len(self._memo) - 1)
        self._memo_keys[at], self._memo[at] = key, place
        self._memo_count += 1


def _form(
    text: Bytes, begin: int, end: int, tokens: NDArray[np.int32]
) -> tuple[Form, tuple[int, ...]]:
    """A line's form, and the gap before each token: none, one space, or more."""
    count = read_line(text, begin, end, tokens)
    line = text[begin:end].tobytes()  # Python's bytes are quicker than an array, byte by byte.
    form: list[str] = []
    gaps: list[int] = []
    behind = 0
    for first, last, kind in (tokens[:count] - (begin, begin, 0)).tolist():
        if kind == WILD or (kind == WORD and _tells_secret(form)):
            form.append(VARIES)
        elif kind == WORD:
            form.append(line[first:last].decode("utf-8", "backslashreplace"))
        else:
            form.append(chr(line[first]))
        between = line[behind:first]
        # What stands before the first token is no part of it.
        gap = 0 if not form[1:] or not between else 1 if between == b" " else 2
        gaps.append(gap + REPEATED * (kind == MARK and last - first > 1))
        behind = last
    return tuple(form), tuple(gaps)


def _tells_secret(form: list[str]) -> bool:
    """Whether the next word is a secret's value: no template keeps it."""
    return len(form) > 1 and form[-1] in "=:" and form[-2].lower().endswith(SECRETS)
