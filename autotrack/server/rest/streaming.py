"""Files of any size on their way in and out, a piece at a time."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import os
import re
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from autotrack import digests
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest.holding import in_thread
from autotrack.stores.artifacts.folder import folder_name_is_safe
from autotrack.stores.base import Store

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PIECE: Final = 2**20
"""Bytes of a file that are in memory at once."""

_RANGE: Final = re.compile(r"bytes=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*", re.ASCII)
_SHOWN_AS_TEXT: Final = ("html", "xml", "script", "svg", "css", "pdf", "flash")


@dataclass(frozen=True, slots=True)
class Received:
    """What a request's body was: a private file that goes when the request is answered."""

    path: Path
    size: int
    digest: str


@asynccontextmanager
async def received(request: Request, folder: Path | None) -> AsyncIterator[Received]:
    """The body of a request, in a temporary file that only this user can read.

    Parameters
    ----------
    folder : where the file is written, the system's folder for such when it is ``None``.

    Raises
    ------
    Problem
        For a packed body.
    ClientDisconnect
        When it breaks off.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Problem(problems.BAD_REQUEST, f"a file with content-encoding {encoding[:40]!r} is not taken", 415)
    # Named as what a killed writer leaves: no reader sees it, and `autotrack gc` removes it.
    descriptor, name = tempfile.mkstemp(f".tmp-{secrets.token_hex(4)}", ".upload-", folder)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            whole = hashlib.sha256()
            size = 0
            piece = bytearray()
            more = True
            while more:
                message = await request.receive()
                if message["type"] != "http.request":
                    raise ClientDisconnect
                piece += message.get("body", b"")
                more = message.get("more_body", False)
                if len(piece) >= PIECE or (piece and not more):
                    await in_thread(_take, cast("BufferedWriter", file), whole, piece)
                    size += len(piece)
                    piece = bytearray()
        yield Received(Path(name), size, digests.PREFIX + whole.hexdigest())
    finally:
        with suppress(OSError):
            os.unlink(name)


def upload_folder(store: Store, run_id: str) -> Path | None:
    """A folder on the disk where a run's artifacts come to stand, where the store has one; made if need be."""
    tell = getattr(store, "artifact_folder", None)  # no promise of the protocol: only stores with folders have it
    if not callable(tell) or not folder_name_is_safe(run_id):
        return None
    folder = Path(tell(run_id))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    root = folder.parent
    is_there = os.path.realpath(folder) == os.path.join(os.path.realpath(root.parent), root.name, folder.name)
    return folder if is_there else None  # somebody put a link in its place


class Download(Response):
    """A file, sent piece by piece, as a download that no browser shows in our name.

    Parameters
    ----------
    file : open; it is closed when it was sent.
    name : the file's name for whoever saves it.
    """

    def __init__(self, file: BufferedReader, name: str, request: Request) -> None:
        self._file = file
        status = os.fstat(file.fileno())
        size = status.st_size
        tag = f'"{status.st_mtime_ns:x}-{size:x}"'
        self._start, self._end, partial = 0, size, False
        wanted = request.headers.get("range")
        if wanted is not None and request.headers.get("if-range", tag) == tag:
            self._start, self._end, partial = _range(wanted, size)
        headers = {
            "content-length": str(self._end - self._start),
            "content-disposition": disposition(name),
            "content-security-policy": "sandbox; default-src 'none'",
            "x-content-type-options": "nosniff",
            "accept-ranges": "bytes",
            "cache-control": "private, no-cache",
            "etag": tag,
        }
        if partial:
            headers["content-range"] = f"bytes {self._start}-{self._end - 1}/{size}"
        self.status_code = 206 if partial else 200
        self.background = None
        self.body = b""
        self.init_headers(headers | {"content-type": media_type(name)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            left = 0 if scope["method"] == "HEAD" else self._end - self._start
            if left and self._start:
                self._file.seek(self._start)
            while left and not gone.done():
                piece = await in_thread(self._file.read, min(left, PIECE))
                if not piece:
                    raise OSError(f"{self._file.name} became shorter while it was sent")
                left -= len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
            if not left and (scope["method"] == "HEAD" or self._end == self._start):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            self._file.close()


def open_for(path: Path, shown: str) -> BufferedReader:
    """Open a file that is to be sent.

    Raises
    ------
    Problem
        When it is a folder, or is not there any more.
    """
    if path.is_dir():
        raise Problem(problems.INVALID, f"{shown!r} is a folder, not a file; list it and ask for its files")
    try:
        return digests.open_file(path)
    except OSError as error:
        raise Problem(problems.NOT_FOUND, f"{shown!r} cannot be read: {error.strerror or 'no plain file'}") from None


def media_type(name: str) -> str:
    """What a file is said to be: never what a browser would run or draw as a page."""
    kind, packed = mimetypes.guess_type(name)
    if kind is None or packed:
        return "application/octet-stream"
    if any(word in kind for word in _SHOWN_AS_TEXT):
        return "text/plain; charset=utf-8" if kind.startswith("text/") or "+" in kind else "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def disposition(name: str) -> str:
    """The Content-Disposition of a download with this name."""
    plain = re.sub(r'[^ -~]|["\\%]', "_", name)[:200]
    whole = quote(name, safe="", errors="replace")
    return f'attachment; filename="{plain}"' + (f"; filename*=UTF-8''{whole}" if plain != name else "")


def _take(file: BufferedWriter, whole: hashlib._Hash, piece: bytearray) -> None:
    view = memoryview(piece)
    whole.update(view)
    while view:
        view = view[file.write(view) :]


def _range(wanted: str, size: int) -> tuple[int, int, bool]:
    """From where to where, and whether that is only a part: what is no single range of bytes is not heeded."""
    match = _RANGE.fullmatch(wanted)
    if match is None or match[1] == match[2] == "":
        return 0, size, False
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return 0, size, False
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= end:
        headers = {"content-range": f"bytes */{size}"}
        raise Problem(problems.INVALID, f"the file has {size:,} bytes; {wanted[:60]!r} is outside of it", 416, headers)
    return start, end, True


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
