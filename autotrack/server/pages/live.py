"""Server-sent events that tell open pages when the store has changed; what has changed they ask for themselves.

One task of each worker looks at the store's change mark while somebody listens, however many listen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from starlette.responses import StreamingResponse

from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.routing import READ, Endpoint
from autotrack.stores.paging import change_mark

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from autotrack.server.site import Site

EVERY: Final = 1.0
"""Seconds from one look at the store to the next."""

HEARTBEAT: Final = 15.0
"""Seconds of silence after which a line is sent, so that neither end takes the other for gone."""

MOST_LISTENERS: Final = 200
"""Of one worker."""

_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
_logger = logging.getLogger("autotrack.server")


class Watch:
    """Who listens in this worker, and the task that looks for them."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._listeners: set[asyncio.Event] = set()
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        return len(self._listeners) >= MOST_LISTENERS

    @property
    def looks(self) -> bool:
        """Whether the store is being looked at."""
        return self._task is not None and not self._task.done()

    async def listen(self) -> AsyncIterator[str]:
        """The lines of one listener's stream. It has no end: whoever sends it cancels it when the server ends."""
        changed = asyncio.Event()
        self._listeners.add(changed)
        try:
            if not self.looks:
                self._ready.clear()
                self._task = asyncio.create_task(self._look())
            await self._ready.wait()  # a page that asks for the runs once it was greeted misses nothing
            yield "retry: 3000\nevent: hello\ndata: {}\n\n"
            while True:
                try:
                    await asyncio.wait_for(changed.wait(), HEARTBEAT)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                changed.clear()
                yield "event: changed\ndata: {}\n\n"
        finally:
            self._listeners.discard(changed)

    async def _look(self) -> None:
        """Tell the listeners of changes until none is left."""
        mark = await self._marked("")
        self._ready.set()
        while self._listeners:
            await asyncio.sleep(EVERY)
            now = await self._marked(mark)
            if now != mark:
                mark = now
                for changed in self._listeners:
                    changed.set()

    async def _marked(self, before: str) -> str:
        try:
            return await self._site.read(change_mark, self._site.store)
        except Exception as error:  # the store may be back at the next look
            _logger.warning("cannot tell whether the store has changed: %s", error, exc_info=error)
            return before


_watches: WeakKeyDictionary[Site, Watch] = WeakKeyDictionary()


async def live(site: Site, request: Request) -> Response:
    """The stream."""
    watch = _watches.get(site)
    if watch is None:
        watch = _watches[site] = Watch(site)
    if watch.full:
        raise Problem(problems.UNAVAILABLE, "too many pages listen already", headers={"retry-after": "30"})
    return StreamingResponse(watch.listen(), media_type="text/event-stream", headers=_HEADERS)


ENDPOINTS: Final = [Endpoint("GET", "/live", live, READ)]
