"""``python -m benchmarks.soak.nursery JOB``: a process that has imported everything, and forks those that are killed.

A fresh interpreter takes seconds until its first fit; a forked child is killed within it after milliseconds. ``JOB`` is
one object of JSON, whose ``do`` names a function below.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.soak import work

BETWEEN: Final = 1_000
"""The numbers of two processes are so far apart at least."""

_MOST_FITS: Final = 4
_LONGEST_FIT: Final = 0.06
_PATIENCE: Final = 120.0


def kills(job: dict[str, Any]) -> dict[str, Any]:
    """Fork a loop of fits, kill it, and again: behind 0 to 3 fits that returned, and within the next.

    The first child is left alone and makes one run of each kind, for the others to be held against.
    """
    chance = random.Random(job["seed"])
    returned: list[int] = list(range(1, len(work.KINDS) + 1))
    pid = os.fork()
    if not pid:
        work.fits(job["store"], 1, len(work.KINDS), lambda _: None)
        sys.exit()
    if os.waitpid(pid, 0)[1]:
        raise SystemExit("the first child failed")
    killed = 0
    until = time.monotonic() + job["seconds"]
    while killed < job["kills"] and time.monotonic() < until:
        killed += 1
        returned += _kill_one(job["store"], killed * BETWEEN, chance)
    return {"returned": returned, "kills": killed}


def _kill_one(store: str, first: int, chance: random.Random) -> list[int]:
    fits, delay = chance.randrange(_MOST_FITS), chance.uniform(0.0, _LONGEST_FIT)
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        work.fits(store, first, None, lambda label: _write(writing, label))
    os.close(writing)
    told = b""
    deadline = time.monotonic() + _PATIENCE
    while told.count(b"\n") < fits:
        if not select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
            os.kill(pid, signal.SIGKILL)
            raise SystemExit(f"a fit did not return in {_PATIENCE} s")
        piece = os.read(reading, 4096)
        if not piece:
            raise SystemExit("a loop of fits ended by itself")
        told += piece
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"a loop of fits ended by itself, with {status}")
    os.set_blocking(reading, False)
    while True:
        try:
            piece = os.read(reading, 4096)
        except BlockingIOError:
            break
        if not piece:
            break
        told += piece
    os.close(reading)
    return [int(line) for line in told.split()]


def crowd(job: dict[str, Any]) -> dict[str, Any]:
    """Processes that write at once, each so many runs; some fork halfway, and both sides go on.

    ``spools`` are folders that they take in turn. They sleep ``pause`` seconds behind each run. With ``deaths``, so
    many of them are killed while they write.
    """
    chance = random.Random(job["seed"])
    folder = Path(job["reports"])
    folder.mkdir()
    children = []
    for number in range(job["processes"]):
        pid = os.fork()
        if not pid:
            os.environ["AUTOTRACK_SPOOL"] = job["spools"][number % len(job["spools"])]
            _write_runs(job, number, folder)
            sys.exit()
        children.append(pid)
    numbers = chance.sample(range(len(children)), job.get("deaths", 0))
    doomed = {children[number] for number in numbers}
    for number in numbers:
        _wait_for_runs(folder / str(number), chance.randrange(1, max(2, job["runs"] // 4)))
        time.sleep(chance.uniform(0.0, _LONGEST_FIT))
        os.kill(children[number], signal.SIGKILL)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    ended = [code for pid, code in zip(children, codes, strict=True) if pid not in doomed]
    killed = sum(code == -signal.SIGKILL for code in codes)
    returned = [int(line) for path in folder.iterdir() for line in path.read_bytes().split(b"\n")[:-1]]
    return {"returned": returned, "kills": killed, "codes": ended}


def _wait_for_runs(report: Path, count: int) -> None:
    """Wait until a process has told of so many runs."""
    deadline = time.monotonic() + _PATIENCE
    while not report.exists() or report.read_bytes().count(b"\n") < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{report.name} did not make {count} runs in {_PATIENCE} s")
        time.sleep(0.005)


def _write_runs(job: dict[str, Any], number: int, folder: Path) -> None:
    count, every, pause = job["runs"], job["every"], job.get("pause", 0.0)
    first = (number + 1) * max(BETWEEN, 2 * count)
    report = os.open(folder / str(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def tell(label: int) -> None:
        _write(report, label)
        time.sleep(pause)

    if number >= job["forks"]:
        work.runs(job["store"], first, count, every, tell)
        return
    half, rest = count // 2, count - count // 2
    work.runs(job["store"], first, half, every, tell)
    child = os.fork()
    if not child:
        work.runs(job["store"], first + half, rest // 2, every, tell)
        sys.exit()
    work.runs(job["store"], first + half + rest // 2, rest - rest // 2, every, tell)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a forked child failed")


def _write(fd: int, label: int) -> None:
    os.write(fd, b"%d\n" % label)


def main() -> None:
    job = json.loads(sys.argv[1])
    work.warm_up()
    told = {"kills": kills, "crowd": crowd}[job["do"]](job)
    Path(job["told"]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
