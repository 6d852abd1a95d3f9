"""Artifacts in the database itself, and its upkeep."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from autotrack.digests import of_file
from autotrack.entities import Artifact, LoggedModel
from autotrack.errors import ArtifactNotFound, StoreError
from autotrack.events import ArtifactLogged, LifecycleSet, ModelLogged, ParamsLogged
from autotrack.journal import new_journal_id
from autotrack.stores import open_store
from autotrack.stores.base import Maintained
from autotrack.stores.database import chunks, tables
from autotrack.stores.database.store import DatabaseStore
from autotrack.testing.samples import Journal, started

RUN = "a" * 32


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseStore]:
    monkeypatch.setenv("AUTOTRACK_CACHE_DIR", str(tmp_path / "cache"))
    store = open_store(f"sqlite:///{tmp_path}/runs.db")
    assert isinstance(store, DatabaseStore)
    store.apply(Journal("20260101T000000-a").entries(started(RUN)))
    yield store
    store.close()


def count(store: DatabaseStore, table: sa.Table) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return int(store._database.read(lambda connection: connection.execute(query).scalar_one()))


def age(store: DatabaseStore, seconds: int) -> None:
    """Make all files older."""
    change = sa.update(tables.files).values(created=tables.files.c.created - seconds * 1000)
    store._database.write(lambda connection: connection.execute(change))


def test_a_large_file_goes_in_and_out_in_pieces(
    database_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOTRACK_CACHE_DIR", str(tmp_path / "cache"))
    store = open_store(database_uri)
    store.apply(Journal().entries(started(RUN)))
    source = tmp_path / "large"
    source.write_bytes(os.urandom(1 << 20) * 48 + b"end")
    tracemalloc.start()
    store.put_artifact(RUN, "d/large", source)
    found = store.artifact_path(RUN, "d/large")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert of_file(found) == of_file(source)
    assert most < 32 << 20
    assert [(artifact.path, artifact.size) for artifact in store.artifacts(RUN, "d")] == [("d/large", (48 << 20) + 3)]
    store.close()


def test_what_is_there_already_is_not_sent_again(database: DatabaseStore, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in "ab":
        (folder / name).write_text(name)
    database.put_artifact(RUN, "model", folder)
    (folder / "b").write_text("new")
    (folder / "c").write_text("c")
    (folder / "a").rename(folder / "d")
    ids = {file.path: file.id for file in database._database.read(lambda c: chunks.stored(c, RUN))}
    database.put_artifact(RUN, "model", folder)
    database.put_artifact(RUN, "model", folder)
    found = database.artifact_path(RUN, "model")
    assert {path.name: path.read_text() for path in found.iterdir()} == {"b": "new", "c": "c", "d": "a"}
    assert count(database, tables.files) == 3
    assert not {file.id for file in database._database.read(lambda c: chunks.stored(c, RUN))} & set(ids.values())


def test_a_file_does_not_become_a_folder_for_what_is_put_below_it(database: DatabaseStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    database.put_artifact(RUN, "f", tmp_path / "f")
    with pytest.raises(StoreError, match="'f' there is a file"):
        database.put_artifact(RUN, "f/g", tmp_path / "f")
    assert [artifact.path for artifact in database.artifacts(RUN)] == ["f"]
    assert count(database, tables.files) == 1


def test_an_upload_that_was_killed_is_seen_by_nobody_and_is_removed_a_day_later(
    database: DatabaseStore, tmp_path: Path
) -> None:
    (tmp_path / "old").write_text("old")
    database.put_artifact(RUN, "f", tmp_path / "old")
    program = """
        import os, sys
        from pathlib import Path
        from autotrack.stores import open_store
        from autotrack.stores.database import chunks
        put = chunks._put_chunk
        def killed(connection, row):
            if row["number"] == 2:
                os.kill(os.getpid(), 9)
            put(connection, row)
        chunks._put_chunk = killed
        Path("new").write_bytes(b"x" * (5 << 20))
        open_store(sys.argv[1]).put_artifact("a" * 32, "f", Path("new"))
        """
    command = [sys.executable, "-c", textwrap.dedent(program), database.uri]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == -9
    assert count(database, tables.chunks) == 1 + 2
    assert database.artifact_path(RUN, "f").read_text() == "old"
    assert database.garbage() == []
    age(database, 90_000)
    (garbage,) = database.garbage()
    assert (garbage.kind, garbage.run_id, garbage.size) == ("partial", RUN, 5 << 20)
    database.collect([garbage])
    assert (count(database, tables.files), count(database, tables.chunks)) == (1, 1)
    assert database.artifact_path(RUN, "f").read_text() == "old"


def test_what_killed_writers_left_goes_with_the_next_file(database: DatabaseStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    database._database.write(lambda connection: chunks._new_file(connection, RUN, "dead", 9, ""))
    age(database, 90_000)
    database.put_artifact(RUN, "f", tmp_path / "f")
    assert count(database, tables.files) == 1


def test_collecting_removes_deleted_runs_whole_and_no_other(database: DatabaseStore, tmp_path: Path) -> None:
    other = "b" * 32
    (tmp_path / "f").write_text("x")
    database.apply(Journal("20260102T000000-b").entries(started(other), ParamsLogged(other, {"p": "1"})))
    for run_id in (RUN, other, "nobody"):
        database.put_artifact(run_id, "f", tmp_path / "f")
    long_ago = int(time.time() * 1000) - 10_000
    deleted = Journal("20260103T000000-c").entries(*(LifecycleSet(run, "deleted", long_ago) for run in (RUN, other)))
    database.apply(deleted)
    assert isinstance(database, Maintained)
    assert database.garbage(older_than=60) == []
    garbage = database.garbage(older_than=5)
    assert [(item.kind, item.run_id, item.size) for item in garbage] == [("run", RUN, 1), ("run", other, 1)]
    database.apply(Journal("20260104T000000-d").entries(LifecycleSet(RUN, "active", long_ago + 1)))
    database.collect(garbage)
    assert [run.run_id for run in database.search_runs(view="all")] == [RUN]
    assert database.artifact_path(RUN, "f").read_text() == "x"
    assert count(database, tables.params) == 0
    database.apply(deleted)
    assert len(database.search_runs(view="all")) == 1
    age(database, 90_000)
    assert [(item.kind, item.run_id) for item in database.garbage()] == [("artifacts", "nobody")]
    database.collect(database.garbage())
    assert count(database, tables.files) == count(database, tables.chunks) == 1


def test_a_model_that_is_still_being_written_need_not_be_there(database: DatabaseStore, tmp_path: Path) -> None:
    elsewhere = open_store(f"sqlite:///{tmp_path}/other.db?artifacts={tmp_path}/artifacts")
    assert isinstance(elsewhere, DatabaseStore)
    for store in (database, elsewhere):
        store.apply(Journal().entries(started("b" * 32)))
        for status, wrong in (("PENDING", []), ("READY", [f"{'b' * 32}/m"])):
            model = LoggedModel("m", model_id="m-1", details={"status": status})
            store.apply(Journal(new_journal_id()).entries(ModelLogged("b" * 32, model)))
            assert [finding.subject for finding in store.check()] == wrong
    elsewhere.close()


def test_a_check_finds_what_is_wrong_and_mends_what_it_can(
    database: DatabaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_text("content")
    journal = Journal("20260102T000000-b")
    for name in ("good", "bad", "short", "lost"):
        if name != "lost":
            database.put_artifact(RUN, name, tmp_path / "f")
        database.apply(journal.entries(ArtifactLogged(RUN, Artifact(name, 7, of_file(tmp_path / "f")))))
    assert [finding.subject for finding in database.check()] == [f"{RUN}/lost"]
    files = {file.path: file.id for file in database._database.read(lambda c: chunks.stored(c, RUN))}
    engine = database._database.engine
    with engine.begin() as connection:
        for name, data in (("bad", b"C0ntent"), ("short", b"con")):
            connection.execute(sa.update(tables.chunks).where(tables.chunks.c.file == files[name]).values(data=data))
        connection.execute(sa.insert(tables.tags).values(run=999, key=1, value="x", head="x", journal=1))
    found = {finding.subject: finding for finding in database.check(repair=True)}
    assert sorted(found) == [f"{RUN}/bad", f"{RUN}/lost", f"{RUN}/short", "table tags"]
    assert "3 bytes of it are there, it had 7" in found[f"{RUN}/short"].message
    assert found["table tags"].repaired == "removed them"
    assert "table tags" not in {finding.subject for finding in database.check()}
    monkeypatch.setenv("AUTOTRACK_CACHE_DIR", str(tmp_path / "another machine"))
    with pytest.raises(StoreError, match="bad"):
        database.artifact_path(RUN, "bad")
    with pytest.raises(ArtifactNotFound, match="lost"):
        database.artifact_path(RUN, "lost")
