import pytest

from aiops.store.records import Registered, Store, sqlite_url
from models.anomaly import Anomaly, AnomalyFilter, Explanation
from models.errors import InvalidInput, StoreUnavailable
from models.labels import parse_selector
from tests.batches import document

LIMIT = 1000


def anomaly(key, started_ms, **changes):
    why = Explanation(observed=2.0, expected=1.0, lower=0.5, upper=1.5, score=2.0, model={})
    base = {
        "id": key, "detector": "shop", "source": "prom", "query": "up", "labels": {"service": key},
        "state": "open", "direction": "above", "started_at": started_ms, "opened_at": started_ms,
        "score": 2.0, "peak_score": 2.0, "peak_at": started_ms, "explanation": why,
        "sample_at": started_ms, "received_at": started_ms, "scored_at": started_ms,
    }  # fmt: skip
    return Anomaly.model_validate(base | changes)


@pytest.fixture
def store(tmp_path):
    made = Store(sqlite_url(tmp_path))
    yield made
    made.close()


def listed(store, limit=LIMIT, before=None, **chosen):
    return [a.id for a in store.anomalies(AnomalyFilter(**chosen), limit, before)]


def test_detectors_are_kept_with_what_belongs_to_them(store):
    first = Registered(document(name="b"), False, 5, 7)
    store.put_detector(first)
    store.put_detector(Registered(document(name="a"), True, 1, 2))
    assert [(r.document.name, r.from_file, r.born_ms, r.live_after_ms) for r in store.detectors()] == [
        ("a", True, 1, 2), ("b", False, 5, 7),
    ]  # fmt: skip
    store.put_detector(Registered(document(name="b", query="down"), False, 5, 9))
    store.delete_detector("a")
    assert [(r.document.query, r.live_after_ms) for r in store.detectors()] == [("down", 9)]


def test_what_was_told_before_is_not_told_again(store):
    first = anomaly("a", 1000)
    higher = anomaly("a", 1000, peak_at=2000, peak_score=3.0)
    closed = anomaly("a", 1000, state="closed", ended_at=3000, peak_at=2000, peak_score=3.0)
    assert [m.cursor for m in store.record([first, higher], LIMIT)] == [1, 2]
    assert [m.cursor for m in store.record([first, higher, closed], LIMIT)] == [3]
    assert store.record([first, higher, closed], LIMIT) == []
    assert store.anomaly("a") == closed
    assert listed(store) == ["a"]


def test_the_feed_is_read_from_any_cursor_and_bounded(store):
    assert store.feed_bounds() == (1, 0)
    for k in range(10):
        store.append("detectors", {"k": k}, 4)
    assert store.feed_bounds() == (7, 10)
    assert [m.data["k"] for m in store.feed_after(7, 2)] == [7, 8]
    assert store.feed_after(10, 5) == []


def test_cursors_never_come_twice_even_when_all_messages_are_gone(tmp_path):
    first = Store(sqlite_url(tmp_path))
    first.append("detectors", {}, 1000)
    first.append("detectors", {}, 0)
    first.close()
    second = Store(sqlite_url(tmp_path))
    assert second.feed_id == first.feed_id
    assert second.append("detectors", {}, 1000).cursor == 3
    second.close()


def test_anomalies_are_listed_newest_first_and_narrowed(store):
    told = [
        anomaly("a", 1000),
        anomaly("b", 3000, state="closed", ended_at=4000, detector="other"),
        anomaly("c", 2000, peak_score=9.0),
        anomaly("d", 3000),
    ]
    store.record(told, LIMIT)
    assert listed(store) == ["d", "b", "c", "a"]
    assert listed(store, detector="other") == ["b"]
    assert listed(store, state="open") == ["d", "c", "a"]
    assert listed(store, since_ms=4001) == ["d", "c", "a"]
    assert listed(store, until_ms=2000) == ["c", "a"]
    assert listed(store, min_score=5.0) == ["c"]
    assert listed(store, labels=parse_selector('{service=~"a|c"}')) == ["c", "a"]


def test_pages_follow_each_other_without_gap_or_repeat(store):
    store.record([anomaly(f"{k:04d}", 1000 * (k // 3)) for k in range(1200)], 10_000)
    assert len(listed(store, limit=5000)) == 1200
    seen, before = [], None
    while page := store.anomalies(AnomalyFilter(), 7, before):
        seen += [a.id for a in page]
        before = (page[-1].started_at, page[-1].id)
    assert seen == listed(store, limit=5000)
    rare = listed(store, limit=3, labels=parse_selector('{service=~"0.*0"}'))
    assert rare == ["0990", "0980", "0970"]


def test_old_closed_anomalies_are_purged(store):
    store.record([anomaly("a", 1000), anomaly("b", 1000, state="closed", ended_at=2000)], LIMIT)
    assert store.purge(2000) == 0
    assert store.purge(2001) == 1
    assert listed(store) == ["a"]


def test_a_store_that_cannot_be_used_is_refused_in_words(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be opened"):
        Store("nosuchdb://x")
    with pytest.raises(StoreUnavailable, match="unable to open"):
        Store("sqlite:////no/such/folder/x.sqlite")
    (tmp_path / "records.sqlite").write_bytes(b"this is not a database, not at all" * 99)
    with pytest.raises(StoreUnavailable, match="not a database"):
        Store(sqlite_url(tmp_path))


def test_a_store_of_another_release_is_left_alone(tmp_path):
    store = Store(sqlite_url(tmp_path))
    with store._transaction() as connection:
        connection.exec_driver_sql("update meta set value = '99' where key = 'schema'")
    store.close()
    with pytest.raises(InvalidInput, match="schema 99, this engine needs 1"):
        Store(sqlite_url(tmp_path))


def test_a_full_disk_is_told_and_what_was_there_stays(store):
    store.record([anomaly("a", 1000)], LIMIT)
    with store._transaction() as connection:
        pages = connection.exec_driver_sql("pragma page_count").scalar()
        connection.exec_driver_sql(f"pragma max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="full"):
        store.record([anomaly(f"b{k}", 1000) for k in range(500)], LIMIT)
    assert listed(store) == ["a"]
