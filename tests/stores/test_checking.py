"""Checking a folder: what is damaged is named, what is sound is not, and what can be mended is."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_compaction import compact, dead_journal, files, many, one_run, state

from autotrack import digests, journal
from autotrack.cli.app import app
from autotrack.entities import Artifact, LoggedModel
from autotrack.errors import AutotrackError
from autotrack.events import ArtifactLogged, ExperimentDescribed, ModelLogged, ParamsLogged, RunEnded, RunStarted
from autotrack.journal import JournalWriter
from autotrack.stores.base import Finding
from autotrack.stores.local import LocalStore
from autotrack.stores.local.tables import SCHEMA_VERSION
from autotrack.testing.samples import Journal, started

A, B = "a" * 32, "b" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".autotrack"


def check(folder: Path, repair: bool = False) -> list[Finding]:
    store = LocalStore(folder)
    try:
        return store.check(repair=repair)
    finally:
        store.close()


def wrong(folder: Path) -> list[Finding]:
    return [finding for finding in check(folder) if not finding.is_note]


def with_artifacts(folder: Path) -> Path:
    """A whole run with a file and a model."""
    place = folder / "artifacts" / A
    (place / "model" / "code").mkdir(parents=True)
    (place / "plot.json").write_text("{}")
    (place / "model" / "MLmodel").write_text("flavors")
    (place / "model" / "code" / "a.py").write_text("1")
    file = Artifact("plot.json", 2, digests.of_file(place / "plot.json"))
    model = LoggedModel("model", digest=digests.of_folder(place / "model"))
    events = [RunStarted(A, "n", 1_780_000_000_000), ArtifactLogged(A, file), ModelLogged(A, model)]
    dead_journal(folder, 0, [*events, RunEnded(A, "FINISHED", 1_780_000_000_001)])
    return place


def test_what_is_sound_gives_no_finding(folder: Path) -> None:
    assert check(folder) == []
    with_artifacts(folder)
    many_more = JournalWriter(folder)
    many_more.append([*one_run(5), *one_run(6, ends=False)])
    dead_journal(folder, 7, one_run(7, ends=False))
    LocalStore(folder).apply(Journal("20260101T000000-x").entries(*one_run(8)))
    assert check(folder) == []
    compact(folder)
    assert check(folder) == []
    (folder / "runs.db").unlink()
    assert check(folder) == []
    assert not (folder / "runs.db").exists()
    many_more.close()


def test_a_check_changes_nothing(folder: Path) -> None:
    with_artifacts(folder)
    path = dead_journal(folder, 3, one_run(3))
    path.write_bytes(path.read_bytes().replace(b"run 3", b"run 4"))
    LocalStore(folder).search_runs()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert wrong(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_every_kind_of_damage_to_a_line_is_named_and_repaired(folder: Path) -> None:
    path = dead_journal(folder, 3, one_run(3))
    lines = path.read_bytes().splitlines(keepends=True)
    before = state(LocalStore(folder))[0]
    for change, words in [
        (lines[:3] + lines[4:], "entries 3 to 3 are missing"),
        (lines[:3] + [lines[3].replace(b'"3"', b'"4"')] + lines[4:], "checksum is wrong"),
        (lines[:3] + [b"garbage\n"] + lines[4:], "cannot be read"),
        (lines[:3] + [lines[3][:-18] + b"}\n"] + lines[4:], "no checksum"),
        (lines[:3] + [lines[3]] + lines[3:], "comes again"),
        ([b"garbage\n"] + lines[1:], "first line is damaged"),
        ([b"garbage\n"], "no line can be read"),
    ]:
        shutil.rmtree(folder)
        path = dead_journal(folder, 3, one_run(3))
        path.write_bytes(b"".join(change))
        found = wrong(folder)
        assert [finding.subject for finding in found if words in finding.message] == [path.name], (words, found)
        store = LocalStore(folder)
        store.search_runs()
        repaired = store.check(repair=True)
        mended = [finding for finding in repaired if words in finding.message]
        assert mended, repaired
        if "missing" in words or "again" in words:
            continue  # nothing unreadable is left to take out
        assert all(finding.repaired for finding in mended), repaired
        (report,) = folder.glob("quarantine/*/report.txt")
        assert words in report.read_text()
        assert (report.parent / path.name).read_bytes() == b"".join(change)
        assert wrong(folder) == [], words
        assert [finding for finding in check(folder) if "earlier repair" in finding.message]
        after = LocalStore(folder).search_runs()
        if words == "no line can be read":
            assert after == []
        else:
            assert [run.name for run in after] == [run.name for run in before]
        for again in (LocalStore(folder), store):
            assert again.problems() == []


def test_a_run_that_lost_a_line_says_so_after_the_repair(folder: Path) -> None:
    path = dead_journal(folder, 3, one_run(3))
    path.write_bytes(path.read_bytes().replace(b'"number":"3"', b'"number":"9"'))
    check(folder, repair=True)
    (run,) = LocalStore(folder).search_runs()
    assert run.params == {}
    (note,) = run.notes
    assert (note.kind, note.subject, note.count) == ("skipped", "journal", 1)
    assert "quarantine/" in note.message


def test_a_run_without_a_start_or_with_a_lost_parent_is_named(folder: Path) -> None:
    store = LocalStore(folder)
    store.apply(Journal().entries(ParamsLogged(A, {"p": "1"}), started(B, parent_run_id="c" * 32)))
    found = {finding.run_id: finding.message for finding in wrong(folder)}
    assert "its start is not recorded" in found[A]
    assert "c" * 32 in found[B]
    store.close()


def test_artifacts_that_are_not_what_was_recorded_are_named(folder: Path) -> None:
    place = with_artifacts(folder)
    for path, content, words in [
        ("plot.json", b"[]", "digest is another"),
        ("plot.json", b"{}\n", "has 3 bytes, and had 2"),
        ("plot.json", None, "'plot.json' was recorded, and is not on disk"),
        ("model/code/a.py", b"2", "model 'model' is not what was recorded"),
        ("model/added.txt", b"", "model 'model' is not what was recorded"),
    ]:
        target = place / path
        old = target.read_bytes() if target.exists() else None
        if content is None:
            target.unlink()
        else:
            target.write_bytes(content)
        (finding,) = wrong(folder)
        assert words in finding.message
        assert (finding.subject, finding.run_id) == (f"run {A}", A)
        target.unlink(missing_ok=True)
        if old is not None:
            target.write_bytes(old)
    shutil.rmtree(place)
    assert len(wrong(folder)) == 2


@pytest.mark.parametrize("damage", ["pages", "value", "lost run", "extra run", "garbage"])
def test_an_index_that_is_not_what_the_journals_tell_is_named_and_made_anew(folder: Path, damage: str) -> None:
    many(folder, 120)
    expected = state(LocalStore(folder))
    path = folder / "runs.db"
    if damage in ("pages", "garbage"):
        content = path.read_bytes()
        path.write_bytes(content[:8192] + os.urandom(len(content) - 8192) if damage == "pages" else b"garbage" * 999)
    else:
        with sqlite3.connect(path) as connection:
            row = connection.execute("SELECT id FROM runs WHERE run_id = ?", (f"{7:032x}",)).fetchone()
            match damage:
                case "value":
                    connection.execute("UPDATE metrics SET value = value + 1 WHERE run = ?", row)
                case "lost run":
                    connection.execute("DELETE FROM runs WHERE id = ?", row)
                case "extra run":
                    columns = "name, experiment, experiment_id, status, process_id"
                    connection.execute(
                        f"INSERT INTO runs (run_id, {columns}) SELECT 'extra', {columns} FROM runs WHERE id = ?", row
                    )
        connection.close()
    found = wrong(folder)
    assert {finding.subject for finding in found} == {"runs.db"}
    repaired = check(folder, repair=True)
    assert all(finding.repaired for finding in repaired)
    assert check(folder) == []
    assert state(LocalStore(folder)) == expected


def test_a_model_that_is_still_being_written_need_not_be_there(folder: Path) -> None:
    details = {"status": "PENDING", "name": "m"}
    store = LocalStore(folder)
    store.apply(Journal().entries(RunStarted(A, "n", 1), ModelLogged(A, LoggedModel("m", details=details))))
    assert check(folder) == []
    store.apply(Journal("20990101T000000-x").entries(ModelLogged(A, LoggedModel("m", details={"status": "READY"}))))
    assert [finding.message for finding in wrong(folder)] == ["model 'm' was recorded, and is not on disk"]


def test_an_index_that_lost_what_is_told_of_experiments_is_made_anew(folder: Path) -> None:
    store = LocalStore(folder)
    store.apply(Journal().entries(ExperimentDescribed("e", {"stage": "active"})))
    (expected,) = store.experiments()
    store.close()
    with sqlite3.connect(folder / "runs.db") as connection:
        connection.execute("UPDATE experiment_facts SET value = '1'")
    connection.close()
    (finding,) = wrong(folder)
    assert finding.subject == "runs.db"
    (finding,) = check(folder, repair=True)
    assert finding.repaired is not None
    assert LocalStore(folder).experiments() == [expected]


def test_notes_are_no_damage(folder: Path) -> None:
    dead_journal(folder, 1, one_run(1), tail=b'{"n":6,"ty')
    path = dead_journal(folder, 2, one_run(2))
    path.rename(path.with_name("20260101T000000-eeeeeeeeeeee.jsonl"))
    (folder / "journals" / "notes.txt").write_text("mine")
    (folder / "mine.txt").write_text("mine")
    (folder / "artifacts" / "nobody").mkdir(parents=True)
    os.utime(folder / "artifacts" / "nobody", (1, 1))
    (folder / "artifacts" / "x.tmp-01234567").write_text("x")
    os.utime(folder / "artifacts" / "x.tmp-01234567", (1, 1))
    found = check(folder)
    assert all(finding.is_note for finding in found)
    for words in ("not finished", "under another name", "no journal", "belong to a store", "to no run", "broke off"):
        assert sum(words in finding.message for finding in found) == 1, words


def test_a_newer_journal_or_index_is_named_and_left_alone(folder: Path) -> None:
    many(folder, 1)
    LocalStore(folder).search_runs()
    newer = journal.Header("x", 99, 1, journal.read_header(journal.journal_paths(folder)[0]).owner)
    path = folder / "journals" / "newer.jsonl"
    path.write_bytes(journal.header_line(newer) + b"{}\n")
    with sqlite3.connect(folder / "runs.db") as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    content = (folder / "runs.db").read_bytes()
    found = check(folder, repair=True)
    assert any("format 99" in finding.message and finding.repaired is None for finding in found)
    assert any("newer autotrack" in finding.message and finding.is_note for finding in found)
    assert path.exists()
    assert (folder / "runs.db").read_bytes() == content


WRITE = """
import sys, os, time
from pathlib import Path
from autotrack import digests
from autotrack.entities import Artifact, Metric
from autotrack.events import *
from autotrack.journal import JournalWriter, new_id
folder = Path(sys.argv[1])
print("ready", flush=True)
while not (folder / "stop").exists():
    writer = JournalWriter(folder)
    for _ in range(5):
        run_id, now = new_id(), int(time.time() * 1000)
        place = folder / "artifacts" / run_id
        place.mkdir(parents=True)
        writer.append([RunStarted(run_id, "r", now), ParamsLogged(run_id, {"p": "x" * 5000})])
        for number in range(3):
            data = os.urandom(500 + number)
            partial = place / f"f.bin.tmp-{os.urandom(4).hex()}"
            partial.write_bytes(data)
            os.replace(partial, place / "f.bin")
            time.sleep(0.001)
            writer.append([ArtifactLogged(run_id, Artifact("f.bin", len(data), digests.of_bytes(data)))])
            writer.append([MetricsLogged(run_id, tuple(Metric("m", float(i), i) for i in range(50)))])
        writer.append([RunEnded(run_id, "FINISHED", now + 1)])
"""


def test_a_store_in_use_gives_no_false_alarm(folder: Path) -> None:
    many(folder, 20)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(folder)], stdout=subprocess.PIPE, text=True) for _ in "ab"
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        deadline = time.monotonic() + 4
        store, rounds = LocalStore(folder), 0
        while time.monotonic() < deadline or rounds < 2:
            assert [finding for finding in store.check() if finding.subject != "stop"] == []
            store.search_runs(limit=1)
            rounds += 1
    finally:
        (folder / "stop").touch()
        for writer in writers:
            writer.communicate(timeout=60)
    assert [finding.subject for finding in check(folder)] == ["stop"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.data())
def test_damage_anywhere_costs_what_it_touches_and_is_named(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / os.urandom(4).hex()
    path = dead_journal(folder, 3, [*one_run(3), *one_run(4)])
    dead_journal(folder, 9, one_run(9))
    if data.draw(st.booleans(), "packed"):
        compact(folder)
        path = folder / "journals" / files(folder)[0]
    whole = path.read_bytes()
    store = LocalStore(folder)
    expected = {run.run_id: run for run in store.search_runs()}
    place = data.draw(st.integers(0, len(whole) - 1), "place")
    cut = data.draw(st.booleans(), "cut")
    bit = data.draw(st.integers(0, 7), "bit")
    path.write_bytes(whole[:place] if cut else whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
    for name in ("runs.db",):
        (folder / name).unlink(missing_ok=True)
    fresh = LocalStore(folder)
    try:
        found = {run.run_id: run for run in fresh.search_runs()}
        problems = fresh.problems()
    except AutotrackError as error:
        raise AssertionError("a reader has to go on") from error
    findings = fresh.check()
    if found != expected and not cut:
        assert problems
        assert [finding for finding in findings if not finding.is_note]
    if not cut:
        # What the damage does not touch is there: at most two lines are gone.
        lost = sum(
            (run.params != found[run_id].params) + (run.metrics != found[run_id].metrics)
            for run_id, run in expected.items()
            if run_id in found
        )
        assert lost <= 2
        assert len(found) >= len(expected) - 1 or not found
    if cut and place > whole.index(b"\n"):
        assert findings or whole[place - 1 : place] == b"\n"
    fresh.check(repair=True)
    assert [finding for finding in fresh.check() if not finding.is_note and "start" not in finding.message] == []
    store.close()
    fresh.close()


def test_the_command(folder: Path) -> None:
    def fsck(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["fsck", "--store", str(folder), *arguments], prog_name="autotrack")

    path = dead_journal(folder, 3, one_run(3))
    result = fsck()
    assert (result.exit_code, result.output) == (0, f"{folder} is sound.\n")
    path.write_bytes(path.read_bytes().replace(b'"number":"3"', b'"number":"9"'))
    result = fsck()
    assert result.exit_code == 1
    assert f"! {path.name}: the line at byte" in result.output
    assert "1 finding in" in result.output
    assert "fsck --repair" in result.output
    assert [finding["subject"] for finding in json.loads(fsck("--format", "json").output)] == [path.name]
    result = fsck("--repair")
    assert result.exit_code == 0
    assert "repaired: written anew" in result.output
    assert "Repaired 1 finding in" in result.output
    assert fsck().exit_code == 0


def test_progress_is_told(folder: Path) -> None:
    many(folder, 5)
    told: list[tuple[str, int, int]] = []
    LocalStore(folder).check(tell=lambda *arguments: told.append(arguments))
    assert ("journals", 5, 5) in told
    assert ("runs", 5, 5) in told


def test_random_garbage_files_are_moved_away(folder: Path) -> None:
    many(folder, 2)
    rng = random.Random(3)
    for number in range(5):
        (folder / "journals" / f"odd{number}.jsonl").write_bytes(rng.randbytes(300) + b"\n")
    assert len(wrong(folder)) == 5
    assert all(finding.repaired for finding in check(folder, repair=True))
    assert wrong(folder) == []
    assert len(list(folder.glob("quarantine/*/odd*.jsonl"))) == 5
    assert len(LocalStore(folder).search_runs()) == 2
