"""What every handler is given: the store, who writes to it, and the options."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from autotrack.errors import ModelError
from autotrack.events import Event
from autotrack.server.counters import Board
from autotrack.server.options import ServerOptions
from autotrack.server.writer import Writer
from autotrack.stores.base import Store
from autotrack.stores.registry import RegistryStore, registry_of

if TYPE_CHECKING:
    from autotrack.server.routing import Endpoint

P = ParamSpec("P")
T = TypeVar("T")


class Site:
    """One worker's view of what is served. Made in the worker's process; reads and writes may block and run in threads.

    Parameters
    ----------
    store : open; the site does not close it.
    options : as the server was told.
    board : where all workers count; one of its own when left out.
    number : of this worker.
    """

    def __init__(
        self, store: Store, options: ServerOptions | None = None, board: Board | None = None, number: int = 0
    ) -> None:
        self.store = store
        self.options = options if options is not None else ServerOptions()
        self.board = board if board is not None else Board(1)
        self.counters = self.board.of(number)
        self.endpoints: Sequence[Endpoint] = ()
        self.writer = Writer(store, self.counters)
        self._threads = ThreadPoolExecutor(self.options.read_threads, thread_name_prefix="read")

    @property
    def registry(self) -> RegistryStore:
        """The store, which keeps registered models.

        Raises
        ------
        ModelError
            When it cannot.
        """
        found = registry_of(self.store)
        if found is None:
            raise ModelError(f"{self.store.uri} keeps no registered models")
        return found

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what may block, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def write(self, *events: Event) -> None:
        """Put events into the store; done when they are there.

        Raises
        ------
        StoreError
            When they could not be stored; then none of them is.
        """
        if events:
            await asyncio.wrap_future(self.writer.submit(events))

    def close(self) -> None:
        """Write what waits, and let the threads end."""
        self.writer.close()
        self._threads.shutdown(wait=True, cancel_futures=True)
