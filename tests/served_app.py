"""The server's application over a store, answered by a real HTTP server in a thread of the test."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn

from autotrack.server.app import App
from autotrack.server.options import ServerOptions
from autotrack.server.site import Site
from autotrack.stores import open_store
from autotrack.stores.base import Store

_SECONDS = 20


class Served(NamedTuple):
    """A server: its address without a slash at its end, and what its handlers are given."""

    url: str
    site: Site


@contextmanager
def serving(store: Store | Path | str, options: ServerOptions | None = None, **settings: Any) -> Iterator[Served]:
    """Serve a store, or that at a URI or folder. ``settings`` are those of `App`."""
    opened = open_store(str(store)) if isinstance(store, Path | str) else store
    site = Site(opened, options)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(App(site, **settings), log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="served", daemon=True)
    thread.start()
    deadline = time.monotonic() + _SECONDS
    while not server.started:
        assert thread.is_alive(), "the server ended"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.005)
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", site)
    finally:
        server.should_exit = True
        thread.join(_SECONDS)
        listener.close()
        site.close()
        if isinstance(store, Path | str):
            opened.close()
