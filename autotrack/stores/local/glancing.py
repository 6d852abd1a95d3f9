"""What `autotrack.stores.glances` asks of the index, by one or two statements each."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from autotrack.entities import Run
from autotrack.stores.glances import Points
from autotrack.stores.local.sql import BROKEN, decode, encode

_CHUNK: Final = 500
_OUTLINE: Final = (
    "SELECT id, name, experiment, status, start_time, end_time, parent_run_id, process_id, error, "
    f"{BROKEN}, deleted_time FROM runs WHERE run_id = ?"
)
_KNOWN: Final = ("SELECT 1 FROM experiments WHERE name = ?", "SELECT 1 FROM runs WHERE experiment = ? LIMIT 1")
# From each name to the next one along the index, however many runs there are of it.
_NAMED: Final = (
    "WITH RECURSIVE named (reached) AS (SELECT min(experiment) FROM runs UNION ALL SELECT (SELECT min(experiment) "
    "FROM runs WHERE experiment > named.reached) FROM named WHERE named.reached IS NOT NULL) "
    "SELECT reached FROM named WHERE reached IS NOT NULL"
)


def outline(connection: sqlite3.Connection, run_id: str, params: Collection[str], tags: Collection[str]) -> Run | None:
    """See `autotrack.stores.glances.outline`."""
    row = connection.execute(_OUTLINE, (encode(run_id),)).fetchone()
    if row is None:
        return None
    key, name, experiment, status, start_time, end_time, parent, process, error, broken, deleted_time = row
    return Run(
        run_id=run_id,
        name=decode(name),
        experiment=decode(experiment),
        status=decode(status),
        start_time=start_time,
        end_time=end_time,
        parent_run_id=None if parent is None else decode(parent),
        process_id=decode(process),
        params=_values(connection, "params", key, params) if params else {},
        tags=_values(connection, "tags", key, tags) if tags else {},
        error=None if error is None else decode(error),
        broken=broken,
        deleted_time=deleted_time,
    )


def last_points(connection: sqlite3.Connection, run_ids: Sequence[str]) -> dict[str, Points]:
    """See `autotrack.stores.glances.last_points`."""
    found: dict[str, dict[str, tuple[int, int]]] = {run_id: {} for run_id in run_ids}
    names: dict[str | bytes, str] = {}
    for start in range(0, len(run_ids), _CHUNK):
        chunk = [encode(run_id) for run_id in run_ids[start : start + _CHUNK]]
        query = (
            "SELECT runs.run_id, keys.key, metrics.step, metrics.timestamp FROM runs "
            "JOIN metrics ON metrics.run = runs.id JOIN keys ON keys.id = metrics.key "
            f"WHERE runs.run_id IN ({', '.join('?' * len(chunk))})"
        )
        for run_id, key, step, timestamp in connection.execute(query, chunk):
            name = names.get(key)
            if name is None:
                name = names[key] = decode(key)
            found[decode(run_id)][name] = (step, timestamp)
    return dict(found)


def experiment_facts(connection: sqlite3.Connection, wanted: Collection[str] | None) -> dict[str, dict[str, Any]]:
    """See `autotrack.stores.glances.experiment_facts`."""
    if wanted is None:
        names = [name for query in (_NAMED, "SELECT name FROM experiments") for (name,) in connection.execute(query)]
        told = connection.execute("SELECT experiment, key, value FROM experiment_facts").fetchall()
    else:
        names, told = [], []
        for name in map(encode, wanted):
            if any(connection.execute(query, (name,)).fetchone() for query in _KNOWN):
                names.append(name)
                query = "SELECT experiment, key, value FROM experiment_facts WHERE experiment = ? ORDER BY key"
                told += connection.execute(query, (name,)).fetchall()
    found: dict[str, dict[str, Any]] = {decode(name): {} for name in names}
    for name, key, value in told:
        found[decode(name)][decode(key)] = json.loads(value)
    return found


def _values(connection: sqlite3.Connection, table: str, run: int, keys: Iterable[str]) -> dict[str, str]:
    wanted = [encode(key) for key in keys]
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        query = (
            f"SELECT keys.key, value FROM {table} JOIN keys ON keys.id = {table}.key "
            f"WHERE run = ? AND keys.key IN ({', '.join('?' * len(chunk))})"
        )
        found |= {decode(key): decode(value) for key, value in connection.execute(query, (run, *chunk))}
    return found
