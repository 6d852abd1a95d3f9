"""A call: arguments by name in a JSON object, checked; what the store raises is told with the error's name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from starlette.responses import Response

from autotrack.errors import AutotrackError, StoreError
from autotrack.server import problems
from autotrack.server.problems import Problem, problem_of
from autotrack.server.receiving import received
from autotrack.server.routing import Endpoint, Handler, Scope
from autotrack.stores.base import ACTIVE_RUNS, ALL_RUNS, DELETED_RUNS

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

API: Final = "/api/2.0/autotrack"

Answer = Callable[["Site", "Arguments"], Any]
"""Runs in a thread; gives JSON types."""


class Arguments:
    """The arguments of a call, taken by name.

    Raises
    ------
    Problem
        When one is missing or of another type.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = told

    def text(self, name: str) -> str:
        """A text."""
        return str(self._take(name, str, "a text"))

    def optional_text(self, name: str) -> str | None:
        """A text or null."""
        return None if self._told.get(name) is None else self.text(name)

    def whole(self, name: str) -> int:
        """A whole number."""
        value = self._told.get(name)
        if type(value) is not int:
            raise _wrong(name, value, "a whole number")
        return value

    def optional_whole(self, name: str) -> int | None:
        """A whole number or null."""
        return None if self._told.get(name) is None else self.whole(name)

    def flag(self, name: str) -> bool:
        """True or false; false when left out."""
        value = self._told.get(name, False)
        if not isinstance(value, bool):
            raise _wrong(name, value, "true or false")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        values = self._take(name, list, "a list of texts")
        if not all(isinstance(value, str) for value in values):
            raise _wrong(name, values, "a list of texts")
        return list(values)

    def optional_texts(self, name: str) -> list[str] | None:
        """A list of texts or null."""
        return None if self._told.get(name) is None else self.texts(name)

    def values(self, name: str) -> list[Any]:
        """A list."""
        return list(self._take(name, list, "a list"))

    def tags(self, name: str) -> dict[str, Any] | None:
        """Texts or nulls by text, or null."""
        if self._told.get(name) is None:
            return None
        return dict(self._take(name, dict, "an object of texts"))

    def view(self) -> Any:
        """Which runs are looked at."""
        value = self._told.get("view", ACTIVE_RUNS)
        if value not in (ACTIVE_RUNS, DELETED_RUNS, ALL_RUNS):
            raise _wrong("view", value, f"{ACTIVE_RUNS}, {DELETED_RUNS} or {ALL_RUNS}")
        return value

    def _take(self, name: str, kind: type, wanted: str) -> Any:
        value = self._told.get(name)
        if not isinstance(value, kind):
            raise _wrong(name, value, wanted)
        return value


def call(name: str, answer: Answer, scope: Scope) -> Endpoint:
    """The endpoint of a call."""

    async def handle(site: Site, request: Request) -> Response:
        arguments = Arguments(await _told(site, request))
        return respond(await site.read(answer, site, arguments))

    return Endpoint("POST", f"{API}/{name}", telling(handle), scope)


def telling(handler: Handler) -> Handler:
    """The handler, with errors told as `autotrack.stores.remote` reads them."""

    async def handle(site: Site, request: Request) -> Response:
        try:
            return await handler(site, request)
        except AutotrackError as error:
            problem = problem_of(error, site.store)
            # What a store refuses it refuses again; a client that repeats 503 by itself would only wait for it.
            status = 409 if isinstance(error, StoreError) else problem.status
            return respond(problem.to_json() | {"error": type(error).__name__}, status)

    return handle


def query(request: Request, name: str) -> str:
    """A parameter of the address; lone surrogates, which a file's name may have, come as they were sent."""
    values = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="surrogatepass")
    return str(values.get(name, [""])[-1])


def respond(value: Any, status: int = 200) -> Response:
    """An answer of ASCII characters, which carries every text, also one that UTF-8 cannot."""
    return Response(json.dumps(value, separators=(",", ":")).encode(), status, media_type="application/json")


async def _told(site: Site, request: Request) -> dict[str, Any]:
    return await site.read(_parsed, await received(request, site.options.max_body))


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        told = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise Problem(problems.INVALID, "the body is no JSON") from None
    if not isinstance(told, dict):
        raise Problem(problems.INVALID, "the body is no JSON object")
    return told


def _wrong(name: str, value: Any, wanted: str) -> Problem:
    return Problem(problems.INVALID, f"{name} is {value!r:.100}; it has to be {wanted}")
