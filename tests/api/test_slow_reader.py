"""A reader that stops reading, over a real socket: it is cut off, and nobody waits for it."""

import asyncio
import json
import random
import threading

import pytest
import uvicorn
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from aiops.feed_log import FeedLog
from aiops.sinks.feed import Feed
from aiops.store.records import FeedMessage, Store, sqlite_url
from api.ports import Ports
from api.routes.feed import routes
from tests.process import until

MESSAGES = 8_000
QUEUE_MAX = 100
BURST = 40
RNG = random.Random(1)


class Server:
    def __init__(self, folder):
        self.store = Store(sqlite_url(folder))
        self.feed = Feed(self.store.feed_id, 0, queue_max=QUEUE_MAX, readers_max=9)
        nothing = dict.fromkeys(Ports.__slots__)
        app = FastAPI()
        app.include_router(routes(Ports(**nothing | {"feed": FeedLog(self.feed, self.store, 10)})))
        config = uvicorn.Config(app, port=0, log_level="error", ws="websockets-sansio")
        self.uvicorn = uvicorn.Server(config)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()))
        self.thread.start()
        until(lambda: self.uvicorn.started, "the server")
        port = self.uvicorn.servers[0].sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/feed"

    async def serve(self):
        self.loop = asyncio.get_running_loop()
        await self.uvicorn.serve()

    def publish(self, number):
        # Random, for the connection compresses whatever repeats.
        message = FeedMessage(
            number, "detectors", {"number": number, "text": RNG.randbytes(1_500).hex()}
        )
        self.loop.call_soon_threadsafe(self.feed.publish, [message])

    def close(self):
        self.uvicorn.should_exit = True
        self.thread.join(20)
        self.store.close()


@pytest.fixture
def server(tmp_path):
    made = Server(tmp_path)
    yield made
    made.close()


def ready(socket):
    socket.send(json.dumps({"op": "subscribe", "topics": ["detectors"]}))
    while json.loads(socket.recv(timeout=5))["type"] != "subscribed":
        pass


def read_on(socket):
    for _ in range(MESSAGES):
        socket.recv(timeout=5)


def test_who_stops_reading_is_cut_off_while_the_others_get_everything(server):
    got = []

    def read(socket):
        while len(got) < MESSAGES:
            got.append(json.loads(socket.recv(timeout=20))["data"]["number"])

    with connect(server.url, max_queue=1, close_timeout=1) as slow, connect(server.url) as quick:
        ready(slow)
        ready(quick)
        reading = threading.Thread(target=read, args=(quick,))
        reading.start()
        for number in range(1, MESSAGES + 1):
            server.publish(number)
            if number % BURST == 0:  # at most two bursts on the way, fewer than the queue holds
                until(lambda n=number: len(got) >= n - BURST, "the quick reader")
        reading.join(30)
        assert got == list(range(1, MESSAGES + 1))
        assert server.feed.counters.slow_readers == 1
        until(lambda: server.feed.readers == 1, "the slow reader's end", 15)
        with pytest.raises(ConnectionClosed):
            read_on(slow)
