"""An index of another version than this autotrack's: brought up to date, made anew, or left alone."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest
from test_compaction import many, state

from autotrack.events import LifecycleSet
from autotrack.stores.local import LocalStore, migrations
from autotrack.stores.local.tables import SCHEMA, SCHEMA_VERSION, VALUE_INDEXES
from autotrack.testing.samples import Journal

VERSION_3 = """
CREATE TABLE files (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, offset INTEGER NOT NULL,
    mark BLOB NOT NULL, state INTEGER NOT NULL);
CREATE TABLE journals (id INTEGER PRIMARY KEY, journal_id TEXT NOT NULL UNIQUE, last_number INTEGER NOT NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, experiment TEXT NOT NULL,
    experiment_id TEXT NOT NULL, status TEXT NOT NULL, start_time INTEGER, end_time INTEGER, parent_run_id TEXT,
    process_id TEXT NOT NULL, error TEXT, damage TEXT, file INTEGER, started INTEGER,
    start_journal TEXT, start_number INTEGER, end_journal TEXT, end_number INTEGER);
CREATE INDEX runs_newest ON runs (start_time DESC, start_journal DESC, start_number DESC, run_id DESC);
CREATE INDEX runs_experiment ON runs (experiment);
CREATE INDEX runs_name ON runs (name);
CREATE INDEX runs_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_open ON runs (file) WHERE end_journal IS NULL;
CREATE TABLE params (
    run INTEGER, key TEXT, value TEXT NOT NULL, number REAL, journal INTEGER NOT NULL, PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE TABLE tags (
    run INTEGER, key TEXT, value TEXT NOT NULL, journal INTEGER NOT NULL, PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE TABLE metrics (
    run INTEGER, key TEXT, value REAL, step INTEGER NOT NULL, timestamp INTEGER NOT NULL, journal INTEGER NOT NULL,
    PRIMARY KEY (run, key)) WITHOUT ROWID;
CREATE TABLE points (
    run INTEGER, key TEXT, step INTEGER, timestamp INTEGER, journal INTEGER, number INTEGER, position INTEGER,
    value REAL, PRIMARY KEY (run, key, step, timestamp, journal, number, position)) WITHOUT ROWID;
CREATE TABLE datasets (
    run INTEGER, name TEXT, context TEXT, digest TEXT NOT NULL, body TEXT NOT NULL, journal INTEGER NOT NULL,
    number INTEGER NOT NULL, PRIMARY KEY (run, name, context)) WITHOUT ROWID;
CREATE TABLE artifacts (
    run INTEGER, path TEXT, size INTEGER, digest TEXT NOT NULL, journal INTEGER NOT NULL, PRIMARY KEY (run, path)
) WITHOUT ROWID;
CREATE TABLE models (
    run INTEGER, path TEXT, estimator_class TEXT NOT NULL, serialization_format TEXT NOT NULL, size INTEGER,
    registered_model_name TEXT, journal INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (run, path)
) WITHOUT ROWID;
CREATE TABLE notes (
    run INTEGER, kind TEXT, subject TEXT, message TEXT, count INTEGER NOT NULL, journal INTEGER NOT NULL,
    number INTEGER NOT NULL, PRIMARY KEY (run, kind, subject, message)) WITHOUT ROWID;
CREATE TABLE facts (
    process_id TEXT, key TEXT, value TEXT NOT NULL, text TEXT, journal INTEGER NOT NULL, PRIMARY KEY (process_id, key)
) WITHOUT ROWID;
CREATE TABLE problems (id INTEGER PRIMARY KEY, file INTEGER NOT NULL, message TEXT NOT NULL);
"""
"""The tables of version 3, of commit 925b276."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".autotrack"


def tables(path: Path | None) -> dict[str, list[object]]:
    """The columns of every table and index; of this version's own with ``None``."""
    connection = sqlite3.connect(":memory:" if path is None else path)
    if path is None:
        connection.executescript(SCHEMA)
        for name, place in VALUE_INDEXES.items():
            connection.execute(f"CREATE INDEX {name} ON {place}")
    query = "SELECT name, type FROM sqlite_master WHERE name NOT LIKE 'sqlite%'"
    found: dict[str, list[object]] = {}
    for name, kind in connection.execute(query).fetchall():
        found[f"{kind} {name}"] = [*connection.execute(f"PRAGMA {kind}_info('{name}')")]
    connection.close()
    return found


def test_an_index_of_version_3_gives_what_a_new_one_gives(folder: Path) -> None:
    many(folder, 20)
    deleted = Journal("20260102T000000-x").entries(LifecycleSet(f"{5:032x}", "deleted", 1_780_000_000_000))
    LocalStore(folder).apply(deleted)
    expected = state(LocalStore(folder))
    path = folder / "runs.db"
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.executescript(VERSION_3)
        connection.execute("PRAGMA user_version = 3")
        # What version 3 made of this folder: it knew no deleted runs, and read every file to its end.
        for number, journal in enumerate(sorted((folder / "journals").iterdir()), 1):
            size = journal.stat().st_size
            row = (number, journal.name, size, size, journal.read_bytes()[-64:], 2)
            connection.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.execute(
                "INSERT INTO runs (run_id, name, experiment, experiment_id, status, process_id, file, started) "
                "VALUES (?, 'as it was', 'Default', '0', 'FINISHED', '', ?, 1)",
                (f"{number:032x}", number),
            )
        connection.execute("INSERT INTO problems (file, message) VALUES (1, 'unknown event type lifecycle_set')")
    connection.close()
    store = LocalStore(folder)
    assert state(store) == expected
    assert store.check() == []
    assert tables(path) == tables(None)


def test_a_cheap_step_is_taken_in_place_and_gives_the_same_tables(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = SCHEMA_VERSION - 1
    monkeypatch.setitem(migrations.STEPS, before, ("CREATE INDEX files_on_disk ON files (state) WHERE state <> 6",))
    many(folder, 5)
    expected = state(LocalStore(folder))
    path = folder / "runs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("DROP INDEX files_on_disk")  # all that the version before does not have here, and this has
        connection.execute(f"PRAGMA user_version = {before}")
        connection.execute("UPDATE files SET id = id + 1000")  # by this it is known again
        connection.execute("UPDATE runs SET file = file + 1000")
    connection.close()
    store = LocalStore(folder)
    assert state(store) == expected
    assert tables(path) == tables(None)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT min(id) FROM files").fetchone() > (1000,)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    connection.close()


def test_steps_lead_from_one_version_to_the_next_or_not_at_all() -> None:
    assert migrations.statements(SCHEMA_VERSION) == []
    assert migrations.statements(3) is None
    assert migrations.statements(0) is None
    assert all(version < SCHEMA_VERSION for version in migrations.STEPS)


def test_an_index_of_a_newer_autotrack_is_left_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    many(folder, 5)
    expected = state(LocalStore(folder))
    path = folder / "runs.db"
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE of_the_future (x)")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    content = path.read_bytes()
    with caplog.at_level(logging.WARNING, "autotrack"):
        store = LocalStore(folder)
        for _ in range(3):
            assert state(store) == expected
        store.apply(Journal("20260102T000000-x").entries(LifecycleSet(f"{1:032x}", "deleted", 1)))
        assert len(store.search_runs()) == 4
        assert len(LocalStore(folder).search_runs()) == 4
    (said,) = [record.getMessage() for record in caplog.records if "newer autotrack" in record.getMessage()]
    assert f"runs.db.{SCHEMA_VERSION}" in said
    assert path.read_bytes() == content
    assert (folder / f"runs.db.{SCHEMA_VERSION}").exists()
    # The newer one goes; this one takes the name.
    path.unlink()
    assert len(store.search_runs()) == 4
    assert path.exists()
