"""Around the application: counts and logs requests, packs answers, and ends what would not end by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import secrets
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from autotrack.server import compressing
from autotrack.server.app import ENDPOINT, App, ASGIScope, Receive, Send, shown
from autotrack.server.counters import Counters
from autotrack.server.guard.admission import CALLER
from autotrack.server.logs import REQUEST_ID

_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_logger = logging.getLogger("autotrack.server")
access = logging.getLogger("autotrack.server.access")
ENDING: Final = "the server was told to end before it had answered"


class Delivery:
    """The ASGI application of a worker.

    Parameters
    ----------
    app : what answers.
    counters : this worker's row.
    log : a line for each request.
    """

    def __init__(self, app: App, counters: Counters, *, log: bool = False) -> None:
        self._app = app
        self._counters = counters
        self._log = log
        self._places = {id(endpoint): place for place, endpoint in enumerate(app.table.endpoints)}
        self._streams: set[asyncio.Task[Any]] = set()
        self._ending = False

    def end_streams(self) -> None:
        """End the answers that go on for as long as somebody listens; others are finished."""
        self._ending = True
        for task in self._streams:
            task.cancel()

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._stream)
        began = perf_counter()
        self._counters.begin()
        token = REQUEST_ID.set(exchange.request_id)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            await self._cancelled(exchange)
        except Exception as error:
            # The application answers what goes wrong in it: this is an answer that broke off while it was sent.
            _logger.error("%s %s broke off", shown(scope["method"]), shown(scope["path"]), exc_info=error)
            if exchange.started:
                raise BrokenOff from None
            await exchange.answer(500, "INTERNAL_ERROR", "the server failed at this request; its log says why")
        finally:
            self._streams.discard(exchange.task)
            REQUEST_ID.reset(token)
            self._told(scope, exchange, perf_counter() - began)

    def _stream(self, task: asyncio.Task[Any]) -> None:
        self._streams.add(task)
        if self._ending:
            task.cancel()

    async def _cancelled(self, exchange: _Exchange) -> None:
        if not exchange.started:
            await exchange.answer(503, "TEMPORARILY_UNAVAILABLE", ENDING)
        elif exchange.task in self._streams:
            with contextlib.suppress(Exception):  # the listener may be gone too
                await exchange.end()
        else:
            raise BrokenOff from None

    def _told(self, scope: ASGIScope, exchange: _Exchange, seconds: float) -> None:
        endpoint = scope.get(ENDPOINT)
        place = None if endpoint is None else self._places.get(id(endpoint))
        self._counters.end(place, exchange.status, seconds, exchange.received, exchange.sent)
        if self._log:
            client = scope.get("client")
            access.info(
                "%s %s %d %.1f ms",
                shown(scope["method"]),
                shown(scope["path"]),
                exchange.status,
                seconds * 1000,
                extra={
                    "fields": {
                        "request_id": exchange.request_id,
                        "method": shown(scope["method"]),
                        "path": shown(scope["path"]),
                        "route": None if endpoint is None else endpoint.path,
                        "status": exchange.status,
                        "ms": round(seconds * 1000, 3),
                        "received": exchange.received,
                        "sent": exchange.sent,
                        "client": client[0] if client else None,
                        "token": scope.get(CALLER),
                    }
                },
            )


class BrokenOff(Exception):
    """Tells the server to close the connection: half an answer must not look like a whole one."""


class _Exchange:
    """A request and its answer, watched."""

    def __init__(
        self, scope: ASGIScope, receive: Receive, send: Send, on_stream: Callable[[asyncio.Task[Any]], None]
    ) -> None:
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        self.request_id = given.decode() if _ID.fullmatch(given) else secrets.token_hex(8)
        self.status = 0
        self.received = 0
        self.sent = 0
        self.started = False
        self.task: Any = asyncio.current_task()
        self._method = scope["method"]
        self._packs = compressing.is_wanted(scope, headers)
        self._known = headers.get(b"if-none-match", b"") if self._method in ("GET", "HEAD") else b""
        self._receive = receive
        self._send = send
        self._on_stream = on_stream
        self._start: Any = None
        self._without_body = False

    async def receive(self) -> Any:
        message = await self._receive()
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
        return message

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
            self._start = {**message, "headers": headers}
            if _value(headers, b"content-type").startswith(b"text/event-stream"):
                self._on_stream(self.task)
                await self._begin()
            elif self.status == 200 and self._known and _is_known(self._known, _value(headers, b"etag")):
                await self._not_modified(headers)
            return
        if self._without_body:
            return
        body = message.get("body", b"")
        more = message.get("more_body", False)
        if self._start is not None:
            if self._packs and not more:
                body = await self._packed(body)
            await self._begin()
        self.sent += 0 if self._method == "HEAD" else len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, status: int, code: str, text: str) -> None:
        """Answer in the place of the application."""
        body = json.dumps({"error_code": code, "message": text}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"cache-control", b"no-store"),
        ]
        self._start = None
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def end(self) -> None:
        """End a stream in order."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self) -> None:
        start, self._start = self._start, None
        self.started = True
        await self._send(start)

    async def _not_modified(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._without_body = True
        self.status = 304
        kept = [(name, value) for name, value in headers if name.lower() not in (b"content-length", b"content-type")]
        self._start = {"type": "http.response.start", "status": 304, "headers": kept}
        await self._begin()
        await self._send({"type": "http.response.body", "body": b""})

    async def _packed(self, body: bytes) -> bytes:
        headers = self._start["headers"]
        if not compressing.is_worth(len(body), headers):
            return body
        packed = await compressing.pack(body)
        self._start["headers"] = compressing.headers_of_packed(headers, len(packed))
        return b"" if self._method == "HEAD" else packed


def _value(headers: list[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    for name, value in headers:
        if name.lower() == wanted:
            return value
    return b""


def _is_known(known: bytes, tag: bytes) -> bool:
    if not tag:
        return False
    bare = tag.removeprefix(b"W/")
    return any(one.strip().removeprefix(b"W/") == bare for one in known.split(b","))
