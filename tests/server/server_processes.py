"""``autotrack server`` in processes of its own, with a few endpoints that take their time."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from started import Started

PROGRAM = Path(__file__).parent / "slow_room.py"


class Running(Started):
    """The server; ``url`` is where it answers."""

    def __init__(self, *arguments: str, command: str = "server", environment: dict[str, str] | None = None) -> None:
        super().__init__([sys.executable, str(PROGRAM), command, "--port", "0", *arguments], environment)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=30, **options)

    def answers(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def running(*arguments: str, command: str = "server", environment: dict[str, str] | None = None) -> Iterator[Running]:
    """A server that is gone afterwards."""
    server = Running(*arguments, command=command, environment=environment)
    try:
        yield server
    finally:
        server.kill()


def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
