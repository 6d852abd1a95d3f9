"""The files of a run: a browser with previews, each file as it is, and folders as archives.

A file comes from whoever could write to the store. It is never sent as anything that a browser would run: what is shown
at all is shown in a sandbox without scripts, the rest is saved.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from starlette.responses import FileResponse, Response, StreamingResponse

from autotrack.digests import open_file
from autotrack.entities import Artifact
from autotrack.errors import ArtifactNotFound, AutotrackError
from autotrack.query import text
from autotrack.query.view import RunView
from autotrack.server.pages import previews
from autotrack.server.pages.views import view
from autotrack.server.places import told
from autotrack.server.routing import READ, Endpoint
from autotrack.stores.base import Store

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

SANDBOX: Final = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""No script runs in what is shown, nothing is loaded, and it has an origin of its own."""

_BINARY: Final = "application/octet-stream"
_TEXTS: Final = (".txt", ".log", ".md", ".csv", ".tsv", ".json", ".yaml", ".yml", ".py", ".toml", ".ini", ".cfg")
_CHUNK: Final = 2**20


async def build(site: Site, request: Request) -> dict[str, Any]:
    """A folder's entries, or a file's content as far as it is shown."""
    path = request.query_params.get("path", "")
    return await site.read(look, site.store, request.path_params["run_id"], path.strip("/"))


def look(store: Store, run_id: str, path: str) -> dict[str, Any]:
    """What the page of a folder or file shows.

    Raises
    ------
    RunNotFound, ArtifactNotFound
        When there is no such run or file.
    """
    run = store.get_run(run_id)
    entry = _entry(store, run_id, path)
    folder = path if entry is None or entry.is_dir else path.rpartition("/")[0]
    entries = store.artifacts(run_id, folder)
    file = None if entry is None or entry.is_dir else _file(store, run_id, entry)
    return {
        "title": f"{path.rpartition('/')[2] or 'Files'} of {run.name or 'unnamed run'}",
        "run": {"run_id": run.run_id, "run_name": run.name},
        "path": path,
        "folder": folder,
        "crumbs": _crumbs(path),
        "entries": [
            {"path": one.path, "name": one.path.rpartition("/")[2], "size": one.size, "is_dir": one.is_dir}
            for one in sorted(entries, key=lambda one: (not one.is_dir, one.path))
        ],
        "file": file,
        "model": next((model.path for model in run.models if f"{path}/".startswith(f"{model.path}/")), None),
    }


def _entry(store: Store, run_id: str, path: str) -> Artifact | None:
    """What stands at a path, by the listing of its folder: nothing is fetched for it. ``None`` for the top."""
    if not path:
        return None
    for one in store.artifacts(run_id, path.rpartition("/")[0]):
        if one.path == path:
            return one
    raise ArtifactNotFound(f"run {run_id[:12]} has no file {text.shortened(text.plain(path), 200)!r}")


def _crumbs(path: str) -> list[dict[str, str]]:
    parts = path.split("/") if path else []
    return [{"name": part, "path": "/".join(parts[: place + 1])} for place, part in enumerate(parts)]


def _file(store: Store, run_id: str, entry: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = {"path": entry.path, "size": entry.size, "digest": entry.digest}
    try:
        place = store.artifact_path(run_id, entry.path)
        found["size"] = place.stat().st_size
        shown = previews.preview(place)
    except (AutotrackError, OSError) as error:
        shown = {"kind": "none", "reason": told(error, store)}
    return {**found, "preview": {"note": "", **shown}}


async def raw(site: Site, request: Request) -> Response:
    """A file as it is, whole or in part (``Range``); ``?show=1`` for a picture, text or page to be looked at."""
    run_id, path = request.path_params["run_id"], request.query_params.get("path", "")
    place, about = await site.read(_plain_file, site.store, run_id, path)
    kind, is_shown = _type_of(place.name, show=request.query_params.get("show") == "1")
    response = FileResponse(place, media_type=kind, stat_result=about)
    response.headers["content-security-policy"] = SANDBOX
    response.headers["x-content-type-options"] = "nosniff"
    response.headers["content-disposition"] = _disposition(path.rpartition("/")[2], "inline" if is_shown else "")
    response.headers["cache-control"] = "private, no-cache"
    return response


def _plain_file(store: Store, run_id: str, path: str) -> tuple[Path, os.stat_result]:
    place = store.artifact_path(run_id, path)
    about = place.stat()
    if not stat.S_ISREG(about.st_mode):
        raise ArtifactNotFound(f"{text.shortened(text.plain(path), 200)!r} of run {run_id[:12]} is no file")
    return place, about


def _type_of(name: str, *, show: bool) -> tuple[str, bool]:
    """The content type of a file, and whether a browser may show it. What could hold scripts is only ever shown."""
    ending = os.path.splitext(name)[1].lower()
    if ending in previews.PAGES or ending == ".svg":
        kind = previews.IMAGES.get(ending, "text/html; charset=utf-8")
        return (kind, True) if show else (_BINARY, False)
    if ending in previews.IMAGES:
        return previews.IMAGES[ending], show
    if ending in _TEXTS or not ending:
        return ("text/plain; charset=utf-8", True) if show else (_BINARY, False)
    return _BINARY, False


def _disposition(name: str, how: str) -> str:
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "._- ") else "_" for char in name)
    quoted = quote(name.encode("utf-8", "replace"), safe="")
    return f"{how or 'attachment'}; filename=\"{plain or 'file'}\"; filename*=UTF-8''{quoted}"


async def archive(site: Site, request: Request) -> Response:
    """A folder of a run as a zip archive, made while it is sent."""
    run_id, path = request.path_params["run_id"], request.query_params.get("path", "").strip("/")
    files = await site.read(_files_below, site.store, run_id, path)
    name = path.rpartition("/")[2] or run_id[:12]
    response = StreamingResponse(_zipped(site.store, run_id, path, files), media_type="application/zip")
    response.headers["content-disposition"] = _disposition(f"{name}.zip", "")
    response.headers["content-security-policy"] = SANDBOX
    response.headers["x-content-type-options"] = "nosniff"
    return response


def _files_below(store: Store, run_id: str, path: str) -> list[str]:
    entry = _entry(store, run_id, path)
    if entry is not None and not entry.is_dir:
        return [path]
    files = RunView(store.get_run(run_id), store).artifact_files()
    return [file.path for file in files if not path or file.path.startswith(f"{path}/")]


class _Pipe(io.RawIOBase):
    """Takes what is written, to be handed on; `zipfile` writes to it without seeking."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.chunks.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self.chunks = b"".join(self.chunks), []
        return taken


def _zipped(store: Store, run_id: str, folder: str, files: list[str]) -> Iterator[bytes]:
    """An archive piece by piece; models are compressed little, so nothing is."""
    pipe = _Pipe()
    above = len(folder.rpartition("/")[0])
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as target:
        for path in files:
            name = path[above:].lstrip("/").encode("utf-8", "replace").decode()
            try:
                with (
                    open_file(store.artifact_path(run_id, path)) as source,
                    target.open(name, "w", force_zip64=True) as to,
                ):
                    while chunk := source.read(_CHUNK):
                        to.write(chunk)
                        yield pipe.take()
            except (AutotrackError, OSError):  # gone meanwhile
                continue
            yield pipe.take()
    yield pipe.take()


ENDPOINTS: Final = [
    *view("/runs/{run_id}/files", "files.html", build),
    Endpoint("GET", "/runs/{run_id}/raw", raw, READ, "page"),
    Endpoint("GET", "/runs/{run_id}/archive", archive, READ, "page"),
]
