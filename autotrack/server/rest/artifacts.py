"""A run's artifacts: listing them, fetching a file, putting one there."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from autotrack.entities import Artifact
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import calls, locating
from autotrack.server.rest.locating import Place
from autotrack.server.rest.parsing import Message, text
from autotrack.server.rest.storing import download, store_upload
from autotrack.server.routing import READ, WRITE, Endpoint
from autotrack.stores.base import Store

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

LIST: Final = Message(
    "ListArtifacts", text("run_id", aliases=("run_uuid",), needed=True), text("path"), text("page_token")
)
_FILE: Final = Message("GetArtifact", text("run_id", aliases=("run_uuid",), needed=True), text("path", needed=True))
_UPLOAD: Final = Message(
    "UploadArtifact", text("run_uuid", aliases=("run_id",), needed=True), text("path", needed=True)
)

NO_PRESIGNED_UPLOAD: Final = "Presigned upload is not supported for the current artifact repository"
NO_PRESIGNED_DOWNLOAD: Final = "Presigned download is not supported for the current artifact repository"
"""Clients know these sentences, and send or fetch the file by itself then."""


async def list_artifacts(site: Site, values: dict[str, Any]) -> Any:
    """The files and folders directly below a path."""
    path = locating.checked(values["path"] or "")

    def read() -> dict[str, Any]:
        run = locating.run_of(site.store, values["run_id"])
        found = site.store.artifacts(run.run_id, path)
        return {"root_uri": locating.run_location(run), "files": [file_info(one) for one in found]}

    return await site.read(read)


def file_info(artifact: Artifact, folder: str = "") -> dict[str, Any]:
    """A file or folder as clients have it, its path relative to a folder of the run's artifacts."""
    path = artifact.path[len(folder) + 1 :] if folder else artifact.path
    info: dict[str, Any] = {"path": path, "is_dir": artifact.is_dir}
    if artifact.size is not None and not artifact.is_dir:
        info["file_size"] = artifact.size
    return info


async def get_artifact(site: Site, request: Request) -> Response:
    """One file of a run."""
    values = _FILE.read_query(request.query_params.multi_items())
    path = locating.checked(values["path"])
    return await download(site, request, lambda store: Place(locating.run_of(store, values["run_id"]), path))


async def upload_artifact(site: Site, request: Request) -> Response:
    """Put a file, the request's body, among a run's artifacts."""
    values = _UPLOAD.read_query(request.query_params.multi_items())
    path = locating.checked(values["path"])

    def place(store: Store) -> Place:
        return Place(locating.run_of(store, values["run_uuid"]), path)

    await store_upload(site, request, place)
    return calls.respond({})


async def no_presigned_upload(site: Site, values: dict[str, Any]) -> Any:
    """There are no addresses to which a client could send a file past the server."""
    raise Problem(problems.NOT_IMPLEMENTED, NO_PRESIGNED_UPLOAD)


async def no_presigned_download(site: Site, values: dict[str, Any]) -> Any:
    """There are no addresses from which a client could fetch a file past the server."""
    raise Problem(problems.NOT_IMPLEMENTED, NO_PRESIGNED_DOWNLOAD)


def file_name(path: str) -> str:
    """The last part of a path."""
    return PurePosixPath(path).name


ENDPOINTS: Final = [
    *calls.endpoints("GET", "/artifacts/list", LIST, list_artifacts, READ),
    *calls.endpoints("POST", "/artifacts/presigned-upload-url", Message("PresignedUpload"), no_presigned_upload, WRITE),
    *calls.endpoints(
        "POST", "/artifacts/presigned-download-url", Message("PresignedDownload"), no_presigned_download, READ
    ),
    Endpoint("GET", "/get-artifact", get_artifact, READ),
    Endpoint("POST", "/ajax-api/2.0/mlflow/upload-artifact", upload_artifact, WRITE),
]
