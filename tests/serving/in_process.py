"""The web application of a model folder in this process, asked without a socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from autotrack.models.loading import load_model
from autotrack.models.mlmodel import read_mlmodel
from autotrack.serving.app import Application
from autotrack.serving.counters import Board
from autotrack.serving.options import ServingOptions
from autotrack.serving.preparing import prepare
from benchmarks.processes import Reply


class InProcess:
    """Serves a model folder on an event loop of its own, which turns while a request is answered."""

    def __init__(self, folder: Path, options: ServingOptions | None = None) -> None:
        self._options = options or ServingOptions()
        self._served = prepare(load_model(folder, trusted=True), read_mlmodel(folder), str(folder), self._options)
        self._runner = asyncio.Runner()
        self.application: Application

    def __enter__(self) -> InProcess:
        self.application = self._runner.run(self._make())
        return self

    def __exit__(self, *_: object) -> None:
        self.application.close()
        self._runner.close()

    async def _make(self) -> Application:
        board = Board(1)
        return Application(self._served, self._options, board, board.of(0))

    def post(self, body: bytes, content_type: str | None, *, accept: str | None = None) -> Reply:
        """Ask for predictions."""
        headers = [(b"content-length", b"%d" % len(body))]
        if content_type is not None:
            headers.append((b"content-type", content_type.encode("latin-1", "replace")))
        if accept is not None:
            headers.append((b"accept", accept.encode()))
        return self._runner.run(self._ask("POST", "/invocations", body, headers))

    async def _ask(self, method: str, path: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> Reply:
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        # In two pieces, as a network may bring it.
        middle = len(body) // 2
        pieces = [
            {"type": "http.request", "body": body[:middle], "more_body": True},
            {"type": "http.request", "body": body[middle:], "more_body": False},
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return pieces.pop(0) if pieces else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        await self.application(scope, receive, send)
        head = next(message for message in sent if message["type"] == "http.response.start")
        content = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
        found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head["headers"]}
        return Reply(head["status"], found.get("content-type", ""), content)
