"""A folder store in trouble, for real: full and read-only disks under training, clocks set back, lines of 100 MB."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_compaction import compact, dead_journal, files, many, one_run
from test_local import run_mounting

from autotrack import journal
from autotrack.entities import FINISHED, KILLED
from autotrack.events import ParamsLogged, RunStarted
from autotrack.journal import JournalWriter
from autotrack.stores.local import LocalStore
from autotrack.testing.samples import started

A, B = "a" * 32, "b" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".autotrack"


TRAIN_ON_A_FULL_DISK = """
import logging, subprocess, sys
from pathlib import Path
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True)
said = []
class Keep(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
logging.getLogger("autotrack").addHandler(Keep())
logging.getLogger("autotrack").propagate = False
import autotrack
from sklearn.linear_model import Ridge
from sklearn.datasets import load_iris
X, y = load_iris(return_X_y=True)
bare = [Ridge(alpha=a).fit(X, y).coef_.tolist() for a in range(1, 10)]
autotrack.autolog(store=folder)
coefs = [Ridge(alpha=a).fit(X, y).coef_.tolist() for a in range(1, 4)]
autotrack.flush()
with open(folder / "filler", "wb", buffering=0) as file:
    try:
        while True:
            file.write(b"x" * 256)
    except OSError:
        pass
coefs += [Ridge(alpha=a).fit(X, y).coef_.tolist() for a in range(4, 7)]
autotrack.flush()
(folder / "filler").unlink()
coefs += [Ridge(alpha=a).fit(X, y).coef_.tolist() for a in range(7, 10)]
autotrack.flush()
assert coefs == bare, "training was changed"
assert said and len(said) <= 2, said
from autotrack.stores.local import LocalStore
store = LocalStore(folder)
runs = store.search_runs()
assert {run.params["alpha"] for run in runs} == set("123456789"), runs
assert all(run.status == "FINISHED" and run.broken is None for run in runs)
assert store.problems() == []
wrong = [finding for finding in store.check() if not finding.is_note]
assert wrong == [], wrong
print("done")
"""


def test_training_goes_on_while_the_disk_is_full_and_its_runs_arrive_later(folder: Path) -> None:
    run_mounting(TRAIN_ON_A_FULL_DISK, folder)


TRAIN_ON_A_READ_ONLY_DISK = """
import logging, subprocess, sys
from pathlib import Path
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,ro", "tmpfs", folder], check=True)
said = []
class Keep(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
logging.getLogger("autotrack").addHandler(Keep())
logging.getLogger("autotrack").propagate = False
import autotrack
from sklearn.linear_model import Ridge
from sklearn.datasets import load_iris
X, y = load_iris(return_X_y=True)
bare = Ridge().fit(X, y).coef_.tolist()
autotrack.autolog(store=folder)
assert [Ridge().fit(X, y).coef_.tolist() for _ in range(3)] == [bare] * 3
autotrack.flush()
assert len(said) == 1 and "Read-only" in said[0], said
assert len(autotrack.search_runs(store=folder)) == 0
print("done")
"""


def test_training_goes_on_in_a_read_only_folder_and_it_is_said_once(folder: Path) -> None:
    run_mounting(TRAIN_ON_A_READ_ONLY_DISK, folder)


PACK_ON_A_FULL_DISK = """
import subprocess, sys
from pathlib import Path
folder, tests = Path(sys.argv[1]), sys.argv[2]
sys.path.insert(0, tests)
from test_compaction import files, many, state
from autotrack.events import LifecycleSet
from autotrack.stores.local import LocalStore, compaction
from autotrack.testing.samples import Journal
from autotrack.errors import StoreError
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
compaction.ENOUGH, enough = 10_000, 50
many(folder, enough + 10)
store = LocalStore(folder)
store.apply(Journal().entries(LifecycleSet(f"{3:032x}", "deleted", 1)))
expected = state(store)
compaction.ENOUGH = enough
with open(folder / "filler", "wb", buffering=0) as file:
    try:
        while True:
            file.write(b"x" * 4096)
    except OSError:
        pass
before = files(folder)
for again in (store, LocalStore(folder)):
    assert state(again) == expected
    assert files(folder) == before
try:
    store.collect(store.garbage())
except StoreError as error:
    assert "No space" in str(error) or "full" in str(error), error
else:
    raise AssertionError("swept")
assert not [name for name in files(folder) if ".tmp-" in name]
assert state(LocalStore(folder)) == expected
(folder / "filler").unlink()
store = LocalStore(folder)
store.collect(store.garbage())
assert [run for run in expected[0] if run.deleted_time is None] == store.search_runs(view="all")
assert len(files(folder)) == 1
print("done")
"""


def test_packing_and_sweeping_on_a_full_disk_harm_nothing(folder: Path) -> None:
    run_mounting(PACK_ON_A_FULL_DISK, folder, Path(__file__).parent)


CLOCK = """
import sys, time
real, shift = time.time, 0.0
time.time = lambda: real() + shift
import autotrack
from sklearn.linear_model import Ridge
from sklearn.datasets import load_iris
X, y = load_iris(return_X_y=True)
autotrack.autolog(store=sys.argv[1], log_models=False)
for alpha in (1, 2, 3):
    with autotrack.start_run(name=f"run {alpha}") as run:
        Ridge(alpha=alpha).fit(X, y)
        shift -= 3600
        run.log_metric("later", alpha)
autotrack.flush()
"""


def test_a_clock_that_goes_backwards_loses_nothing(folder: Path) -> None:
    for _ in range(2):
        subprocess.run([sys.executable, "-c", CLOCK, str(folder)], check=True, timeout=120)
    store = LocalStore(folder)
    runs = store.search_runs()
    assert sorted(run.name for run in runs) == ["run 1", "run 1", "run 2", "run 2", "run 3", "run 3"]
    assert all((run.status, run.broken) == (FINISHED, None) for run in runs)
    assert all(run.metrics["later"] == float(run.params["alpha"]) for run in runs)
    starts = [run.start_time or 0 for run in runs]
    assert starts == sorted(starts, reverse=True)
    assert {run.start_time is not None and run.end_time is not None for run in runs} == {True}
    notes = store.check()
    assert all(finding.is_note for finding in notes)
    assert sum("a clock was set" in finding.message for finding in notes) == sum(
        (run.duration or 0) < 0 for run in runs
    )
    (folder / "runs.db").unlink()
    assert LocalStore(folder).search_runs() == runs


def test_a_journal_made_under_an_earlier_clock_than_the_one_before_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal that was begun later has the smaller id: what it says of the same key is the earlier word."""
    first = JournalWriter(folder)
    first.append([started(A), ParamsLogged(A, {"p": "first"})])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 86_400)
    second = JournalWriter(folder)
    second.append([ParamsLogged(A, {"p": "second", "q": "1"}), RunStarted(B, "b", 1)])
    monkeypatch.undo()
    assert second.journal_id < first.journal_id
    for _ in range(2):
        run = LocalStore(folder).get_run(A)
        assert run.params == {"p": "first", "q": "1"}
        assert len(LocalStore(folder).search_runs()) == 2
        (folder / "runs.db").unlink()
    first.close()
    second.close()


def test_lines_of_100_megabytes_are_read_or_named(folder: Path) -> None:
    whole = dead_journal(folder, 1, [*one_run(1)[:2], ParamsLogged(f"{1:032x}", {"big": "x" * 100_000_000})])
    garbage = dead_journal(folder, 2, one_run(2))
    with garbage.open("ab") as file:
        file.write(b'{"n":6,"run_id":"' + f"{2:032x}".encode() + b'","' + b"y" * 30_000_000 + b"\n")
        file.write(journal.event_line(7, ParamsLogged(f"{2:032x}", {"behind": "it"})))
    torn = dead_journal(folder, 3, one_run(3), tail=b'{"n":6,' + b"z" * 30_000_000)
    store = LocalStore(folder)
    assert len(store.get_run(f"{1:032x}").params["big"]) == 100_000_000
    damaged = store.get_run(f"{2:032x}")
    assert damaged.params["behind"] == "it"
    assert garbage.name in (damaged.broken or "")
    assert store.get_run(f"{3:032x}").status == FINISHED
    (problem,) = store.problems()
    assert garbage.name in problem
    assert len(problem) < 1000
    named = {finding.subject: finding for finding in store.check()}
    assert set(named) == {garbage.name, torn.name}
    assert named[torn.name].is_note
    assert not named[garbage.name].is_note
    assert whole.name not in named


def test_a_folder_deleted_under_a_reader_is_empty_and_comes_back(folder: Path) -> None:
    many(folder, 3)
    store, other = LocalStore(folder), LocalStore(folder)
    assert len(store.search_runs()) == 3
    shutil.rmtree(folder)
    assert (store.search_runs(), store.problems(), store.garbage(), store.check()) == ([], [], [], [])
    assert not folder.exists()
    many(folder, 2)
    assert len(store.search_runs()) == len(other.search_runs()) == 2


LIMITED = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from autotrack.events import ParamsLogged, RunStarted, RunEnded
from autotrack.journal import JournalWriter
folder = Path(sys.argv[1])
writer = JournalWriter(folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
number = refused = 0
while refused < 3:
    run_id = f"{number:032x}"
    try:
        writer.append([RunStarted(run_id, "r", number), ParamsLogged(run_id, {"p": "x" * 300}),
                       RunEnded(run_id, "FINISHED", number)])
        number += 1
    except OSError:
        refused += 1
print(number)
"""


def test_a_batch_that_a_limit_refuses_leaves_nothing_behind(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(folder)], capture_output=True, text=True, check=True)
    store = LocalStore(folder)
    runs = store.search_runs()
    assert len(runs) == int(done.stdout) > 10
    assert all((run.status, run.broken) == (FINISHED, None) for run in runs)
    assert store.check() == []


KILLED_WHILE_WRITING = """
import sys, time
from pathlib import Path
from autotrack.entities import Metric
from autotrack.events import *
from autotrack.journal import JournalWriter, new_id
writer = JournalWriter(Path(sys.argv[1]))
while True:
    run_id = new_id()
    now = int(time.time() * 1000)
    points = tuple(Metric("m" * 50, float(i), i) for i in range(2000))
    writer.append([RunStarted(run_id, "r", now), MetricsLogged(run_id, points), RunEnded(run_id, "FINISHED", now)])
    print(run_id, flush=True)
    writer.append([RunStarted(run_id[::-1], "open", now)])
"""


def test_a_process_killed_while_it_writes_leaves_what_it_had_written_and_a_clean_folder(folder: Path) -> None:
    written: set[str] = set()
    for round_ in range(6):
        command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        written.add(process.stdout.readline().strip())
        time.sleep(0.037 * round_)
        process.send_signal(signal.SIGKILL)
        written |= {line.strip() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")}
        process.wait()
    store = LocalStore(folder)
    runs = {run.run_id: run for run in store.search_runs()}
    assert all(runs[run_id].status == FINISHED for run_id in written)
    assert all(len(store.metric_history(run_id, "m" * 50)) == 2000 for run_id in list(written)[:20])
    assert {run.status for run in runs.values() if run.name == "open"} <= {KILLED}
    assert [finding for finding in store.check() if not finding.is_note] == []
    before = store.search_runs()
    compact(folder)
    assert len(files(folder)) == 1
    (folder / "runs.db").unlink()
    assert LocalStore(folder).search_runs() == before
