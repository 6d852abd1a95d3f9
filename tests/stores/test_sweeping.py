"""Sweeping a folder: what is removed is gone for good, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_compaction import dead_journal, files, killed_at_line, many, needs_fork, one_run, state

from autotrack import journal, packs
from autotrack.cli.app import app
from autotrack.errors import RunNotFound
from autotrack.events import LifecycleSet, ParamsLogged, ProcessDescribed, TagsSet
from autotrack.journal import JournalWriter
from autotrack.query import editing
from autotrack.stores.base import Maintained
from autotrack.stores.local import LocalStore, compaction
from autotrack.testing.samples import Journal, started

DAY = 86_400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".autotrack"


def run_id(number: int) -> str:
    return f"{number:032x}"


def delete(store: LocalStore, *numbers: int, days_ago: float = 0) -> None:
    at = time.time() - days_ago * DAY
    entries = Journal(journal.new_journal_id(at)).entries(
        *(LifecycleSet(run_id(number), "deleted", int(at * 1000)) for number in numbers)
    )
    store.apply(entries)


def with_files(folder: Path, number: int, age: float = 0) -> Path:
    place = folder / "artifacts" / run_id(number) / "model"
    place.mkdir(parents=True)
    (place / "model.pkl").write_bytes(b"x" * 1000)
    make_old(folder / "artifacts" / run_id(number), age)
    return place


def make_old(path: Path, age: float) -> None:
    for each in [*path.rglob("*"), path]:
        os.utime(each, (time.time() - age,) * 2)


def sweep(store: LocalStore, older_than: float = 0.0) -> list[str]:
    found = store.garbage(older_than)
    store.collect(found)
    return [item.kind for item in found if not item.kept]


def words_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("packed", [False, True])
def test_a_deleted_run_is_gone_for_good_and_the_others_are_not(folder: Path, packed: bool) -> None:
    many(folder, 6)
    store = LocalStore(folder)
    kept = [with_files(folder, number) for number in range(6)]
    if packed:
        store.collect(store.garbage())
        assert len(files(folder)) == 1
    delete(store, 1, 2)
    others = [run for run in state(store)[0] if run.deleted_time is None]
    found = [item for item in store.garbage() if item.kind == "run"]
    assert {(item.run_id, item.size, item.kept) for item in found} == {(run_id(n), 1000, "") for n in (1, 2)}
    assert all(place.exists() for place in kept)
    assert len(store.search_runs(view="deleted")) == 2
    store.collect(found)
    assert [place.exists() for place in kept] == [True, False, False, True, True, True]
    for again in (store, LocalStore(folder)):
        assert state(again)[0] == others
        assert again.problems() == []
        with pytest.raises(RunNotFound):
            again.get_run(run_id(1))
    disk = words_on_disk(folder / "journals")
    assert run_id(1).encode() not in disk
    assert b"s2.py" not in disk  # what was told of its process
    assert b"s3.py" in disk
    (folder / "runs.db").unlink()
    assert state(LocalStore(folder))[0] == others
    assert [item.kind for item in LocalStore(folder).garbage()] in ([], ["journals"])


def test_runs_deleted_lately_stay(folder: Path) -> None:
    many(folder, 4)
    store = LocalStore(folder)
    delete(store, 0, days_ago=40)
    delete(store, 1, days_ago=20)
    assert [item.run_id for item in store.garbage(30 * DAY) if item.kind == "run"] == [run_id(0)]
    sweep(store, 30 * DAY)
    assert [run.run_id for run in store.search_runs(view="deleted")] == [run_id(1)]


def test_a_run_restored_meanwhile_stays(folder: Path) -> None:
    many(folder, 2)
    store = LocalStore(folder)
    delete(store, 0)
    found = store.garbage()
    editing.restore_runs(run_id(0), store=store)
    store.collect(found)
    assert len(store.search_runs()) == 2


def test_a_run_of_a_live_process_stays_and_is_named(folder: Path) -> None:
    many(folder, 2)
    with_files(folder, 7)
    writer = JournalWriter(folder)
    writer.append([started(run_id(7)), ParamsLogged(run_id(7), {"p": "1"})])
    writer.append([TagsSet(run_id(0), {"told": "by the living"})])
    store = LocalStore(folder)
    delete(store, 0, 1, 7)
    content = writer.path.read_bytes()
    kept = {item.run_id: item.kept for item in store.garbage() if item.kind == "run"}
    assert kept[run_id(1)] == ""
    assert "live process" in kept[run_id(0)]
    assert "live process" in kept[run_id(7)]
    sweep(store)
    store.collect([item for item in store.garbage() if item.kind == "run"])
    assert writer.path.read_bytes() == content
    assert {run.run_id for run in store.search_runs(view="deleted")} == {run_id(0), run_id(7)}
    assert (folder / "artifacts" / run_id(7)).exists()
    writer.append([TagsSet(run_id(7), {"still": "written"})])
    assert store.get_run(run_id(7)).tags["still"] == "written"
    writer.close()


def test_what_is_shipped_again_does_not_come_back(folder: Path) -> None:
    store, entries = LocalStore(folder), Journal("20260101T000000-x").entries(*one_run(1))
    store.apply(entries)
    delete(store, 1)
    sweep(store)
    for again in (store, LocalStore(folder)):
        again.apply(entries)
        assert again.search_runs(view="all") == []
        (folder / "runs.db").unlink()
    store.apply(Journal("20260101T000000-x").entries(*one_run(1), started(run_id(2))))
    assert [run.run_id for run in store.search_runs(view="all")] == [run_id(2)]


def test_what_two_runs_share_of_a_process_stays_with_the_other(folder: Path) -> None:
    events = [ProcessDescribed("p", {"script": "s.py"})]
    dead_journal(folder, 0, [*events, started(run_id(0), process_id="p"), started(run_id(1), process_id="p")])
    store = LocalStore(folder)
    delete(store, 0)
    sweep(store)
    (folder / "runs.db").unlink()
    assert store.get_run(run_id(1)).process == {"script": "s.py"}


def test_artifacts_of_no_run_go_once_they_are_old(folder: Path) -> None:
    many(folder, 2)
    store = LocalStore(folder)
    young, old, known = with_files(folder, 10), with_files(folder, 11, 2 * DAY), with_files(folder, 0, 2 * DAY)
    (item,) = [item for item in store.garbage() if item.kind == "artifacts"]
    assert (item.place, item.size, item.kept) == (f"artifacts/{run_id(11)}", 1000, "")
    store.collect([item])
    assert (young.exists(), old.exists(), known.exists()) == (True, False, True)


def test_artifacts_stay_while_a_journal_that_may_name_them_cannot_be_read(folder: Path) -> None:
    many(folder, 1)
    old = with_files(folder, 11, 2 * DAY)
    newer = journal.Header("x", 99, 1, journal.read_header(journal.journal_paths(folder)[0]).owner)
    (folder / "journals" / "newer.jsonl").write_bytes(journal.header_line(newer))
    store = LocalStore(folder)
    (item,) = [item for item in store.garbage() if item.kind == "artifacts"]
    assert "cannot be read" in item.kept
    store.collect([item])
    assert old.exists()


def test_writes_that_broke_off_go_once_they_are_old(folder: Path) -> None:
    many(folder, 1)
    inside = with_files(folder, 0)
    old = [
        inside / "model.pkl.tmp-0123abcd",
        inside.with_name("plots.tmp-0123abcd"),
        folder / "artifacts/x.tmp-aaaaaaaa",
    ]
    old += [folder / "journals" / "00000001-0123456789ab.pack.jsonl.tmp-0123abcd"]
    old += [folder / "journals" / "20260101T000000-aaaaaaaaaaaa.jsonl"]
    old[1].mkdir()
    (old[1] / "a.json").write_text("{}")
    for path in old[:1] + old[2:]:
        path.write_bytes(b"{")
    young = inside / "model.pkl.tmp-ffffffff"
    young.write_bytes(b"x")
    odd = inside / "model.tmp-notes"
    odd.write_bytes(b"x")
    for path in [*old, old[1] / "a.json"]:
        os.utime(path, (time.time() - 2 * DAY,) * 2)
    os.utime(odd, (time.time() - 2 * DAY,) * 2)
    store = LocalStore(folder)
    partial = [item for item in store.garbage() if item.kind == "partial"]
    assert {folder / item.place for item in partial} == set(old)
    store.collect(partial)
    assert not any(path.exists() for path in old)
    assert young.exists()
    assert odd.exists()
    assert len(store.search_runs()) == 1


def test_no_garbage_leads_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    many(folder, 1)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("x")
    make_old(secret, 5 * DAY)
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "link").symlink_to(secret)
    os.utime(folder / "artifacts" / "link", (time.time() - 2 * DAY,) * 2, follow_symlinks=False)
    store = LocalStore(folder)
    store.apply(Journal().entries(started("..")))
    editing.delete_runs(filter="run_id = '..'", store=store)
    assert set(sweep(store)) >= {"run", "artifacts"}
    assert (secret / "key").exists()
    assert not (folder / "artifacts" / "link").is_symlink()
    assert folder.exists()


def test_a_store_with_nothing_to_sweep(folder: Path) -> None:
    store = LocalStore(folder)
    assert isinstance(store, Maintained)
    assert store.garbage() == []
    store.collect([])
    assert not folder.exists()


@needs_fork
def test_a_sweep_killed_anywhere_is_finished_by_the_next(folder: Path) -> None:
    many(folder, 6)
    store = LocalStore(folder)
    store._attempt(lambda index: compaction.compact(folder, index, wait=True, limit=None))
    dead_journal(folder, 20, [*one_run(20), TagsSet(run_id(1), {"t": "1"})])
    with_files(folder, 1)
    delete(store, 1, 2)
    expected = list(store.search_runs())
    store.close()
    step, deaths = 5, 0
    while True:
        copy = shutil.copytree(folder, folder.with_name("copy"))
        died = killed_at_line(step, lambda: sweep(LocalStore(copy)))  # noqa: B023
        deaths += died
        if step % 2:
            (copy / "runs.db").unlink(missing_ok=True)
        assert LocalStore(copy).search_runs() == expected, step
        again = LocalStore(copy)
        sweep(again)
        sweep(again)
        assert again.search_runs(view="all") == expected, step
        (copy / "runs.db").unlink(missing_ok=True)
        assert LocalStore(copy).search_runs(view="all") == expected, step
        assert run_id(1).encode() not in words_on_disk(copy / "journals"), step
        shutil.rmtree(copy)
        if not died:
            break
        step = int(step * 1.25) + 7
    assert deaths > 10


@pytest.fixture
def gc(folder: Path) -> Callable[..., Any]:
    def call(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["gc", "--store", str(folder), *arguments], prog_name="autotrack")

    return call


def test_the_command_says_what_it_would_do_and_does_it_when_told(folder: Path, gc: Callable[..., Any]) -> None:
    many(folder, 3)
    with_files(folder, 0)
    writer = JournalWriter(folder)
    writer.append([started(run_id(9))])
    store = LocalStore(folder)
    delete(store, 0, days_ago=40)
    delete(store, 1, 9)
    result = gc()
    assert result.exit_code == 0
    assert "Deleted runs (1, 1.0 kB)" in result.output
    assert f"{run_id(0)}  run 0  1.0 kB" in result.output
    assert "Nothing was removed: the same with --yes does it, and frees 1.0 kB." in result.output
    assert len(store.search_runs(view="deleted")) == 3
    listed = json.loads(gc("--older-than", "0", "--format", "json").output)
    assert not listed["removed"]
    assert {item["run_id"] for item in listed["garbage"] if item["kind"] == "run"} == {run_id(n) for n in (0, 1, 9)}
    result = gc("--yes")
    assert "Removed; that freed 1.0 kB." in result.output
    assert len(store.search_runs(view="deleted")) == 2
    assert len(files(folder)) == 2
    result = gc("--older-than", "0", "--yes")
    assert f"stays: {run_id(9)}" in result.output
    assert [run.run_id for run in store.search_runs(view="deleted")] == [run_id(9)]
    assert "Nothing to remove." in gc().output
    assert gc("--older-than", "soon").exit_code == 2
    writer.close()


def test_a_store_without_upkeep_is_told_so() -> None:
    result = CliRunner().invoke(app, ["gc", "--store", "memory:"], prog_name="autotrack")
    assert result.exit_code == 1
    assert "memory: is a store without upkeep" in result.output


def test_numbers_removed_stand_in_the_pack(folder: Path) -> None:
    dead_journal(folder, 0, [started(run_id(0)), started(run_id(1)), ParamsLogged(run_id(0), {"p": "1"})])
    store = LocalStore(folder)
    delete(store, 0)
    sweep(store)
    sections = [
        section
        for path in journal.journal_paths(folder)
        if packs.is_pack(path.name)
        for section in packs.contents(path).sections
        if section.header.owner.pid != journal.NOBODY
    ]
    assert [(section.removed, section.last) for section in sections] == [(((1, 1), (3, 3)), 3)]
