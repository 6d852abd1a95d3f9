"""A view is a function that builds a mapping of JSON types; a template shows it, or its ``.json`` twin sends it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import HTMLResponse, Response

from autotrack.server.problems import Problem
from autotrack.server.routing import READ, Endpoint

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request

    from autotrack.server.site import Site

Build = Callable[["Site", "Request"], Awaitable[Mapping[str, Any]]]

TWIN: Final = ".json"


def view(path: str, template: str, build: Build, *, twin: str | None = None) -> list[Endpoint]:
    """The endpoints of a page and of its twin.

    Parameters
    ----------
    path : of the page; the twin's is ``path + ".json"`` unless ``twin`` says otherwise.
    template : a file of ``templates/``; it is given what ``build`` gives, and ``request_path`` and ``twin_url``.
    build : called for both.
    """

    async def page(site: Site, request: Request) -> Response:
        return html(site, request, template, await build(site, request))

    async def data(site: Site, request: Request) -> Response:
        return json(await build(site, request))

    # The twin comes first: a parameter at the end of the path would take ".json" for a part of itself.
    return [
        Endpoint("GET", twin or path + TWIN, data, READ, "api"),
        Endpoint("GET", path, page, READ, "page"),
    ]


def html(site: Site, request: Request, template: str, data: Mapping[str, Any], status: int = 200) -> Response:
    """A page."""
    path = request.url.path
    query = f"?{request.url.query}" if request.url.query else ""
    twin = ("/runs" if path == "/" else path.rstrip("/")) + TWIN + query
    text = (
        environment()
        .get_template(template)
        .render(**data, request_path=path, request_query=request.url.query, twin_url=twin)
    )
    # Whatever was recorded may stand in it, lone surrogates too, which have no place in UTF-8.
    return HTMLResponse(text.encode("utf-8", "replace"), status)


def json(data: Any, status: int = 200) -> Response:
    """JSON, in which NaN and the infinities have to be texts already (`autotrack.events.number_to_json`)."""
    import orjson

    try:
        content = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # lone surrogates in what was recorded
        import json as plain_json

        content = plain_json.dumps(data, allow_nan=False).encode("ascii")
    return Response(content, status, media_type="application/json")


async def error_page(site: Site, request: Request, problem: Problem) -> Response:
    """What a person sees who asked for what cannot be shown."""
    return html(site, request, "error.html", {"title": "Not shown", "problem": problem.to_json()}, problem.status)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates. Whatever is put into them is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from autotrack.server.pages import formatting
    from autotrack.server.pages.columns import fixed, model_address, spoken, urlencode
    from autotrack.server.pages.stills import still

    made = Environment(
        loader=PackageLoader("autotrack.server.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(formatting.FILTERS)
    made.filters |= {
        "still": still,
        "fixed": fixed,
        "spoken": spoken,
        "urlencode": urlencode,
        "model_address": model_address,
    }
    return made
