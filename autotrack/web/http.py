"""uvicorn's HTTP with what it leaves open: a request that never ends, headers without end, a body nobody wants."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEADERS: Final = 64 * 1024
"""Bytes of a request's first line and headers together."""
MAX_UNWANTED: Final = 1024 * 2**20
"""Bytes of a body that are thrown away after its answer; most clients read no answer before they have sent it all."""

LEAST_PROGRESS: Final = 4096
"""Bytes of a body that have to come in the time that a whole request has elsewhere."""


class Http(HttpToolsProtocol):
    """One connection."""

    began: float | None = None
    """When the first byte came of the request that is not here whole; the loop's time."""
    in_headers = True
    header_bytes = 0
    unwanted = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.began = self.loop.time()

    def data_received(self, data: bytes) -> None:
        if self.began is None:
            self.began = self.loop.time()
        if self.in_headers:
            self.header_bytes += len(data)
            super().data_received(data)
            if self.in_headers and self.header_bytes > MAX_HEADERS and not self.transport.is_closing():
                self._refuse(431, f"the headers have more than {MAX_HEADERS} bytes")
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_headers = True
        self.unwanted = 0

    def on_headers_complete(self) -> None:
        self.in_headers = False
        self.header_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            self.unwanted += len(body)
            if self.unwanted > MAX_UNWANTED:
                self.transport.close()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.began = None
        self.in_headers = True
        super().on_message_complete()

    def is_arriving(self) -> bool:
        """Asked when the request's time is over: whether it may have as much again."""
        return False

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # its answer has begun, or is another request's
        else:
            self._refuse(400, "this is no HTTP request that can be understood")

    def expire(self, before: float) -> None:
        """End the connection if its request began earlier than this and is not here whole."""
        if self.began is None or self.began > before or self.transport is None or self.transport.is_closing():
            return
        if self.pipeline or self.is_arriving():  # the first waits for us
            self.began = self.loop.time()
            return
        idle = self.cycle is None or self.cycle.response_complete
        if self.header_bytes if idle else not self.cycle.response_started:
            self._refuse(408, "the request did not arrive in time")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        body = json.dumps({"error_code": "BAD_REQUEST", "message": message}).encode()
        lines = [f"{name.decode()}: {value.decode()}\r\n" for name, value in self.server_state.default_headers]
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + "".join(lines).encode() + head.encode() + body)
        self.transport.close()


class PatientHttp(Http):
    """One connection on which a body takes as long as it needs while it arrives, and an answer while it is read."""

    arrived = 0
    """Bytes of the body since `began`."""
    unread: tuple[int, float] | None = None
    """Bytes of the answer that wait for the client, and since when there are as many."""

    def on_body(self, body: bytes) -> None:
        self.arrived += len(body)
        super().on_body(body)

    def is_arriving(self) -> bool:
        """Whether enough has come in this time, or we are the slow one."""
        if self.in_headers:
            return False
        arrived, self.arrived = self.arrived, 0
        return arrived >= LEAST_PROGRESS or self.flow.read_paused

    def expire(self, before: float) -> None:
        super().expire(before)
        if self.transport is None or not self.flow.write_paused:
            self.unread = None
            return
        size, since = self.transport.get_write_buffer_size(), self.unread
        if since is None or since[0] != size:
            self.unread = (size, self.loop.time())
        elif since[1] < before:
            self.transport.abort()


class Server(uvicorn.Server):
    """A server that leaves signals to others, looks after slow requests, and tells when it answers."""

    def __init__(self, config: uvicorn.Config, *, body_timeout: float, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._body_timeout = body_timeout
        self._on_start = on_start

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers that are there."""
        yield

    async def startup(self, sockets: Any = None) -> None:
        """Begin to accept connections."""
        await super().startup(sockets=sockets)
        self._on_start()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % 5 == 0:
            before = asyncio.get_running_loop().time() - self._body_timeout
            for connection in list(self.server_state.connections):
                if isinstance(connection, Http):
                    connection.expire(before)
        return await super().on_tick(counter)
