"""The SQLite index of a folder store: its tables, and how events become rows.

The index is a cache of the journals. What it holds is a function of the *set* of entries folded into it, not of the
order in which journals were met: of two values for one key, the one from the later journal (by id, which begins with
the time it was made) stays, and within a journal the one of the greater number.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from autotrack.entities import ACTIVE, BROKEN, DEFAULT_EXPERIMENT, KILLED, RUNNING, experiment_id
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    Entry,
    Event,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsSet,
    dataset_to_json,
)
from autotrack.journal import Problem
from autotrack.stores.expressions import param_number
from autotrack.stores.local import sql
from autotrack.stores.local.sql import Bound, encode
from autotrack.stores.state import clamp

SCHEMA_VERSION: Final = 5
BUSY_SECONDS: Final = 60
_DAMAGE_LENGTH: Final = 1000
_PROBLEMS_PER_FILE: Final = 100

# States of a journal file.
HEADLESS: Final = 0
"""Its first line is not complete yet."""
LIVE: Final = 1
DEAD: Final = 2
APPLIED: Final = 3
"""Made by `apply`, for events of a process that this folder does not know."""
UNREADABLE: Final = 4
PACK: Final = 5
PACKED: Final = 6
"""A journal in a pack; its name is the pack's and its own."""

_SCHEMA: Final = """
CREATE TABLE files (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, offset INTEGER NOT NULL,
    mark BLOB NOT NULL, state INTEGER NOT NULL);
CREATE INDEX files_on_disk ON files (state) WHERE state <> 6;
CREATE TABLE journals (id INTEGER PRIMARY KEY, journal_id TEXT NOT NULL UNIQUE, last_number INTEGER NOT NULL);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, experiment TEXT NOT NULL,
    experiment_id TEXT NOT NULL, status TEXT NOT NULL, start_time INTEGER, end_time INTEGER, parent_run_id TEXT,
    process_id TEXT NOT NULL, error TEXT, damage TEXT, file INTEGER, started INTEGER,
    start_journal TEXT, start_number INTEGER, end_journal TEXT, end_number INTEGER,
    deleted_time INTEGER, lifecycle_journal TEXT, lifecycle_number INTEGER);
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
    registered_model_name TEXT, digest TEXT NOT NULL, journal INTEGER NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (run, path)
) WITHOUT ROWID;
CREATE TABLE notes (
    run INTEGER, kind TEXT, subject TEXT, message TEXT, count INTEGER NOT NULL, journal INTEGER NOT NULL,
    number INTEGER NOT NULL, PRIMARY KEY (run, kind, subject, message)) WITHOUT ROWID;
CREATE TABLE facts (
    process_id TEXT, key TEXT, value TEXT NOT NULL, text TEXT, journal INTEGER NOT NULL, PRIMARY KEY (process_id, key)
) WITHOUT ROWID;
CREATE TABLE problems (id INTEGER PRIMARY KEY, file INTEGER NOT NULL, message TEXT NOT NULL);
"""


def _upsert(table: str, keys: str, values: str) -> str:
    """An insert that replaces the row of an earlier journal, never of a later one."""
    columns = [name for name in f"{keys} {values} journal".split() if name]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in [*values.split(), 'journal'])} "
        f"WHERE {_LATER.format(table=table)}"
    )


_LATER: Final = (
    "({table}.journal = excluded.journal OR (SELECT journal_id FROM journals WHERE id = excluded.journal) > "
    "(SELECT journal_id FROM journals WHERE id = {table}.journal))"
)
_PARAM: Final = _upsert("params", "run key", "value number")
_TAG: Final = _upsert("tags", "run key", "value")
_DATASET: Final = _upsert("datasets", "run name context", "digest body number")
_ARTIFACT: Final = _upsert("artifacts", "run path", "size digest")
_MODEL: Final = _upsert(
    "models", "run path", "estimator_class serialization_format size registered_model_name digest number"
)
_NOTE: Final = _upsert("notes", "run kind subject message", "count number")
_FACT: Final = _upsert("facts", "process_id key", "value text")
_METRIC: Final = (
    "INSERT INTO metrics (run, key, value, step, timestamp, journal) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
    "SET value = excluded.value, step = excluded.step, timestamp = excluded.timestamp, journal = excluded.journal "
    "WHERE (excluded.step, excluded.timestamp) > (metrics.step, metrics.timestamp) OR "
    "((excluded.step, excluded.timestamp) = (metrics.step, metrics.timestamp) AND "
    + _LATER.format(table="metrics")
    + ")"
)
_POINT: Final = (
    "INSERT OR IGNORE INTO points (run, key, value, step, timestamp, journal, number, position) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

_START_COLUMNS: Final = (
    *("run_id", "name", "experiment", "experiment_id", "status", "start_time", "parent_run_id"),
    *("process_id", "file", "started", "start_journal", "start_number"),
)
_STARTED: Final = (
    f"INSERT INTO runs ({', '.join(_START_COLUMNS)}) VALUES ({', '.join(':' + name for name in _START_COLUMNS)}) "
    "ON CONFLICT DO UPDATE SET status = CASE WHEN end_journal IS NULL THEN excluded.status ELSE status END, "
    + ", ".join(f"{name} = excluded.{name}" for name in _START_COLUMNS if name not in ("run_id", "status"))
    + " WHERE start_journal IS NULL OR (start_journal, start_number) <= (excluded.start_journal, excluded.start_number)"
)
_ENDED: Final = (
    "UPDATE runs SET status = ?, end_time = ?, error = ?, end_journal = ?, end_number = ? "
    "WHERE id = ? AND (end_journal IS NULL OR (end_journal, end_number) <= (?, ?))"
)
_LIFECYCLE: Final = (
    "UPDATE runs SET deleted_time = ?, lifecycle_journal = ?, lifecycle_number = ? "
    "WHERE id = ? AND (lifecycle_journal IS NULL OR (lifecycle_journal, lifecycle_number) <= (?, ?))"
)


class FileRow(NamedTuple):
    """How far a journal file has been folded."""

    id: int
    name: str
    size: int
    offset: int
    mark: bytes
    state: int


class Index:
    """One connection to an index. Not thread-safe: the caller holds a lock.

    Parameters
    ----------
    path : the file; ``None`` for one in memory.

    Raises
    ------
    sqlite3.Error
        When it cannot be opened or made.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.connection = sqlite3.connect(
            ":memory:" if path is None else path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            self.inode = path.stat().st_ino if path is not None else 0
            self.connection.execute("PRAGMA temp_store = MEMORY")
            self.connection.execute("PRAGMA synchronous = NORMAL")
            sql.register(self.connection)
            if self._version() != SCHEMA_VERSION:
                self._rebuild()
        except BaseException:
            self.connection.close()
            raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction that no other writer meets in the middle."""
        yield from self._transaction("BEGIN IMMEDIATE")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A transaction in which every query sees the same state."""
        yield from self._transaction("BEGIN")

    def files(self) -> dict[str, FileRow]:
        """The files folded so far, by name; not the journals in packs."""
        rows = self.connection.execute("SELECT id, name, size, offset, mark, state FROM files WHERE state <> 6")
        return {sql.decode(row[1]): FileRow(row[0], sql.decode(row[1]), *row[2:]) for row in rows}

    def clear(self) -> None:
        """Forget everything."""
        for table in self._tables():
            self.connection.execute(f"DELETE FROM {table}")

    def last_number(self, journal_id: str) -> int:
        """The number of the last entry folded of a journal; 0 for none."""
        return self._journal(journal_id)[1]

    def save_file(self, name: str, size: int, offset: int, mark: bytes, state: int) -> int:
        """Remember how far a file has been folded, and give its row's id."""
        self.connection.execute(
            "INSERT INTO files (name, size, offset, mark, state) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "size = excluded.size, offset = excluded.offset, mark = excluded.mark, state = excluded.state",
            (encode(name), size, offset, mark, state),
        )
        return int(self.connection.execute("SELECT id FROM files WHERE name = ?", (encode(name),)).fetchone()[0])

    def has_file(self, name: str) -> bool:
        """Whether a file of this name has been folded."""
        return self.connection.execute("SELECT 1 FROM files WHERE name = ?", (encode(name),)).fetchone() is not None

    def packed_as(self, name: str) -> int | None:
        """The row of a journal file in a pack, where a pack has taken it in."""
        row = self.connection.execute(
            "SELECT id FROM files WHERE state = ? AND substr(name, instr(name, '/') + 1) = ?", (PACKED, encode(name))
        ).fetchone()
        return None if row is None else int(row[0])

    def forget_file(self, row: FileRow, heir: int) -> None:
        """Drop a file that is in a pack now; what came from it counts as come from there."""
        for table in ("runs", "problems"):
            self.connection.execute(f"UPDATE {table} SET file = ? WHERE file = ?", (heir, row.id))
        self.connection.execute("DELETE FROM files WHERE id = ?", (row.id,))

    def skip_to(self, journal_id: str, number: int) -> None:
        """Count the entries of a journal up to this number as folded."""
        self.connection.execute(
            "UPDATE journals SET last_number = max(last_number, ?) WHERE journal_id = ?",
            (clamp(number), encode(journal_id)),
        )

    def fold(self, file: int, journal_id: str, entries: Iterable[Entry]) -> list[Problem]:
        """Take in entries of one journal that stand in one file, passing over those folded before.

        Gives back what could not be taken in.
        """
        journal, last = self._journal(journal_id)
        if not journal:
            cursor = self.connection.execute(
                "INSERT INTO journals (journal_id, last_number) VALUES (?, 0)", (encode(journal_id),)
            )
            journal = cursor.lastrowid or 0
        place = _Place(self.connection, file, journal, journal_id)
        problems = []
        for entry in entries:
            if entry.number > last:
                last = entry.number
                try:
                    place.fold(entry.number, entry.event)
                except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
                    # It was legal JSON and yet has no meaning; one such line must not hide the others.
                    run_id = getattr(entry.event, "run_id", None)
                    problems.append(
                        Problem(f"{journal_id}: event {entry.number} has no meaning ({error!r:.200})", run_id)
                    )
        self.connection.execute("UPDATE journals SET last_number = ? WHERE id = ?", (clamp(last), journal))
        return problems

    def settle(self, file: int, state: int, written: int) -> None:
        """Derive the status of the runs that a file leaves open; ``written`` is when it was last written to."""
        if state == DEAD:
            self.connection.execute(
                "UPDATE runs SET status = ?, end_time = max(start_time, ?) WHERE file = ? AND end_journal IS NULL",
                (KILLED, written, file),
            )
        else:
            self.connection.execute(
                "UPDATE runs SET status = ?, end_time = NULL WHERE file = ? AND end_journal IS NULL", (RUNNING, file)
            )

    def add_problems(self, file: int, problems: Sequence[Problem]) -> None:
        """Remember what could not be read, and mark the runs it belongs to."""
        messages = [clean(problem.message) for problem in problems]
        if len(messages) > _PROBLEMS_PER_FILE:
            rest = len(messages) - _PROBLEMS_PER_FILE
            messages[_PROBLEMS_PER_FILE:] = [messages[_PROBLEMS_PER_FILE] + f", and {rest - 1} more like it"]
        self.connection.executemany(
            "INSERT INTO problems (file, message) VALUES (?, ?)", [(file, message) for message in messages]
        )
        for problem in problems:
            if problem.run_id is not None:
                run = run_key(self.connection, problem.run_id)
                self.connection.execute(
                    "UPDATE runs SET damage = CASE WHEN damage IS NULL THEN ? ELSE damage || '; ' || ? END "
                    "WHERE id = ? AND length(coalesce(damage, '')) < ?",
                    (clean(problem.message), clean(problem.message), run, _DAMAGE_LENGTH),
                )

    def add_unreadable(self, file: int, run_id: str, message: str) -> None:
        """List a file of which nothing can be read as a broken run."""
        run = run_key(self.connection, run_id)
        self.connection.execute(
            "UPDATE runs SET name = '(unreadable)', damage = ?, started = 1, end_journal = '' WHERE id = ?",
            (clean(message), run),
        )
        self.connection.execute("INSERT INTO problems (file, message) VALUES (?, ?)", (file, clean(message)))

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _journal(self, journal_id: str) -> tuple[int, int]:
        row = self.connection.execute(
            "SELECT id, last_number FROM journals WHERE journal_id = ?", (encode(journal_id),)
        ).fetchone()
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    def _version(self) -> int:
        return int(self.connection.execute("PRAGMA user_version").fetchone()[0])

    def _tables(self) -> list[str]:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        rows = self.connection.execute(query)
        return ['"' + str(row[0]).replace('"', '""') + '"' for row in rows]

    def _rebuild(self) -> None:
        with self.writing():
            if self._version() == SCHEMA_VERSION:
                return  # another process was faster
            for table in self._tables():
                self.connection.execute(f"DROP TABLE {table}")
            for statement in _SCHEMA.split(";"):
                self.connection.execute(statement)
            self.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _transaction(self, begin: str) -> Iterator[None]:
        self.connection.execute(begin)
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise


class _Place:
    """Where entries being folded come from, and their way into the tables."""

    def __init__(self, connection: sqlite3.Connection, file: int, journal: int, journal_id: str) -> None:
        self._connection = connection
        self._runs: dict[str, int] = {}
        self._file = file
        self._journal = journal
        self._journal_id = journal_id

    def fold(self, number: int, event: Event) -> None:
        number = clamp(number)
        if isinstance(event, ProcessDescribed):
            self._facts(event)
            return
        if isinstance(event, RunStarted):
            self._started(number, event)
            return
        run = self._runs.get(event.run_id)
        if run is None:
            run = self._runs[event.run_id] = run_key(self._connection, event.run_id)
        journal, execute = self._journal, self._connection.execute
        many = self._connection.executemany
        match event:
            case ParamsLogged():
                texts = event.params.items()
                many(_PARAM, [(run, encode(key), encode(text), param_number(text), journal) for key, text in texts])
            case TagsSet():
                many(_TAG, [(run, encode(key), encode(text), journal) for key, text in event.tags.items()])
            case MetricsLogged():
                rows = [
                    (run, encode(m.key), float(m.value), clamp(m.step), clamp(m.timestamp), journal)
                    for m in event.metrics
                ]
                many(_METRIC, rows)
                many(_POINT, [(*row, number, position) for position, row in enumerate(rows)])
            case DatasetLogged():
                data = event.dataset
                body = json.dumps(dataset_to_json(data))
                name, context, digest = encode(data.name), encode(data.context), encode(data.digest)
                execute(_DATASET, (run, name, context, digest, body, number, journal))
            case ArtifactLogged():
                artifact = event.artifact
                size, digest = clamp_optional(artifact.size), encode(artifact.digest)
                execute(_ARTIFACT, (run, encode(artifact.path), size, digest, journal))
            case ModelLogged():
                model = event.model
                texts_of_model = encode(model.path), encode(model.estimator_class), encode(model.serialization_format)
                registered = None if model.registered_model_name is None else encode(model.registered_model_name)
                size, digest = clamp_optional(model.size), encode(model.digest)
                execute(_MODEL, (run, *texts_of_model, size, registered, digest, number, journal))
            case NoteLogged():
                note = event.note
                texts_of_note = encode(note.kind), encode(note.subject), encode(note.message)
                execute(_NOTE, (run, *texts_of_note, clamp(note.count), number, journal))
            case RunEnded():
                self._ended(run, number, event)
            case LifecycleSet():
                place = (self._journal_id, number)
                execute(_LIFECYCLE, (None if event.stage == ACTIVE else clamp(event.time), *place, run, *place))

    def _started(self, number: int, event: RunStarted) -> None:
        row = {
            "run_id": encode(event.run_id),
            "name": encode(event.name),
            "experiment": encode(event.experiment),
            "experiment_id": experiment_id(event.experiment),
            "status": RUNNING,
            "start_time": clamp(event.start_time),
            "parent_run_id": None if event.parent_run_id is None else encode(event.parent_run_id),
            "process_id": encode(event.process_id),
            "file": self._file,
            "started": 1,
            "start_journal": self._journal_id,
            "start_number": number,
        }
        self._connection.execute(_STARTED, row)

    def _ended(self, run: int, number: int, event: RunEnded) -> None:
        error = None if event.error is None else encode(event.error)
        ended = (encode(event.status), clamp(event.end_time), error, self._journal_id, number)
        self._connection.execute(_ENDED, (*ended, run, self._journal_id, number))

    def _facts(self, event: ProcessDescribed) -> None:
        process = encode(event.process_id)
        rows: list[tuple[Bound, ...]] = [
            (process, encode(key), json.dumps(fact), encode(fact) if isinstance(fact, str) else None, self._journal)
            for key, fact in event.facts.items()
        ]
        self._connection.executemany(_FACT, rows)


def run_key(connection: sqlite3.Connection, run_id: str) -> int:
    """The row of a run, made where there is none yet."""
    row = connection.execute("SELECT id FROM runs WHERE run_id = ?", (encode(run_id),)).fetchone()
    if row is not None:
        return int(row[0])
    cursor = connection.execute(
        "INSERT INTO runs (run_id, name, experiment, experiment_id, status, process_id) VALUES (?, '', ?, ?, ?, '')",
        (encode(run_id), DEFAULT_EXPERIMENT, experiment_id(DEFAULT_EXPERIMENT), BROKEN),
    )
    return cursor.lastrowid or 0


def clamp_optional(number: int | None) -> int | None:
    """`clamp`, where there is a number."""
    return None if number is None else clamp(number)


def clean(message: str) -> str:
    """A message that every encoding and SQL concatenation can carry."""
    return message.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
