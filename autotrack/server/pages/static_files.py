"""Scripts and styles; plotly's script comes out of the installed package."""

from __future__ import annotations

import gzip
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import FileResponse, Response

from autotrack.server import compressing, problems
from autotrack.server.problems import Problem
from autotrack.server.routing import OPEN, Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_LEVEL: Final = 6
_PLOTLY: Final = "plotly.min.js"


@lru_cache(maxsize=1)
def _known() -> dict[str, Path]:
    """The files that are served, by name: no name that a request gives becomes a path."""
    folder = Path(str(files("autotrack.server.pages"))) / "static"
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.suffix in _TYPES}
    plotly = find_spec("plotly")
    if plotly is not None and plotly.origin is not None:  # its package is not imported: that takes half a second
        found[_PLOTLY] = Path(plotly.origin).parent / "package_data" / _PLOTLY
    return found


@lru_cache(maxsize=64)
def _packed(path: Path) -> tuple[bytes, str]:
    """A file as it is sent to those who take gzip, and its tag: packed once, as these files do not change."""
    packed = gzip.compress(path.read_bytes(), _LEVEL, mtime=0)
    return packed, f'"{sha256(packed).hexdigest()[:32]}"'


async def static(site: Site, request: Request) -> Response:
    """One of them."""
    name = request.path_params["name"]
    path = _known().get(name)
    if path is None:
        raise Problem(problems.NOT_FOUND, f"there is no file {name[:100]!r} here")
    media_type = _TYPES[path.suffix]
    response: Response
    if compressing.is_wanted(request.scope, dict(request.scope["headers"])):
        body, tag = await site.read(_packed, path)
        response = Response(body, headers={"content-encoding": "gzip", "vary": "accept-encoding", "etag": tag})
        response.headers["content-type"] = f"{media_type}; charset=utf-8"
    else:
        response = FileResponse(path, media_type=media_type)
    response.headers["cache-control"] = "public, max-age=86400" if name == _PLOTLY else "no-cache"
    return response


ENDPOINTS: Final = [Endpoint("GET", "/static/{name:path}", static, OPEN)]
