"""Servers as processes: started as a person would, asked until they answer, and ended with all they started."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from benchmarks.harness import Trouble, environment

_PAUSE: Final = 0.002


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    content_type: str
    body: bytes


class HttpServer:
    """A server in a process of its own.

    Parameters
    ----------
    name : for people, and for its log.
    command : the command line.
    port : where it will answer.
    folder : where it runs and leaves its log.
    ready : the path that it answers with 200 once it is there.
    nice : added to its niceness.
    limit : seconds that it may take to its first answer.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        port: int,
        folder: Path,
        *,
        ready: str,
        nice: int = 0,
        limit: float = 120.0,
    ) -> None:
        self.name = name
        self.port = port
        self._command = list(command)
        self._folder = folder
        self._ready = ready
        self._nice = nice
        self._limit = limit
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / f"{name.split()[0]}-{port}.log"

    def start(self) -> float:
        """Start it and ask until it answers; see `start_until`."""
        return self.start_until(lambda: self.get(self._ready))

    def start_until(self, ask: Callable[[], Reply]) -> float:
        """Start it and ask until it answers.

        Parameters
        ----------
        ask : makes the request that has to be answered with 200.

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
        # MLflow's commands look for uvicorn on the path.
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
                reply = ask()
            except (OSError, http.client.HTTPException):
                reply = None
            took = time.perf_counter() - started
            if reply is not None and reply.status == 200:
                return took
            if self._process.poll() is not None or took > self._limit:
                said = self.log()[-2000:]
                self.stop()
                raise Trouble(f"{self.name} did not answer{f' ({reply})' if reply else ''}: {said}")
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

    def __enter__(self) -> Self:
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

    def resident(self) -> int | None:
        """Bytes resident in it and in all it started, added up; ``None`` off Linux."""
        if self._process is None:
            return None
        found = [_of_rollup(pid, "Rss:") for pid in family(self._process.pid)]
        return sum(found) if found and all(found) else None

    def processes(self) -> int:
        """How many it is."""
        return 0 if self._process is None else len(family(self._process.pid))

    def memory(self) -> int | None:
        """Bytes that it and all it started hold, pages shared among them counted once; ``None`` off Linux."""
        if self._process is None:
            return None
        found = [_of_rollup(pid, "Pss:") for pid in family(self._process.pid)]
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


def family(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for each in found:
        for tasks in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += [int(child) for child in tasks.read_text().split()]
            except OSError:
                continue
    return found


def _of_rollup(pid: int, line: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(each.split()[1]) * 1024 for each in lines if each.startswith(line)), 0)
