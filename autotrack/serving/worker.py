"""One process that answers requests."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from typing import Final

from autotrack.serving.app import Application, Served
from autotrack.serving.counters import Board
from autotrack.serving.options import ServingOptions
from autotrack.web import answering

_SWITCH: Final = 0.001
"""Seconds that a thread which computes keeps the interpreter from the event loop; by itself Python takes five times
as many."""


def run_worker(
    served: Served,
    options: ServingOptions,
    board: Board,
    number: int,
    listener: socket.socket,
    *,
    lifeline: int | None,
    on_start: Callable[[str], None],
) -> None:
    """Answer requests until SIGTERM; then finish those in flight.

    Parameters
    ----------
    number : this worker's row of the board.
    listener : the socket that all workers share.
    lifeline : a pipe that ends when the process that looks after this one has ended; ``None`` for no such process.
    on_start : called when requests are answered, with the model's name.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # a client's broken request is no trouble of ours
    sys.setswitchinterval(_SWITCH)
    with asyncio.Runner(loop_factory=answering.loop_factory()) as runner:
        runner.run(_serve(served, options, board, number, listener, lifeline, on_start))


async def _serve(
    served: Served,
    options: ServingOptions,
    board: Board,
    number: int,
    listener: socket.socket,
    lifeline: int | None,
    on_start: Callable[[str], None],
) -> None:
    from uvicorn import Config

    from autotrack.web.http import Http, Server

    counters = board.of(number)
    application = Application(served, options, board, counters)
    await application.warm_up()

    def started() -> None:
        counters.started()
        on_start(served.name)

    config = Config(
        application,
        http=Http,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(options.keep_alive),
        timeout_graceful_shutdown=max(1, int(options.grace)),
    )
    server = Server(config, body_timeout=options.body_timeout, on_start=started)
    try:
        await answering.answer(server, listener, lifeline)
    finally:
        application.close()
