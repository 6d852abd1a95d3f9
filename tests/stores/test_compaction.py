"""Journals of dead processes are gathered into packs: nothing changes but the number of files."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from autotrack import journal, packs
from autotrack.entities import FINISHED, KILLED, RUNNING, Metric, Run
from autotrack.events import (
    Entry,
    Event,
    ExperimentDescribed,
    LifecycleSet,
    MetricsLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsDeleted,
    TagsSet,
)
from autotrack.hooks import before_read
from autotrack.journal import Header, JournalWriter
from autotrack.owners import Identity, own_identity
from autotrack.stores.local import LocalStore, compaction
from autotrack.stores.local.index import Index
from autotrack.testing.samples import Journal, started

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")


def dead_journal(folder: Path, number: int, events: Sequence[Event], *, tail: bytes = b"", host: str = "") -> Path:
    """The journal of a process of this machine that is no more."""
    here = own_identity()
    name = f"20260101T000000-{number:012x}"
    (folder / "journals").mkdir(parents=True, exist_ok=True)
    path = folder / "journals" / f"{name}.jsonl"
    header = Header(name, 1, 1_780_000_000_000 + number, Identity(host or here.host, 4_000_000, "1", here.boot))
    lines = [journal.event_line(place, event) for place, event in enumerate(events, 1)]
    path.write_bytes(journal.header_line(header) + b"".join(lines) + tail)
    os.utime(path, (1_780_000_000 + number, 1_780_000_000 + number))
    return path


def one_run(number: int, *, ends: bool = True) -> list[Event]:
    run_id = f"{number:032x}"
    events: list[Event] = [
        ProcessDescribed(f"p{number}", {"script": f"s{number}.py"}),
        RunStarted(run_id, f"run {number}", 1_770_000_000_000 + number, process_id=f"p{number}"),
        ParamsLogged(run_id, {"number": str(number)}),
        MetricsLogged(run_id, tuple(Metric("m", float(step), step) for step in range(3))),
    ]
    return [*events, RunEnded(run_id, FINISHED, 1_770_000_000_001 + number)] if ends else events


def many(folder: Path, count: int) -> None:
    for number in range(count):
        dead_journal(folder, number, one_run(number, ends=bool(number % 3)))


def state(store: LocalStore) -> tuple[list[Run], list[list[Metric]], list[str]]:
    runs = store.search_runs(view="all")
    return runs, [store.metric_history(run.run_id, "m") for run in runs], sorted(store.problems())


def texts(entries: Iterable[Entry]) -> set[str]:
    return {repr(entry) for entry in entries}


def compact(folder: Path, limit: int | None = None) -> int:
    store = LocalStore(folder)
    try:
        return store._attempt(lambda index: compaction.compact(folder, index, wait=True, limit=limit))
    finally:
        store.close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "journals").iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".autotrack"


def test_a_pack_says_the_same_as_its_journals(folder: Path) -> None:
    many(folder, 30)
    torn = dead_journal(folder, 30, one_run(30, ends=False), tail=b'{"n":5,"type":"run_en')
    dead_journal(folder, 31, one_run(31), tail=b'damaged "run_id":"' + b"f" * 32 + b'"\n')
    store = LocalStore(folder)
    before = state(store)
    assert {run.status for run in before[0]} == {"FINISHED", "KILLED", "BROKEN"}
    assert len(before[2]) == 1
    killed = store.get_run(f"{30:032x}")
    assert killed.end_time == torn.stat().st_mtime_ns // 1_000_000
    old_index = (folder / "runs.db").read_bytes()
    assert compact(folder) == 32
    (pack,) = files(folder)
    assert packs.NAME.fullmatch(pack)
    changed = (folder / "runs.db").stat().st_mtime_ns
    assert state(store) == before
    assert state(LocalStore(folder)) == before
    assert (folder / "runs.db").stat().st_mtime_ns == changed
    (folder / "runs.db").unlink()
    rebuilt = state(LocalStore(folder))
    assert rebuilt[:2] == _with_damage_as(before[0], rebuilt[0], before[1])
    assert len(rebuilt[2]) == 1
    assert pack in rebuilt[2][0]
    # An index from before the packing goes on with what it has.
    (folder / "runs.db").write_bytes(old_index)
    assert state(LocalStore(folder)) == before


def _with_damage_as(runs: list[Run], others: list[Run], rest: Any) -> tuple[list[Run], Any]:
    """The sentence about a damaged line names the file that it stands in now."""
    from dataclasses import replace

    return [replace(run, broken=run.broken and other.broken) for run, other in zip(runs, others)], rest


def test_journal_read_reads_a_pack(folder: Path) -> None:
    many(folder, 4)
    expected = [entry for path in journal.journal_paths(folder) for entry in journal.read(path).entries]
    compact(folder)
    (pack,) = journal.journal_paths(folder)
    chunk = journal.read(pack)
    assert list(chunk.entries) == expected
    assert (chunk.problems, chunk.offset) == ((), pack.stat().st_size)
    assert journal.read_header(pack).owner.pid == journal.NOBODY


def test_an_older_autotrack_is_told_what_it_is(folder: Path) -> None:
    """It refuses a header of a version above 1 with "written in format 2; … a newer one is needed"."""
    many(folder, 2)
    compact(folder)
    first = json.loads((folder / "journals" / files(folder)[0]).read_bytes().splitlines()[0])
    assert (first["version"], first["owner"]["pid"]) == (2, 0)
    assert {"journal", "created"} <= first.keys()


def test_a_pack_of_a_newer_format_is_named(folder: Path) -> None:
    many(folder, 2)
    compact(folder)
    path = folder / "journals" / files(folder)[0]
    first, rest = path.read_bytes().split(b"\n", 1)
    header = journal.parse_header(json.loads(first))
    newer = Header(header.journal, 3, header.created, header.owner)
    path.write_bytes(journal.header_line(newer) + rest)
    (folder / "runs.db").unlink()
    for _ in range(2):
        store = LocalStore(folder)
        (problem,) = store.problems()
        assert "written in format 3" in problem
        assert [run.status for run in store.search_runs()] == ["BROKEN"]
        changed = (folder / "runs.db").stat().st_mtime_ns
        store.search_runs()
        assert (folder / "runs.db").stat().st_mtime_ns == changed


def test_the_living_the_foreign_and_the_unfinished_stay_as_they_are(folder: Path) -> None:
    many(folder, 3)
    living = JournalWriter(folder)
    living.append([started("a" * 32)])
    foreign = dead_journal(folder, 900, one_run(900), host="elsewhere")
    os.utime(foreign)
    long_ago = dead_journal(folder, 901, one_run(901), host="elsewhere")
    headless = folder / "journals" / "20260101T000000-ffffffffffff.jsonl"
    headless.write_bytes(b'{"journ')
    before = state(LocalStore(folder))
    compact(folder)
    there = files(folder)
    assert {living.path.name, foreign.name, headless.name} < set(there)
    assert long_ago.name not in there
    assert len(there) == 4
    living.append([RunEnded("a" * 32, FINISHED, 2 * 10**12)])
    assert LocalStore(folder).get_run("a" * 32).status == FINISHED
    living.close()
    assert len(before[0]) == len(LocalStore(folder).search_runs())


def test_entries_go_on_being_applied_to_a_packed_journal(folder: Path) -> None:
    store, entries = LocalStore(folder), Journal("20260101T000000-x").entries(*one_run(99))
    store.apply(entries[:3])
    many(folder, 1)
    assert compact(folder) == 2
    store.apply(entries[:4])
    assert len(files(folder)) == 2
    compact(folder)  # one alone is not worth a pack
    many(folder, 3)  # the first of them as it was before it was packed
    store.apply(entries)
    assert compact(folder) == 3
    assert len(files(folder)) == 2
    for _ in range(2):
        run = LocalStore(folder).get_run(f"{99:032x}")
        assert (run.status, run.params) == (FINISHED, {"number": "99"})
        assert len(LocalStore(folder).metric_history(run.run_id, "m")) == 3
        (folder / "runs.db").unlink()
    store.apply(entries)
    assert len(files(folder)) == 2


def test_a_reader_packs_when_there_are_very_many(folder: Path) -> None:
    many(folder, compaction.ENOUGH - 1)
    assert len(LocalStore(folder).search_runs()) == compaction.ENOUGH - 1
    assert len(files(folder)) == compaction.ENOUGH - 1
    dead_journal(folder, 5000, one_run(5000))
    hooks, before_read[:] = list(before_read), [lambda: None]  # as in a process that records
    try:
        assert len(LocalStore(folder).search_runs()) == compaction.ENOUGH
        assert len(files(folder)) == compaction.ENOUGH
        before_read.clear()
        _packs_at_the_next_read(folder)
    finally:
        before_read[:] = hooks


def _packs_at_the_next_read(folder: Path) -> None:
    assert len(LocalStore(folder).search_runs()) == compaction.ENOUGH
    assert len(files(folder)) == 1
    assert len(LocalStore(folder).search_runs()) == compaction.ENOUGH


def test_every_flipped_byte_of_a_pack_costs_its_line_only(folder: Path) -> None:
    for number in range(3):
        dead_journal(folder, number, [started(f"{number:032x}"), ParamsLogged(f"{number:032x}", {"p": "1"})])
    compact(folder)
    path = folder / "journals" / files(folder)[0]
    whole, expected = path.read_bytes(), journal.read(path).entries
    line_of = [number for number, line in enumerate(whole.splitlines(keepends=True)) for _ in line]
    holds = {2: 0, 3: 1, 5: 2, 6: 3, 8: 4, 9: 5}  # line of the pack: which entry
    for place in range(0, len(whole), 3):
        for bit in (place % 8,):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            chunk = journal.read(path)
            touched = [line_of[place], line_of[place] + (whole[place : place + 1] == b"\n")]
            lost = {holds.get(line) for line in touched}
            kept = [entry for position, entry in enumerate(expected) if position not in lost]
            assert texts(kept) <= texts(chunk.entries) <= texts(expected), (place, bit)


def test_a_pack_cut_anywhere_gives_what_is_left_of_it(folder: Path) -> None:
    many(folder, 3)
    compact(folder)
    path = folder / "journals" / files(folder)[0]
    whole, expected = path.read_bytes(), journal.read(path).entries
    for cut in range(0, len(whole) - 1, 11):
        path.write_bytes(whole[:cut])
        chunk = journal.read(path)
        assert chunk.problems
        assert texts(chunk.entries) <= texts(expected)
        lines = whole[:cut].count(b"\n")
        if lines > 2:
            assert len(chunk.entries) >= lines - 4


@needs_fork
def test_a_compaction_killed_anywhere_loses_nothing_and_is_finished_later(folder: Path) -> None:
    many(folder, 5)
    store = LocalStore(folder)
    store.apply(Journal("20260101T000000-x").entries(started("a" * 32)))
    expected = state(store)
    store.close()
    rng, step, deaths = random.Random(7), 0, 0
    while True:
        step += rng.randint(3, 30)
        copy = shutil.copytree(folder, folder.with_name("copy"))
        died = killed_at_line(step, lambda: compact(copy))  # noqa: B023
        deaths += died
        if step % 2:
            (copy / "runs.db").unlink(missing_ok=True)
        assert state(LocalStore(copy)) == expected, step
        compact(copy)
        assert state(LocalStore(copy)) == expected, step
        partial = [name for name in files(copy) if ".tmp-" in name]
        assert len(files(copy)) - len(partial) == 1, (step, files(copy))
        shutil.rmtree(copy)
        if not died:
            break
    assert deaths > 12


def killed_at_line(count: int, work: Callable[[], object]) -> bool:
    """Do it in a child that dies, as by ``kill -9``, when it comes to so many lines of the code that compacts."""
    child = os.fork()
    if child == 0:
        left = count

        def trace(frame: Any, event: str, _: object) -> Any:
            nonlocal left
            if not frame.f_code.co_filename.endswith(("packs.py", "compaction.py", "sweeping.py")):
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        try:
            sys.settrace(trace)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


READ = """
import sys, time
from pathlib import Path
from autotrack.stores.local import LocalStore
from autotrack.stores.local.folding import fold
from autotrack.stores.local.index import Index
folder, expected = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
while not (folder / "stop").exists():
    index = Index(None)
    fold(folder, index)
    count = index.connection.execute("SELECT count(*) FROM runs WHERE start_time IS NOT NULL").fetchone()[0]
    assert count == expected, count
    index.close()
    store = LocalStore(folder)
    assert len(store.search_runs()) == expected
    assert store.problems() == []
    store.close()
"""

COMPACT = """
import sys
from pathlib import Path
from autotrack.owners import Identity, own_identity
from autotrack.stores.local import LocalStore, compaction
folder = Path(sys.argv[1])
store = LocalStore(folder)
for _ in range(20):
    store._attempt(lambda index: compaction.compact(folder, index, limit=None))
"""


def test_readers_and_compactors_at_once_miss_nothing(folder: Path) -> None:
    many(folder, 300)
    commands = [[READ, folder, 300]] * 2 + [[COMPACT, folder]] * 2
    processes = [
        subprocess.Popen([sys.executable, "-c", *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for command in commands
    ]
    for process in processes[2:]:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    time.sleep(0.5)
    (folder / "stop").touch()
    for process in processes[:2]:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert len(files(folder)) == 1


def test_a_reader_that_lists_while_files_are_packed_looks_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autotrack.stores.local import folding

    many(folder, 10)
    LocalStore(folder).search_runs()
    listed = folding._listed
    done = []

    def list_and_pack(journals: Path) -> dict[str, int]:
        sizes = listed(journals)
        if not done:
            done.append(True)
            compact(folder)
            monkeypatch.setattr(folding, "_changed", lambda journals: 0)  # the clock of the disk is too coarse
        return sizes

    monkeypatch.setattr(folding, "_listed", list_and_pack)
    index = Index(None)
    folding.fold(folder, index)
    assert index.connection.execute("SELECT count(*) FROM runs").fetchone() == (10,)
    index.close()


def test_described_experiments_and_removed_tags_outlive_packing_and_sweeping(folder: Path) -> None:
    """The journals' words stay, also where nothing else is left of the journal, and an index made anew has them."""
    one, two = (f"{number:032x}" for number in (1, 2))
    dead_journal(folder, 1, [*one_run(1), ExperimentDescribed("e", {"stage": "active", "tag.k": "1"})])
    dead_journal(folder, 2, [*one_run(2), TagsDeleted(two, ("t",)), TagsSet(one, {"t": "1"})])
    dead_journal(folder, 0, [TagsSet(two, {"t": "0", "u": "0"}), ExperimentDescribed("e", {"tag.k": "0"})])
    store = LocalStore(folder)
    expected = store.experiments()
    assert [(each.name, each.run_count, each.facts) for each in expected] == [
        ("Default", 2, {}),
        ("e", 0, {"stage": "active", "tag.k": "1"}),
    ]
    assert store.get_run(two).tags == {"u": "0"}
    assert compact(folder) == 3
    assert (store.experiments(), store.get_run(two).tags) == (expected, {"u": "0"})
    assert store.check() == []
    store.apply(Journal("20260102T000000-x").entries(LifecycleSet(one, "deleted", 5)))
    store.collect(store.garbage())
    assert [run.run_id for run in store.search_runs(view="all")] == [two]
    for _ in range(2):
        described = {each.name: each.facts for each in store.experiments()}
        assert described == {"Default": {}, "e": {"stage": "active", "tag.k": "1"}}
        assert store.get_run(two).tags == {"u": "0"}
        assert store.check() == []
        store.close()
        (folder / "runs.db").unlink()
        store = LocalStore(folder)


def test_a_run_that_was_reopened_afterwards_is_running_though_its_process_is_dead(folder: Path) -> None:
    dead_journal(folder, 1, one_run(1, ends=False))
    store, run_id = LocalStore(folder), f"{1:032x}"
    assert store.get_run(run_id).status == KILLED
    store.apply(Journal("20260102T000000-x").entries(RunEnded(run_id, RUNNING, 5)))
    for _ in range(2):
        assert (store.get_run(run_id).status, store.get_run(run_id).end_time) == (RUNNING, None)
        compact(folder)
        store.close()
        (folder / "runs.db").unlink()
        store = LocalStore(folder)
