"""What a request proves itself with: passwords, tokens, OAuth2, client certificates.

Everything is read again when it is used, or when its file changed, so that what was rotated is
picked up without a restart.
"""

import ssl
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec

from models.errors import InvalidInput, SourceUnavailable
from models.source import Connection, OAuth2

EXPIRES_EARLY_MS = 30_000
EXPIRES_SECONDS = 300.0
"""For a token that does not say how long it is good."""


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float = EXPIRES_SECONDS


class Credentials:
    """The headers and the certificates that `settings` ask for."""

    def __init__(self, settings: Connection, now_ms: Callable[[], int]) -> None:
        self._settings = settings
        self._now_ms = now_ms
        self._token: tuple[str, int] | None = None

    async def headers(self, client: httpx.AsyncClient) -> dict[str, str]:
        """For one request. Raises SourceUnavailable when a secret or a token cannot be had."""
        settings = self._settings
        try:
            own = {name: secret.read() for name, secret in settings.secret_headers.items()}
            if settings.basic_auth is not None:
                user = settings.basic_auth
                pair = f"{user.username}:{user.password.read()}".encode()
                own["Authorization"] = f"Basic {b64encode(pair).decode()}"
            elif settings.bearer_token is not None:
                own["Authorization"] = f"Bearer {settings.bearer_token.read()}"
            elif settings.oauth2 is not None:
                own["Authorization"] = f"Bearer {await self._access(settings.oauth2, client)}"
        except InvalidInput as error:
            raise SourceUnavailable(error.detail) from error
        return own

    def forget(self) -> bool:
        """Ask for a new token next time; whether there was one."""
        had, self._token = self._token is not None, None
        return had

    async def _access(self, oauth2: OAuth2, client: httpx.AsyncClient) -> str:
        """A token by client credentials (RFC 6749, section 4.4)."""
        if self._token is not None and self._now_ms() < self._token[1]:
            return self._token[0]
        form = {"grant_type": "client_credentials", **oauth2.endpoint_params}
        if oauth2.scopes:
            form["scope"] = " ".join(oauth2.scopes)
        pair = oauth2.client_id, oauth2.client_secret.read()
        try:
            answer = await client.post(str(oauth2.token_url), data=form, auth=pair)
            if answer.status_code != 200:
                raise SourceUnavailable(f"{oauth2.token_url}: HTTP {answer.status_code}")
            token = msgspec.json.decode(answer.content, type=_Token)
        except (httpx.HTTPError, OSError, msgspec.DecodeError) as error:
            raise SourceUnavailable(f"{oauth2.token_url}: no token: {error}") from error
        good_ms = int(token.expires_in * 1000) - EXPIRES_EARLY_MS
        self._token = token.access_token, self._now_ms() + max(good_ms, 0)
        return token.access_token


def tls_files(settings: Connection) -> dict[str, float]:
    """The files that TLS depends on, and when each changed last; 0 for one that is not there."""
    names = (settings.ca_file, settings.client_cert_file, settings.client_key_file)
    paths = [Path(name) for name in names if name is not None]
    return {str(path): path.stat().st_mtime if path.exists() else 0.0 for path in paths}


def tls_context(settings: Connection) -> ssl.SSLContext | bool:
    """How servers are trusted and what is shown to them. Raises SourceUnavailable."""
    if not tls_files(settings) and not settings.insecure_skip_verify:
        return True
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.client_cert_file is not None:
            context.load_cert_chain(settings.client_cert_file, settings.client_key_file)
    except (OSError, ssl.SSLError) as error:
        raise SourceUnavailable(f"TLS files {list(tls_files(settings))}: {error}") from error
    if settings.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
