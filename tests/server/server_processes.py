"""``autotrack server`` in processes of its own, with a few endpoints that take their time."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

PROGRAM = Path(__file__).parent / "slow_room.py"


class Running:
    """The server; ``url`` is where it answers."""

    def __init__(self, *arguments: str, command: str = "server", environment: dict[str, str] | None = None) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the server is ended
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), command, "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **(environment or {})},
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r" at (http://\S+)", self.line)
        assert found, f"no address in {self.line!r}:\n{self.errors()}"
        self.url = found[1]
        self.port = int(self.url.rpartition(":")[2])

    def errors(self) -> str:
        """What it has written on stderr."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def workers(self) -> list[int]:
        """The ids of its workers' processes."""
        table = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
        rows = [line.split() for line in table.stdout.splitlines()]
        return [int(pid) for pid, parent, state in rows if int(parent) == self.process.pid and state[0] != "Z"]

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=30, **options)

    def metric(self, name: str, **options: Any) -> float:
        """The sum of a series over its labels, as it is now."""
        text = self.get("/metrics", **options).text
        return sum(
            float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{re.escape(name)}[{{ ]", line)
        )

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def answers(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """End it and its workers, whatever they do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()


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
