"""Bearer tokens on everything but the probes and the pages that hold no data."""

import hmac
from collections.abc import Callable

from fastapi import Request
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import problem

OPEN_PATHS = frozenset({"/", "/health", "/ready", "/alive", "/-/healthy", "/-/ready"})
OPEN_PREFIXES = ("/console/", "/api/docs", "/api/openapi.json")
TOKEN_PROTOCOL = "bearer"  # noqa: S105 - the name of the protocol, no token.
"""Browsers cannot set headers on a WebSocket: they offer the protocols `bearer` and the token."""


class BearerAuth:
    """Lets a request through when it carries a token that is valid now, or when none is needed."""

    def __init__(self, app: ASGIApp, tokens: Callable[[], list[str]]) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or self._allows(HTTPConnection(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "unauthorized"})
        else:
            detail = "send Authorization: Bearer TOKEN with a token from auth.bearer_tokens"
            response: Response = problem(Request(scope), "unauthorized", detail)
            await response(scope, receive, send)

    def _allows(self, connection: HTTPConnection) -> bool:
        path = connection.url.path
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
            return True
        valid = self._tokens()
        if not valid:
            return True
        offered = _offered(connection).encode()
        # Compare with every token, so that time tells nothing.
        matches = [hmac.compare_digest(offered, token.encode()) for token in valid]
        return any(matches)


def _offered(connection: HTTPConnection) -> str:
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    protocols = [p.strip() for p in connection.headers.get("sec-websocket-protocol", "").split(",")]
    return protocols[1] if len(protocols) == 2 and protocols[0] == TOKEN_PROTOCOL else ""
