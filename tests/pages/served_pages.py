"""The pages over a store, by a real server in a thread of the test; and what a browser complains of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import served_app

from autotrack.server.guard.admission import RequestGuard
from autotrack.server.options import ServerOptions
from autotrack.server.pages import views

_OWN_SCHEMES = ("data", "blob", "about")


@contextmanager
def serving(folder: Path | str, options: ServerOptions | None = None, **settings: Any) -> Iterator[str]:
    """Serve the pages over the store at a URI or folder; gives the address without a slash at its end."""
    settings.setdefault("guard", RequestGuard(options or ServerOptions()))  # with the policy under which they are shown
    with served_app.serving(
        folder, options, rooms=("autotrack.server.pages",), error_page=views.error_page, **settings
    ) as served:
        yield served.url


class Troubles:
    """What went wrong in the browser: errors on the console and in scripts, requests that failed or left this host."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._expected: list[str] = []

    def expect(self, text: str) -> None:
        """Let troubles pass that hold this text."""
        self._expected.append(text)

    def unexpected(self) -> list[str]:
        """Those that nobody expects."""
        return [trouble for trouble in self.found if not any(text in trouble for text in self._expected)]

    def watch(self, page: Any) -> None:
        """Listen to a page of Playwright's."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.found.append(f"a script failed: {error}"))
        page.on("requestfailed", self._failed)
        page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.found.append(f"on the console: {message.text} ({message.location.get('url', '')})")

    def _failed(self, request: Any) -> None:
        if "ERR_ABORTED" not in str(request.failure):  # the reader went on to another page
            self.found.append(f"failed: {request.url}: {request.failure}")

    def _asked(self, request: Any) -> None:
        url = urlsplit(request.url)
        if url.scheme not in _OWN_SCHEMES and url.hostname != "127.0.0.1":
            self.found.append(f"a request to another host: {request.url}")
