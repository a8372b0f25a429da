"""Puts the API together: middleware, routes, error handlers, the OpenAPI page, the console."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from uuid import uuid4

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import BearerAuth
from api.ports import Ports
from api.problems import add_problem_handlers, problem
from api.routes import anomalies, detectors, feed, intake, jobs, kinds, probes, sources
from models.errors import NotReady

BASE = "/api/v1"
CONSOLE = Path(__file__).parent / "console"
BODY_BYTES_MAX = 4 * 2**20
PUSH_BYTES_MAX = 32 * 2**20
VERSION_BYTES_MAX = 2**30
PUSH_PATHS = (f"{BASE}/write", "/loki/api/v1/push")
_REQUEST_ID_MAX = 128

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(ports: Ports, version: str, lifespan: Lifespan) -> FastAPI:
    """The ASGI application over these ports."""
    # The pages' scripts come from here: an engine behind a firewall still shows its API.
    app = FastAPIOffline(
        docs_url="/api/docs",
        redoc_url=None,
        static_url="/console/docs",
        title="aiops-engine",
        version=version,
        summary="Anomaly detection for operations data.",
        openapi_url="/api/openapi.json",
        swagger_ui_oauth2_redirect_url="/api/docs/oauth2-redirect",
        lifespan=lifespan,
    )
    add_problem_handlers(app)
    app.include_router(probes.routes(ports))
    app.include_router(feed.routes(ports), prefix=BASE)

    def require_ready() -> None:
        if not ports.ready():
            raise NotReady("the engine restores its state; try again in a few seconds")

    # Tokens are checked by BearerAuth; this only puts them into the OpenAPI document.
    needs = [Depends(require_ready), Depends(HTTPBearer(auto_error=False))]
    for noun in (detectors, jobs, sources, anomalies, kinds):
        app.include_router(noun.routes(ports), prefix=BASE, dependencies=needs)
    app.include_router(intake.write_routes(ports), prefix=BASE, dependencies=needs)
    app.include_router(intake.push_routes(ports), dependencies=needs)

    @app.get("/", include_in_schema=False)
    async def console() -> HTMLResponse:
        return HTMLResponse((CONSOLE / "index.html").read_text(encoding="utf-8"))

    app.mount("/console", StaticFiles(directory=CONSOLE))
    app.add_middleware(BearerAuth, tokens=ports.tokens)
    app.add_middleware(RequestBounds)
    return app


class RequestBounds:
    """Names each request and bounds its body.

    The id comes from `X-Request-ID` or is made; it stands in the answer, in problems and in logs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        bytes_max = _bytes_max(scope["path"])
        usable = given.isprintable() and 0 < len(given) <= _REQUEST_ID_MAX
        request_id = given if usable else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        size = 0

        async def receive_bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if scope["type"] == "http" and size > bytes_max:
                return {"type": "http.disconnect"}
            return message

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if scope["type"] == "http" and announced.isdigit() and int(announced) > bytes_max:
            detail = f"the body has {int(announced)} bytes; at most {bytes_max} are taken"
            refusal = problem(Request(scope), "too_large", detail)
            await refusal(scope, receive, send_named)
            return
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._app(scope, receive_bounded, send_named)


def _bytes_max(path: str) -> int:
    if path in PUSH_PATHS:
        return PUSH_BYTES_MAX
    return VERSION_BYTES_MAX if path.endswith("/versions") else BODY_BYTES_MAX
