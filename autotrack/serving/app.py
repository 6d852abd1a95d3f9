"""The web application: one model behind ``/invocations``, and what is told about it beside.

``/invocations`` is a plain ASGI function, everything else goes through Starlette's routes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from autotrack.serving.answers import write_answer
from autotrack.serving.batching import Batcher, Busy
from autotrack.serving.counters import Board, Counters
from autotrack.serving.options import ServingOptions
from autotrack.serving.payloads import read_payload
from autotrack.serving.problems import BadInput
from autotrack.serving.schema import InputSchema
from autotrack.serving.scoring import Scorer, ScoringFailed
from autotrack.web.bodies import GZIP, Disconnected, NotUnpacked, TooLarge, read_body, unpack

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

SMALL: Final = 32 * 1024
"""Bytes of a body that is read on the event loop, in less than a millisecond or two; larger ones go to a thread."""
SMALL_ROWS: Final = 64
"""Rows whose answer is written there."""
THREADS: Final = 2
"""Threads for large requests, beside the one that predicts for small ones."""
OPEN: Final = frozenset({"/ping", "/health"})
"""Routes that ask for no token."""

_JSON: Final = b"application/json"
_logger = logging.getLogger("autotrack.serving")


@dataclass(frozen=True)
class Served:
    """A model that is ready to be served, and what is told about it.

    Parameters
    ----------
    name : of its class.
    info : labels of the model in ``/metrics``.
    page, openapi : the bytes of ``/`` and of ``/openapi.json``.
    page_policy : the page's Content-Security-Policy.
    """

    scorer: Scorer
    schema: InputSchema
    name: str
    info: Mapping[str, str]
    page: bytes
    page_policy: str
    openapi: bytes
    example: bytes | None = None


class Application:
    """The ASGI application of one worker. Made on its event loop."""

    def __init__(self, served: Served, options: ServingOptions, board: Board, counters: Counters) -> None:
        self._served = served
        self._options = options
        self._board = board
        self._counters = counters
        self._token = options.token.encode()
        self._batcher = Batcher(
            served.scorer,
            counters,
            max_batch=options.max_batch,
            max_delay=options.max_delay,
            max_waiting=options.max_waiting,
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="large")
        self._large = 0
        self._loop = asyncio.get_running_loop()
        self._others = _routes(self)

    def close(self) -> None:
        """Let the threads end once they have done what they are at."""
        self._batcher.close()
        self._threads.shutdown(wait=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _refuse_other(scope, receive, send)
            return
        began = perf_counter()
        counters = self._counters
        counters.begin()
        path = scope["path"]
        status = 0
        try:
            if path == "/invocations":
                status = await self._invocations(scope, receive, send)
            else:
                status = await self._other(scope, receive, send)
        finally:
            seconds = perf_counter() - began
            counters.end(path, status, seconds)
            if self._options.access_log:
                _logger.info(
                    "%s %s %d %.1f ms", scope["method"], path.encode("unicode_escape").decode(), status, seconds * 1000
                )

    async def _invocations(self, scope: Scope, receive: Receive, send: Send) -> int:
        content_type = accept = encoding = length = authorization = None
        for name, value in scope["headers"]:
            if name == b"content-type":
                content_type = value
            elif name == b"content-length":
                length = value
            elif name == b"accept":
                accept = value
            elif name == b"content-encoding":
                encoding = value
            elif name == b"authorization":
                authorization = value
        if self._token and not self.is_authorised(authorization):
            return await _answer(send, 401, _body(_unauthorised()), _JSON, (b"www-authenticate", _CHALLENGE))
        if scope["method"] != "POST":
            return await _answer(send, 405, _body(_not_allowed("POST")), _JSON, (b"allow", b"POST"))
        try:
            body = await read_body(receive, length, self._options.max_body)
            kind = "" if content_type is None else content_type.decode("latin-1")
            wanted = "" if accept is None else accept.decode("latin-1")
            content, media_type = await self._score(body, encoding, kind, wanted)
        except BadInput as problem:
            return await _answer(send, problem.status, _body(problem.to_json()), _JSON)
        except TooLarge:
            return await _answer(send, 413, _body(_too_large(self._options.max_body)), _JSON)
        except NotUnpacked as error:
            return await _answer(send, 400, _body(_problem("not_gzip", f"the body is no gzip file: {error}")), _JSON)
        except Busy:
            text = "too many requests wait for the model; send this one again in a moment"
            return await _answer(send, 503, _body(_problem("busy", text, _UNAVAILABLE)), _JSON, (b"retry-after", b"1"))
        except Disconnected:
            return 0
        except ScoringFailed as error:  # the scorer has logged it
            text = f"{error}; the server's log says why"
            return await _answer(send, 500, _body(_problem("model_failed", text, _INTERNAL)), _JSON)
        except asyncio.CancelledError:  # the server ends, and its patience with it
            text = "the server was told to end before the model had answered"
            return await _answer(send, 503, _body(_problem("ending", text, _UNAVAILABLE)), _JSON)
        except Exception as error:
            # What a model raises is told to its owner, not to the client.
            _logger.error("%s failed", self._served.name, exc_info=error)
            text = f"the model failed: {type(error).__name__}. What it said stands in the server's log"
            return await _answer(send, 500, _body(_problem("model_failed", text, _INTERNAL)), _JSON)
        return await _answer(send, 200, content, media_type.encode("latin-1"))

    async def _score(self, body: bytes, encoding: bytes | None, kind: str, accept: str) -> tuple[bytes, str]:
        served = self._served
        if encoding is not None and (coding := encoding.strip().lower()) not in (b"", b"identity"):
            if coding not in GZIP:
                shown = coding.decode("latin-1")[:40]
                raise BadInput("unknown_encoding", f"Content-Encoding {shown!r} is not read; use gzip", status=415)
            return await self._in_a_thread(lambda: self._whole(unpack(body, self._options.max_body), kind, accept))
        if len(body) > SMALL:
            return await self._in_a_thread(lambda: self._whole(body, kind, accept))
        payload = read_payload(body, kind, served.schema)
        rows = payload.n_rows
        if rows > SMALL_ROWS or rows > max(1, self._batcher.max_batch):
            return await self._in_a_thread(lambda: self._predicted(payload, accept))
        predictions = await self._batcher.predict(payload, rows)
        answer = write_answer(predictions, accept, served.schema)
        return answer.body, answer.media_type

    def _whole(self, body: bytes, kind: str, accept: str) -> tuple[bytes, str, float, int]:
        return self._predicted(read_payload(body, kind, self._served.schema), accept)

    def _predicted(self, payload: Any, accept: str) -> tuple[bytes, str, float, int]:
        began = perf_counter()
        predictions = self._served.scorer.predict(payload)
        seconds = perf_counter() - began
        answer = write_answer(predictions, accept, self._served.schema)
        return answer.body, answer.media_type, seconds, payload.n_rows

    async def _in_a_thread(self, work: Callable[[], tuple[bytes, str, float, int]]) -> tuple[bytes, str]:
        if self._large >= self._options.max_waiting:
            raise Busy
        self._large += 1
        try:
            body, media_type, seconds, rows = await self._loop.run_in_executor(self._threads, work)
        finally:
            self._large -= 1
        self._counters.predicted(1, rows, seconds)
        return body, media_type

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> int:
        status = 0

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        if self._token and scope["path"] not in OPEN:
            sent = [value for name, value in scope["headers"] if name == b"authorization"]
            if not self.is_authorised(sent[0] if sent else None):
                # A browser can send a password but no token: the page at / takes it as one.
                challenge = _CHALLENGE_BROWSER if scope["path"] == "/" else _CHALLENGE
                return await _answer(send, 401, _body(_unauthorised()), _JSON, (b"www-authenticate", challenge))
        await self._others(scope, receive, noting)
        return status

    def is_authorised(self, authorization: bytes | None) -> bool:
        """Whether a header has the token, in a time that does not tell how much of it was right."""
        if authorization is None:
            return False
        scheme, _, rest = authorization.strip().partition(b" ")
        given = rest.strip()
        if scheme.lower() == b"basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                return False
        elif scheme.lower() != b"bearer":
            return False
        return hmac.compare_digest(given, self._token)

    async def warm_up(self) -> None:
        """Answer the input example, so that the first request does not wait for what is loaded late."""
        if self._served.example is None:
            return
        try:
            await self._score(self._served.example, None, "application/json", "")
        except Exception as error:  # noqa: BLE001 - an example may be older than the model; requests will tell
            _logger.debug("the input example was not answered: %s", error)

    def ping(self, request: Request) -> Response:
        """As MLflow: a line end."""
        return _response(b"\n", "application/json")

    def version(self, request: Request) -> Response:
        """The release of MLflow whose protocol this is, bare, as MLflow sends it."""
        from autotrack.models.mlmodel import FORMAT

        return _response(FORMAT.encode(), "application/json")

    def metrics(self, request: Request) -> Response:
        """What all workers have counted."""
        body, media_type = self._board.text(self._served.info, request.headers.get("accept", ""))
        return _response(body, media_type)

    def openapi(self, request: Request) -> Response:
        """The interface, for programs."""
        return _response(self._served.openapi, "application/json")

    def page(self, request: Request) -> Response:
        """The page on which a person tries the model."""
        response = _response(self._served.page, "text/html; charset=utf-8")
        response.headers["content-security-policy"] = self._served.page_policy
        response.headers["x-content-type-options"] = "nosniff"
        response.headers["referrer-policy"] = "no-referrer"
        response.headers["cache-control"] = "no-cache"
        return response


_CHALLENGE: Final = b'Bearer realm="autotrack"'
_CHALLENGE_BROWSER: Final = b'Basic realm="autotrack: any name, the token as password", charset="UTF-8"'
_BAD_REQUEST: Final = "BAD_REQUEST"
_INTERNAL: Final = "INTERNAL_ERROR"
_UNAVAILABLE: Final = "TEMPORARILY_UNAVAILABLE"


def _routes(application: Application) -> Starlette:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.routing import Route

    table = {
        "/": application.page,
        "/health": application.ping,
        "/metrics": application.metrics,
        "/openapi.json": application.openapi,
        "/ping": application.ping,
        "/version": application.version,
    }

    async def not_found(request: Request, error: Exception) -> Response:
        known = ", ".join(["/invocations (POST)", *table])
        path = request.url.path[:100]
        return _response(_body(_problem("not_found", f"there is no {path!r} here; there are {known}")), status=404)

    async def not_allowed(request: Request, error: Exception) -> Response:
        allowed = (error.headers or {}).get("Allow", "GET") if isinstance(error, HTTPException) else "GET"
        allowed = ", ".join(sorted(allowed.split(", ")))
        return _response(_body(_not_allowed(allowed)), status=405, headers={"allow": allowed})

    async def failed(request: Request, error: Exception) -> Response:
        _logger.error("%s failed", request.url.path, exc_info=error)
        return _response(_body(_problem("failed", "this failed; the server's log says why", _INTERNAL)), status=500)

    def handler(function: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            return function(request)  # they are all quick: no thread is needed

        return handle

    others = Starlette(
        routes=[Route(path, handler(function), methods=["GET"]) for path, function in table.items()],
        exception_handlers={404: not_found, 405: not_allowed, Exception: failed},
    )
    others.router.redirect_slashes = False
    return others


def _response(
    body: bytes, media_type: str = "application/json", status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    from starlette.responses import Response

    return Response(body, status, {"content-type": media_type, **(headers or {})})


async def _answer(send: Send, status: int, body: bytes, media_type: bytes, *headers: tuple[bytes, bytes]) -> int:
    length = str(len(body)).encode()
    start = [(b"content-type", media_type), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
    return status


async def _refuse_other(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def _problem(code: str, message: str, error_code: str = _BAD_REQUEST) -> dict[str, Any]:
    return BadInput(code, message).to_json() | {"error_code": error_code}


def _unauthorised() -> dict[str, Any]:
    text = "this server asks for a token: send it as 'Authorization: Bearer TOKEN'"
    return _problem("unauthorised", text, "UNAUTHENTICATED")


def _not_allowed(methods: str) -> dict[str, Any]:
    return _problem("method_not_allowed", f"this can be asked for with {methods} only")


def _too_large(limit: int) -> dict[str, Any]:
    size = f"{limit / 2**20:g} MB" if limit >= 2**20 else f"{limit} bytes"
    text = f"the body has more than {size}; send the rows in several requests, or serve with a larger --max-body"
    return _problem("too_large", text)


def _body(problem: dict[str, Any]) -> bytes:
    return json.dumps(problem).encode()
