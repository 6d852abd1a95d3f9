"""A program of ours that answers over HTTP, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any

import httpx


class Started:
    """A program that has said at which address it answers; ``url`` is that address, ``line`` what it said.

    Parameters
    ----------
    environment : variables beside this process's own.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the program is ended
        self.process = subprocess.Popen(
            list(command),
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

    def metric(self, name: str, **options: Any) -> float:
        """The sum of a series over its labels, as it is now; ``options`` are those of the request."""
        text = httpx.get(f"{self.url}/metrics", timeout=30, **options).text
        return sum(
            float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{re.escape(name)}[{{ ]", line)
        )

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def kill(self) -> None:
        """End it and its workers, whatever they do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()
