"""A real browser for tests, started once per test process and driven through its debugging protocol."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services import _SECONDS_TO_START as SECONDS_TO_START
from services import _folder as short_folder
from services import _program as find_program
from services import _signal_group as signal_group
from services import missing


class Chromium:
    """A browser without a window, which ends with the tests."""

    def __init__(self, folder: Path, program: str) -> None:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        options += ["--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
        self._process = subprocess.Popen(
            [program, *options, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "HOME": str(folder)},
        )
        told = folder / "DevToolsActivePort"
        deadline = time.monotonic() + SECONDS_TO_START
        while not (told.exists() and told.read_text().count("\n")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"{program} did not start")
            time.sleep(0.05)
        self._port = int(told.read_text().split()[0])

    def open(self, url: str, *, width: int = 1200, dark: bool = False) -> Page:
        """A page of its own, when it has been loaded."""
        address = f"http://127.0.0.1:{self._port}/json/new?about:blank"
        with urllib.request.urlopen(urllib.request.Request(address, method="PUT"), timeout=30) as answer:
            target = json.load(answer)
        page = Page(target["webSocketDebuggerUrl"])
        page.tell("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.tell("Emulation.setEmulatedMedia", features=[scheme])
        for domain in ("Log", "Network", "Page", "Runtime"):
            page.tell(f"{domain}.enable")
        page.tell("Page.navigate", url=url)
        page.wait(f"document.readyState === 'complete' && location.href === {json.dumps(url)}")
        return page

    def close(self) -> None:
        """End it."""
        signal_group(self._process, signal.SIGKILL)
        self._process.wait()


class Page:
    """A page in the browser; ``events`` is what the browser has told of it: its log, its requests."""

    def __init__(self, address: str) -> None:
        from websockets.sync.client import connect

        # Pings would draw from `random` at any moment, and tests look whether somebody does.
        self._socket = connect(address, max_size=None, ping_interval=None).__enter__()  # it ends with the browser
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def tell(self, method: str, **params: Any) -> Any:
        """Send a command of the protocol and wait for its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def run(self, code: str) -> Any:
        """The value of an expression in the page."""
        result = self.tell("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait for an expression to be true."""
        deadline = time.monotonic() + SECONDS_TO_START
        while not self.run(condition):
            assert time.monotonic() < deadline, condition
            time.sleep(0.02)

    def requests(self) -> list[str]:
        """The addresses that the page has asked for."""
        sent = [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in sent if not url.startswith("data:")]

    def complaints(self) -> list[str]:
        """Errors that the browser has logged, and exceptions of the page's script."""
        logged = [event["params"]["entry"] for event in self.events if event["method"] == "Log.entryAdded"]
        raised = [event["params"] for event in self.events if event["method"] == "Runtime.exceptionThrown"]
        return [entry["text"] for entry in logged if entry["level"] == "error"] + [str(event) for event in raised]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The browser of this test process."""
    program = find_program("chromium", "chromium-browser", "google-chrome")
    if program is None:
        missing("Chromium", "there is no program chromium")
    if importlib.util.find_spec("websockets") is None:
        missing("Chromium", "the package websockets, through which it is driven, is not installed")
    assert program is not None
    with short_folder({}) as folder:
        browser = Chromium(folder, program)
        try:
            yield browser
        finally:
            browser.close()
