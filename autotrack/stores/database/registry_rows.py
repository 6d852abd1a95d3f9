"""The rows of registered models: locked, numbered, read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import ModelVersion, RegisteredModel
from autotrack.errors import ModelError
from autotrack.stores.database import tables
from autotrack.stores.database.codes import digest, digests, escape
from autotrack.stores.database.inserting import Row, escaped, insert, insert_new
from autotrack.stores.database.names import CHUNK, chunked
from autotrack.stores.registry import checked_name

DELETED: Final = 0
THERE: Final = 1

MODELS: Final = tables.registered_models.c
VERSIONS: Final = tables.model_versions.c
TAGS: Final = tables.model_tags.c
ALIASES: Final = tables.model_aliases.c
_RUNS: Final = tables.runs.c
_LOGGED: Final = tables.models.c
_JOURNALS: Final = tables.journals.c


class Locked(NamedTuple):
    """The row of a name, held until the transaction ends: whoever changes anything about the name holds it."""

    id: int
    name: str
    last_version: int
    state: int


class Source(NamedTuple):
    """What a version points to; ``created`` is in milliseconds since the epoch, ``None`` for now."""

    run_id: str
    path: str
    digest: str
    created: int | None


def lock(connection: Connection, names: Iterable[str], *, make: bool) -> dict[str, Locked]:
    """Lock the rows of these names; with ``make`` also of those that are new."""
    hashes = digests(names)
    if make:
        columns = ("hash", "name", "last_version", "created", "description", "state")
        rows: list[Row] = [(key, escape(name), 0, _now(), "", DELETED) for key, name in hashes.items()]
        insert_new(connection, tables.registered_models, columns, rows)
    found: dict[str, Locked] = {}
    for chunk in chunked(hashes, CHUNK):
        query = sa.select(MODELS.id, MODELS.name, MODELS.last_version, MODELS.state).where(MODELS.hash.in_(chunk))
        for row in connection.execute(query.order_by(MODELS.hash).with_for_update()):
            found[row.name] = Locked(int(row.id), row.name, int(row.last_version), int(row.state))
    return found


def add_versions(
    connection: Connection, model: Locked, sources: Sequence[Source], *, description: str = "", logged: bool
) -> int:
    """Give the next numbers of a name to these; the number of the last one."""
    now, number = _now(), model.last_version
    rows: list[Row] = []
    for source in sources:
        number += 1
        key = digest(source.run_id, source.path) if logged else None
        head = (model.id, number, digest(source.run_id), source.run_id, source.path, source.digest)
        created = now if source.created is None else source.created
        rows.append(escaped(tables.model_versions, (*head, key, created, description, THERE)))
    insert(connection, tables.model_versions, rows)
    change: dict[str, Any] = {"last_version": number}
    if model.state == DELETED:
        change |= {"state": THERE, "created": rows[0][-3]}
    connection.execute(sa.update(tables.registered_models).where(MODELS.id == model.id).values(**change))
    return number


def show(connection: Connection, model: Locked, description: str, created: int | None = None, last: int = 0) -> None:
    """Let a registered model be there that is not; ``last`` is the greatest number that it has given, if greater."""
    values = {"state": THERE, "created": _now() if created is None else created, "description": description}
    values["last_version"] = max(last, model.last_version)
    connection.execute(sa.update(tables.registered_models).where(MODELS.id == model.id).values(**values))


def move(connection: Connection, model: Locked, other: Locked) -> None:
    """Let all that a registered model has be another one's, which is not there; numbers and aliases stay.

    The versions stay behind as deleted ones, so that what runs have logged does not come back.
    """
    versions = tables.model_versions
    # The other may have deleted versions of the same numbers, which nobody sees.
    lowest = sa.select(sa.func.min(VERSIONS.version)).where(VERSIONS.model == other.id)
    below = min(0, connection.execute(lowest).scalar() or 0)
    aside = sa.update(versions).where(VERSIONS.model == other.id, VERSIONS.version > 0)
    connection.execute(aside.values(version=below - VERSIONS.version))
    values = {
        "model": sa.literal(other.id, sa.BigInteger()),
        "logged": sa.cast(sa.null(), VERSIONS.logged.type),
    }
    columns = [values[column.name].label(column.name) if column.name in values else column for column in VERSIONS]
    there = sa.select(*columns).where(VERSIONS.model == model.id, VERSIONS.state == THERE)
    connection.execute(sa.insert(versions).from_select([column.name for column in VERSIONS], there))
    connection.execute(sa.update(versions).where(VERSIONS.model == model.id).values(state=DELETED, description=""))
    for table in (tables.model_tags, tables.model_aliases):
        connection.execute(sa.update(table).where(table.c.model == model.id).values(model=other.id))
    told = sa.select(MODELS.created, MODELS.description).where(MODELS.id == model.id)
    created, description = connection.execute(told).one()
    show(connection, other, description, int(created), model.last_version)
    gone = sa.update(tables.registered_models).where(MODELS.id == model.id)
    connection.execute(gone.values(state=DELETED, description=""))


def register_logged(connection: Connection, runs: Iterable[int]) -> None:
    """Make versions of the models that these runs (their rows, which are locked) have logged under a name.

    Each once, and when the run's start is known: one that was made before, deleted or not, is passed over. A name that
    no registered model can have is kept with the run and makes none.
    """
    found: dict[str, list[tuple[Any, Source]]] = {}
    for chunk in chunked(sorted(runs), CHUNK):
        query = (
            sa.select(_LOGGED.registered_model_name, _LOGGED.path, _LOGGED.digest, _LOGGED.number)
            .add_columns(_JOURNALS.journal_id, _RUNS.run_id, _RUNS.start_journal, _RUNS.start_number)
            .add_columns(_RUNS.start_time, _RUNS.end_time)
            .join_from(tables.models, tables.runs, _RUNS.id == _LOGGED.run)
            .join(tables.journals, _JOURNALS.id == _LOGGED.journal)
            .where(_LOGGED.run.in_(chunk), _LOGGED.registered_model_name.is_not(None), _RUNS.start_number != 0)
        )
        for row in connection.execute(query):
            try:
                name = checked_name(row.registered_model_name)
            except ModelError:
                continue
            start = (row.start_time, row.start_journal, row.start_number, row.run_id)
            created = row.start_time if row.end_time is None else row.end_time
            source = Source(row.run_id, row.path, row.digest, created)
            found.setdefault(name, []).append(((*start, row.journal_id, row.number), source))
    if not found:
        return
    for name, model in lock(connection, found, make=True).items():
        known = _known(connection, model.id, [source for _, source in found[name]])
        in_order = [source for _, source in sorted(found[name])]
        new = [source for source in in_order if digest(source.run_id, source.path) not in known]
        if new:
            add_versions(connection, model, new, logged=True)


def _known(connection: Connection, model: int, sources: Sequence[Source]) -> set[bytes]:
    found: set[bytes] = set()
    for chunk in chunked([digest(source.run_id, source.path) for source in sources], CHUNK):
        query = sa.select(VERSIONS.logged).where(VERSIONS.model == model, VERSIONS.logged.in_(chunk))
        found |= {bytes(key) for key in connection.execute(query).scalars()}
    return found


def unregistered(connection: Connection) -> list[int]:
    """The rows of runs of whose models not each has its version: a program of an older version wrote them."""
    query = (
        sa.select(_LOGGED.run, _RUNS.run_id, _LOGGED.path, _LOGGED.registered_model_name)
        .join_from(tables.models, tables.runs, _RUNS.id == _LOGGED.run)
        .where(_LOGGED.registered_model_name.is_not(None), _RUNS.start_number != 0)
    )
    made = sa.select(MODELS.hash, VERSIONS.logged).join_from(
        tables.model_versions, tables.registered_models, MODELS.id == VERSIONS.model
    )
    there = {(bytes(name), bytes(key)) for name, key in connection.execute(made.where(VERSIONS.logged.is_not(None)))}
    found: dict[int, None] = {}
    for row in connection.execute(query):
        try:
            name = digest(checked_name(row.registered_model_name))
        except ModelError:
            continue
        if (name, digest(row.run_id, row.path)) not in there:
            found[int(row.run)] = None
    return list(found)


def versions_of_runs(connection: Connection, run_ids: Iterable[str]) -> dict[str, tuple[str, int]]:
    """For each of these runs that a version names: the registered model, and the first such version."""
    found: dict[str, tuple[str, int]] = {}
    for chunk in chunked(digests(run_ids), CHUNK):
        query = (
            sa.select(VERSIONS.run_id, MODELS.name, VERSIONS.version)
            .join_from(tables.model_versions, tables.registered_models, MODELS.id == VERSIONS.model)
            .where(VERSIONS.run_hash.in_(chunk), VERSIONS.state == THERE)
        )
        for run_id, name, version in connection.execute(query):
            found[run_id] = min(found.get(run_id, (name, version)), (name, version))
    return found


def read_models(connection: Connection, name: str | None = None) -> list[RegisteredModel]:
    """The registered models that are there, or the one of a name."""
    query = sa.select(MODELS.id, MODELS.name, MODELS.created, MODELS.description).where(MODELS.state == THERE)
    if name is not None:
        query = query.where(MODELS.hash == digest(name))
    rows = connection.execute(query).all()
    only = MODELS.id if name is None else rows[0].id if rows else None
    tags = _tags(connection, only, 0)
    aliases: dict[int, dict[str, int]] = {}
    for model, alias, version in connection.execute(
        _of(sa.select(ALIASES.model, ALIASES.alias, ALIASES.version), ALIASES.model, only)
    ):
        aliases.setdefault(model, {})[alias] = int(version)
    latest = sa.select(VERSIONS.model, sa.func.max(VERSIONS.version)).where(VERSIONS.state == THERE)
    greatest = {
        model: int(number)
        for model, number in connection.execute(_of(latest.group_by(VERSIONS.model), VERSIONS.model, only))
    }
    found = [
        RegisteredModel(
            name=row.name,
            latest_version=greatest.get(row.id),
            created_time=int(row.created),
            description=row.description,
            tags=_sorted(tags.get((row.id, 0), {})),
            aliases=_sorted(aliases.get(row.id, {})),
        )
        for row in rows
    ]
    return sorted(found, key=lambda model: model.name)


def read_versions(connection: Connection, name: str, version: int | None = None) -> list[ModelVersion] | None:
    """The versions of a name that are there, or the one of a number; ``None`` where there is no registered model."""
    query = sa.select(MODELS.id).where(MODELS.hash == digest(name), MODELS.state == THERE)
    model = connection.execute(query).scalar()
    if model is None:
        return None
    chosen = sa.select(tables.model_versions).where(VERSIONS.model == model, VERSIONS.state == THERE)
    if version is not None:
        chosen = chosen.where(VERSIONS.version == version)
    rows = connection.execute(chosen.order_by(VERSIONS.version)).all()
    tags = _tags(connection, model, version)
    aliases: dict[int, list[str]] = {}
    for alias, number in connection.execute(sa.select(ALIASES.alias, ALIASES.version).where(ALIASES.model == model)):
        aliases.setdefault(int(number), []).append(alias)
    return [
        ModelVersion(
            name=name,
            version=int(row.version),
            run_id=row.run_id,
            path=row.path,
            digest=row.digest,
            created_time=int(row.created),
            description=row.description,
            tags=_sorted(tags.get((model, row.version), {})),
            aliases=tuple(sorted(aliases.get(row.version, ()))),
        )
        for row in rows
    ]


def set_tags(connection: Connection, model: int, version: int, tags: Mapping[str, str | None]) -> None:
    """Set tags of a version, or of the registered model where ``version`` is 0; ``None`` takes one away."""
    hashes = digests(tags)
    for chunk in chunked(hashes, CHUNK):
        connection.execute(
            sa.delete(tables.model_tags).where(TAGS.model == model, TAGS.version == version, TAGS.hash.in_(chunk))
        )
    rows = [
        (model, version, key, escape(name), escape(text))
        for key, name in hashes.items()
        if (text := tags[name]) is not None
    ]
    insert(connection, tables.model_tags, rows)


def _tags(connection: Connection, model: Any, version: int | None) -> dict[tuple[int, int], dict[str, str]]:
    query = _of(sa.select(TAGS.model, TAGS.version, TAGS.key, TAGS.value), TAGS.model, model)
    if version is not None:
        query = query.where(TAGS.version == version)
    found: dict[tuple[int, int], dict[str, str]] = {}
    for owner, number, key, value in connection.execute(query):
        found.setdefault((owner, number), {})[key] = value
    return found


def _of(query: Any, column: Any, model: Any) -> Any:
    """The query, for one model; as it is for every model (`MODELS.id`)."""
    return query if model is MODELS.id else query.where(column == model)


def _sorted(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in sorted(found)}


def _now() -> int:
    return int(time.time() * 1000)
