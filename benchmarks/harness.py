"""Running the measured processes: all variants in turn, round by round, so that a busy machine hits them alike."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.results import Result, Round
from benchmarks.variants import BARE, SPOOL, Variant

ROOT: Final = Path(__file__).resolve().parents[1]
_DROPPED: Final = ("AUTOTRACK_", "PYTHONDONTWRITEBYTECODE", "MLFLOW_")
_LOG_CHARACTERS: Final = 600


class Trouble(Exception):
    """A measured process failed or took too long."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Parameters
    ----------
    folder : where the measured processes work; each variant gets a folder of its own.
    variants : those that take part.
    threads : of linear algebra and OpenMP, the same in every process.
    rounds : instead of each measurement's own number; ``None`` for those.
    quick : a few rounds of everything, to see that it works.
    full : also what takes MLflow very long.
    limit : so many seconds may one fit or process take.
    say : told what is going on.
    stores : those that are measured, by name or URI; none for the usual ones.
    runs : in each store, instead of its own number.
    """

    folder: Path
    variants: tuple[Variant, ...]
    threads: int
    rounds: int | None
    quick: bool
    full: bool
    limit: float
    say: Callable[[str], None]
    stores: tuple[str, ...] = ()
    runs: int | None = None

    @property
    def without_mlflow(self) -> bool:
        """Whether MLflow takes no part."""
        return all(variant.library != "mlflow" for variant in self.variants)

    def rounds_of(self, own: int) -> int:
        """How many rounds, where a measurement has a number of its own."""
        return self.rounds or (min(own, 2) if self.quick else own)

    def folder_of(self, variant: Variant) -> Path:
        """The variant's own folder."""
        folder = self.folder / variant.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def environment(folder: Path, threads: int) -> dict[str, str]:
    """The same for every variant: no settings from outside, no telemetry, one number of threads."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
    path = os.pathsep.join(part for part in (str(ROOT), kept.get("PYTHONPATH", "")) if part)
    return kept | {
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "MPLBACKEND": "Agg",
        "PYTHONPATH": path,
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "AUTOTRACK_SPOOL": str(folder / SPOOL),
        "AUTOTRACK_EXIT_TIMEOUT": "60",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
    }


def take_turns(
    plan: Plan,
    result: Result,
    variants: Sequence[Variant],
    rounds: int,
    mlflow_rounds: int,
    once: Callable[[Variant], Round],
) -> Result:
    """Ask each variant once per round, whose first is another one each time; MLflow joins in some of the rounds."""
    every = max(1, rounds // max(1, mlflow_rounds))
    joining = [variant for variant in variants if variant in plan.variants]
    for variant in joining:
        result.rounds[variant.name] = []
    for number in range(rounds):
        plan.say(f"{result.name}: round {number + 1} of {rounds}")
        start = number % len(joining)
        for variant in joining[start:] + joining[:start]:
            found: Round = None
            joins = variant.library != "mlflow" or (number % every == 0 and number // every < mlflow_rounds)
            if joins and variant.name not in result.errors:
                try:
                    found = once(variant)
                except Trouble as trouble:
                    result.errors[variant.name] = str(trouble)
            result.rounds[variant.name].append(found)
        if BARE.name in result.errors:
            break
    return result


def run(plan: Plan, variant: Variant, arguments: Sequence[str]) -> tuple[float, str]:
    """Run Python with arguments in the variant's folder.

    Returns
    -------
    tuple
        How long the whole process took, and what it printed.
    """
    return run_in(plan, plan.folder_of(variant), arguments)


def run_in(plan: Plan, folder: Path, arguments: Sequence[str]) -> tuple[float, str]:
    """As `run`, in any folder."""
    # Files and no pipes: a pipe would keep us waiting for what the process itself has started.
    with (folder / "errors.log").open("wb+") as errors, (folder / "printed.log").open("wb+") as printed:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment(folder, plan.threads),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=errors,
        )
        watch = threading.Timer(plan.limit, process.kill)
        watch.start()
        try:
            # Not wait(timeout=…), which looks for the end only now and then.
            process.wait()
            seconds = time.perf_counter() - started
        finally:
            watch.cancel()
            process.kill()
            process.wait()
        for file in (errors, printed):
            file.seek(0)
        if process.returncode != 0:
            raise Trouble(_why(process.returncode, seconds >= plan.limit, plan.limit, errors.read()))
        return seconds, printed.read().decode("utf-8", "replace")


class Workers:
    """One process for each variant that stays alive from its first fit to the end."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._workers: dict[str, _Worker] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.stop()

    def ask(self, variant: Variant, line: str) -> dict[str, Any]:
        """Send a line to the variant's worker and wait for its answer.

        Raises
        ------
        Trouble
            When it fails or takes longer than the plan allows; the next question starts a new one.
        """
        worker = self._workers.get(variant.name)
        try:
            if worker is None:
                worker = self._workers[variant.name] = _Worker(self._plan, variant)
                worker.answer(self._plan.limit)
            worker.send(line)
            return worker.answer(self._plan.limit)
        except Trouble:
            if worker is not None:
                worker.stop()
            self._workers.pop(variant.name, None)
            raise

    def ends(self) -> dict[str, dict[str, Any]]:
        """What each worker that lives says it recorded. They end with that."""
        found: dict[str, dict[str, Any]] = {}
        for name, worker in list(self._workers.items()):
            try:
                worker.send("end")
                found[name] = worker.answer(self._plan.limit)
            except Trouble as trouble:
                found[name] = {"error": str(trouble)}
            worker.stop()
        self._workers.clear()
        return found


class _Worker:
    """A process that answers each line with one line of JSON."""

    def __init__(self, plan: Plan, variant: Variant) -> None:
        folder = plan.folder_of(variant) / "fits"
        folder.mkdir(exist_ok=True)
        self._errors = (folder / "errors.log").open("wb+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.children.fits", variant.name],
            cwd=folder,
            env=environment(folder, plan.threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        # A thread reads, because a pipe cannot be waited for with a time limit on every platform.
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it is dead, as the missing answer will tell

    def answer(self, limit: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=limit)
        except queue.Empty:
            raise Trouble(f"gave up after {limit:g} s") from None
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise Trouble(_why(self._process.returncode, False, limit, self._errors.read()))
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> None:
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except OSError:
                pass
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")


def _why(code: int, too_long: bool, limit: float, log: bytes) -> str:
    if too_long:
        return f"gave up after {limit:g} s"
    return f"ended with code {code}: {log.decode('utf-8', 'replace').strip()[-_LOG_CHARACTERS:]}"
