"""What the pages' scripts send: a JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.receiving import received

if TYPE_CHECKING:
    from starlette.requests import Request


async def json_object(request: Request, most: int) -> dict[str, Any]:
    """The JSON object that a request brings. A form of another site can send no JSON, so nothing else is read.

    Parameters
    ----------
    most : bytes that it may have.

    Raises
    ------
    Problem
        When it brings something else.
    """
    import orjson

    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(problems.BAD_REQUEST, "the body has to be JSON: content-type: application/json", 415)
    raw = await received(request, most)
    try:
        told = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(problems.BAD_REQUEST, f"the body is no JSON: {error}") from None
    if not isinstance(told, dict):
        raise Problem(problems.BAD_REQUEST, "the body has to be a JSON object")
    return told
