"""Scoring servers as processes: started as a person would, asked until they answer, and ended with all they started."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness import Trouble, environment

JSON: Final = "application/json"
_PAUSE: Final = 0.002


@dataclass(frozen=True, slots=True)
class Kind:
    """A scoring server: its name in reports, and the arguments that start it for a model folder on a port."""

    name: str
    arguments: tuple[str, ...]

    def command(self, model: Path, port: int) -> list[str]:
        """The command line."""
        given = {"MODEL": str(model), "PORT": str(port)}
        return [sys.executable, *(given.get(argument, argument) for argument in self.arguments)]


AUTOTRACK: Final = Kind("autotrack", ("-m", "autotrack", "models", "serve", "MODEL", "--port", "PORT", "--trusted"))
MLFLOW: Final = Kind(
    "mlflow",
    ("-m", "mlflow", "models", "serve", "-m", "MODEL", "--env-manager", "local", "--port", "PORT", "--workers", "1"),
)
TRIVIAL: Final = Kind(
    "trivial ASGI application",
    ("-m", "uvicorn", "benchmarks.serving.trivial:app", "--port", "PORT", "--log-level", "warning", "--no-access-log"),
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    content_type: str
    body: bytes


class ModelServer:
    """A scoring server of a model folder, in a process of its own.

    Parameters
    ----------
    kind : which one.
    model : the folder.
    folder : where it runs and leaves its log.
    options : further arguments of its command.
    nice : added to its niceness.
    limit : seconds that it may take to its first answer.
    """

    def __init__(
        self,
        kind: Kind,
        model: Path,
        folder: Path,
        *,
        options: Sequence[str] = (),
        nice: int = 0,
        limit: float = 120.0,
    ) -> None:
        self.kind = kind
        self.port = free_port()
        self._command = [*kind.command(model, self.port), *options]
        self._folder = folder
        self._nice = nice
        self._limit = limit
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / f"{kind.name.split()[0]}-{self.port}.log"

    def start(self, first: bytes | None = None, content_type: str = JSON) -> float:
        """Start it and ask until it answers.

        Parameters
        ----------
        first : body of the request that has to be answered with 200; ``None`` for ``GET /ping``.

        Returns
        -------
        float
            Seconds from the start of the process to the end of that answer.

        Raises
        ------
        Trouble
            When it ends or does not answer in time.
        """
        own = environment(self._folder, 1)
        # `mlflow models serve` looks for uvicorn on the path.
        own["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), own.get("PATH", "")))
        nice = self._nice
        with self._log.open("ab") as log:
            started = time.perf_counter()
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=(lambda: os.nice(nice)) if nice else None,
            )
        while True:
            try:
                reply = self.post(first, content_type) if first is not None else self.get("/ping")
            except (OSError, http.client.HTTPException):
                reply = None
            took = time.perf_counter() - started
            if reply is not None and reply.status == 200:
                return took
            if self._process.poll() is not None or took > self._limit:
                said = self.log()[-2000:]
                self.stop()
                raise Trouble(f"{self.kind.name} did not answer{f' ({reply})' if reply else ''}: {said}")
            time.sleep(_PAUSE)

    def stop(self) -> float:
        """End it as a supervisor does, and all it started.

        Returns
        -------
        float
            Seconds until it was gone.
        """
        process, self._process = self._process, None
        if process is None:
            return 0.0
        started = time.perf_counter()
        _signal_group(process, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        took = time.perf_counter() - started
        # What it left behind, too: the group is ours.
        _signal_group(process, signal.SIGKILL)
        process.wait()
        return took

    def __enter__(self) -> ModelServer:
        if self._process is None:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self) -> str:
        """What it wrote so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str, timeout: float = 30.0) -> Reply:
        """Ask for a path."""
        return self.request("GET", path, timeout=timeout)

    def post(self, body: bytes, content_type: str | None = JSON, timeout: float = 60.0) -> Reply:
        """Ask for predictions."""
        headers = {} if content_type is None else {"Content-Type": content_type}
        return self.request("POST", "/invocations", body, headers, timeout)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Reply:
        """Any request, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(response.status, response.getheader("content-type") or "", response.read())
        finally:
            connection.close()

    def memory(self) -> int | None:
        """Bytes that it and all it started hold, pages shared among them counted once; ``None`` off Linux."""
        if self._process is None:
            return None
        found = [_proportional(pid) for pid in _family(self._process.pid)]
        return sum(found) if found and all(found) else None


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


def _family(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for each in found:
        for tasks in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += [int(child) for child in tasks.read_text().split()]
            except OSError:
                continue
    return found


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
