"""The files of runs: what `Store.artifacts`, `Store.artifact_path` and `Store.put_artifact` do, a piece at a time.

A folder is put whole or not at all: its files are sent, one by one, to a place of their own (an upload) first. What is
left of uploads that were not finished goes after a day.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from autotrack import digests
from autotrack.server import problems
from autotrack.server.native.calls import API, Arguments, call, query, respond, telling
from autotrack.server.problems import Problem
from autotrack.server.rest.holding import in_thread
from autotrack.server.rest.streaming import Download, open_for, received, upload_folder
from autotrack.server.routing import READ, WRITE, Endpoint
from autotrack.stores.artifacts.folder import parts_of
from autotrack.stores.remote import wire

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from autotrack.server.site import Site

_UPLOAD: Final = re.compile(r"[0-9a-f]{32}")
_DAY: Final = 86400.0


def listing(site: Site, arguments: Arguments) -> Any:
    """See `Store.artifacts`."""
    found = site.store.artifacts(arguments.text("run_id"), arguments.text("path"))
    return {"artifacts": [wire.plain(one) for one in found]}


def about(site: Site, arguments: Arguments) -> Any:
    """What an artifact is: its digest, and the files of a folder."""
    path = site.store.artifact_path(arguments.text("run_id"), arguments.text("path"))
    if path.is_dir():
        return {"is_dir": True, "digest": digests.of_folder(path), "files": sorted(digests.files_of(path))}
    return {"is_dir": False, "digest": digests.of_file(path), "files": []}


async def read(site: Site, request: Request) -> Response:
    """One file."""
    run_id, path = query(request, "run_id"), query(request, "path")

    def fetch() -> Download:
        file = open_for(site.store.artifact_path(run_id, path), path)
        try:
            return Download(file, PurePosixPath(path).name or "artifact", request)
        except BaseException:
            file.close()
            raise

    return await in_thread(fetch)


async def write(site: Site, request: Request) -> Response:
    """Put one file."""
    run_id, path = query(request, "run_id"), query(request, "path")
    folder = await site.read(upload_folder, site.store, run_id)
    async with received(request, folder) as body:
        await in_thread(site.store.put_artifact, run_id, path, body.path)
    return respond({})


async def stage(site: Site, request: Request) -> Response:
    """Take in one file of a folder."""
    folder = await in_thread(_staged, query(request, "upload"))
    parts = parts_of(query(request, "path"))
    if not parts:
        raise Problem(problems.INVALID, "path names no file inside a folder")
    target = folder.joinpath(*parts)
    async with received(request, folder.parent) as body:

        def move() -> None:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(body.path, target) if not target.exists() else os.replace(body.path, target)
            except OSError as error:
                reason = f"{'/'.join(parts)!r:.300} can be no file of the upload: {error.strerror}"
                raise Problem(problems.INVALID, reason) from error
            os.utime(folder)  # so that it is not swept, however long the rest takes

        await in_thread(move)
    return respond({})


def put_staged(site: Site, arguments: Arguments) -> Any:
    """Put a folder whose files are here, as many as the client sent."""
    folder = _staged(arguments.text("upload"))
    sent = arguments.optional_whole("files")
    try:
        there = sum(len(names) for _, _, names in os.walk(folder))
        # A request that is sent again finds none: an empty folder would take the place of what the first one put.
        if sent is not None and there != sent:
            raise Problem(problems.INVALID, f"{there:,} of the upload's {sent:,} files are here; put the folder again")
        site.store.put_artifact(arguments.text("run_id"), arguments.text("path"), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {}


def _staged(upload: str) -> Path:
    """The folder of an upload; all workers of a user share where they are."""
    if not _UPLOAD.fullmatch(upload):
        raise Problem(problems.INVALID, "upload is no 32 hexadecimal digits")
    user = os.getuid() if hasattr(os, "getuid") else 0
    root = Path(os.path.realpath(tempfile.gettempdir())) / f"autotrack-uploads-{user}"
    root.mkdir(mode=0o700, exist_ok=True)
    status = root.lstat()
    if hasattr(os, "getuid") and (status.st_uid != user or status.st_mode & 0o077 or root.is_symlink()):
        raise Problem(
            problems.INTERNAL, "the folder for uploads is not this user's own; the server's owner has to look"
        )
    _sweep(root)
    folder = root / upload
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _sweep(root: Path) -> None:
    before = time.time() - _DAY
    for entry in root.iterdir():
        try:
            if entry.stat().st_mtime < before:
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)
        except OSError:  # another worker was quicker
            continue


ENDPOINTS: Final = [
    call("artifacts/list", listing, READ),
    call("artifacts/about", about, READ),
    Endpoint("GET", f"{API}/artifacts/file", telling(read), READ),
    Endpoint("PUT", f"{API}/artifacts/file", telling(write), WRITE),
    Endpoint("PUT", f"{API}/artifacts/staged", telling(stage), WRITE),
    call("artifacts/put-staged", put_staged, WRITE),
]
