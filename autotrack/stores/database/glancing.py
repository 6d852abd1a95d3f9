"""What `autotrack.stores.glances` asks, by one or two statements each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import Run
from autotrack.stores.database import tables
from autotrack.stores.database.codes import digest
from autotrack.stores.database.listing import Listing
from autotrack.stores.database.names import Names, among
from autotrack.stores.database.rows import PARAMS, RUN_COLUMNS, TAGS, Reader
from autotrack.stores.state import NO_START

_RUNS: Final = tables.runs.c
_FEW: Final = 5
_HAS_RUNS: Final = sa.exists().where(_RUNS.experiment == tables.experiments.c.id)
_OUTLINE: Final = Listing(*RUN_COLUMNS, by=_RUNS.hash)


def outline(
    connection: Connection, reader: Reader, run_id: str, params: Collection[str], tags: Collection[str]
) -> Run | None:
    """See `autotrack.stores.glances.outline`."""
    rows = _OUTLINE.rows(connection, [digest(run_id)])
    if not rows:
        return None
    [(row, _, name, experiment, status, start, end, parent, process, error, deleted, started)] = rows
    return Run(
        run_id=run_id,
        name=name,
        experiment=reader.experiments.texts(connection, [experiment])(experiment),
        status=status,
        start_time=start,
        end_time=end,
        parent_run_id=parent,
        process_id=reader.names.texts(connection, [process])(process),
        params=_values(connection, reader.names, tables.params, row, params) if params else {},
        tags=_values(connection, reader.names, tables.tags, row, tags) if tags else {},
        error=error,
        broken=None if started else NO_START,
        deleted_time=deleted,
    )


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
    if not numbers:
        return {}
    rows: Iterable[Sequence[Any]]
    if len(numbers) <= _FEW:
        key = table.c.key
        query = sa.select(table.c.run, key, table.c.value).where(table.c.run == run, among(connection, key, numbers))
        rows = connection.execute(query)
    else:  # the whole run is read, which costs less than to name so many
        rows = _WHOLE[table].rows(connection, [run])
    return {numbers[key]: str(value) for _, key, value in rows if key in numbers}


_WHOLE: Final = {tables.params: PARAMS, tables.tags: TAGS}
