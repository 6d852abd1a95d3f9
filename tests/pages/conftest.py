"""Recorded runs, the pages over them, and a browser that fails a test when it has something to complain of."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from served_pages import Troubles, serving
from services import _program as find_program
from services import missing

_SCRIPT = Path(__file__).with_name("recorded_runs.py")
_MILLISECONDS = 15_000


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with the runs of ``recorded_runs.py``; to be read only, for it is shared by all tests."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder = shared / "recorded-runs"
    with (shared / "recorded-runs.lock").open("w") as lock:  # made once, whichever worker comes first
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            own = {name: value for name, value in os.environ.items() if not name.startswith("AUTOTRACK_")}
            subprocess.run(
                [sys.executable, "-W", "ignore", str(_SCRIPT), str(folder / ".autotrack")],
                cwd=folder,
                env={**own, "AUTOTRACK_SPOOL": str(folder / "spool")},
                check=True,
                timeout=120,
            )
            (folder / "done").touch()
    return folder / ".autotrack"


@pytest.fixture
def recorded_copy(recorded: Path, tmp_path: Path) -> Path:
    """As `recorded`, a folder of this test's own."""
    return Path(shutil.copytree(recorded, tmp_path / "copy" / ".autotrack"))


@pytest.fixture(scope="session")
def pages(recorded: Path) -> Iterator[str]:
    """The address of the pages over `recorded`."""
    with serving(recorded) as url:
        yield url


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serve the pages over another store: ``url = serve(folder)``."""
    with ExitStack() as stack:
        yield lambda folder, **options: stack.enter_context(serving(folder, **options))


@pytest.fixture(scope="session")
def _browser() -> Iterator[tuple[Any, Any]]:
    program = find_program("chromium", "chromium-browser", "google-chrome")
    if program is None:
        missing("Chromium", "there is no program chromium")
    if importlib.util.find_spec("playwright") is None:
        missing("Chromium", "the package playwright, through which it is driven, is not installed")
    from playwright.sync_api import sync_playwright

    playwright = sync_playwright().start()
    # It runs an event loop below this thread, which other tests must not see: theirs would refuse to run.
    loop = asyncio._get_running_loop()
    options = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    try:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        asyncio._set_running_loop(None)
        yield browser, loop
        asyncio._set_running_loop(loop)
        browser.close()
    finally:
        playwright.stop()


@pytest.fixture
def troubles() -> Troubles:
    """What the browser complains of in this test; ``troubles.expect(text)`` lets some pass."""
    return Troubles()


@pytest.fixture
def open_page(_browser: tuple[Any, Any], troubles: Troubles) -> Iterator[Callable[..., Any]]:
    """Open a page of its own (Playwright's ``Page``): ``open_page(url, width=390, dark=True, javascript=False)``.

    Further options are those of Playwright's ``new_context``. Troubles that nobody expects fail the test at its end.
    """
    browser, loop = _browser
    contexts: list[Any] = []

    def open_(
        url: str | None = None,
        *,
        width: int = 1200,
        height: int = 800,
        dark: bool = False,
        javascript: bool = True,
        **options: Any,
    ) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(_MILLISECONDS)
        page = context.new_page()
        troubles.watch(page)
        if url is not None:
            page.goto(url)
        return page

    asyncio._set_running_loop(loop)
    try:
        yield open_
        for context in contexts:
            context.close()
    finally:
        asyncio._set_running_loop(None)
    assert troubles.unexpected() == []


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    """A page of 1200 × 800, light."""
    return open_page()
