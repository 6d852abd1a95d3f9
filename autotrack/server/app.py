"""The application of one worker: finds the endpoint, asks the guard, calls the handler, and answers what goes wrong."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from typing import Any, Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from autotrack.errors import AutotrackError
from autotrack.server import problems
from autotrack.server.problems import Problem, problem_of
from autotrack.server.routing import Endpoint, Table
from autotrack.server.site import Site

ASGIScope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

ROOMS: Final[tuple[str, ...]] = (
    "autotrack.server.status",
    "autotrack.server.rest",
    "autotrack.server.native",
    "autotrack.server.pages",
)
"""Modules with ``endpoints() -> list[Endpoint]``."""
ENDPOINT: Final = "autotrack.endpoint"
"""Key of the ASGI scope: what answers a request, for those who count and log."""

_logger = logging.getLogger("autotrack.server")


class Guard(Protocol):
    """Who may make a request."""

    async def admit(self, request: Request, endpoint: Endpoint | None) -> None:
        """Let it pass; ``None`` for one that no endpoint answers.

        Raises
        ------
        Problem
            When it may not.
        """
        ...

    def finish(self, request: Request, response: Response, endpoint: Endpoint | None) -> None:
        """Put headers on an answer."""
        ...


ErrorPage = Callable[[Site, Request, Problem], Awaitable[Response]]


class App:
    """The ASGI application.

    Parameters
    ----------
    site : what handlers get.
    guard : asked before a handler is called; ``None`` admits everybody, which only tests want.
    rooms : modules whose endpoints are answered.
    error_page : makes the answer to a person's request that went wrong; such errors are JSON without it.
    """

    def __init__(
        self,
        site: Site,
        guard: Guard | None = None,
        rooms: tuple[str, ...] = ROOMS,
        error_page: ErrorPage | None = None,
    ) -> None:
        self.site = site
        self.table = Table(endpoint for room in rooms for endpoint in import_module(room).endpoints())
        site.endpoints = self.table.endpoints
        self._guard = guard
        self._error_page = error_page

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        methods, parameters = self.table.find(scope["path"])
        method = "GET" if scope["method"] == "HEAD" and "HEAD" not in methods else scope["method"]
        endpoint = methods.get(method)
        scope["path_params"] = parameters
        scope[ENDPOINT] = endpoint
        request = Request(scope, receive, send)
        try:
            response = await self._answer(request, methods, endpoint)
        except Problem as problem:
            response = await self._refuse(request, problem, endpoint or next(iter(methods.values()), None))
        except AutotrackError as error:
            response = await self._refuse(request, problem_of(error, self.site.store), endpoint)
        except HTTPException as error:  # what Starlette's own readers of bodies raise
            wrong = Problem(problems.BAD_REQUEST, str(error.detail), error.status_code)
            response = await self._refuse(request, wrong, endpoint)
        except ClientDisconnect:
            return
        except Exception as error:
            _logger.error("%s %s failed", shown(scope["method"]), shown(scope["path"]), exc_info=error)
            failed = Problem(problems.INTERNAL, "the server failed at this request; its log says why")
            response = await self._refuse(request, failed, endpoint)
        if self._guard is not None:
            self._guard.finish(request, response, endpoint)
        await response(scope, receive, send)

    async def _answer(self, request: Request, methods: dict[str, Endpoint], endpoint: Endpoint | None) -> Response:
        if self._guard is not None:
            await self._guard.admit(request, endpoint)
        if endpoint is None:
            if methods:
                allowed = ", ".join(sorted(methods))
                raise Problem(
                    problems.BAD_REQUEST,
                    f"{request.method} is not for this address: {allowed}",
                    405,
                    {"allow": allowed},
                )
            raise Problem(problems.NO_ENDPOINT, f"there is nothing at {shown(request.url.path)}")
        return await endpoint.handler(self.site, request)

    async def _refuse(self, request: Request, problem: Problem, endpoint: Endpoint | None) -> Response:
        response: Response | None = None
        if self._error_page is not None and _is_for_people(request, endpoint):
            try:
                response = await self._error_page(self.site, request, problem)
            except Exception as error:
                _logger.error("the page that tells of an error failed", exc_info=error)
        if response is None:
            # What the message shows may have lone surrogates in it, which JSON can only have escaped.
            response = Response(json.dumps(problem.to_json()), problem.status, media_type="application/json")
        response.headers.update(problem.headers)
        return response


def _is_for_people(request: Request, endpoint: Endpoint | None) -> bool:
    if "text/html" not in request.headers.get("accept", ""):
        return False
    if endpoint is not None:
        return endpoint.kind == "page"
    path = request.url.path
    return not path.startswith("/api/") and ".json" not in path


def shown(path: str) -> str:
    """A path that came from anybody, for a log or a message."""
    shown = path.encode("unicode_escape").decode()
    return shown if len(shown) <= 200 else f"{shown[:200]}…"
