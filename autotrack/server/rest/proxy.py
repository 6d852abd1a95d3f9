"""``mlflow-artifacts``: files by ``<experiment>/<run>/artifacts/<path>``, as clients list, fetch and put them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from autotrack.entities import Artifact, Run
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import calls, locating
from autotrack.server.rest.artifacts import NO_PRESIGNED_DOWNLOAD, file_info
from autotrack.server.rest.locating import Place
from autotrack.server.rest.parsing import Message, text
from autotrack.server.rest.storing import download, store_upload
from autotrack.server.routing import READ, WRITE, Endpoint, Handler, Scope
from autotrack.stores.base import Store

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

LIST: Final = Message("ListProxiedArtifacts", text("path"))
NO_MULTIPART: Final = "Multipart upload is not supported for the current artifact repository"
"""Clients know the sentence, and send the file whole then."""

_JOINS_MODELS: Final = re.compile(r"mlflow-python-client/(?:[3-9]|[1-9][0-9])\.")
"""Clients that join what stands under a run's path with the run's logged model of that name."""


async def list_files(site: Site, request: Request) -> Response:
    """The files and folders directly below a path, by their names there."""
    spelled = LIST.read_query(request.query_params.multi_items())["path"] or ""
    joins = _JOINS_MODELS.match(request.headers.get("user-agent", "")) is not None

    def read() -> dict[str, Any]:
        place = _place(site.store, spelled)
        found = site.store.artifacts(place.run.run_id, place.path)
        if joins and place.model is None:
            found = [one for one in found if not _is_of_a_model(place.run, one)]
        return {"files": [file_info(one, place.path) for one in found]}

    return calls.respond(await site.read(read))


def _is_of_a_model(run: Run, artifact: Artifact) -> bool:
    return any(
        locating.is_listed_by_itself(model) and f"{artifact.path}/".startswith(f"{model.path}/") for model in run.models
    )


def _place(store: Store, spelled: str) -> Place:
    return locating.resolve(store, spelled)


async def get_file(site: Site, request: Request) -> Response:
    """One file."""
    return await download(site, request, lambda store: _place(store, request.path_params["path"]))


async def put_file(site: Site, request: Request) -> Response:
    """Put a file there, the request's body."""
    await store_upload(site, request, lambda store: _place(store, request.path_params["path"]))
    return calls.respond({})


async def delete_file(site: Site, request: Request) -> Response:
    """Refused: files go with their run."""
    place = await site.read(_place, site.store, request.path_params["path"])
    raise Problem(
        problems.NOT_IMPLEMENTED,
        f"a single artifact is not deleted: what run {place.run.run_id} recorded stays as it is. Delete the run; "
        "'autotrack gc' removes its files then",
    )


async def no_multipart(site: Site, request: Request) -> Response:
    """There are no addresses to which a client could send the parts of a file."""
    locating.checked(request.path_params["path"])
    raise Problem(problems.NOT_IMPLEMENTED, NO_MULTIPART)


async def no_presigned(site: Site, request: Request) -> Response:
    """There is no address from which a client could fetch a file past the server."""
    locating.checked(request.path_params["path"])
    raise Problem(problems.NOT_IMPLEMENTED, NO_PRESIGNED_DOWNLOAD)


def _endpoints(method: str, path: str, handler: Handler, scope: Scope) -> list[Endpoint]:
    return [Endpoint(method, f"{prefix}/2.0/mlflow-artifacts{path}", handler, scope) for prefix in calls.PREFIXES]


ENDPOINTS: Final = [
    *_endpoints("GET", "/artifacts", list_files, READ),
    *_endpoints("GET", "/artifacts/{path:path}", get_file, READ),
    *_endpoints("PUT", "/artifacts/{path:path}", put_file, WRITE),
    *_endpoints("DELETE", "/artifacts/{path:path}", delete_file, WRITE),
    *_endpoints("POST", "/mpu/create/{path:path}", no_multipart, WRITE),
    *_endpoints("POST", "/mpu/complete/{path:path}", no_multipart, WRITE),
    *_endpoints("POST", "/mpu/abort/{path:path}", no_multipart, WRITE),
    *_endpoints("GET", "/presigned/{path:path}", no_presigned, READ),
]
