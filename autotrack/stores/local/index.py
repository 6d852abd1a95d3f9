"""The SQLite index of a folder store: its connection, its transactions, and how far each journal was folded.

The index is a cache of the journals; it can be made anew from them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, cast

from autotrack.events import Entry
from autotrack.journal import Line, Problem, decode
from autotrack.stores.local import migrations, sql
from autotrack.stores.local.decoding import take_plain
from autotrack.stores.local.sql import encode
from autotrack.stores.local.tables import PACKED, SCHEMA, SCHEMA_VERSION, VALUE_INDEXES
from autotrack.stores.local.writing import Batch

BUSY_SECONDS: Final = 60
_CACHE_KILOBYTES: Final = 128_000
_DAMAGE_LENGTH: Final = 1000
_PROBLEMS_PER_FILE: Final = 100
_MOST: Final = 2**63
_NO_MEANING: Final = (ValueError, TypeError, ArithmeticError, RecursionError)


class NewerIndexError(Exception):
    """An index that a newer autotrack made; this one leaves it alone."""


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
    NewerIndexError
        When a newer autotrack made it.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.held: frozenset[str] = frozenset()
        """The journal files that the caller itself holds locked."""
        self._batch: Batch | None = None
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
            self.connection.execute(f"PRAGMA cache_size = -{_CACHE_KILOBYTES}")
            sql.register(self.connection)
            if self._version() != SCHEMA_VERSION:
                self._bring_up_to_date()
        except BaseException:
            self.connection.close()
            raise

    @contextmanager
    def holding(self, names: Iterable[str]) -> Iterator[None]:
        """The caller holds these journal files: they are folded, though somebody has them locked."""
        before, self.held = self.held, frozenset(names)
        try:
            yield
        finally:
            self.held = before

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction that no other writer meets in the middle."""
        with self._transaction("BEGIN IMMEDIATE"):
            self._batch = Batch(self.connection)
            try:
                yield
                self._batch.write()
            finally:
                self._batch = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A transaction in which every query sees the same state."""
        with self._transaction("BEGIN"):
            yield

    def files(self) -> dict[str, FileRow]:
        """The files folded so far, by name; not the journals in packs."""
        rows = self.connection.execute("SELECT id, name, size, offset, mark, state FROM files WHERE state <> 6")
        return {sql.decode(row[1]): FileRow(row[0], sql.decode(row[1]), *row[2:]) for row in rows}

    def clear(self) -> None:
        """Forget everything."""
        for table in self._tables():
            self.connection.execute(f"DELETE FROM {table}")
        self._batch = Batch(self.connection)

    def drop_value_indexes(self) -> None:
        """Leave out what only searches need, until `make_value_indexes`: sorted at once it is made much sooner."""
        for name in VALUE_INDEXES:
            self.connection.execute(f"DROP INDEX IF EXISTS {name}")

    def lacks_value_indexes(self) -> bool:
        """Whether an index that searches need is not there, because some process was folding, or was killed then."""
        places = ", ".join("?" * len(VALUE_INDEXES))
        query = f"SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name IN ({places})"
        (there,) = self.connection.execute(query, tuple(VALUE_INDEXES)).fetchone()
        return int(there) < len(VALUE_INDEXES)

    def make_value_indexes(self) -> None:
        """Make the indexes that are lacking."""
        self.connection.execute("PRAGMA temp_store = FILE")  # what is sorted may be larger than memory
        for name, place in VALUE_INDEXES.items():
            with self._transaction("BEGIN IMMEDIATE"):
                self.connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {place}")
        self.connection.execute("PRAGMA temp_store = MEMORY")

    def last_number(self, journal_id: str) -> int:
        """The number of the last entry folded of a journal; 0 for none."""
        query = "SELECT last_number FROM journals WHERE journal_id = ?"
        row = self.connection.execute(query, (encode(journal_id),)).fetchone()
        return 0 if row is None else int(row[0])

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
        if self._batch is not None:
            self._batch.write()
        for table in ("runs", "problems"):
            self.connection.execute(f"UPDATE {table} SET file = ? WHERE file = ?", (heir, row.id))
        self.connection.execute("DELETE FROM files WHERE id = ?", (row.id,))

    def skip_to(self, journal_id: str, number: int) -> None:
        """Count the entries of a journal up to this number as folded."""
        with self._writing() as batch:
            place = batch.journal(journal_id)
            place.last = max(place.last, number)

    def fold(self, file: int, journal_id: str, entries: Iterable[Entry]) -> list[Problem]:
        """Take in entries of one journal that stand in one file, passing over those folded before.

        Gives back what could not be taken in.
        """
        with self._writing() as batch:
            place = batch.journal(journal_id)
            problems = []
            for entry in entries:
                if entry.number > place.last:
                    place.last = entry.number
                    try:
                        batch.take(file, place, entry.number, entry.event)
                    except _NO_MEANING as error:
                        run_id = getattr(entry.event, "run_id", None)
                        problems.append(_meaningless(journal_id, entry.number, error, run_id))
            if batch.is_full:
                batch.write()
        return problems

    def fold_lines(self, file: int, journal_id: str, path: Path, lines: Iterable[Line]) -> list[Problem]:
        """Take in lines as `fold` does entries."""
        with self._writing() as batch:
            place = batch.journal(journal_id)
            problems = []
            for line in lines:
                number = line.number
                if number > place.last:
                    try:
                        if number < _MOST and take_plain(batch, file, place, number, line.data):
                            place.last = number
                            continue
                        event = decode(path, line)
                        if isinstance(event, Problem):
                            problems.append(event)
                            continue
                        place.last = number
                        batch.take(file, place, number, event)
                    except _NO_MEANING as error:
                        # It was legal JSON and yet has no meaning; one such line must not hide the others.
                        problems.append(_meaningless(journal_id, number, error, line.data.get("run_id")))
            if batch.is_full:
                batch.write()
        return problems

    def settle(self, file: int, state: int, written: int) -> None:
        """Derive the status of the runs that a file leaves open; ``written`` is when it was last written to."""
        with self._writing() as batch:
            batch.settle(file, state, written)

    def add_problems(self, file: int, problems: Sequence[Problem]) -> None:
        """Remember what could not be read, and mark the runs it belongs to."""
        messages = [clean(problem.message) for problem in problems]
        if len(messages) > _PROBLEMS_PER_FILE:
            rest = len(messages) - _PROBLEMS_PER_FILE
            messages[_PROBLEMS_PER_FILE:] = [messages[_PROBLEMS_PER_FILE] + f", and {rest - 1} more like it"]
        runs = self._rows_of([problem.run_id for problem in problems if problem.run_id is not None])
        self.connection.executemany(
            "INSERT INTO problems (file, message) VALUES (?, ?)", [(file, message) for message in messages]
        )
        for problem in problems:
            if problem.run_id is not None:
                self.connection.execute(
                    "UPDATE runs SET damage = CASE WHEN damage IS NULL THEN ? ELSE damage || '; ' || ? END "
                    "WHERE id = ? AND length(coalesce(damage, '')) < ?",
                    (clean(problem.message), clean(problem.message), runs[problem.run_id], _DAMAGE_LENGTH),
                )

    def add_unreadable(self, file: int, run_id: str, message: str) -> None:
        """List a file of which nothing can be read as a broken run."""
        run = self._rows_of([run_id])[run_id]
        self.connection.execute(
            "UPDATE runs SET name = '(unreadable)', damage = ?, started = 1, end_journal = '' WHERE id = ?",
            (clean(message), run),
        )
        self.connection.execute("INSERT INTO problems (file, message) VALUES (?, ?)", (file, clean(message)))

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @contextmanager
    def _writing(self) -> Iterator[Batch]:
        """The rows of this transaction, or of one of its own."""
        if self._batch is not None:
            yield self._batch
        else:
            with self.writing():
                yield cast(Batch, self._batch)

    def _rows_of(self, run_ids: Iterable[str]) -> dict[str, int]:
        """The rows of runs, written, with all that was gathered so far."""
        with self._writing() as batch:
            found = {run_id: batch.run(run_id) for run_id in run_ids}
            batch.write()
        return found

    def _version(self) -> int:
        return int(self.connection.execute("PRAGMA user_version").fetchone()[0])

    def _tables(self) -> list[str]:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        rows = self.connection.execute(query)
        return ['"' + str(row[0]).replace('"', '""') + '"' for row in rows]

    def _bring_up_to_date(self) -> None:
        with self._transaction("BEGIN IMMEDIATE"):
            version = self._version()
            if version == SCHEMA_VERSION:
                return  # another process was faster
            if version > SCHEMA_VERSION:
                raise NewerIndexError(f"{self.path} has tables of version {version}")
            statements = migrations.statements(version)
            if statements is None:
                for table in self._tables():
                    self.connection.execute(f"DROP TABLE {table}")
                statements = SCHEMA.split(";")
                statements += [f"CREATE INDEX {name} ON {place}" for name, place in VALUE_INDEXES.items()]
            for statement in statements:
                self.connection.execute(statement)
            self.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.connection.execute(begin)
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise


def _meaningless(journal_id: str, number: int, error: Exception, run_id: str | None) -> Problem:
    return Problem(f"{journal_id}: event {number} has no meaning ({error!r:.200})", run_id)


def clean(message: str) -> str:
    """A message that every encoding and SQL concatenation can carry."""
    return message.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
