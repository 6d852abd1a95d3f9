"""``autotrack status`` and ``autotrack sync``: what waits for a store, and sending it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from journals import bury

from autotrack import journal, spool
from autotrack.cli.app import app
from autotrack.entities import Artifact
from autotrack.events import ArtifactLogged, RunEnded, RunStarted
from autotrack.stores import open_store
from autotrack.stores.memory import MemoryStore

A, B = "a" * 32, "b" * 32


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A store that goes when the test does."""
    name = f"memory:{tmp_path}"
    MemoryStore.forget(name)
    return name


def leave(uri: str, run_id: str, *, host: str = "") -> spool.Spool:
    """What a process that is dead has left in the spool of a store: a run that has ended, and one that has not."""
    one, info = spool.of_store(uri)
    one.make(info)
    writer = journal.JournalWriter(one.folder)
    folder = one.artifacts / run_id
    folder.mkdir(parents=True)
    (folder / "f.txt").write_text("text")
    writer.append([RunStarted(run_id, "whole", 1), ArtifactLogged(run_id, Artifact("f.txt", 4))])
    writer.append([RunEnded(run_id, "FINISHED", 2), RunStarted(run_id[::-1].replace(run_id[0], "c"), "open", 3)])
    writer.close()
    bury(writer.path, host)
    return one


def test_nothing_waits_where_nothing_was_spooled(tmp_path):
    assert "No spools in" in call("status").output
    assert json.loads(call("status", "--format", "json").output) == []
    done = call("sync")
    assert (done.exit_code, done.output) == (0, "Nothing waits to be sent.\n")


def test_status_tells_what_waits_and_sync_sends_it(uri):
    one = leave(uri, A)
    shown = call("status").output
    assert uri in shown
    assert "2 runs in 1 journal" in shown
    assert "no process is sending" in shown
    (facts,) = json.loads(call("status", "--format", "json").output)
    assert (facts["store"], facts["waiting"]["runs"], facts["waiting"]["entries"]) == (uri, 2, 4)
    assert facts["waiting"]["bytes"] > 100
    done = call("sync")
    assert (done.exit_code, done.output) == (0, f"{uri}: sent 5 entries\n")
    store = open_store(uri)
    assert {run.name: run.status for run in store.search_runs()} == {"whole": "FINISHED", "open": "KILLED"}
    assert store.artifact_path(A, "f.txt").read_text() == "text"
    assert one.paths() == []
    assert "waiting     nothing" in call("status").output


def test_sync_sends_the_spools_of_the_store_that_is_named(uri):
    leave(uri, A)
    leave(uri + "-other", B)
    store = f"awkward-{uri}"
    assert call("sync", "--store", store).output == "Nothing waits to be sent.\n"
    done = call("sync", "--all", "--store", uri)
    assert done.exit_code == 1
    assert "exclude each other" in done.output
    assert call("sync").exit_code == 0
    assert len(open_store(uri).search_runs()) == len(open_store(uri + "-other").search_runs()) == 2


def test_a_spool_that_was_copied_from_another_machine(uri, tmp_path):
    one = leave(uri, A, host="another-host")
    copy = tmp_path / "usb" / "spool" / one.folder.name
    shutil.copytree(one.folder, copy)
    done = call("sync", "--spool", str(copy.parent), "--store", uri)
    assert (done.exit_code, done.output) == (0, f"{uri}: sent 5 entries\n")
    assert {run.status for run in open_store(uri).search_runs()} == {"FINISHED", "KILLED"}
    assert spool.Spool(copy).paths() == []
    # Where it came from it may still be sent too, and that changes nothing.
    before = open_store(uri).search_runs()
    assert call("sync", "--spool", str(one.folder)).exit_code == 0
    assert open_store(uri).search_runs() == before


def test_a_folder_that_is_no_spool_is_refused(tmp_path, store):
    import autotrack

    autotrack.set_store(store)
    with autotrack.start_run():
        pass
    done = call("sync", "--spool", str(store), "--store", "memory:")
    assert done.exit_code == 1
    assert "is no spool" in done.output
    assert len(journal.journal_paths(store)) == 1


def test_a_store_that_cannot_be_opened_leaves_all_and_says_so(uri, tmp_path):
    one = leave("no-such-scheme://host/x", A)
    done = call("sync")
    assert done.exit_code == 1
    assert "no store for no-such-scheme" in done.output
    assert "2 runs left in " + str(one.folder) in done.output
    assert "no store for no-such-scheme" in call("status").output
    assert len(one.paths()) == 1


def test_what_is_in_quarantine_is_shown(uri):
    one = leave(uri, A)
    one.quarantine.mkdir()
    spool.write_whole(one.quarantine / "j@7.refused.json", {"journal": "j", "reason": "too long", "entry": {}})
    shown = call("status").output
    assert "j@7.refused.json" in shown
    assert "too long" in shown
    (facts,) = json.loads(call("status", "--format", "json").output)
    assert facts["quarantine"][0]["reason"] == "too long"
