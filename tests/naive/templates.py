"""Log lines to tokens by regular expressions, and forms to groups by the rule as it is said."""

import re

RUN = re.compile(r"[A-Za-z0-9_\x80-\U0010ffff.+@~/%#$-]+")
GROUPS = re.compile("[0-9a-fA-F][0-9a-fA-F:]*")
FRACTION = re.compile("(?:[.,][0-9]+)*")
LETTER = r"A-Za-z_\x80-\U0010ffff"
DURATION = "ns|us|ms|s|secs?|seconds?|milliseconds?|microseconds|m|mins?|minutes?|h|hours?|d|days?"
SIZE = "[KMGTP]i?B|[KMGTP]i|[BKMGTPk]|[kmgt]b|[Bb]ytes|byte"
UNIT = re.compile(rf" ?({DURATION}|{SIZE})(?![{LETTER}0-9])")
IN_BRACKETS = re.compile(
    rf" ?\((?=[{LETTER}.+@~/%#$-]*[0-9])[{LETTER}0-9.+@~/%#$-]++(?: ?({DURATION}|{SIZE}))?\)"
)
MONTHS = "January February March April May June July August September October November December"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
DATES = {part for word in f"{MONTHS} {DAYS}".split() for part in (word, word[:3])}
WEEKDAYS = {part for word in DAYS.split() for part in (word, word[:3])}
ZONES = re.compile("UTC|GMT|[ECMP][SD]T|CES?T|BST|IST|JST|Z")
CODE = {"org", "com", "net", "io", "java", "javax", "sun", "android"}
DOMAINS = {"com", "net", "org", "edu", "gov", "io"}
JOINS = set(",;:\\/|.-+#")
WILD, WORD, MARK = "wild", "word", "mark"


def tokens(line):
    """(kind, text) of each token."""
    found = []  # [kind, text, begin, end]
    at = 0
    while at < len(line):
        if line[at] <= " " or line[at] == "\x7f":
            at += 1
            continue
        groups = groups_end(line, at)
        run = RUN.match(line, at)
        if groups:
            wild(found, line, at, groups)
            at = groups
        elif not run:
            mark(found, line, at)
            at += 1
        else:
            at = take_run(found, line, at, run.end())
    return [(kind, text if kind != WILD else "<*>") for kind, text, _, _ in found]


def groups_end(line, at):
    """Where a time, MAC or IPv6 address ends that begins here."""
    match = GROUPS.match(line, at)
    if not match or match[0].count(":") < 2 or match[0].endswith(":"):
        return None
    if not re.search("[0-9]", match[0]) or max(map(len, match[0].split(":"))) > 4:
        return None
    end = FRACTION.match(line, match.end()).end()
    return None if re.match(rf"[{LETTER}0-9]", line[end : end + 1]) else end


def take_run(found, line, at, end):
    run = line[at:end]
    if re.search("[0-9]", run):
        unit = not re.search(f"[{LETTER}]", run) and UNIT.match(line, end)
        if unit and re.fullmatch(DURATION, unit[1]) and not re.fullmatch(SIZE, unit[1]):
            end = unit.end()
            if found and found[-1][0] == MARK and found[-1][1:] == ["<", at - 1, at]:
                found.pop()
                at -= 1
        elif unit:
            end = unit.end()
            brackets = IN_BRACKETS.match(line, end)
            end = brackets.end() if brackets else end
        wild(found, line, at, end)
        return end
    url = re.compile(r"://(?=.)[^\s\x00-\x20\"'<>,;)\]]*").match(line, end)
    if url or varies(line, at, end):
        end = url.end() if url else end
        wild(found, line, at, end)
        return end
    inner = run.strip(".-+@~/%#$")
    begin = at + (len(run) - len(run.lstrip(".-+@~/%#$")) if inner else len(run))
    for k in range(at, begin):
        mark(found, line, k)
    if inner:
        found.append([WORD, inner, begin, begin + len(inner)])
        for k in range(begin + len(inner), end):
            mark(found, line, k)
    return end


def varies(line, at, end):
    run = line[at:end]
    if run.startswith("/"):
        return bool(re.match(rf"/[{LETTER}]", run))
    name = run.rstrip(".-+@~/%#$")
    labels = name.split(".")
    if len(labels) < 2 or labels[0] in CODE:
        return False
    if "/" in name or not re.fullmatch("[a-z]{2,}", labels[-1]):
        return False
    if "@" in name[1:]:
        return True
    if len(labels[-1]) > 6:
        return False
    if len(labels) > 2:
        return True
    if name == run and re.match(":[0-9]", line[end : end + 2]):
        return True
    known = len(labels[-1]) == 2 or labels[-1] in DOMAINS
    return known and line[:at].endswith("=")


def wild(found, line, begin, end):
    while found and found[-1][0] == WORD:
        zone = len(found) > 1 and found[-2][0] == WILD and ZONES.fullmatch(found[-1][1])
        if not zone and found[-1][1] not in DATES:
            break
        begin = found.pop()[2]
    after_day = len(found) > 1 and found[-2][0] == WORD and found[-2][1] in WEEKDAYS
    if after_day and found[-1][:2] == [MARK, ","]:
        found.pop()
        begin = found.pop()[2]
    before = len(found)
    while before and found[before - 1][0] == MARK and found[before - 1][1] in JOINS:
        before -= 1
    if before and found[before - 1][0] == WILD:
        del found[before:]
        found[-1][3] = end
    else:
        found.append([WILD, "", begin, end])


def mark(found, line, at):
    character = line[at]
    if found and found[-1][3] == at:
        kind, text, begin, _ = found[-1]
        if kind == MARK and text == character:
            found[-1][3] = at + 1
            return
        if character == ")" and (kind, text) == (MARK, "(") and begin and line[begin - 1] <= " ":
            found.append([WILD, "", at, at])
        elif character == ")" and kind == WILD and len(found) > 2:
            device = re.compile(r"[A-Z]{2,}\([0-9]+").fullmatch(line, found[-3][2], at)
            if device and [part[0] for part in found[-3:]] == [WORD, MARK, WILD]:
                begin = found[-3][2]
                del found[-3:]
                wild(found, line, begin, at + 1)
                return
    found.append([MARK, character, at, at + 1])


def groups(forms, joined, needed, waits):
    """The group of each form, as a set of forms: the rule applied until nothing changes.

    joined, needed, waits: how holes are written, how many witnesses a form asks for, and whether
    one line that varies there is enough for it.
    """
    known, together = set(forms), []
    while True:
        before = len(known), sum(map(len, together))
        witnesses = {}
        for form in known:
            words = [k for k, w in enumerate(form) if w != "<*>" and (w[0].isalpha() or len(w) > 1)]
            if len(words) > 2:
                for k in words:
                    hole = joined((*form[:k], "<*>", *form[k + 1 :]))
                    witnesses.setdefault(hole, {})[k, form[k]] = (form, len(words) - 1)
        for hole, seen in witnesses.items():
            least = min(needed(form, k, stay) for (k, _), (form, stay) in seen.items())
            members = {form for form, _ in seen.values()}
            if len(seen) >= least:
                known.add(hole)
                together.append(members | {hole})
            elif hole in known:
                enough = {f for (k, _), (f, stay) in seen.items() if waits(f, k, stay)}
                together.append(enough | {hole})
        merged = []
        for members in together:
            apart = [other for other in merged if not other & members]
            merged = [*apart, members.union(*(other for other in merged if other & members))]
        together = merged
        if before == (len(known), sum(map(len, together))):
            break
    return [
        next((frozenset(g) for g in together if form in g), frozenset([form])) for form in forms
    ]
