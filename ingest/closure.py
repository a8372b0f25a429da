"""Forms of log lines that are one template: the closure of a rule over all forms seen.

A form is a line's tokens. Two forms that are equal but for one word are witnesses that its place
varies. With enough of them the form with that place varying stands for them all, and is itself a
form for the same rule. A single one is enough where a line was seen that does vary there, when
enough else is said. Only sets grow, and a set's size alone decides; so which forms end up together
does not depend on the order they came in.
"""

from collections.abc import Sequence

Form = tuple[str, ...]
"""Words, marks of one character, and VARIES; see `ingest.tokens`."""

VARIES = "<*>"
JOINS = frozenset(",;:\\/|.-+#")
"""Marks between two varying places that make them one."""
TOUCHING = JOINS | {VARIES}
STAY_MIN = 2
"""Words that must stay, or "cron started" and "sshd started" would be one."""
STAY_ENOUGH = 3
"""Where so many words stay, one line that varies at the place is proof enough."""
WITNESSES = {2: 32, 3: 4}
"""Words in one place that prove it to vary, by the number of words that stay."""
WITNESSES_MORE = 3
WITNESSES_FIRST = 8
"""A message's first word rarely varies."""
WITNESSES_CAPITALS = 6
"""Names in capitals are mostly states."""
WITNESSES_NAMED = 2
NAMING = frozenset(("=", '"', "'", "[", "(", "<", "user", "domain", "host", "interface", "class"))
"""What stands before a value."""
NOBODY = 1 << 62


Witness = tuple[int, int, int, int, bool]
"""A form's word at a place: node, place, word, how many are needed, and whether a line that varies
there is proof enough. Numbers alone, which the garbage collector need not look into."""


class Closure:
    """Groups of forms; each form is a node.

    united: pairs of groups' first members that became one, for the caller to take.
    """

    def __init__(self) -> None:
        self.nodes: dict[Form, int] = {}
        self.found: dict[Form, int] = {}
        """Forms whose varying place was found, by witnesses; they join every later one."""
        self.united: list[tuple[int, int]] = []
        self._parents: list[int] = []
        self._first: list[int] = []
        self._forms: list[Form] = []
        self._members: dict[int, list[int]] = {}
        """By root, the nodes of groups of more than one."""
        # By the hash of the form with its place varying: most places never see a second word, and
        # the forms themselves would take most of the memory.
        self._witnesses: dict[int, Witness | list[Witness]] = {}
        self._words: dict[str, int] = {}

    def add(self, form: Form, member: int = NOBODY) -> int:
        """Take in a form and all that follows from it; its node.

        member: a number for the line's form, the lower the older; NOBODY for a form found.
        """
        fresh = [(form, member)]
        while fresh:
            self._add(*fresh.pop(), fresh)
        return self.nodes[form]

    def keep(self, form: Form) -> int:
        """Take in a form that was found earlier; its node."""
        node = self.found[form] = self.add(form)
        return node

    def first(self, node: int) -> int:
        """The lowest member of a node's group."""
        return self._first[self._root(node)]

    def unite(self, left: int, right: int) -> None:
        """Make the groups of two nodes one."""
        left, right = self._root(left), self._root(right)
        if left == right:
            return
        lefts, rights = (self._members.pop(root, [root]) for root in (left, right))
        if len(lefts) < len(rights):
            left, right, lefts, rights = right, left, rights, lefts
        older, younger = sorted((self._first[left], self._first[right]))
        if younger != NOBODY:
            self.united.append((older, younger))
        self._parents[right] = left
        self._first[left] = older
        lefts += rights
        self._members[left] = lefts

    def general(self, node: int) -> Form:
        """What the forms of a node's group have in common."""
        members = self._group(node)
        fewest = min(sum(word != VARIES for word in form) for form in members)
        base = min(form for form in members if sum(word != VARIES for word in form) == fewest)
        same = [form for form in members if len(form) == len(base)]
        return tuple(
            word if all(form[place] == word for form in same) else VARIES
            for place, word in enumerate(base)
        )

    def found_forms(self, node: int) -> list[Form]:
        """The forms of a node's group whose varying place was found."""
        return [form for form in self._group(node) if form in self.found]

    def _group(self, node: int) -> list[Form]:
        root = self._root(node)
        return [self._forms[member] for member in self._members.get(root, (root,))]

    def _add(self, form: Form, member: int, fresh: list[tuple[Form, int]]) -> None:
        node = self.nodes.get(form)
        if node is not None:
            root = self._root(node)
            self._first[root] = min(self._first[root], member)
            return
        node = self.nodes[form] = len(self._parents)
        self._parents.append(node)
        self._first.append(member)
        self._forms.append(form)
        for other, _, _, _, waits in self._of(form):
            if waits:
                self.unite(node, other)
        words = [k for k, word in enumerate(form) if word[0].isalpha() or len(word) > 1]
        words = [k for k in words if form[k] != VARIES]
        stay = len(words) - 1
        if stay < STAY_MIN:
            return
        for place in words:
            self._witness(form, place, stay, node, fresh)

    def _witness(
        self, form: Form, place: int, stay: int, node: int, fresh: list[tuple[Form, int]]
    ) -> None:
        """A form says that this word stood at this place."""
        general = (*form[:place], VARIES, *form[place + 1 :])
        beside = form[place - 1] in TOUCHING if place else False
        if beside or (place + 1 < len(form) and form[place + 1] in TOUCHING):
            general = _joined(general)
        if general in self.found:
            self.unite(node, self.found[general])
            return
        word = form[place]
        waits = stay >= STAY_ENOUGH and not word.isupper()
        number = self._words.setdefault(word, len(self._words))
        witness = (node, place, number, _needed(form, place, stay), waits)
        known = self.nodes.get(general)
        if waits and known is not None:
            self.unite(node, known)
        key = hash(general)
        before = self._witnesses.setdefault(key, witness)
        if before is witness:
            return
        if not isinstance(before, list):
            before = self._witnesses[key] = [before]
        before.append(witness)
        if len({own[1:3] for own in before}) >= min(own[3] for own in before):
            self._find(general, before, fresh)

    def _of(self, general: Form) -> Sequence[Witness]:
        witnesses = self._witnesses.get(hash(general))
        if witnesses is None:
            return ()
        return witnesses if isinstance(witnesses, list) else (witnesses,)

    def _find(
        self, general: Form, witnesses: Sequence[Witness], fresh: list[tuple[Form, int]]
    ) -> None:
        """The place varies: everything seen there is one."""
        first = witnesses[0][0]
        for witness in witnesses[1:]:
            self.unite(first, witness[0])
        self.found[general] = first
        known = self.nodes.get(general)
        if known is None:
            self._witnesses[hash(general)] = (*witnesses[0][:4], True)
            fresh.append((general, NOBODY))
        else:
            del self._witnesses[hash(general)]
            self.unite(first, known)

    def _root(self, node: int) -> int:
        parents = self._parents
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node


def _needed(form: Form, place: int, stay: int) -> int:
    if place and form[place - 1] in NAMING:
        return WITNESSES_NAMED
    needed = WITNESSES.get(stay, WITNESSES_MORE)
    if place == 0:
        needed = max(needed, WITNESSES_FIRST)
    if form[place].isupper():
        needed = max(needed, WITNESSES_CAPITALS)
    return needed


def _joined(form: Form) -> Form:
    """The form with varying places that only joining marks part made one.

    >>> _joined(("from", "<*>", ":", "<*>", "to", "<*>", "<*>"))
    ('from', '<*>', 'to', '<*>')
    """
    joined: list[str] = []
    for word in form:
        if word == VARIES:
            before = len(joined)
            while before and joined[before - 1] in JOINS:
                before -= 1
            if before and joined[before - 1] == VARIES:
                del joined[before:]
                continue
        joined.append(word)
    return tuple(joined)
