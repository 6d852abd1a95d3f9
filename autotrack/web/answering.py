"""One process that answers requests: its event loop, and how it is told to end."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import Any

from autotrack.web.http import Server


async def answer(
    server: Server,
    listener: socket.socket,
    lifeline: int | None,
    *,
    on_end: Callable[[], None] = lambda: None,
) -> None:
    """Answer until SIGTERM, or until the process that looks after this one is gone; then finish what is in flight.

    Parameters
    ----------
    lifeline : a pipe that ends when the process that looks after this one has ended; ``None`` for no such process.
    on_end : called on the event loop when the end begins.
    """
    loop = asyncio.get_running_loop()

    def end(*_: Any) -> None:
        server.should_exit = True
        loop.call_soon_threadsafe(on_end)

    signal.signal(signal.SIGTERM, end)
    # Ctrl-C reaches the whole group of processes: the one that looks after us says when it is our turn.
    signal.signal(signal.SIGINT, end if lifeline is None else signal.SIG_IGN)
    if lifeline is not None:

        def alone() -> None:
            loop.remove_reader(lifeline)
            end()

        loop.add_reader(lifeline, alone)
    await server.serve(sockets=[listener])


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The quickest event loop that is here."""
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop
