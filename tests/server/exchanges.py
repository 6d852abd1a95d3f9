"""The server's application without a network: whole requests, to the byte, and what is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from autotrack.server.app import ROOMS, App
from autotrack.server.counters import Board
from autotrack.server.delivery import Delivery
from autotrack.server.guard.admission import RequestGuard
from autotrack.server.options import ServerOptions
from autotrack.server.routing import Endpoint, Table
from autotrack.server.site import Site
from autotrack.stores.memory import MemoryStore

Headers = Iterable[tuple[str, str]]
LOCAL = (("host", "127.0.0.1:5000"),)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    chunks: list[bytes] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Asked:
    """An application over an empty store in memory.

    Parameters
    ----------
    endpoints : answered in the place of the real ones.
    log : a line for each request.
    options : the server's.
    """

    def __init__(self, endpoints: Iterable[Endpoint] | None = None, *, log: bool = False, **options: Any) -> None:
        self.store = MemoryStore(f"asked-{id(self)}")
        self.options = ServerOptions(**options)
        self.board = Board(1)
        self.site = Site(self.store, self.options, self.board)
        self.app = App(self.site, RequestGuard(self.options, self.site.counters.refused), ROOMS)
        if endpoints is not None:
            self.app.table = Table(endpoints)
            self.site.endpoints = self.app.table.endpoints
        self.delivery = Delivery(self.app, self.site.counters, log=log)
        self._runner = asyncio.Runner()

    def close(self) -> None:
        self._runner.close()
        self.site.close()
        MemoryStore.forget(self.store.uri)

    def __call__(
        self,
        method: str,
        target: str,
        headers: Headers = LOCAL,
        body: bytes = b"",
        client: str = "127.0.0.1",
    ) -> Answer:
        """Ask, and wait for the answer."""
        return self._runner.run(self.ask(method, target, headers, body, client))

    async def ask(
        self,
        method: str,
        target: str,
        headers: Headers = LOCAL,
        body: bytes = b"",
        client: str = "127.0.0.1",
    ) -> Answer:
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(errors="replace"),
            "query_string": query.encode(),
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            "client": (client, 40_000),
            "server": ("127.0.0.1", 5000),
        }
        incoming = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not incoming:  # the client stays and says nothing more
                await asyncio.Event().wait()
            return incoming.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        await self.delivery(scope, receive, send)
        start = sent[0]
        chunks = [message.get("body", b"") for message in sent[1:]]
        found = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], found, b"".join(chunks), chunks)


REACHED = b"the handler was reached"


async def reached(site: Site, request: Request) -> Response:
    """The handler of every endpoint where only the way to it is looked at."""
    return Response(REACHED, 299)


def of_every_room() -> list[Endpoint]:
    """Every endpoint that the server has."""
    asked = Asked()
    try:
        return [replace(endpoint, handler=reached) for endpoint in asked.app.table.endpoints]
    finally:
        asked.close()
