"""What `autotrack.stores.glances` asks, by one or two statements each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.stores.database import tables
from autotrack.stores.database.codes import digest, digests
from autotrack.stores.database.names import CHUNK, Names, among, chunked
from autotrack.stores.database.rows import Reader
from autotrack.stores.glances import Points, Standing

_RUNS: Final = tables.runs.c
_HAS_RUNS: Final = sa.exists().where(_RUNS.experiment == tables.experiments.c.id)
_STANDING: Final = sa.select(_RUNS.id, _RUNS.deleted_time).where(_RUNS.hash == sa.bindparam("hash"))


def standing(
    connection: Connection, names: Names, run_id: str, params: Collection[str], tags: Collection[str]
) -> Standing | None:
    """See `autotrack.stores.glances.standing`."""
    row = connection.execute(_STANDING, {"hash": digest(run_id)}).first()
    if row is None:
        return None
    return Standing(
        row.deleted_time is not None,
        _values(connection, names, tables.params, row.id, params) if params else {},
        _values(connection, names, tables.tags, row.id, tags) if tags else {},
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
    found: dict[str, str] = {}
    for chunk in chunked(numbers, CHUNK):
        query = sa.select(columns.key, columns.value).where(columns.run == run, among(connection, columns.key, chunk))
        found |= {numbers[number]: str(value) for number, value in connection.execute(query)}
    return found
