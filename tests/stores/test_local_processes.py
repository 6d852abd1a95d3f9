"""The folder store among real processes: live, killed, forked, and several at once."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from autotrack.entities import FINISHED, KILLED, RUNNING, Metric
from autotrack.events import MetricsLogged, ParamsLogged, RunEnded
from autotrack.journal import JournalWriter, event_line
from autotrack.stores.local import LocalStore
from autotrack.stores.local.incoming import locked
from autotrack.testing.samples import Journal, started

A, B = "a" * 32, "b" * 32

OPEN_A_RUN = """
import sys, time
from pathlib import Path
from autotrack.entities import Metric
from autotrack.events import *
from autotrack.journal import JournalWriter
writer = JournalWriter(Path(sys.argv[1]))
now = int(time.time() * 1000)
writer.append([RunStarted("a" * 32, "open", now), ParamsLogged("a" * 32, {"p": "1"})])
writer.append([RunStarted("b" * 32, "done", now), RunEnded("b" * 32, "FINISHED", now + 1)])
print("ready", flush=True)
time.sleep(60)
"""

WRITE_RUNS = """
import sys
from pathlib import Path
from autotrack.entities import Metric
from autotrack.events import *
from autotrack.journal import JournalWriter
folder, worker = Path(sys.argv[1]), int(sys.argv[2])
writer = JournalWriter(folder)
for number in range(30):
    run_id = f"{worker:016x}{number:016x}"
    writer.append([RunStarted(run_id, "r", number), ParamsLogged(run_id, {"worker": str(worker)})])
    writer.append([MetricsLogged(run_id, tuple(Metric("m", float(step), step) for step in range(5)))])
    writer.append([RunEnded(run_id, "FINISHED", number + 1)])
"""

READ_RUNS = """
import sys, time
from pathlib import Path
from autotrack.stores.local import LocalStore
folder, expected = Path(sys.argv[1]), int(sys.argv[2])
deadline, seen = time.monotonic() + 60, 0
while seen < expected:
    assert time.monotonic() < deadline, f"saw {seen} of {expected}"
    store = LocalStore(folder)
    runs = store.search_runs()
    assert len(runs) >= seen, "runs were lost"
    seen = len(runs)
    for run in runs[:3]:
        assert run.broken is None and run.status in ("RUNNING", "FINISHED"), run
        assert len(store.metric_history(run.run_id, "m")) in (0, 5)
    store.close()
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, text=True, **pipes)


def finish(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".autotrack"


def test_a_run_is_running_while_its_process_lives_and_killed_once_it_does_not(folder: Path) -> None:
    process = start(OPEN_A_RUN, folder)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        store = LocalStore(folder)
        assert (store.get_run(A).status, store.get_run(A).end_time) == (RUNNING, None)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    run = store.get_run(A)
    assert (run.status, run.params, run.broken) == (KILLED, {"p": "1"}, None)
    assert run.start_time is not None
    assert run.end_time is not None
    assert run.start_time <= run.end_time <= time.time() * 1000
    assert store.get_run(B).status == FINISHED
    assert store.search_runs("status = 'KILLED' and duration >= 0") == [run]
    for other in (LocalStore(folder), LocalStore(shutil.copytree(folder, folder.with_name("copy")))):
        assert other.get_run(A) == run
    # Somebody who knows better, such as a process that went on with the run, has the last word.
    store.apply(Journal("29990101T000000-x").entries(RunEnded(A, FINISHED, run.end_time + 5)))
    (folder / "runs.db").unlink()
    assert (store.get_run(A).status, store.get_run(A).end_time) == (FINISHED, run.end_time + 5)


def test_readers_and_writers_at_once_lose_nothing_and_read_nothing_twice(folder: Path) -> None:
    workers = 2
    processes = [start(READ_RUNS, folder, 30 * workers) for _ in range(3)]
    processes += [start(WRITE_RUNS, folder, worker) for worker in range(workers)]
    finish(*processes)
    store = LocalStore(folder)
    runs = store.search_runs("status = 'FINISHED'")
    assert len(runs) == 30 * workers
    for run in runs:
        assert [metric.value for metric in store.metric_history(run.run_id, "m")] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert store.problems() == []


@pytest.mark.parametrize("damage", [b"", b"garbage" * 999])
def test_processes_that_make_the_index_anew_at_once_agree(folder: Path, damage: bytes) -> None:
    finish(start(WRITE_RUNS, folder, 0))
    (folder / "runs.db").write_bytes(damage)
    finish(*(start(READ_RUNS, folder, 30) for _ in range(4)))
    with sqlite3.connect(folder / "runs.db") as connection:
        assert connection.execute("SELECT count(*) FROM points").fetchone() == (150,)
    connection.close()


def test_processes_that_apply_the_same_entries_apply_them_once(folder: Path) -> None:
    program = """
import sys
from autotrack.entities import Metric
from autotrack.events import *
from autotrack.stores.local import LocalStore
run_id = "a" * 32
events = [RunStarted(run_id, "r", 1), *(MetricsLogged(run_id, (Metric("m", 1.0, step),)) for step in range(30))]
store = LocalStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for end in range(1, 32):
    store.apply([Entry("20260101T000000-x", number, event) for number, event in enumerate(events[:end], 1)])
"""
    processes = [start(program, folder) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    finish(*processes)
    store = LocalStore(folder)
    assert [metric.step for metric in store.metric_history(A, "m")] == list(range(30))
    assert store.problems() == []
    (copy,) = (folder / "journals").iterdir()
    assert copy.read_bytes().count(b"\n") == 32


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_store_may_be_used_on_both_sides_of_a_fork(folder: Path) -> None:
    writer = JournalWriter(folder)
    writer.append([started(A)])
    store = LocalStore(folder)
    assert len(store.search_runs()) == 1
    held, done = threading.Event(), threading.Event()

    def hold_the_store() -> None:
        with store._lock:  # as a thread does that reads while another forks
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold_the_store)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        status = 1
        try:
            store.apply(Journal().entries(started(B)))
            status = 0 if len(store.search_runs()) == 2 else 2
            store.close()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
    writer.append([MetricsLogged(A, (Metric("m", 1.0),))])
    assert len(store.search_runs()) == 2
    assert store.get_run(A).metrics == {"m": 1.0}
    writer.close()


def test_a_batch_that_is_being_applied_is_seen_whole_or_not_at_all(tmp_path: Path) -> None:
    writer, reader = LocalStore(tmp_path / "store"), LocalStore(tmp_path / "store")
    journal = Journal("20260101T000000-a")
    writer.apply(journal.entries(started("a" * 32)))
    (path,) = (tmp_path / "store" / "journals").glob("*.copy.jsonl")
    assert reader.get_run("a" * 32).params == {}
    with locked(path) as fd:  # as a writer that has written half of what it was given
        os.write(fd, event_line(2, ParamsLogged("a" * 32, {"first": "1"})))
        assert reader.get_run("a" * 32).params == {}
        os.write(fd, event_line(3, ParamsLogged("a" * 32, {"second": "2"})))
    assert reader.get_run("a" * 32).params == {"first": "1", "second": "2"}
    for store in (writer, reader):
        store.close()
