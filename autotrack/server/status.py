"""Whether the server is well, which protocol it speaks, and what it has counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse, Response

from autotrack.server.routing import OPEN, READ, Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site


async def health(site: Site, request: Request) -> Response:
    """As MLflow: ``OK``, to anybody."""
    return PlainTextResponse("OK", headers={"cache-control": "no-store"})


async def version(site: Site, request: Request) -> Response:
    """The release of MLflow whose API this is, bare, as MLflow's client reads it; ours stands in a header."""
    import autotrack
    from autotrack.models.mlmodel import FORMAT

    return PlainTextResponse(FORMAT, headers={"x-autotrack-version": autotrack.__version__})


async def metrics(site: Site, request: Request) -> Response:
    """What all workers have counted, for Prometheus."""
    body, media_type = site.board.text(site.endpoints, request.headers.get("accept", ""))
    return Response(body, headers={"content-type": media_type})


ENDPOINTS: Final = [
    Endpoint("GET", "/health", health, OPEN),
    Endpoint("GET", "/version", version, READ),
    Endpoint("GET", "/metrics", metrics, READ),
]


def endpoints() -> list[Endpoint]:
    """Every endpoint of this room."""
    return ENDPOINTS
