import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest import closure
from ingest.closure import Closure
from ingest.templates import OTHER, Merge, Templates
from ingest.tokens import MARK, PADDING, TOKENS_MAX, WORD, read_line
from tests.naive import templates as naive

PARTS = [
    *r"""error open user root = ( ) [ ] : , . ; - / < > ' " # % @ * {
    12 4.5 -3 0x1f deadbeef 7a ab:cd:01:02 12:30:59 12:30:59.123 fe80::1 a:b:c ::1 1:2
    Mon Jan May 2005 UTC ms s sec KB bytes (1.5KB) (4 <1 LOCAL(0) GPU(12) Ab(1) f()
    http://a.b/c?d=e ftp: /var/log /x a/b www.host.org db.example:80 =db.io org.apache.x
    me@mail.com name. --- ... über 日本 _x_ a_1 don't e.g. Sunday, September""".split(),
    " ", "  ", "\t", "", "(1.5 KB)", "(4 ms)",
]  # fmt: skip


def packed(lines):
    texts = [line if isinstance(line, bytes) else line.encode() for line in lines]
    ends = np.cumsum([0, *map(len, texts)])
    text = np.frombuffer(b"".join(texts) + bytes(PADDING), np.uint8)
    return text, np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64)


def read(miner, lines, now=0):
    return miner.read(*packed(lines), now).tolist()


def tokens(line):
    text, edges = packed([line])
    out = np.empty((TOKENS_MAX, 3), np.int32)
    count = read_line(text, *edges[0].tolist(), out)
    kinds = {WORD: "word", MARK: "mark"}
    return [
        ("wild", "<*>")
        if kind not in kinds
        else (
            kinds[kind],
            bytes(text[first : first + 1] if kind == MARK else text[first:last]).decode(),
        )
        for first, last, kind in out[:count].tolist()
    ]


@pytest.mark.parametrize(
    ("line", "template"),
    [
        ("Accepted 10.0.0.1 port 22", "Accepted <*> port <*>"),
        ("from 10.0.0.1 () at Mon Jun 20 03:40:59 2005", "from <*> (<*>) at <*>"),
        ("sent 1190 bytes (1.16 KB) in <1 sec", "sent <*> in <*>"),
        ("user=alice uid=0", "user=alice uid=<*>"),
        ("clock LOCAL(0) lost", "clock <*> lost"),
        ("lease 00:1b:44:11:3a:b7 ended", "lease <*> ended"),
        ("GET https://shop.test/cart?id=x failed", "GET <*> failed"),
        ("mail to bob@example.com, path /var/log/syslog.", "mail to <*>, path <*>"),
        ("java.io.IOException: broken pipe", "java.io.IOException: broken pipe"),
        ("id 550e8400-e29b-41d4-a716-446655440000 gone", "id <*> gone"),
        ("login password=hunter token: abc", "login password=<*> token: <*>"),
        ("=====", "="),
        ("", ""),
    ],
)
def test_what_varies_is_masked(line, template):
    miner = Templates(10)
    [place] = read(miner, [line])
    assert miner.text(place) == template


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PARTS), max_size=12))
@example(["(", "1.5", "KB", ")"])
@example(["4", " ", "bytes", " ", "(", "4", "KB", ")"])
def test_tokens_are_those_of_the_regular_expressions(parts):
    line = "".join(parts)
    assert tokens(line) == naive.tokens(line)


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_any_bytes_are_read(lines):
    miner = Templates(10)
    for place in read(miner, lines):
        miner.text(place)


WORDS = st.sampled_from(["a", "b", "c", "d", "LOUD", "UP", "=", ":", "<*>", "user"])
FORMS = st.lists(st.lists(WORDS, min_size=3, max_size=5).map(tuple), max_size=14, unique=True)


def together(forms):
    made = Closure()
    nodes = [made.add(closure._joined(form), place) for place, form in enumerate(forms)]
    return [made.first(node) for node in nodes]


@settings(max_examples=300)
@given(FORMS, st.randoms(use_true_random=False))
def test_groups_are_those_of_the_rule_whatever_the_order(forms, rng):
    forms = list(dict.fromkeys(map(closure._joined, forms)))

    def waits(form, place, stay):
        return stay >= closure.STAY_ENOUGH and not form[place].isupper()

    expected = naive.groups(forms, closure._joined, closure._needed, waits)
    order = list(range(len(forms)))
    for _ in range(2):
        found = together([forms[k] for k in order])
        for i in range(len(order)):
            for k in range(i):
                same = expected[order[i]] == expected[order[k]]
                assert (found[i] == found[k]) == same, (forms[order[i]], forms[order[k]])
        rng.shuffle(order)


def chatter(count, seed=1):
    """Lines of a busy service: some templates, names that vary, now and then a new kind."""
    rng = random.Random(seed)
    users = [f"{a}{b}" for a in ("al", "bo", "ca", "di") for b in ("an", "bert", "ice", "ro")]
    makers = [
        lambda: f"session opened for user {rng.choice(users)} by (uid={rng.randrange(9)})",
        lambda: (
            f"job {rng.choice(users)} took {rng.randrange(900)} ms on worker {rng.randrange(8)}"
        ),
        lambda: f"cache {rng.choice(('hit', 'miss'))}",
        lambda: f"{rng.choice(users)} left the room for a long {rng.choice(users)} walk",
    ]
    return [rng.choice(makers)() for _ in range(count)]


def test_ids_do_not_depend_on_how_lines_are_cut_into_batches():
    lines = chatter(400)
    whole, parts = Templates(50), Templates(50)
    read(whole, lines)
    sizes = iter([1, 7, 64, 3, 400])
    rest = lines
    while rest:
        size = next(sizes)
        read(parts, rest[:size])
        rest = rest[size:]
    assert [whole.id_of(k) for k in read(whole, lines)] == [
        parts.id_of(k) for k in read(parts, lines)
    ]
    assert whole.merges == parts.merges
    assert [s.distance for s in whole.sightings] == [s.distance for s in parts.sightings]


def test_a_merge_is_announced_and_the_older_name_stays():
    miner = Templates(50)
    places = read(miner, [f"worker {name} has joined the pool" for name in ("ann", "bob", "cid")])
    assert [s.line for s in miner.sightings] == [0, 1]
    assert len({miner.id_of(place) for place in places}) == 1
    assert miner.text(places[0]) == "worker <*> has joined the pool"
    [merge] = miner.merges
    assert isinstance(merge, Merge)
    assert merge.kept == miner.id_of(places[0])
    assert miner.counters.merged == 1


def test_two_services_that_start_are_two_templates():
    miner = Templates(50)
    assert (
        len({miner.id_of(p) for p in read(miner, ["cron started", "sshd started", "ntpd started"])})
        == 3
    )


def test_restored_templates_go_on_alike():
    lines = chatter(600)
    whole, first = Templates(50), Templates(50)
    read(whole, lines)
    read(first, lines[:300])
    second = Templates(50)
    second.restore(first.state()["templates"])
    read(second, lines[300:])
    again = [read(miner, lines) for miner in (whole, second)]
    assert [whole.id_of(k) for k in again[0]] == [second.id_of(k) for k in again[1]]
    assert [whole.text(k) for k in again[0]] == [second.text(k) for k in again[1]]
    np.testing.assert_array_equal(whole.groups(), second.groups())


def test_what_is_saved_and_damaged_is_refused():
    with pytest.raises(ValueError, match=r"."):
        Templates(5).restore(np.frombuffer(b"\x93rubbish", np.uint8))


def test_templates_are_bounded_and_the_ones_seen_longest_ago_go_first():
    miner = Templates(8)
    names = [chr(97 + k) * 3 for k in range(20)]
    for now, name in enumerate(names):
        read(miner, [f"{name} started", "aaa started"], now)
        gone = miner.evict()
        assert "other" not in gone
        assert len(np.unique(miner.groups())) - 1 <= 8
    kept = {miner.text(k) for k in range(1, len(miner))}
    assert {"aaa started", "ttt started", "sss started"} <= kept
    assert miner.counters.evicted > 0
    assert len(kept) + miner.counters.evicted == 20


def test_a_found_place_still_varies_after_its_witnesses_are_forgotten():
    miner = Templates(8)
    words = [a + b for a in "abcdefghij" for b in "abcdefghij"]
    known = None
    for now, word in enumerate(words):
        [place] = read(miner, [f"user {word} came in today"], now)
        known = known or miner.id_of(place)
        miner.evict()
        assert miner.id_of(read(miner, [f"user {word} came in today"], now)[0]) == known
    assert len(miner) <= 8 * 8
    assert miner.counters.evicted == 0


def test_a_flood_of_new_kinds_goes_to_other():
    miner = Templates(2)
    rng = random.Random(1)
    lines = [" ".join(rng.choices("abcdefghijklmnop", k=12)) for _ in range(300)]
    places = read(miner, lines)
    assert places.count(OTHER) == miner.counters.other > 200
    assert miner.id_of(OTHER) == "other"
    assert miner.text(OTHER) == "<*>"
    miner.evict()
    assert read(miner, [lines[-1]]) != [OTHER]


def test_the_distance_of_a_new_template_is_its_distance_from_the_nearest():
    miner = Templates(50)
    read(miner, ["disk sda failed badly", "user logged in from the web"])
    read(miner, ["disk failed badly again"])
    near = miner.sightings[-1]
    read(miner, ["quorum lost between brokers"])
    far = miner.sightings[-1]
    assert near.nearest == miner.id_of(1)
    assert 0.0 < near.distance < 0.8 < far.distance <= 1.0
