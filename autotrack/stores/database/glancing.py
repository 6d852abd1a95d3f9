"""What `autotrack.stores.glances` asks, by one or two statements each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import Run
from autotrack.stores.database import tables
from autotrack.stores.database.codes import digest, digests
from autotrack.stores.database.names import CHUNK, Names, among, chunked
from autotrack.stores.database.rows import RUN_COLUMNS, Reader
from autotrack.stores.glances import Points
from autotrack.stores.state import NO_START

_RUNS: Final = tables.runs.c
_FEW: Final = 5
_HAS_RUNS: Final = sa.exists().where(_RUNS.experiment == tables.experiments.c.id)
_OUTLINE: Final = sa.select(*RUN_COLUMNS).where(_RUNS.hash == sa.bindparam("this"))


def outline(
    connection: Connection, reader: Reader, run_id: str, params: Collection[str], tags: Collection[str]
) -> Run | None:
    """See `autotrack.stores.glances.outline`."""
    row = connection.execute(_OUTLINE, {"this": digest(run_id)}).first()
    if row is None:
        return None
    return Run(
        run_id=run_id,
        name=row.name,
        experiment=reader.experiments.texts(connection, [row.experiment])(row.experiment),
        status=row.status,
        start_time=row.start_time,
        end_time=row.end_time,
        parent_run_id=row.parent_run_id,
        process_id=reader.names.texts(connection, [row.process])(row.process),
        params=_values(connection, reader.names, tables.params, row.id, params) if params else {},
        tags=_values(connection, reader.names, tables.tags, row.id, tags) if tags else {},
        error=row.error,
        broken=None if row.start_number else NO_START,
        deleted_time=row.deleted_time,
    )


def last_points(connection: Connection, names: Names, run_ids: Sequence[str]) -> dict[str, Points]:
    """See `autotrack.stores.glances.last_points`."""
    columns = tables.metrics.c
    found: dict[str, dict[str, tuple[int, int]]] = {run_id: {} for run_id in run_ids}
    for chunk in chunked(run_ids, CHUNK):
        hashes = digests(chunk)
        query = sa.select(_RUNS.id, _RUNS.hash).where(_RUNS.hash.in_(hashes))
        owners = {int(number): found[hashes[bytes(key)]] for number, key in connection.execute(query)}
        points = sa.select(columns.run, columns.key, columns.step, columns.timestamp)
        rows = connection.execute(points.where(among(connection, columns.run, owners))).all()
        key_of = names.texts(connection, {row[1] for row in rows})
        for run, key, step, timestamp in rows:
            owners[run][key_of(key)] = (step, timestamp)
    return dict(found)


def experiment_facts(
    connection: Connection, reader: Reader, wanted: Collection[str] | None
) -> dict[str, dict[str, Any]]:
    """See `autotrack.stores.glances.experiment_facts`."""
    columns, facts = tables.experiments.c, tables.experiment_facts.c
    if wanted is None:
        has_facts = sa.exists().where(facts.experiment == columns.id)
        ids = connection.execute(sa.select(columns.id).where(sa.or_(_HAS_RUNS, has_facts))).scalars().all()
        told = reader.experiment_facts(connection)
    else:
        ids = list(reader.experiments.ids(connection, list(wanted)).values())
        told = reader.experiment_facts(connection, ids)
        unknown = [number for number in ids if number not in told]
        if unknown:
            query = sa.select(columns.id).where(among(connection, columns.id, unknown), _HAS_RUNS)
            ids = [*told, *connection.execute(query).scalars()]
    name_of = reader.experiments.texts(connection, ids)
    return {name_of(number): told.get(number, {}) for number in ids}


def _values(connection: Connection, names: Names, table: sa.Table, run: int, keys: Iterable[str]) -> dict[str, str]:
    numbers = {number: key for key, number in names.ids(connection, list(keys)).items()}
    columns = table.c
    query = sa.select(columns.key, columns.value).where(columns.run == run)
    if len(numbers) <= _FEW:  # else the whole run is read, which costs less than to name so many
        query = query.where(columns.key.in_(numbers))
    return {numbers[number]: str(value) for number, value in connection.execute(query) if number in numbers}
