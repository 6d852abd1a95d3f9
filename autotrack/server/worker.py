"""One process that answers requests."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from importlib import import_module

from autotrack.server import app
from autotrack.server.counters import Board
from autotrack.server.delivery import Delivery
from autotrack.server.guard.admission import RequestGuard
from autotrack.server.options import ServerOptions
from autotrack.server.pages.views import environment, error_page
from autotrack.server.site import Site
from autotrack.stores.base import Store
from autotrack.web import answering


def load() -> None:
    """Import what answers requests."""
    for room in app.ROOMS:
        import_module(room).endpoints()
    environment()
    answering.loop_factory()


def run_worker(
    open_store: Callable[[], Store],
    options: ServerOptions,
    board: Board,
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
    # A client's broken request is no trouble of ours, and of our own we have said what there is to say.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    store = open_store()
    try:
        with asyncio.Runner(loop_factory=answering.loop_factory()) as runner:
            runner.run(_serve(Site(store, options, board, number), listener, lifeline, on_start))
    finally:
        store.close()


async def _serve(site: Site, listener: socket.socket, lifeline: int | None, on_start: Callable[[str], None]) -> None:
    from uvicorn import Config

    from autotrack.web.http import PatientHttp, Server

    options = site.options
    guard = RequestGuard(options, on_refusal=site.counters.refused)
    delivery = Delivery(app.App(site, guard, app.ROOMS, error_page), site.counters, log=options.access_log)

    def started() -> None:
        site.counters.started()
        on_start(site.store.uri)

    config = Config(
        delivery,
        http=PatientHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whoever asks could say that he is another
        timeout_keep_alive=int(options.keep_alive),
        timeout_graceful_shutdown=max(1, int(options.grace)),
    )
    server = Server(config, body_timeout=options.patience, on_start=started)
    try:
        await answering.answer(server, listener, lifeline, on_end=delivery.end_streams)
    finally:
        site.close()
