"""The guard of the application: asked before a handler is called, and given every answer before it is sent."""

from __future__ import annotations

import base64
import binascii
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from autotrack.errors import SettingsError
from autotrack.server import problems
from autotrack.server.guard import origins, tokens
from autotrack.server.guard.hosts import Hosts
from autotrack.server.guard.protecting import protect
from autotrack.server.guard.slowing import Slowing
from autotrack.server.guard.tokens import Token
from autotrack.server.options import ServerOptions
from autotrack.server.problems import Problem
from autotrack.server.routing import OPEN, WRITE, Endpoint
from autotrack.web.listening import is_loopback

CALLER: Final = "autotrack.caller"
"""Key of the ASGI scope: the name of the token that a request showed."""
ANY_HOST: Final = frozenset({"/health"})
"""Paths that say nothing; those who ask whether a machine is well ask it by its address."""
LONGEST_URL: Final = 16 * 1024

# Browsers ask for a name and a password; programs read that a token will do.
_CHALLENGE: Final = 'Basic realm="autotrack: the name and the token", charset="UTF-8", Bearer realm="autotrack"'

_logger = logging.getLogger("autotrack.server")


class RequestGuard:
    """See `autotrack.server.app.Guard`.

    Parameters
    ----------
    options : as the server was told.
    on_refusal : called for each wrong token.
    """

    def __init__(self, options: ServerOptions, on_refusal: Callable[[], None] = lambda: None) -> None:
        self._hosts = Hosts(options.host, is_loopback(options.host), options.allowed_hosts)
        self._tokens = TokenFile(Path(options.token_file)) if options.token_file else None
        self._slowing = Slowing()
        self._on_refusal = on_refusal

    async def admit(self, request: Request, endpoint: Endpoint | None) -> None:
        """See `Guard.admit`: the name first, then the token, then which page asks."""
        if len(request.scope.get("raw_path") or b"") + len(request.scope.get("query_string") or b"") > LONGEST_URL:
            raise Problem(problems.BAD_REQUEST, f"the address has more than {LONGEST_URL} bytes", 414)
        if endpoint is None or endpoint.path not in ANY_HOST:
            self._hosts.check(request.headers.getlist("host"))
        if self._tokens is not None and (endpoint is None or endpoint.scope is not OPEN):
            token = await self._token(request, self._tokens.read())
            request.scope[CALLER] = token.name
            if endpoint is not None and endpoint.scope is WRITE and token.scope != tokens.WRITE:
                raise Problem(
                    problems.DENIED,
                    f"the token {token.name!r} may read only, and this writes: "
                    "'autotrack token add NAME --scope write' makes one that may",
                )
        origins.check(request.method, request.headers, endpoint)

    def finish(self, request: Request, response: Response, endpoint: Endpoint | None) -> None:
        """See `Guard.finish`."""
        protect(response, endpoint)

    async def _token(self, request: Request, known: list[Token]) -> Token:
        shown = request.headers.getlist("authorization")
        if not shown:
            raise _unauthenticated("this server asks for a token")
        name, secret = _credentials(shown[0]) if len(shown) == 1 else (None, b"")
        found = tokens.find(known, secret, name)
        if found is not None:
            return found
        self._on_refusal()
        client = request.client.host if request.client is not None else ""
        if not await self._slowing.failed(client):
            text = "too many requests with wrong tokens; try again in a moment"
            raise Problem(problems.UNAVAILABLE, text, 429, {"retry-after": "2"})
        raise _unauthenticated("the token is none of this server's")


class TokenFile:
    """The tokens of a file, which is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] | None = (0,)
        self._tokens: list[Token] = []
        self._error: SettingsError | None = None

    def read(self) -> list[Token]:
        """The tokens as they are now.

        Raises
        ------
        Problem
            When the file is gone or no longer good: then nobody is let in, and the log says why.
        """
        stamp: tuple[int, ...] | None
        try:
            now = os.stat(self._path)
            stamp = (now.st_mtime_ns, now.st_ctime_ns, now.st_ino, now.st_size, now.st_mode)
        except OSError:
            stamp = None
        if stamp != self._seen:
            try:
                self._tokens, self._error = tokens.read(self._path), None
            except SettingsError as error:
                self._tokens, self._error = [], error
                _logger.error("%s; nobody is let in", error)
            self._seen = stamp
        if self._error is not None:
            raise Problem(problems.UNAVAILABLE, "the server cannot read its tokens; its log says why")
        return self._tokens


def _credentials(header: str) -> tuple[str | None, bytes]:
    """The name, where there is one, and the token of an Authorization header; both empty for another kind of one."""
    scheme, _, rest = header.strip().partition(" ")
    given = rest.strip()
    if scheme.lower() == "bearer":
        return None, given.encode("latin-1", "replace")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(given, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return "", b""
        return name.decode("utf-8", "replace"), secret
    return "", b""


def _unauthenticated(why: str) -> Problem:
    return Problem(
        problems.UNAUTHENTICATED,
        f"{why}: send 'Authorization: Bearer TOKEN' (MLFLOW_TRACKING_TOKEN), or its name and the token as user and "
        "password (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD)",
        headers={"www-authenticate": _CHALLENGE},
    )
