import asyncio

import pytest

from aiops.feed_log import FeedLog
from aiops.sinks.feed import Feed
from aiops.store.records import Store, sqlite_url
from models.errors import InvalidInput
from models.feed import Message, Request, Subscription
from models.validation import parse
from tests.aiops.test_store import anomaly
from tests.batches import sample_batch, stream


@pytest.fixture
def log(tmp_path):
    store = Store(sqlite_url(tmp_path))
    feed = Feed(store.feed_id, store.feed_bounds()[1], queue_max=3, readers_max=2)
    yield FeedLog(feed, store, 5)
    store.close()


def reader(log, *topics, **chosen):
    opened = log.open()
    for topic in topics:
        opened.subscriptions[topic] = Subscription(**chosen)
    return opened


def queued(opened):
    out = []
    while not opened._queue.empty():
        out.append(opened._queue.get_nowait())
    return out


def test_readers_get_what_they_subscribed_to_in_order_of_cursors(log):
    everything, none = reader(log, "anomalies", "detectors"), reader(log)

    async def scenario():
        await asyncio.gather(
            log.append("detectors", {"name": "a"}), log.record([anomaly("x", 1000)])
        )

    asyncio.run(scenario())
    numbers = [int(m.cursor.rpartition("-")[2]) for m in queued(everything)]
    assert numbers == [1, 2]
    assert queued(none) == []


def test_filters_narrow_by_detector_labels_and_score():
    message = Message("anomalies", "c", anomaly("x", 1000).model_dump(mode="json"))

    def wants(**chosen):
        request = parse(Request, {"op": "subscribe", "topics": ["anomalies"], "filter": chosen})
        return request.subscription().wants(message)

    assert wants()
    assert wants(detector="shop", labels='{service="x"}', min_score=2.0)
    assert not wants(detector="other")
    assert not wants(labels='{service="y"}')
    assert not wants(min_score=2.1)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"op": "subscribe", "topics": ["weather"]}, "unknown topic 'weather'"),
        ({"op": "subscribe", "topics": []}, "at least 1"),
        ({"op": "shout", "topics": ["anomalies"]}, "'subscribe' or 'unsubscribe'"),
        (
            {"op": "subscribe", "topics": ["anomalies"], "filter": {"labels": "{"}},
            "is not a selector",
        ),
        ([], "valid dictionary"),
    ],
)
def test_a_wrong_request_says_what_would_be_right(request_, words):
    with pytest.raises(InvalidInput, match=words):
        parse(Request, request_)


def test_a_slow_reader_is_cut_off_and_counted_while_others_go_on(log):
    slow, quick = reader(log, "detectors"), reader(log, "detectors")

    async def scenario():
        for k in range(5):
            await log.append("detectors", {"k": k})
            queued(quick)
        await asyncio.wait_for(slow.overflow(), 1)

    asyncio.run(scenario())
    assert len(queued(slow)) == 3
    assert log._feed.counters.slow_readers == 1


def test_there_are_only_so_many_readers(log):
    first, _ = log.open(), log.open()
    assert log.open() is None
    log.close(first)
    assert log.open() is not None


def missed(log, since):
    async def scenario():
        found = await log.missed(since)
        return found.gap, [m.data["k"] for m in [m async for m in found.messages]]

    return asyncio.run(scenario())


def test_what_was_missed_is_replayed_or_named_as_gone(log):
    start = log.cursor

    async def scenario():
        for k in range(8):
            await log.append("detectors", {"k": k})

    asyncio.run(scenario())
    feed_id = start.rpartition("-")[0]
    assert missed(log, log.cursor) == (None, [])
    assert missed(log, f"{feed_id}-5") == (None, [5, 6, 7])
    assert missed(log, start) == ("older messages are gone", [3, 4, 5, 6, 7])
    assert missed(log, "other-5")[0] == "the cursor is of another feed"
    assert missed(log, "nonsense")[0] == "the cursor is of another feed"
    assert missed(log, f"{feed_id}-99") == ("the cursor is ahead of this feed", [])


def test_scores_are_told_to_those_who_watch_that_detector(log):
    watching, other = reader(log, "scores/shop"), reader(log, "scores/other")
    judged = stream().step(sample_batch({"a": {1000: 3.0}}, 1000, 1000), 77)
    log._feed.take(judged)
    (message,) = queued(watching)
    assert message.type == "scores"
    assert message.data["sample_at"] == "1970-01-01T00:00:01.000Z"
    assert message.data["series"] == [
        {"labels": {"series": "a"}, "y": 3.0, "anomaly_score": None, "yhat": None,
         "yhat_lower": None, "yhat_upper": None},
    ]  # fmt: skip
    assert queued(other) == []
