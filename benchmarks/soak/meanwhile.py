"""What goes on while a trial's processes write: servers and shippers are killed, stores are read and swept."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from autotrack import owners, spool
from autotrack.entities import RUNNING
from autotrack.stores.local import LocalStore

Work = Callable[["subprocess.Popen[bytes]"], object]


class Server(Protocol):
    """A server that can be killed and started again where it was."""

    def kill(self) -> None: ...

    def start(self) -> None: ...


def nothing(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end."""
    process.wait()


def restarts(server: Server, ups: Sequence[float], down: float, done: Counter[str]) -> Work:
    """Kill a server each time that it was up for so many seconds, and start it again after others; once for each."""

    def work(process: subprocess.Popen[bytes]) -> None:
        for up in ups:
            if not _wait(process, up):
                return
            server.kill()
            try:
                time.sleep(down)
            finally:
                server.start()
            done["restarts"] += 1

    return work


def shippers_die(spools: Path, seed: int, done: Counter[str]) -> Work:
    """Kill whatever sends runs, at random moments."""
    chance = random.Random(seed)

    def work(process: subprocess.Popen[bytes]) -> None:
        while _wait(process, chance.uniform(0.2, 3.0)):
            for one in spools_in(spools):
                status = one.status()
                if status is not None and status.state != spool.LEFT and owners.is_here(status.owner):
                    os.kill(status.owner.pid, signal.SIGKILL)
                    done["shippers killed"] += 1

    return work


def is_read_and_swept(folder: Path, writers: int, faults: list[str], done: Counter[str]) -> Work:
    """Read a folder all the time, as the UI does, and make one file of the journals of the dead.

    At each look there may be no more open runs than processes that write, and no fewer runs than at the last.
    """

    def work(process: subprocess.Popen[bytes]) -> None:
        before = 0
        while _wait(process, 0.1):
            store = LocalStore(folder)
            try:
                runs = store.search_runs()
                if done["looks"] % 20 == 19:
                    store.collect(store.garbage())
                    done["sweeps"] += 1
            finally:
                store.close()
            done["looks"] += 1
            running = sum(run.status == RUNNING and run.parent_run_id is None for run in runs)
            if running > writers:
                faults.append(f"{running} runs are RUNNING while {writers} processes write")
            if len(runs) < before:
                faults.append(f"{len(runs)} runs after {before}")
            before = len(runs)

    return work


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the trial goes on after so many seconds."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def spools_in(folder: Path) -> Iterator[spool.Spool]:
    """The spools in a folder, and those in its folders: each process of a fleet has its own."""
    yield from spool.every(folder)
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        if place.is_dir() and not (place / spool.INFO).is_file():
            yield from spool.every(place)
