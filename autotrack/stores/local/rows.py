"""The rows of an index as the nouns of `autotrack.entities`."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from autotrack.entities import Artifact, Dataset, Experiment, LoggedModel, Metric, Note, Run, experiment_id
from autotrack.events import dataset_from_json
from autotrack.stores.local.sql import BROKEN, KEY, NEWEST_FIRST, Bound, decode, encode

T = TypeVar("T")

_CHUNK: Final = 500
_RUN: Final = (
    "SELECT id, run_id, name, experiment, status, start_time, end_time, parent_run_id, process_id, error, "
    f"{BROKEN}, deleted_time FROM runs"
)


_MODEL: Final = "path, estimator_class, serialization_format, size, registered_model_name, digest, model_id, details"


def search(
    connection: sqlite3.Connection, condition: str, bound: Sequence[Bound], order: str = NEWEST_FIRST, limit: int = -1
) -> list[Run]:
    """The runs for which a condition holds."""
    query = f"SELECT id FROM runs WHERE {condition} ORDER BY {order} LIMIT ?"
    return runs(connection, [int(row[0]) for row in connection.execute(query, (*bound, limit))])


def runs(connection: sqlite3.Connection, keys: Sequence[int]) -> list[Run]:
    """The runs of these rows, in this order, everything about them fetched in bulk."""
    names = _Names(connection)
    facts: dict[str | bytes, dict[str, Any]] = {}
    found: dict[int, Run] = {}
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        params = _texts(connection, "params", chunk, names)
        tags = _texts(connection, "tags", chunk, names)
        metrics: dict[int, dict[str, float]] = {key: {} for key in chunk}
        for run, name, value in _of(connection, "SELECT run, key, value FROM metrics", chunk):
            metrics[run][names[name]] = math.nan if value is None else value
        datasets: dict[int, list[Dataset]] = {key: [] for key in chunk}
        for run, body in _logged(connection, "datasets", "body", chunk):
            datasets[run].append(dataset_from_json(json.loads(body)))
        models: dict[int, list[LoggedModel]] = {key: [] for key in chunk}
        for run, *model in _logged(connection, "models", _MODEL, chunk):
            models[run].append(_model(*model))
        notes: dict[int, list[Note]] = {key: [] for key in chunk}
        for run, kind, subject, message, count in _logged(connection, "notes", "kind, subject, message, count", chunk):
            notes[run].append(Note(decode(kind), decode(subject), decode(message), count))
        for key, run_id, name, experiment, status, start_time, end_time, parent, process, error, broken, deleted in _of(
            connection, _RUN, chunk, "id"
        ):
            if process not in facts:
                facts[process] = _facts(connection, process)
            found[key] = Run(
                run_id=decode(run_id),
                name=decode(name),
                experiment=decode(experiment),
                status=decode(status),
                start_time=start_time,
                end_time=end_time,
                parent_run_id=None if parent is None else decode(parent),
                process_id=decode(process),
                params=_sorted(params[key]),
                metrics=_sorted(metrics[key]),
                tags=_sorted(tags[key]),
                datasets=tuple(datasets[key]),
                models=tuple(models[key]),
                notes=tuple(notes[key]),
                process=dict(facts[process]),
                error=None if error is None else decode(error),
                broken=broken,
                deleted_time=deleted,
            )
    return [found[key] for key in keys]


def history(connection: sqlite3.Connection, run: int, key: str) -> list[Metric]:
    """Every point of a metric, by step, then time, then as they were logged."""
    query = (
        "SELECT value, step, timestamp FROM points JOIN journals ON journals.id = points.journal "
        f"WHERE run = ? AND key = {KEY} ORDER BY step, timestamp, journals.journal_id, number, position"
    )
    return [
        Metric(key, _number(value), step, timestamp)
        for value, step, timestamp in connection.execute(query, (run, encode(key)))
    ]


def histories(connection: sqlite3.Connection, run: int) -> dict[str, list[Metric]]:
    """Every point of every metric, by key, each as `history` has them."""
    query = (
        "SELECT keys.key, value, step, timestamp FROM points JOIN keys ON keys.id = points.key "
        "JOIN journals ON journals.id = points.journal "
        "WHERE run = ? ORDER BY points.key, step, timestamp, journals.journal_id, number, position"
    )
    found: dict[str, list[Metric]] = {}
    for stored, value, step, timestamp in connection.execute(query, (run,)):
        key = decode(stored)
        found.setdefault(key, []).append(Metric(key, _number(value), step, timestamp))
    return found


def experiments(connection: sqlite3.Connection) -> list[Experiment]:
    """The experiments that have active runs or were described, by name."""
    # All that this asks for stands in an index of runs.
    query = "SELECT experiment, count(*) FROM runs WHERE deleted_time IS NULL GROUP BY experiment"
    counts = {decode(name): int(count) for name, count in connection.execute(query)}
    facts = described(connection)
    return [
        Experiment(experiment_id(name), name, counts.get(name, 0), facts.get(name, {}))
        for name in sorted({*counts, *facts})
    ]


def described(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """The facts of the experiments that were described, by name."""
    names = sorted(decode(name) for (name,) in connection.execute("SELECT name FROM experiments"))
    facts: dict[str, dict[str, Any]] = {name: {} for name in names}
    for name, key, value in connection.execute("SELECT experiment, key, value FROM experiment_facts"):
        facts[decode(name)][decode(key)] = json.loads(value)
    return {name: _sorted(told) for name, told in facts.items()}


def logged_artifacts(connection: sqlite3.Connection, run: int) -> list[Artifact]:
    """The artifacts and model folders that events name."""
    files = connection.execute("SELECT path, size, digest FROM artifacts WHERE run = ?", (run,))
    found = [Artifact(decode(path), size, decode(digest)) for path, size, digest in files]
    folders = connection.execute("SELECT path FROM models WHERE run = ?", (run,))
    return found + [Artifact(decode(path), is_dir=True) for (path,) in folders]


class _Names(dict[int, str]):
    """The names that keys stand for, looked up as they are met."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, key: int) -> str:
        (text,) = self._connection.execute("SELECT key FROM keys WHERE id = ?", (key,)).fetchone()
        self[key] = decode(text)
        return self[key]


def _texts(
    connection: sqlite3.Connection, table: str, chunk: Sequence[int], names: Mapping[int, str]
) -> dict[int, dict[str, str]]:
    texts: dict[int, dict[str, str]] = {key: {} for key in chunk}
    for run, key, value in _of(connection, f"SELECT run, key, value FROM {table}", chunk):
        texts[run][names[key]] = value if type(value) is str else decode(value)
    return texts


def _logged(connection: sqlite3.Connection, table: str, columns: str, chunk: Sequence[int]) -> Iterator[Any]:
    """Rows of a table in the order in which their events were logged."""
    query = f"SELECT run, {columns} FROM {table} JOIN journals ON journals.id = {table}.journal"
    return _of(connection, query, chunk, order=" ORDER BY journals.journal_id, number")


def _of(
    connection: sqlite3.Connection, query: str, chunk: Sequence[int], column: str = "run", order: str = ""
) -> Iterator[Any]:
    places = ", ".join("?" * len(chunk))
    return iter(connection.execute(f"{query} WHERE {column} IN ({places}){order}", chunk))


def _model(
    path: Any, cls: Any, form: Any, size: int | None, registered: Any, digest: Any, model_id: Any, details: str | None
) -> LoggedModel:
    return LoggedModel(
        decode(path),
        decode(cls),
        decode(form),
        size,
        None if registered is None else decode(registered),
        decode(digest),
        decode(model_id),
        {} if details is None else json.loads(details),
    )


def _facts(connection: sqlite3.Connection, process: str | bytes) -> dict[str, Any]:
    rows: Iterable[Any] = connection.execute("SELECT key, value FROM facts WHERE process_id = ?", (process,))
    return {decode(key): json.loads(value) for key, value in rows}


def _sorted(values: dict[str, T]) -> dict[str, T]:
    return {key: values[key] for key in sorted(values)}


def _number(value: float | None) -> float:
    return math.nan if value is None else value
