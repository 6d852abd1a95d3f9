"""Entries as rows of the index, gathered and written many at a time.

What the tables hold is a function of the *set* of entries folded into them, not of the order in which journals were
met: of two values for one key, the one from the later journal (by id, which begins with the time it was made) stays,
and within a journal the one of the greater number.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from autotrack.entities import ACTIVE, BROKEN, DEFAULT_EXPERIMENT, KILLED, RUNNING, experiment_id
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    Event,
    ExperimentDescribed,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsDeleted,
    TagsSet,
    dataset_to_json,
)
from autotrack.stores.expressions import param_number
from autotrack.stores.local.sql import Bound, encode
from autotrack.stores.local.tables import DEAD
from autotrack.stores.state import clamp

dumps: Final = json.JSONEncoder(separators=(",", ":")).encode

_ROWS: Final = 20_000
"""So many rows are kept at the most before they are written."""

_LATER: Final = (
    "({table}.journal = excluded.journal OR (SELECT journal_id FROM journals WHERE id = excluded.journal) > "
    "(SELECT journal_id FROM journals WHERE id = {table}.journal))"
)


def _upsert(table: str, keys: str, values: str) -> str:
    """An insert that replaces the row of an earlier journal, never of a later one."""
    columns = [name for name in f"{keys} {values} journal".split() if name]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in [*values.split(), 'journal'])} "
        f"WHERE {_LATER.format(table=table)}"
    )


_STATEMENTS: Final = {
    "params": _upsert("params", "run key", "value number"),
    "tags": _upsert("tags", "run key", "value"),
    "points": (
        "INSERT OR IGNORE INTO points (run, key, value, step, timestamp, journal, number, position) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    ),
    "datasets": _upsert("datasets", "run name context", "digest body number"),
    "artifacts": _upsert("artifacts", "run path", "size digest"),
    "models": _upsert(
        "models",
        "run path",
        "estimator_class serialization_format size registered_model_name digest model_id details number",
    ),
    "unregistered": "INSERT OR IGNORE INTO unregistered (run, path) VALUES (?, ?)",
    "notes": _upsert("notes", "run kind subject message", "count number"),
    "facts": _upsert("facts", "process_id key", "value text"),
    "experiments": "INSERT OR IGNORE INTO experiments (name) VALUES (?)",
    "experiment_facts": _upsert("experiment_facts", "experiment key", "value"),
}
_REMOVED: Final = _upsert("removed_tags", "run key", "")
_TAG_REMOVED: Final = (
    "DELETE FROM tags WHERE run = ?1 AND key = ?2 AND (journal = ?3 OR (SELECT journal_id FROM journals WHERE id = ?3) "
    "> (SELECT journal_id FROM journals WHERE id = tags.journal))"
)
# What takes the tag away later, by the order of the journals, stays; within one journal, what comes now is the later.
_TAG: Final = _STATEMENTS["tags"].replace(
    "VALUES (?, ?, ?, ?)",
    "SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM removed_tags AS gone WHERE run = ?1 AND key = ?2 AND "
    "(SELECT journal_id FROM journals WHERE id = gone.journal) > (SELECT journal_id FROM journals WHERE id = ?4))",
)
_METRIC: Final = (
    "INSERT INTO metrics (run, key, value, step, timestamp, journal) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
    "SET value = excluded.value, step = excluded.step, timestamp = excluded.timestamp, journal = excluded.journal "
    "WHERE (excluded.step, excluded.timestamp) > (metrics.step, metrics.timestamp) OR "
    "((excluded.step, excluded.timestamp) = (metrics.step, metrics.timestamp) AND "
    + _LATER.format(table="metrics")
    + ")"
)

_START: Final = (
    *("name", "experiment", "experiment_id", "start_time", "parent_run_id", "process_id", "file", "started"),
    *("start_journal", "start_number"),
)
_END: Final = ("end_time", "error", "end_journal", "end_number")
_LIFECYCLE: Final = ("deleted_time", "lifecycle_journal", "lifecycle_number")
_NOTHING: Final = dict.fromkeys((*_START, *_END, *_LIFECYCLE)) | {
    "name": "",
    "experiment": DEFAULT_EXPERIMENT,
    "experiment_id": experiment_id(DEFAULT_EXPERIMENT),
    "process_id": "",
    "status": BROKEN,
}
_COLUMNS: Final = ("id", "run_id", *_NOTHING)
_RUN: Final = f"INSERT INTO runs ({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + name for name in _COLUMNS)})"
_STARTED: Final = (
    "UPDATE runs SET status = CASE WHEN end_journal IS NULL THEN :status ELSE status END, "
    "end_time = CASE WHEN end_journal IS NULL THEN NULL ELSE end_time END, "
    + ", ".join(f"{name} = :{name}" for name in _START)
    + " WHERE id = :id AND (start_journal IS NULL OR (start_journal, start_number) <= (:start_journal, :start_number))"
)
_ENDED: Final = (
    f"UPDATE runs SET status = :status, {', '.join(f'{name} = :{name}' for name in _END)} "
    "WHERE id = :id AND (end_journal IS NULL OR (end_journal, end_number) <= (:end_journal, :end_number))"
)
_MOVED: Final = (
    f"UPDATE runs SET {', '.join(f'{name} = :{name}' for name in _LIFECYCLE)} WHERE id = :id AND (lifecycle_journal IS "
    "NULL OR (lifecycle_journal, lifecycle_number) <= (:lifecycle_journal, :lifecycle_number))"
)


Point = tuple[int, int, float, int, int, int]
"""Of a metric: run, key, value, step, timestamp, journal."""


class _Run:
    """A run met in this transaction: the key of its row, and the row while it is not written yet."""

    __slots__ = ("key", "row")

    def __init__(self, key: int, row: dict[str, Any] | None) -> None:
        self.key = key
        self.row = row


class JournalPlace:
    """A journal being folded: the key of its row, its id, and the number of the last entry taken in."""

    __slots__ = ("journal_id", "key", "last")

    def __init__(self, key: int, journal_id: str, last: int) -> None:
        self.key = key
        self.journal_id = journal_id
        self.last = last


class Batch:
    """The rows of one transaction, as long as they are not written. Nobody else writes meanwhile.

    Parameters
    ----------
    connection : to the index, in a transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._keys: dict[str, int] = {}
        self._runs: dict[str, _Run] = {}
        self._journals: dict[str, JournalPlace] = {}
        self._names: dict[int, str] = {}
        (last,) = connection.execute("SELECT max(id) FROM runs").fetchone()
        self._next_run = 1 + (last or 0)
        self._new: list[_Run] = []
        self._updates: dict[str, list[dict[str, Any]]] = {_STARTED: [], _ENDED: [], _MOVED: []}
        self._metrics: dict[tuple[int, int], tuple[Any, ...]] = {}
        self._settled: list[tuple[int, int, int]] = []
        (removed,) = connection.execute("SELECT EXISTS (SELECT 1 FROM removed_tags)").fetchone()
        self._has_removed_tags = bool(removed)
        self.rows: dict[str, list[tuple[Bound, ...]]] = {table: [] for table in _STATEMENTS}

    @property
    def is_full(self) -> bool:
        """Whether it is time to `write`."""
        rows = self.rows
        return len(rows["points"]) + len(rows["params"]) + len(self._runs) * 4 > _ROWS

    def write(self) -> None:
        """Write everything gathered."""
        many = self._connection.executemany
        many(_RUN, [run.row for run in self._new if run.row is not None])
        for run in self._new:
            run.row = None
        self._new.clear()
        for statement, updates in self._updates.items():
            many(statement, updates)
            updates.clear()
        for table, rows in self.rows.items():
            if rows:
                if table == "tags" and self._has_removed_tags:
                    self._write_tags(rows)
                else:
                    many(_STATEMENTS[table], rows)
                rows.clear()
        many(_METRIC, self._metrics.values())
        self._metrics.clear()
        self._runs.clear()
        for file, state, written in self._settled:
            self._settle(file, state, written)
        self._settled.clear()
        places = [(clamp(place.last), place.key) for place in self._journals.values()]
        many("UPDATE journals SET last_number = ? WHERE id = ?", places)
        self._journals.clear()
        self._names.clear()

    def settle(self, file: int, state: int, written: int) -> None:
        """See `Index.settle`."""
        self._settled.append((file, state, written))

    def journal(self, journal_id: str) -> JournalPlace:
        """The place of a journal, which begins here where it is new."""
        place = self._journals.get(journal_id)
        if place is None:
            place = self._find_journal(journal_id)
            self._journals[journal_id] = place
            self._names[place.key] = journal_id
        return place

    def run(self, run_id: str) -> int:
        """The key of a run, which begins here where it is new."""
        return (self._runs.get(run_id) or self._find_run(run_id)).key

    def key(self, text: str) -> int:
        """What stands for the name of a param, metric or tag."""
        number = self._keys.get(text)
        return self._find_key(text) if number is None else number

    def point(
        self, place: JournalPlace, number: int, row: tuple[int, int, float, int, int, int], position: int
    ) -> None:
        """Take in a point of a metric: run, key, value, step, timestamp, journal."""
        self.rows["points"].append((*row, number, position))
        kept = self._metrics.get(row[:2])
        if kept is not None:
            new, old = row[3:5], kept[3:5]
            if new < old or (new == old and place.journal_id < self._names[kept[5]]):
                return
        self._metrics[row[:2]] = row

    def take(self, file: int, place: JournalPlace, number: int, event: Event) -> None:
        """Take in what happened.

        Raises
        ------
        ValueError, TypeError, ArithmeticError, RecursionError
            When it has no meaning; then nothing of it is taken in.
        """
        number, journal, rows = clamp(number), place.key, self.rows
        match event:
            case ProcessDescribed():
                process = encode(event.process_id)
                rows["facts"] += [
                    (process, encode(key), json.dumps(fact), encode(fact) if isinstance(fact, str) else None, journal)
                    for key, fact in event.facts.items()
                ]
            case RunStarted():
                self.started(file, place, number, event)
            case ParamsLogged(run_id, texts):
                run = self.run(run_id)
                rows["params"] += [
                    (run, self.key(key), encode(text), param_number(text), journal) for key, text in texts.items()
                ]
            case TagsSet(run_id, texts):
                run = self.run(run_id)
                rows["tags"] += [(run, self.key(key), encode(text), journal) for key, text in texts.items()]
            case TagsDeleted(run_id, keys):
                run = self.run(run_id)
                rows["tags"] += [(run, self.key(key), None, journal) for key in keys]
                self._has_removed_tags = True
            case MetricsLogged(run_id, metrics):
                run = self.run(run_id)
                points = [
                    (run, self.key(m.key), float(m.value), clamp(m.step), clamp(m.timestamp), journal) for m in metrics
                ]
                for position, point in enumerate(points):
                    self.point(place, number, point, position)
            case DatasetLogged(run_id, data):
                body = dumps(dataset_to_json(data))
                name, context, digest = encode(data.name), encode(data.context), encode(data.digest)
                rows["datasets"].append((self.run(run_id), name, context, digest, body, number, journal))
            case ArtifactLogged(run_id, artifact):
                size, digest = _clamp_optional(artifact.size), encode(artifact.digest)
                rows["artifacts"].append((self.run(run_id), encode(artifact.path), size, digest, journal))
            case ModelLogged(run_id, model):
                told = encode(model.path), encode(model.estimator_class), encode(model.serialization_format)
                registered = None if model.registered_model_name is None else encode(model.registered_model_name)
                size, digest = _clamp_optional(model.size), encode(model.digest)
                more = encode(model.model_id), json.dumps(dict(model.details)) if model.details else None
                rows["models"].append((self.run(run_id), *told, size, registered, digest, *more, number, journal))
                if registered is not None:
                    rows["unregistered"].append((self.run(run_id), told[0]))
            case NoteLogged(run_id, note):
                words = encode(note.kind), encode(note.subject), encode(note.message)
                rows["notes"].append((self.run(run_id), *words, clamp(note.count), number, journal))
            case RunEnded():
                self.ended(place, number, event)
            case LifecycleSet():
                time = None if event.stage == ACTIVE else clamp(event.time)
                row = {"deleted_time": time, "lifecycle_journal": place.journal_id, "lifecycle_number": number}
                self._update(event.run_id, _MOVED, row, "lifecycle")
            case ExperimentDescribed(name, told_facts):
                experiment = encode(name)
                found = [(experiment, encode(key), json.dumps(fact), journal) for key, fact in told_facts.items()]
                rows["experiments"].append((experiment,))
                rows["experiment_facts"] += found

    def started(self, file: int, place: JournalPlace, number: int, event: RunStarted) -> None:
        """Take in the start of a run."""
        row = {
            "name": encode(event.name),
            "experiment": encode(event.experiment),
            "experiment_id": experiment_id(event.experiment),
            "start_time": clamp(event.start_time),
            "parent_run_id": None if event.parent_run_id is None else encode(event.parent_run_id),
            "process_id": encode(event.process_id),
            "file": file,
            "started": 1,
            "start_journal": place.journal_id,
            "start_number": number,
            "status": RUNNING,
        }
        self._update(event.run_id, _STARTED, row, "start")

    def ended(self, place: JournalPlace, number: int, event: RunEnded) -> None:
        """Take in the end of a run."""
        row = {
            "status": encode(event.status),
            "end_time": None if event.status == RUNNING else clamp(event.end_time),
            "error": None if event.error is None else encode(event.error),
            "end_journal": place.journal_id,
            "end_number": number,
        }
        self._update(event.run_id, _ENDED, row, "end")

    def _write_tags(self, rows: Sequence[tuple[Bound, ...]]) -> None:
        """Write tags that were set and, without a value, taken away, in the order in which that came."""
        many = self._connection.executemany
        for is_removed, some in groupby(rows, lambda row: row[2] is None):
            if is_removed:
                keys = [(run, key, journal) for run, key, _, journal in some]
                many(_REMOVED, keys)
                many(_TAG_REMOVED, keys)
            else:
                many(_TAG, some)

    def _update(self, run_id: str, statement: str, row: dict[str, Any], what: str) -> None:
        run = self._runs.get(run_id) or self._find_run(run_id)
        if run.row is None:
            self._updates[statement].append({**row, "id": run.key})
            return
        journal, number = f"{what}_journal", f"{what}_number"
        if run.row[journal] is None or (run.row[journal], run.row[number]) <= (row[journal], row[number]):
            if what == "start" and run.row["end_journal"] is not None:
                row["status"] = run.row["status"]
            run.row.update(row)

    def _find_run(self, run_id: str) -> _Run:
        encoded = encode(run_id)
        found = self._connection.execute("SELECT id FROM runs WHERE run_id = ?", (encoded,)).fetchone()
        if found is not None:
            run = _Run(found[0], None)
        else:
            run = _Run(self._next_run, {"id": self._next_run, "run_id": encoded, **_NOTHING})
            self._next_run += 1
            self._new.append(run)
        self._runs[run_id] = run
        return run

    def _find_key(self, text: str) -> int:
        encoded = encode(text)
        found = self._connection.execute("SELECT id FROM keys WHERE key = ?", (encoded,)).fetchone()
        if found is None:
            number = self._connection.execute("INSERT INTO keys (key) VALUES (?)", (encoded,)).lastrowid or 0
        else:
            number = int(found[0])
        self._keys[text] = number
        return number

    def _find_journal(self, journal_id: str) -> JournalPlace:
        name = encode(journal_id)
        query = "SELECT id, last_number FROM journals WHERE journal_id = ?"
        found = self._connection.execute(query, (name,)).fetchone()
        if found is not None:
            return JournalPlace(found[0], journal_id, found[1])
        cursor = self._connection.execute("INSERT INTO journals (journal_id, last_number) VALUES (?, 0)", (name,))
        return JournalPlace(cursor.lastrowid or 0, journal_id, 0)

    def _settle(self, file: int, state: int, written: int) -> None:
        if state == DEAD:
            self._connection.execute(
                "UPDATE runs SET status = ?, end_time = max(start_time, ?) WHERE file = ? AND end_journal IS NULL",
                (KILLED, written, file),
            )
        else:
            self._connection.execute(
                "UPDATE runs SET status = ?, end_time = NULL WHERE file = ? AND end_journal IS NULL", (RUNNING, file)
            )


def _clamp_optional(number: int | None) -> int | None:
    return None if number is None else clamp(number)
