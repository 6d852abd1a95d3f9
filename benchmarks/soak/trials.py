"""Trials: processes that are killed or restarted, and what their store holds afterwards."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from autotrack.settings import scheme_of
from autotrack.shipping import sync as syncing
from autotrack.stores import open_store
from benchmarks.soak.meanwhile import Work, nothing, spools_in
from benchmarks.soak.verdict import Verdict, judge

ROOT: Final = Path(__file__).resolve().parents[2]
LEAVING_SECONDS: Final = 20.0
"""So long may a process that sends runs stay behind the last that writes some; it waits 3 s for others."""

_ALLOWED: Final = re.compile(
    r"autotrack (cannot send to the store .* go out when it can be reached again"
    r"|could not yet send all to the store .*)"
)
_TEMPORARY: Final = "tmp"


@dataclass(slots=True)
class Trial:
    """One trial in a folder of its own.

    Parameters
    ----------
    folder : empty; by its folder of spools, in their environment, the processes of the trial are known.
    store : the URI.
    is_disturbed : the store's server, or what sends to it, is killed meanwhile, so that a warning may be told.
    """

    folder: Path
    store: str
    is_disturbed: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def spools(self) -> Path:
        """The folder of its spools."""
        return self.folder / "spools"

    def environment(self) -> dict[str, str]:
        """That of its processes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTOTRACK_")}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        paths = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
        own = {"AUTOTRACK_SPOOL": str(self.spools), "TMPDIR": str(self.folder / _TEMPORARY), "PYTHONPATH": paths}
        return {**kept, **threads, **own, "PYTHONWARNINGS": "ignore"}

    def run(self, job: dict[str, Any], meanwhile: Work) -> dict[str, Any]:
        """Do a job of `nursery`; gives what it told.

        Raises
        ------
        RuntimeError
            When it failed.
        """
        (self.folder / _TEMPORARY).mkdir()
        told, errors = self.folder / "told.json", self.folder / "errors"
        job = {**job, "store": self.store, "told": str(told)}
        began = time.monotonic()
        with errors.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.soak.nursery", json.dumps(job)],
                cwd=self.folder,
                env=self.environment(),
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
            try:
                meanwhile(process)
                process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        self.seconds["work"] = time.monotonic() - began
        if process.returncode:
            raise RuntimeError(f"the trial's processes failed ({process.returncode}): {self.said()}")
        found: dict[str, Any] = json.loads(told.read_text())
        return found

    def said(self) -> str:
        """What its processes wrote to standard error and output."""
        return (self.folder / "errors").read_text(errors="replace")

    def settle(self) -> list[str]:
        """Send what waits, as ``autotrack sync`` does; gives what is wrong."""
        began = time.monotonic()
        faults = []
        if _is_shipped(self.store):
            for one in spools_in(self.spools):
                done = syncing.sync(one, self.store, is_copy=False, progress=lambda _: None)
                if done.error or done.waiting.entries:
                    faults.append(f"sync left {done.waiting.entries} entries: {done.error}")
        self.seconds["sync"] = time.monotonic() - began
        return faults

    def judge(self, told: dict[str, Any], every: int | None = 1) -> Verdict:
        """What the store holds, and what the processes left behind."""
        faults = self.settle()
        began = time.monotonic()
        store = open_store(self.store)
        try:
            found = judge(store, told["returned"], told["kills"], every)
        finally:
            store.close()
        self.seconds["judge"] = time.monotonic() - began
        found.kills = told["kills"]
        found.faults[:0] = faults
        found.faults += [f"a process ended with {code}" for code in told.get("codes", ()) if code]
        found.faults += self._left()
        return found

    def _left(self) -> Iterator[str]:
        for line in self.said().splitlines():
            if not (self.is_disturbed and _ALLOWED.match(line)):
                yield f"a process said: {line}"
        deadline = time.monotonic() + LEAVING_SECONDS
        while (left := processes_of(self.spools)) and time.monotonic() < deadline:
            time.sleep(0.1)
        for pid, command in left.items():
            yield f"process {pid} goes on: {command}"
        for one in spools_in(self.spools):
            waiting = one.waiting()
            if waiting.entries or one.paths():
                yield f"{one.folder.name} holds {waiting.entries} entries in {len(one.paths())} journals"
            files = list(one.artifacts.iterdir()) if one.artifacts.is_dir() else []
            if files:
                yield f"{one.folder.name} holds files of {len(files)} runs"
            for path in one.quarantined():
                if not path.name.endswith(".lines"):  # the unfinished last line of a process that was killed
                    yield f"{one.folder.name} has {path.name} in quarantine"
        for path in sorted((self.folder / _TEMPORARY).iterdir()):
            yield f"a temporary file is left: {path.name}"


def processes_of(spools: Path) -> dict[int, str]:
    """The processes whose environment names a folder of spools."""
    found = {}
    mark = b"AUTOTRACK_SPOOL=" + os.fsencode(spools)
    for place in Path("/proc").iterdir():
        if place.name.isdecimal() and int(place.name) != os.getpid():
            try:
                if mark in (place / "environ").read_bytes():
                    command = (place / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(place.name)] = command.decode("utf-8", "replace")[:200]
            except OSError:
                continue
    return found


def kills(trial: Trial, count: int, seed: int, seconds: float, meanwhile: Work = nothing) -> Verdict:
    """Kill loops of fits, one after another: so many, or as many as so many seconds allow."""
    job = {"do": "kills", "kills": count, "seed": seed, "seconds": seconds}
    told = trial.run(job, meanwhile)
    return trial.judge(told)


def crowd(trial: Trial, processes: int, runs: int, every: int, forks: int = 2, spools: int = 4) -> Verdict:
    """Processes that write at once, some of which fork halfway; two of them share a spool."""
    job = _crowd(trial, processes, runs, every, spools) | {"forks": forks}
    told = trial.run(job, nothing)
    found = trial.judge(told, every)
    if len(told["returned"]) != processes * runs:
        found.faults.append(f"{len(told['returned'])} of {processes * runs} runs returned")
    return found


def fleet(
    trial: Trial,
    processes: int,
    runs: int,
    every: int,
    deaths: int,
    pause: float,
    seed: int,
    meanwhile: Work,
) -> Verdict:
    """Processes with a spool each, some of which are killed, while the server is restarted under them."""
    more = {"forks": 0, "deaths": deaths, "pause": pause, "seed": seed}
    told = trial.run(_crowd(trial, processes, runs, every, processes) | more, meanwhile)
    return trial.judge(told, every)


def _crowd(trial: Trial, processes: int, runs: int, every: int, spools: int) -> dict[str, Any]:
    trial.spools.mkdir()
    places = [str(trial.spools / str(number)) for number in range(spools)]
    return {
        "do": "crowd",
        "processes": processes,
        "runs": runs,
        "every": every,
        "spools": places,
        "reports": str(trial.folder / "reports"),
        "seed": 0,
    }


def _is_shipped(store: str) -> bool:
    return scheme_of(store) not in ("", "file", "memory")
