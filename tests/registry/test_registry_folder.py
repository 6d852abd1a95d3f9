"""The registry of a folder: many processes, kills, damage, old folders, moving, sweeping."""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autotrack import digests
from autotrack.entities import FINISHED, LoggedModel
from autotrack.errors import ModelError, ModelNotFound, StoreError
from autotrack.events import LifecycleSet, ModelLogged, RunEnded
from autotrack.journal import new_id, with_sum
from autotrack.stores.base import Finding
from autotrack.stores.local import LocalStore
from autotrack.testing.samples import Journal, started

CREATE = """
import sys
from autotrack.stores.local import LocalStore
store = LocalStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    print(store.create_model_version("m", "a" * 32, "model", tags={"by": sys.argv[3]}).version, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".autotrack"


def logged(folder: Path, name: str | None = "m", **fields: Any) -> str:
    """A finished run with a model that is on disk."""
    run_id = new_id()
    model = folder / "artifacts" / run_id / "model"
    model.mkdir(parents=True)
    (model / "MLmodel").write_text(run_id)
    told = LoggedModel("model", "k.E", "", 1, name, digests.of_folder(model))
    events = started(run_id, **fields), ModelLogged(run_id, told), RunEnded(run_id, FINISHED, 1_700_000_009_000)
    LocalStore(folder).apply(Journal().entries(*events))
    return run_id


def numbers(folder: Path, name: str = "m") -> list[int]:
    return [version.version for version in LocalStore(folder).model_versions(name)]


def wrong(folder: Path, *, repair: bool = False) -> list[Finding]:
    return [finding for finding in LocalStore(folder).check(repair=repair) if not finding.is_note]


# Processes


def start(folder: Path, count: int, by: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CREATE, str(folder), str(count), str(by)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def test_eight_processes_at_once_some_killed_give_no_number_twice(folder: Path) -> None:
    many = 10**6
    processes = [start(folder, 25 if by < 5 else many, by) for by in range(8)]
    try:
        go(processes)
        killed = processes[5:]
        for process in killed:  # killed wherever they are, as soon as each has made some
            assert process.stdout is not None
            for _ in range(5):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        told = {by: [int(line) for line in process.communicate()[0].split()] for by, process in enumerate(processes)}
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0] * 5 + [-signal.SIGKILL] * 3
    found = LocalStore(folder).model_versions("m")
    assert [version.version for version in found] == list(range(1, len(found) + 1))
    by_number = {version.version: version.tags["by"] for version in found}
    for by, made in told.items():
        assert {by_number[number] for number in made} <= {str(by)}, "what a process was told is kept"
    assert all(len(told[by]) == 25 for by in range(5))
    assert wrong(folder) == [wrong_run(version.version) for version in found]


def wrong_run(number: int) -> Finding:
    return Finding(
        f"version {number} of the model 'm'", f"it comes from the run {'a' * 32}, which is not there", is_note=False
    )


def test_a_line_cut_anywhere_is_not_there_and_the_next_writer_goes_on(folder: Path) -> None:
    store = LocalStore(folder)
    run_id = logged(folder, None)
    store.create_model_version("m", run_id, "model")
    path = folder / "registry.jsonl"
    before = path.read_bytes()
    store.create_model_version("m", run_id, "model", description="in full")
    whole = path.read_bytes()
    for length in range(len(before), len(whole), 7):
        path.write_bytes(whole[:length])
        assert numbers(folder) == [1]
        assert [version.version for version in store.model_versions("m")] == [1], "one that has it open sees it too"
        assert wrong(folder) == []
        assert store.create_model_version("m", run_id, "model", description="again").version == 2
        assert LocalStore(folder).model_version("m", 2).description == "again"
    path.write_bytes(b"")
    assert LocalStore(folder).registered_models() == []
    path.write_bytes(whole[: len(whole.split(b"\n")[0]) - 5])
    assert LocalStore(folder).create_model_version("m", run_id, "model").version == 1


def test_no_room_leaves_the_registry_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = LocalStore(folder), LocalStore(folder)
    run_id = logged(folder, None)
    store.create_model_version("m", run_id, "model")
    path = folder / "registry.jsonl"
    before = path.read_bytes()

    def full(fd: int) -> None:
        other.model_versions("m")  # it reads what is about to be taken back
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"cannot write to .*registry\.jsonl: No space left"):
            store.create_model_version("m", run_id, "model", description="x")
    assert path.read_bytes() == before
    for opened in (store, other):
        assert [version.version for version in opened.model_versions("m")] == [1]
    assert other.create_model_version("m", run_id, "model", description="y").version == 2
    assert store.model_version("m", 2).description == "y"


def test_a_forked_child_and_its_parent_count_together(folder: Path) -> None:
    store = LocalStore(folder)
    run_id = logged(folder, None)
    store.create_model_version("m", run_id, "model")
    child = os.fork()
    if not child:
        try:
            os._exit(store.create_model_version("m", run_id, "model").version)
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert store.create_model_version("m", run_id, "model").version == 3


# Models that were logged


def test_an_older_folder_has_the_versions_that_were_counted(folder: Path) -> None:
    runs = [logged(folder, start_time=1_700_000_000_000 + at) for at in (30, 10, 20)]
    assert not (folder / "registry.jsonl").exists()
    with sqlite3.connect(folder / "runs.db") as connection:  # as the version before made it
        connection.execute("DROP TABLE unregistered")
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    found = LocalStore(folder).model_versions("m")
    assert [version.run_id for version in found] == [runs[1], runs[2], runs[0]]
    assert wrong(folder) == []


def test_runs_of_one_millisecond_count_in_the_order_of_their_journal(folder: Path) -> None:
    journal, run_ids = Journal(), [new_id() for _ in range(6)]
    for run_id in run_ids:
        model = LoggedModel("model", registered_model_name="m")
        LocalStore(folder).apply(journal.entries(started(run_id), ModelLogged(run_id, model)))
    assert [version.run_id for version in LocalStore(folder).model_versions("m")] == run_ids


def test_asking_again_looks_at_no_run(folder: Path) -> None:
    store, journal = LocalStore(folder), Journal()
    entries = []
    for number in range(300):
        run_id = f"{number:032x}"
        model = LoggedModel("model", registered_model_name="m")
        entries += journal.entries(started(run_id, start_time=1000 + number), ModelLogged(run_id, model))
    store.apply(entries)
    assert len(store.model_versions("m")) == 300

    def steps(ask: Callable[[], object]) -> int:
        counted = [0]
        assert store._index is not None

        def count() -> int:
            counted[0] += 1
            return 0

        store._index.connection.set_progress_handler(count, 10)
        ask()
        store._index.connection.set_progress_handler(None, 0)
        return counted[0]

    few = steps(lambda: store.search_runs(limit=1))
    assert steps(lambda: store.model_versions("m")) <= few, "fewer steps of SQLite than to look at one run"
    size = (folder / "registry.jsonl").stat().st_size
    (folder / "runs.db").unlink()
    assert len(LocalStore(folder).model_versions("m")) == 300
    assert (folder / "registry.jsonl").stat().st_size == size


def test_a_folder_that_cannot_be_written_to_answers_the_same(folder: Path, tmp_path: Path) -> None:
    runs = [logged(folder, start_time=1_700_000_000_000 + at) for at in range(2)]
    (folder / "registry.jsonl").symlink_to(tmp_path / "nowhere" / "registry.jsonl")  # root may write anywhere else
    store = LocalStore(folder)
    for _ in range(2):
        assert [version.run_id for version in store.model_versions("m")] == runs
    with pytest.raises(StoreError, match=r"cannot write to .*registry\.jsonl"):
        store.set_alias("m", "champion", 1)
    (folder / "registry.jsonl").unlink()
    store.set_alias("m", "champion", 1)
    assert LocalStore(folder).registered_model("m").aliases == {"champion": 1}


def test_what_is_refused_makes_no_file(folder: Path) -> None:
    store = LocalStore(folder)
    for refused in (
        lambda: store.set_alias("m", "champion", 1),
        lambda: store.delete_registered_model("m"),
        lambda: store.create_model_version("a/b", "a" * 32, "model"),
        lambda: store.create_model_version("m", "a" * 32, "model", tags={"": "x"}),
    ):
        with pytest.raises(ModelError):
            refused()
    assert not folder.exists()


# Moving


def test_a_moved_or_copied_folder_keeps_its_registry(folder: Path, tmp_path: Path) -> None:
    run_id = logged(folder)
    store = LocalStore(folder)
    store.create_model_version("m", run_id, "model")
    store.set_alias("m", "champion", 2)
    store.close()
    shutil.copytree(folder, tmp_path / "copy")
    os.rename(folder, tmp_path / "moved")
    for place in ("copy", "moved"):
        opened = LocalStore(tmp_path / place)
        assert opened.registered_model("m").aliases == {"champion": 2}
        assert opened.create_model_version("m", run_id, "model").version == 3
        assert opened.check() == []
    assert str(tmp_path) not in (tmp_path / "moved" / "registry.jsonl").read_text()


# Damage


def many_changes(folder: Path) -> Path:
    store = LocalStore(folder)
    run_id = logged(folder, None)
    for name in "mmn":
        store.create_model_version(name, run_id, "model", tags={"k": "v"})
    store.set_alias("m", "champion", 2)
    store.update_model_version("m", 1, description="d")
    store.delete_model_version("n", 1)
    store.create_model_version("m", run_id, "model")
    store.close()
    return folder / "registry.jsonl"


def test_a_changed_byte_is_named_refuses_writes_and_is_mended(folder: Path) -> None:
    path = many_changes(folder)
    whole = path.read_bytes()
    lines = whole.split(b"\n")
    dice = random.Random(5)
    for number, line in enumerate(lines[:-1]):
        start = sum(len(before) + 1 for before in lines[:number])
        place = start + dice.randrange(len(line))
        damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        path.write_bytes(damaged)
        store = LocalStore(folder)
        (problem,) = [said for said in store.problems() if f"byte {start}:" in said]
        assert "registry.jsonl" in problem
        with pytest.raises(StoreError, match=r"damaged .*fsck --repair"):
            store.create_model_version("new", "a" * 32, "model")
        assert path.read_bytes() == damaged
        assert next(finding.subject for finding in wrong(folder) if not finding.repaired) == "registry.jsonl"
        assert all(finding.repaired for finding in wrong(folder, repair=True) if finding.subject == "registry.jsonl")
        assert wrong(folder) == []
        (kept,) = (folder / "quarantine").glob("*/registry.jsonl")
        assert kept.read_bytes() == damaged
        assert "registry.jsonl" in kept.with_name("report.txt").read_text()
        shutil.rmtree(folder / "quarantine")
        # The last version of m that anyone was told of was 3.
        assert LocalStore(folder).create_model_version("m", "a" * 32, "model").version >= 4 or number == 1
        path.write_bytes(whole)
    assert LocalStore(folder).problems() == []


def test_a_damaged_registry_goes_on_answering_and_says_what_it_leaves_out(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = many_changes(folder)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"k":"v"', b'"k":"w"', 1))
    later = logged(folder, "later")
    store = LocalStore(folder)
    with caplog.at_level(logging.WARNING, "autotrack"):
        for _ in range(2):
            assert store.registered_model("m").aliases == {"champion": 2}
            assert [model.name for model in store.registered_models()] == ["m", "n"]
    (said,) = [record.getMessage() for record in caplog.records]
    assert "registry.jsonl" in said
    assert "fsck --repair" in said
    wrong(folder, repair=True)
    assert [version.run_id for version in store.model_versions("later")] == [later]


def test_a_lost_version_s_number_is_not_given_again(folder: Path) -> None:
    path = many_changes(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b"version", b"versiom", 1)]))  # that of m's version 3
    assert wrong(folder, repair=True)
    assert numbers(folder) == [1, 2]
    assert LocalStore(folder).create_model_version("m", "a" * 32, "model").version == 4


@pytest.mark.parametrize("gone", [1, 2, 4])
def test_a_line_that_is_gone_is_noticed(gone: int, folder: Path) -> None:
    path = many_changes(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:gone] + lines[gone + 1 :]))
    assert next(finding.subject for finding in wrong(folder)) == "registry.jsonl"
    wrong(folder, repair=True)
    assert wrong(folder) == []


def test_a_line_that_stands_twice_or_means_nothing_is_noticed(folder: Path) -> None:
    path = many_changes(folder)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    count = len(lines) - 1
    for line, said in (
        (lines[-1], "its number is"),
        (
            with_sum({"n": count + 1, **{k: v for k, v in json.loads(lines[1]).items() if k not in "nc"}}),
            "given before",
        ),
        (with_sum({"n": count + 1, "change": "of_the_future", "name": "m", "version": 1}), "no change of a registry"),
        (with_sum({"n": "1"}), "number"),
        (b"{}\n", "no checksum"),
        (b"[" * 100_000 + b"\n", "cannot be read"),
    ):
        path.write_bytes(whole + line)
        (problem,) = LocalStore(folder).problems()
        assert said in problem
        assert numbers(folder) == [1, 2, 3]
        wrong(folder, repair=True)
        assert LocalStore(folder).problems() == []


def test_a_newer_registry_is_left_alone(folder: Path) -> None:
    run_id = logged(folder)
    path = folder / "registry.jsonl"
    path.write_bytes(with_sum({"registry": 2}) + b"what only the future knows\n")
    content = path.read_bytes()
    store = LocalStore(folder)
    for ask in (store.registered_models, lambda: store.create_model_version("m", run_id, "model")):
        with pytest.raises(StoreError, match="newer autotrack"):
            ask()
    assert [run.run_id for run in store.search_runs()] == [run_id]
    assert any("newer autotrack" in problem for problem in store.problems())
    assert any("newer autotrack" in finding.message for finding in LocalStore(folder).check(repair=True))
    assert path.read_bytes() == content


def test_fsck_names_versions_that_point_nowhere(folder: Path) -> None:
    run_id = logged(folder, "m")
    store = LocalStore(folder)
    store.create_model_version("n", "f" * 32, "model")
    store.create_model_version("n", run_id, "other")
    assert {(finding.subject, finding.message) for finding in wrong(folder)} == {
        ("version 1 of the model 'n'", f"it comes from the run {'f' * 32}, which is not there"),
        ("version 2 of the model 'n'", f"run {run_id}, from which it comes, has no model at 'other'"),
    }


# Sweeping


def test_a_run_that_a_version_names_is_not_swept(folder: Path) -> None:
    store = LocalStore(folder)
    named, by_hand, other = logged(folder, "m"), logged(folder, None), logged(folder, None)
    store.create_model_version("hand", by_hand, "model")
    deleted = [LifecycleSet(run_id, "deleted", int(time.time() * 1000)) for run_id in (named, by_hand, other)]
    store.apply(Journal("20990101T000000-d").entries(*deleted))
    # Nobody has asked for m so far: that its run is deleted takes no version away.
    found = {item.run_id: item.kept for item in store.garbage() if item.kind == "run"}
    assert "m/1" in found[named]
    assert "autotrack models delete hand/1" in found[by_hand]
    assert found[other] == ""
    store.collect(store.garbage())
    assert {run.run_id for run in store.search_runs(view="all")} == {named, by_hand}
    assert (folder / "artifacts" / named / "model").is_dir()
    store.delete_model_version("m", 1)
    store.collect(store.garbage())
    assert {run.run_id for run in store.search_runs(view="all")} == {by_hand}
    assert not (folder / "artifacts" / named).exists()
    assert store.model_versions("m") == []
    with pytest.raises(ModelNotFound, match="all its versions were deleted"):
        store.model_version("m", 1)


def test_a_damaged_registry_keeps_every_deleted_run(folder: Path) -> None:
    store = LocalStore(folder)
    run_id = logged(folder, "m")
    assert len(store.model_versions("m")) == 1
    store.apply(Journal("20990101T000000-d").entries(LifecycleSet(run_id, "deleted", int(time.time() * 1000))))
    path = folder / "registry.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
    assert [item.kept for item in store.garbage() if item.kind == "run"] == [
        "the registry is damaged and may name it; see autotrack fsck"
    ]
    store.collect(store.garbage())
    assert store.get_run(run_id).run_id == run_id
