"""Serves the API with an engine behind it, until a signal ends both."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI

from aiops import __version__
from aiops.app import Engine
from aiops.clock import SystemClock
from aiops.kinds import describe_kind, describe_kinds
from aiops.scoring import build_detector
from api.app import create_app
from api.ports import Ports
from models.errors import InvalidInput, SettingsInvalid
from models.settings import Settings, is_loopback

SHUTDOWN_SECONDS = 5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """As a browser takes it."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`HOST:PORT`, `[IPV6]:PORT` or `:PORT`. Raises InvalidInput."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65_535:
        raise InvalidInput(f"{text!r} is not an address; write it like 127.0.0.1:8321")
    return Address(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 - as Prometheus reads it.


def check_settings(settings: Settings) -> None:
    """Raise SettingsInvalid when a detector in the file cannot be built."""
    for place, document in enumerate(settings.detectors):
        try:
            build_detector(document)
        except InvalidInput as error:
            raise SettingsInvalid(f"/detectors/{place}: {error.detail}", error.faults) from error


def serve(
    settings: Settings,
    storage: Path,
    address: Address,
    on_start: Callable[[Address], None] = lambda _: None,
) -> None:
    """Run until SIGINT or SIGTERM. on_start gets the address with the real port.

    Raises InvalidInput before anything runs when the settings, the storage or the address forbid
    it; ImportError when strangers carry our packages' names.
    """
    if not is_loopback(address.host) and not settings.auth.bearer_tokens:
        raise InvalidInput(
            f"listening on {address.host!r} lets others in, and no token is set: name one with "
            "auth: {bearer_tokens: [{file: PATH}]} in the settings file, or listen on 127.0.0.1"
        )
    check_settings(settings)
    for secret in settings.auth.bearer_tokens:
        secret.read()
    listener = _listen(address)
    actual = Address(address.host, listener.getsockname()[1])
    engine = Engine(settings, storage, SystemClock())
    failed: list[BaseException] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        def stop_if_failed(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()):
                failed.append(error)
                server.should_exit = True

        starting = asyncio.create_task(engine.start())
        starting.add_done_callback(stop_if_failed)
        log.info("listening", url=actual.url)
        on_start(actual)
        yield
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await engine.stop()

    app = create_app(_ports(engine), __version__, lifespan)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="websockets-sansio",
        ws_max_size=65_536,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = uvicorn.Server(config)
    # Once uvicorn has stopped everything it raises the signal again; then there is nothing to do.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        asyncio.run(server.serve(sockets=[listener]))
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
    if failed:
        raise failed[0]


def _ports(engine: Engine) -> Ports:
    return Ports(
        detectors=engine.registry,
        jobs=engine.jobs,
        detection=engine.detection,
        sources=engine.source_registry,
        intake=engine.sources,
        anomalies=engine.anomalies,
        feed=engine.feed_log,
        metrics=engine.metrics,
        scores=engine.exporter,
        kinds=describe_kinds,
        kind=describe_kind,
        health=engine.health,
        ready=lambda: engine.ready,
        tokens=lambda: [secret.read() for secret in engine.settings.auth.bearer_tokens],
    )


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
    except OSError as error:
        listener.close()
        raise InvalidInput(f"cannot listen on {address.host}:{address.port}: {error}") from error
    return listener
