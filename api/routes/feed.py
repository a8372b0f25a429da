"""The live feed over WebSocket: hello, what was missed, then live; slow readers are cut off."""

import asyncio
import json
from contextlib import suppress

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from api.auth import TOKEN_PROTOCOL
from api.ports import Feed, Ports, Reader
from models.errors import InvalidInput
from models.feed import Request
from models.validation import parse

HEARTBEAT_SECONDS = 15
CLOSE_SECONDS = 5
TRY_AGAIN_LATER = 1013


def routes(ports: Ports) -> APIRouter:
    """`/feed`."""
    router = APIRouter()

    @router.websocket("/feed")
    async def feed(socket: WebSocket) -> None:
        offered = socket.headers.get("sec-websocket-protocol", "").split(",")[0].strip()
        await socket.accept(subprotocol=TOKEN_PROTOCOL if offered == TOKEN_PROTOCOL else None)
        reader = ports.feed.open()
        if reader is None:
            await socket.close(TRY_AGAIN_LATER, "too many feed connections")
            return
        try:
            await _Connection(socket, ports.feed, reader).run()
        finally:
            ports.feed.close(reader)

    return router


class _Connection:
    """One reader's connection; its two tasks end together."""

    def __init__(self, socket: WebSocket, feed: Feed, reader: Reader) -> None:
        self._socket = socket
        self._feed = feed
        self._reader = reader
        # What was missed goes out before anything live: whoever sends holds this.
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            hello = {"type": "hello", "cursor": self._feed.cursor}
            await self._socket.send_json(hello | {"heartbeat_seconds": HEARTBEAT_SECONDS})
            tasks = {asyncio.create_task(self._receive()), asyncio.create_task(self._send())}
            tasks.add(asyncio.create_task(self._beat()))
            tasks.add(asyncio.create_task(self._reader.overflow()))
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await task
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            # Only a reader that was too slow ends up here; its connection may take nothing more.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._socket.close(TRY_AGAIN_LATER, "too slow; come back with the cursor")

    async def _receive(self) -> None:
        while True:
            text = await self._socket.receive_text()
            try:
                request = parse(Request, json.loads(text))
            except json.JSONDecodeError as error:
                await self._refuse(f"not JSON: {error}")
            except InvalidInput as error:
                await self._refuse("; ".join(f"{f.pointer}: {f.detail}" for f in error.faults))
            else:
                await self._serve(request)

    async def _serve(self, request: Request) -> None:
        if request.op == "unsubscribe":
            for topic in request.topics:
                self._reader.subscriptions.pop(topic, None)
            return
        async with self._sending:
            subscription = request.subscription()
            for topic in request.topics:
                self._reader.subscriptions[topic] = subscription
            answer = {"type": "subscribed", "topics": request.topics, "cursor": self._feed.cursor}
            if request.since is None:
                await self._socket.send_json(answer)
                return
            missed = await self._feed.missed(request.since)
            if missed.gap is not None:
                gap = {"type": "gap", "since": request.since, "reason": missed.gap}
                await self._socket.send_json(gap | {"cursor": answer["cursor"]})
            async for message in missed.messages:
                if message.topic in request.topics and subscription.wants(message):
                    await self._socket.send_json(message.as_json())
            await self._socket.send_json(answer)

    async def _send(self) -> None:
        while True:
            message = await self._reader.next()
            async with self._sending:
                await self._socket.send_json(message.as_json())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            async with self._sending:
                await self._socket.send_json({"type": "heartbeat", "cursor": self._feed.cursor})

    async def _refuse(self, detail: str) -> None:
        async with self._sending:
            await self._socket.send_json({"type": "error", "detail": detail})
