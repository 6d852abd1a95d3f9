"""Asking the pages without a server, and runs made of events alone: whatever a program may have written."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from autotrack.events import Event, RunEnded, RunStarted
from autotrack.query.editing import apply
from autotrack.server.app import App
from autotrack.server.pages import views
from autotrack.server.site import Site
from autotrack.stores.base import Store

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</script><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}",
    "\u202egnp.exe",
    "lone \ud800 surrogate",
    "nul \0 and \x1b[31m",
)
"""Texts that do harm where they are taken for markup."""


class Pages:
    """The pages over a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.site = Site(store)
        self.app = App(self.site, rooms=("autotrack.server.pages",), error_page=views.error_page)

    def ask(self, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        """Ask for a path as it stands, already encoded."""

        async def do() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **options)

        return asyncio.run(do())

    def json(self, path: str, **options: Any) -> Any:
        """What a twin says."""
        answer = self.ask(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def page(self, path: str, status: int = 200) -> str:
        """What a person sees."""
        answer = self.ask(path, headers={"accept": "text/html"})
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        return answer.text


@contextmanager
def asking(store: Store) -> Iterator[Pages]:
    """The pages over a store, which is closed at the end."""
    pages = Pages(store)
    try:
        yield pages
    finally:
        pages.site.close()
        store.close()


def make_run(
    store: Store, run_id: str, *events: Event, name: str = "run", status: str = "FINISHED", at: int = 1_000
) -> str:
    """Put a run into a store, that began and ended."""
    apply(store, [RunStarted(run_id, name, at), *events, RunEnded(run_id, status, at + 500)])
    return run_id


def put_file(store: Store, run_id: str, path: str, content: bytes, folder: Path) -> None:
    """Put a file among a run's artifacts."""
    from autotrack.entities import Artifact
    from autotrack.events import ArtifactLogged

    source = folder / f"source-{os.urandom(4).hex()}"
    source.write_bytes(content)
    store.put_artifact(run_id, path, source)
    apply(store, [ArtifactLogged(run_id, Artifact(path, len(content)))])
