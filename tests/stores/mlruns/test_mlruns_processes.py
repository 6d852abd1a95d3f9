"""Several processes on one MLflow folder, and processes that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from autotrack.stores.memory import MemoryStore
from autotrack.stores.mlflow.folder import MlrunsStore
from autotrack.testing.samples import Journal, started

PROGRAM = """
import sys
from autotrack.events import *
from autotrack.entities import Dataset, LoggedModel, Metric
from autotrack.stores.mlflow.folder import MlrunsStore
from autotrack.testing.samples import Journal, started

def batches(worker, runs):
    journal = Journal(f"20260101T000000-{worker}")
    yield journal.entries(ProcessDescribed(worker, {"user": worker, "script": "s.py"}))
    for number in range(runs):
        run_id = f"{worker}{number:031x}"
        yield journal.entries(
            started(run_id, name=f"run {number}", experiment=f"e{number % 3}", process_id=worker, start_time=number),
            ParamsLogged(run_id, {"worker": worker, "number": str(number)}),
        )
        yield journal.entries(
            MetricsLogged(run_id, tuple(Metric("loss", 1 / (step + 1), step, step) for step in range(5))),
            DatasetLogged(run_id, Dataset("X", "train", "k", "sha256:" + "0" * 64, (3, 4))),
            ModelLogged(run_id, LoggedModel("model", "k.E")),
            TagsSet(run_id, {"shared": worker}),
        )
        yield journal.entries(
            MetricsLogged(run_id, (Metric("loss", 0.0, 5, 5),)),
            TagsSet("f" * 32, {worker: str(number)}),
            RunEnded(run_id, "FINISHED", number + 1),
        )

if __name__ == "__main__":
    folder, worker, runs, start = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    store = MlrunsStore(folder)
    for index, batch in enumerate(batches(worker, runs)):
        if index >= start:
            store.apply(batch)
            print(index, flush=True)
"""


def begin(program: Path, folder: Path, worker: str, runs: int, first: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, str(program), str(folder), worker, str(runs), str(first)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def expected(program: Path, workers: str, runs: int) -> MemoryStore:
    """What memory makes of the same entries."""
    space: dict[str, object] = {"__name__": "program"}
    exec(program.read_text(), space)
    MemoryStore.forget("memory:processes")
    memory = MemoryStore("processes")
    for worker in workers:
        for batch in space["batches"](worker, runs):  # type: ignore[operator]
            memory.apply(batch)
    return memory


def test_four_processes_write_into_one_folder_and_nothing_is_lost(tmp_path: Path) -> None:
    program, folder = tmp_path / "program.py", tmp_path / "mlruns"
    program.write_text(PROGRAM)
    processes = [begin(program, folder, worker, 50) for worker in "abcd"]
    for process in processes:
        process.communicate(timeout=300)
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    store = MlrunsStore(folder)
    assert len(store.search_runs()) == 201
    assert store.search_runs() == expected(program, "abcd", 50).search_runs()
    assert {(e.name, e.run_count) for e in store.experiments()} == {("Default", 1), ("e0", 68), ("e1", 68), ("e2", 64)}
    assert store.problems() == []
    assert len(list(folder.glob("*/*/meta.yaml"))) == 200


def test_a_writer_killed_at_any_moment_leaves_what_it_had_stored_and_can_go_on(tmp_path: Path) -> None:
    program, folder, runs = tmp_path / "program.py", tmp_path / "mlruns", 20
    program.write_text(PROGRAM)
    moments = random.Random(4)
    last, kills = -1, 0
    for _ in range(60):
        process = begin(program, folder, "a", runs, max(0, last))
        assert process.stdout is not None
        line = process.stdout.readline()
        time.sleep(moments.random() * 0.12)
        process.send_signal(signal.SIGKILL)
        rest = [line, *process.stdout]
        process.wait()
        kills += process.returncode == -signal.SIGKILL
        last = max([last, *(int(text) for text in rest if text.strip().isdigit())])
        whole_files(folder)
        if process.returncode == 0:
            break
    else:
        begin(program, folder, "a", runs, max(0, last)).communicate(timeout=300)
    assert kills >= 3
    store = MlrunsStore(folder)
    assert store.search_runs() == expected(program, "a", runs).search_runs()
    for run in store.search_runs("params.worker = 'a'"):
        (metric,) = folder.glob(f"*/{run.run_id}/metrics/loss")
        values = (1.0, 0.5, 1 / 3, 0.25, 0.2, 0.0)
        assert metric.read_text() == "".join(f"{step} {value!r} {step}\n" for step, value in enumerate(values))
    assert store.problems() == []
    assert not [path for path in folder.rglob("*") if "tmp" in path.name]


def whole_files(folder: Path) -> None:
    """What MLflow would read at this moment is whole: no empty meta file, no half line, no input without its file."""
    for meta in folder.rglob("meta.yaml"):
        if any(part.startswith(".autotrack-tmp-") for part in meta.parts):
            continue  # not in its place yet: MLflow does not look there, and the next writer removes it
        assert meta.read_bytes().endswith(b"\n")
    for run in folder.glob("*/*/autotrack.jsonl"):
        for below in ("inputs", "outputs"):
            for use in (run.parent / below).glob("*"):
                assert (use / "meta.yaml").is_file()
    for metric in folder.glob("*/*/metrics/*"):
        assert all(len(line.split(" ")) in (3, 4) for line in metric.read_text().splitlines())


def test_a_forked_child_and_its_parent_write_on(tmp_path: Path) -> None:
    store = MlrunsStore(tmp_path / "mlruns")
    store.apply(Journal().entries(started("a" * 32)))
    child = os.fork()
    if child == 0:
        try:
            store.apply(Journal().entries(started("b" * 32)))
        finally:
            os._exit(0)
    store.apply(Journal().entries(started("c" * 32)))
    os.waitpid(child, 0)
    assert {run.run_id[0] for run in store.search_runs()} == {"a", "b", "c"}
