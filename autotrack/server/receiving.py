"""The body of a request, whole, up to a limit; and what is told of one that cannot be taken."""

from __future__ import annotations

from starlette.requests import Request

from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.web.bodies import Disconnected, TooLarge, read_body


async def received(request: Request, most: int) -> bytes:
    """What a request brings.

    Parameters
    ----------
    most : bytes that it may have.

    Raises
    ------
    Problem
        When it is larger, packed, or breaks off.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.strip().lower() not in ("", "identity"):
        raise Problem(problems.BAD_REQUEST, f"a body with content-encoding {encoding[:40]!r} is not read", 415)
    length = request.headers.get("content-length")
    try:
        return await read_body(request.receive, length.encode() if length else None, most)
    except TooLarge:
        told = f"the body of a request may have {most:,} bytes; send it in parts"
        raise Problem(problems.INVALID, told, 413) from None
    except Disconnected:
        raise Problem(problems.BAD_REQUEST, "the request broke off") from None
