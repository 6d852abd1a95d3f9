"""`autotrack.ui`: the address of the pages over a store; a server that runs is found again, else one is started.

Each server of ``autotrack ui`` leaves a note in the user's own folder: which store, where, and whose process. A note is
believed when the server answers there for that very store.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import subprocess
import sys
import time
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from autotrack import extras, settings
from autotrack.errors import ServingError
from autotrack.query.sources import StoreLike, reading
from autotrack.spool import root, scrubbed, without_secrets, write_whole
from autotrack.stores.base import Store

NEEDED: Final = ("starlette", "uvicorn", "httptools", "jinja2", "orjson", "prometheus_client")
WITH_PARENT: Final = "--with-parent"
"""Option of ``autotrack ui``: end when standard input does."""

_SECONDS_TO_START: Final = 60.0
_SECONDS_TO_ANSWER: Final = 2.0
_LOOK: Final = 0.05
_TOLD: Final = 2_000


class _Server(subprocess.Popen[bytes]):
    """A server that we started. It may outlive us, of which Popen's own ``__del__`` would warn."""

    def __del__(self, *_: Any) -> None:
        pass


_started: dict[str, _Server] = {}
"""Ours by address. Their standard input ends with this process, and they with it."""


class UI:
    """The pages over a store: prints as their address, and is a link in a notebook."""

    __slots__ = ("store", "url")

    def __init__(self, url: str, store: str) -> None:
        self.url = url
        self.store = store

    def stop(self) -> None:
        """End the server, if this process started it."""
        server = _started.pop(self.url, None)
        if server is None:
            return
        if server.stdin is not None:
            server.stdin.close()
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    def __repr__(self) -> str:
        return self.url

    def _repr_html_(self) -> str:
        url = escape(self.url)
        return f'<a href="{url}" target="_blank" rel="noopener">{url}</a> <small>{escape(self.store)}</small>'


def ui(store: StoreLike = None, *, port: int = 0, keep: bool = False) -> UI:
    """The web pages over a store, for a notebook or a script: gives the link and goes on.

    A server of ``autotrack ui`` that runs for this store is used again; else one is started in a process of its own on
    this machine's loopback address.

    Parameters
    ----------
    store : a URI, a folder or an open store; the one in force when left out.
    port : to listen on, where a server is started; 0 for any that is free.
    keep : let the server go on when this process ends; it ends with it otherwise.

    Returns
    -------
    An object that prints as the address, is a link in a notebook, has ``url``, and ``stop()`` to end the server.

    Raises
    ------
    ServingError
        When a library is missing (``pip install 'autotrack[server]'``), the store is in this process's memory only, or
        the server does not start.
    StoreError
        When the store cannot be opened.
    """
    with reading(store) as opened:
        name = opened.uri
    uri = _uri(store, name)
    if settings.scheme_of(uri) == "memory":
        raise ServingError(f"{name} is in this process's memory, where no other process finds it; use a folder")
    found = _running(without_secrets(uri), name)
    if found is not None:
        return UI(found, name)
    missing = extras.missing(NEEDED)
    if missing:
        raise ServingError(f"the pages need {', '.join(missing)}: pip install 'autotrack[server]'")
    return UI(_start(uri, name, port, keep), name)


def running(store: Store) -> str | None:
    """The address of a server that shows this store, if there is one."""
    return _running(without_secrets(store.uri), store.uri)


def remember(uri: str, url: str) -> None:
    """Leave a note that this process serves a store; ``uri`` is without secrets. It does without on a full disk."""
    try:
        path = _note(uri)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, {"url": url, "pid": os.getpid(), "store": uri})
    except OSError:
        pass


def forget(uri: str) -> None:
    """Take the note away, unless it is another process's."""
    if _read(uri).get("pid") == os.getpid():
        try:
            _note(uri).unlink(missing_ok=True)
        except OSError:
            pass


def _uri(store: StoreLike, name: str) -> str:
    """As another process opens it, with its password; an open store tells none."""
    if store is None:
        return settings.store_uri()
    if isinstance(store, (str, os.PathLike)):
        with settings.use_store(store):
            return settings.store_uri()
    return name


def _note(uri: str) -> Path:
    return root() / "ui" / f"{hashlib.sha256(uri.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}.json"


def _read(uri: str) -> dict[str, Any]:
    try:
        found = json.loads(_note(uri).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and found.get("store") == uri else {}


def _running(uri: str, name: str) -> str | None:
    url = _read(uri).get("url")
    return url if isinstance(url, str) and _answers(url, name) else None


def _answers(url: str, name: str) -> bool:
    """Whether a server of this version shows that store there."""
    import autotrack

    where = urlsplit(url)
    if where.scheme != "http" or where.hostname not in ("127.0.0.1", "::1", "localhost"):
        return False
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(where.hostname, where.port, timeout=_SECONDS_TO_ANSWER)  # no proxy stands between
    try:
        connection.request("GET", "/about.json")
        answer = connection.getresponse()
        told = json.loads(answer.read(100_000)) if answer.status == 200 else {}
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return (
        isinstance(told, dict)
        and told.get("store") == store_digest(name)
        and told.get("version") == autotrack.__version__
    )


def store_digest(uri: str) -> str:
    """What ``/about.json`` says of a store, by its URI without secrets."""
    return "sha256:" + hashlib.sha256(uri.encode("utf-8", "surrogatepass")).hexdigest()


def _start(uri: str, name: str, port: int, keep: bool) -> str:
    import autotrack

    shown = without_secrets(uri)
    log = _note(shown).with_suffix(".log")
    place = str(Path(autotrack.__file__).parent.parent)  # where it was found here, which may be by no more than a path
    environment = {**os.environ, "AUTOTRACK_STORE": uri}  # not an argument, which everybody on this machine can read
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", ""), place]))
    command = [sys.executable, "-P", "-m", "autotrack", "ui", "--no-open", "--port", str(port)]
    try:
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(log, "wb", opener=_for_this_user) as output:
            server = _Server(
                command if keep else [*command, WITH_PARENT],
                stdin=subprocess.DEVNULL if keep else subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
    except OSError as error:
        raise ServingError(f"the server of the pages cannot be started: {error}") from error
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline:
        note = _read(shown)
        if note.get("pid") == server.pid and _answers(str(note.get("url")), name):
            url = str(note["url"])
            if not _started:
                atexit.register(_let_go)
            _started[url] = server
            return url
        if server.poll() is not None:
            break
        time.sleep(_LOOK)
    server.kill()
    server.wait()
    raise ServingError(f"the server of the pages for {shown} did not start:\n{scrubbed(_tail(log), uri)}")


def _let_go() -> None:
    """At the end of this process: those that are not to be kept end with it."""
    for server in _started.values():
        if server.stdin is not None:
            server.stdin.close()


def _for_this_user(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _tail(log: Path) -> str:
    try:
        return log.read_text("utf-8", "replace")[-_TOLD:].strip() or "it said nothing"
    except OSError as error:
        return f"what it said cannot be read: {error}"
