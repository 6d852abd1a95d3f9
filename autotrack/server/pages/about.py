"""``/about.json``: which store this is, so that a program can tell whether a server is the one that it looks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from autotrack.query.showing import store_digest
from autotrack.server.pages.views import json
from autotrack.server.routing import READ, Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from autotrack.server.site import Site


def facts(site: Site) -> dict[str, Any]:
    """The digest of the store's URI, which itself says where on this machine the store is, and our version."""
    import autotrack

    return {"store": store_digest(site.store.uri), "version": autotrack.__version__}


async def about(site: Site, request: Request) -> Response:
    """See `facts`."""
    return json(facts(site))


ENDPOINTS: Final = [Endpoint("GET", "/about.json", about, READ)]
