"""One process that answers requests."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from typing import Any

from autotrack.server.app import App
from autotrack.server.options import ServerOptions
from autotrack.server.pages.views import error_page
from autotrack.server.site import Site
from autotrack.stores.base import Store


def run_worker(
    open_store: Callable[[], Store],
    options: ServerOptions,
    number: int,
    listener: socket.socket,
    *,
    lifeline: int | None,
    on_start: Callable[[str], None],
) -> None:
    """Answer requests until SIGTERM; then finish those in flight, and what waits to be written.

    Parameters
    ----------
    open_store : opens this process's own store.
    number : this worker's row of the board.
    listener : the socket that all workers share.
    lifeline : a pipe that ends when the process that looks after this one has ended; ``None`` for no such process.
    on_start : called when requests are answered, with the store's name.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a client's broken request is no trouble of ours
    store = open_store()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(store, options, listener, lifeline, on_start))
    finally:
        store.close()


async def _serve(
    store: Store,
    options: ServerOptions,
    listener: socket.socket,
    lifeline: int | None,
    on_start: Callable[[str], None],
) -> None:
    from uvicorn import Config

    from autotrack.web.http import Http, Server

    site = Site(store, options)
    application = App(site, error_page=error_page)
    config = Config(
        application,
        http=Http,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, int(options.grace)),
    )
    server = Server(config, body_timeout=30.0, on_start=lambda: on_start(store.uri))

    def end(*_: Any) -> None:
        server.should_exit = True

    signal.signal(signal.SIGTERM, end)
    # Ctrl-C reaches the whole group of processes: the one that looks after us says when it is our turn.
    signal.signal(signal.SIGINT, end if lifeline is None else signal.SIG_IGN)
    if lifeline is not None:
        loop = asyncio.get_running_loop()

        def alone() -> None:
            loop.remove_reader(lifeline)
            end()

        loop.add_reader(lifeline, alone)
    try:
        await server.serve(sockets=[listener])
    finally:
        site.close()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop
