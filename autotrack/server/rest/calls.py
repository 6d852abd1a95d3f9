"""An endpoint of the API: a message is read from the query or the body, a function answers it, the answer is JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from autotrack.server.receiving import received
from autotrack.server.rest.parsing import Message, from_json, to_json
from autotrack.server.routing import Endpoint, Handler, Scope
from autotrack.server.site import Site

PREFIXES: Final = ("/api", "/ajax-api")
"""The second is what MLflow's pages call, and some of its clients."""

Answer = Callable[[Site, dict[str, Any]], Awaitable[Any]]
"""Takes what a message says, gives JSON types, or JSON that is made already (bytes)."""

_LARGE: Final = 256 * 1024
"""Bytes from which a body is parsed in a thread, so that others are answered meanwhile."""

DESCRIBED: Final[dict[tuple[str, str], Message]] = {}
"""The message of each method and path (without the prefix), for the description of the API."""


def endpoints(
    method: str, path: str, message: Message, answer: Answer, scope: Scope, version: str = "2.0"
) -> list[Endpoint]:
    """The endpoints of one call, one for each prefix.

    Parameters
    ----------
    path : behind ``/api/2.0/mlflow``; its parameters are fields of the message.
    """
    DESCRIBED[method, f"/{version}/mlflow{path}"] = message
    handler = _handler(method, message, answer)
    return [Endpoint(method, f"{prefix}/{version}/mlflow{path}", handler, scope) for prefix in PREFIXES]


def _handler(method: str, message: Message, answer: Answer) -> Handler:
    async def handle(site: Site, request: Request) -> Response:
        parameters = request.path_params
        if method == "GET" and request.url.query:
            pairs = [*parameters.items(), *request.query_params.multi_items()]
            values = message.read_query(pairs)
        else:
            data = await body(site, request)
            if parameters:
                data = {**data, **parameters} if isinstance(data, Mapping) else dict(parameters)
            values = message.read(data)
        return respond(await answer(site, values))

    return handle


async def body(site: Site, request: Request) -> Any:
    """The JSON value of a request's body; ``None`` for an empty one.

    Raises
    ------
    Problem
        When it is too large, packed, or no JSON.
    """
    raw = await received(request, site.options.max_body)
    if len(raw) > _LARGE:
        return await site.read(from_json, raw)
    return from_json(raw)


def respond(value: Any) -> Response:
    """The answer with a JSON value, or with JSON that is made already."""
    return Response(value if isinstance(value, bytes) else to_json(value), media_type="application/json")
