"""Rows as the nouns of `autotrack.entities`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import Artifact, Dataset, Experiment, LoggedModel, Metric, Note, Run, experiment_id
from autotrack.events import dataset_from_json
from autotrack.stores.database import tables
from autotrack.stores.database.codes import decode, digest
from autotrack.stores.database.names import CHUNK, Names, among, chunked
from autotrack.stores.state import NO_START

_RUNS: Final = tables.runs.c
RUN_COLUMNS: Final = (
    *(_RUNS.id, _RUNS.run_id, _RUNS.name, _RUNS.experiment, _RUNS.status, _RUNS.start_time, _RUNS.end_time),
    *(_RUNS.parent_run_id, _RUNS.process, _RUNS.error, _RUNS.deleted_time, _RUNS.start_number),
)


class Reader:
    """What reads runs from a database; ``names`` and ``experiments`` are shared with what writes."""

    def __init__(self, names: Names, experiments: Names) -> None:
        self.names: Final = names
        self.experiments: Final = experiments

    def runs(self, connection: Connection, ids: Sequence[int]) -> list[Run]:
        """The runs of these rows, in this order, everything about them fetched in bulk."""
        found: dict[int, Run] = {}
        for chunk in chunked(ids, CHUNK):
            self._read(connection, chunk, found)
        return [found[number] for number in ids]

    def run_number(self, connection: Connection, run_id: str) -> int | None:
        """The row of a run, ``None`` where there is none."""
        return connection.execute(sa.select(_RUNS.id).where(_RUNS.hash == digest(run_id))).scalar()

    def history(self, connection: Connection, run: int, key: str) -> list[Metric]:
        """Every point of a metric, by step, then time, then as they were logged."""
        name = self.names.ids(connection, [key]).get(key)
        points, journals = tables.points.c, tables.journals.c
        query = (
            sa.select(points.step, points.timestamp, journals.journal_id, points.number, points.position)
            .add_columns(points.sort)
            .join_from(tables.points, tables.journals, journals.id == points.journal)
            .where(points.run == run, points.key == name)
        )
        rows = sorted(connection.execute(query), key=lambda row: tuple(row[:5]))
        return [Metric(key, decode(row.sort), row.step, row.timestamp) for row in rows]

    def list_experiments(self, connection: Connection) -> list[Experiment]:
        """The experiments that have active runs or were described, by name."""
        # All that this asks for stands in an index of runs.
        counted = sa.select(_RUNS.experiment, sa.func.count()).where(_RUNS.deleted_time.is_(None))
        counts = {int(number): int(count) for number, count in connection.execute(counted.group_by(_RUNS.experiment))}
        facts = self.experiment_facts(connection)
        found = sorted({*counts, *facts})
        name_of = self.experiments.texts(connection, found)
        named = {name_of(number): number for number in found}
        return [
            Experiment(experiment_id(name), name, counts.get(number, 0), facts.get(number, {}))
            for name, number in sorted(named.items())
        ]

    def experiment_facts(self, connection: Connection, ids: Collection[int] | None = None) -> dict[int, dict[str, Any]]:
        """What was told of the experiments that were described, of all or of these."""
        columns = tables.experiment_facts.c
        query = sa.select(columns.experiment, columns.key, columns.value)
        if ids is not None:
            query = query.where(among(connection, columns.experiment, ids))
        rows = connection.execute(query).all()
        key_of = self.names.texts(connection, {row.key for row in rows if row.key})
        facts: dict[int, dict[str, Any]] = {}
        for experiment, key, value in rows:
            told = facts.setdefault(experiment, {})
            if key:
                told[key_of(key)] = json.loads(value)
        return {experiment: _sorted(told) for experiment, told in facts.items()}

    def logged_files(self, connection: Connection, run: int) -> list[Artifact]:
        """The artifacts that events name."""
        columns = tables.artifacts.c
        query = sa.select(columns.path, columns.size, columns.digest).where(columns.run == run)
        return [Artifact(path, size, checked) for path, size, checked in connection.execute(query)]

    def logged_models(self, connection: Connection, run: int) -> list[LoggedModel]:
        """The model folders that events name."""
        return [_model(row) for row in _logged(connection, tables.models, [run], *_MODEL)]

    def _read(self, connection: Connection, chunk: Sequence[int], found: dict[int, Run]) -> None:
        values = {
            table: connection.execute(sa.select(*columns).where(among(connection, columns[0], chunk))).all()
            for table, columns in _KEYED.items()
        }
        runs = connection.execute(sa.select(*RUN_COLUMNS).where(among(connection, _RUNS.id, chunk))).all()
        key_of = self.names.texts(connection, {row[1] for table in values.values() for row in table})
        params: dict[int, dict[str, str]] = {number: {} for number in chunk}
        tags: dict[int, dict[str, str]] = {number: {} for number in chunk}
        metrics: dict[int, dict[str, float]] = {number: {} for number in chunk}
        for run, key, value in values["params"]:
            params[run][key_of(key)] = value
        for run, key, value in values["tags"]:
            tags[run][key_of(key)] = value
        for run, key, number in values["metrics"]:
            metrics[run][key_of(key)] = decode(number)
        datasets: dict[int, list[Dataset]] = {number: [] for number in chunk}
        for row in _logged(connection, tables.datasets, chunk, tables.datasets.c.body):
            datasets[row.run].append(dataset_from_json(json.loads(row.body)))
        models: dict[int, list[LoggedModel]] = {number: [] for number in chunk}
        for row in _logged(connection, tables.models, chunk, *_MODEL):
            models[row.run].append(_model(row))
        notes: dict[int, list[Note]] = {number: [] for number in chunk}
        for row in _logged(connection, tables.notes, chunk, *_NOTE):
            notes[row.run].append(Note(row.kind, row.subject, row.message, row.times))
        experiment_of = self.experiments.texts(connection, {run.experiment for run in runs})
        processes = {run.process for run in runs}
        process_of = self.names.texts(connection, processes)
        facts = self._facts(connection, processes)
        for one in runs:
            found[one.id] = Run(
                run_id=one.run_id,
                name=one.name,
                experiment=experiment_of(one.experiment),
                status=one.status,
                start_time=one.start_time,
                end_time=one.end_time,
                parent_run_id=one.parent_run_id,
                process_id=process_of(one.process),
                params=_sorted(params[one.id]),
                metrics=_sorted(metrics[one.id]),
                tags=_sorted(tags[one.id]),
                datasets=tuple(datasets[one.id]),
                models=tuple(models[one.id]),
                notes=tuple(notes[one.id]),
                process=dict(facts[one.process]),
                error=one.error,
                broken=None if one.start_number else NO_START,
                deleted_time=one.deleted_time,
            )

    def _facts(self, connection: Connection, processes: Collection[int]) -> dict[int, dict[str, Any]]:
        facts: dict[int, dict[str, Any]] = {process: {} for process in processes}
        columns = tables.facts.c
        query = sa.select(columns.process, columns.key, columns.value).where(
            among(connection, columns.process, processes)
        )
        rows = connection.execute(query).all()
        key_of = self.names.texts(connection, {row.key for row in rows})
        for process, key, value in rows:
            facts[process][key_of(key)] = json.loads(value)
        return {process: _sorted(found) for process, found in facts.items()}


_KEYED: Final = {
    "params": (tables.params.c.run, tables.params.c.key, tables.params.c.value),
    "tags": (tables.tags.c.run, tables.tags.c.key, tables.tags.c.value),
    "metrics": (tables.metrics.c.run, tables.metrics.c.key, tables.metrics.c.sort),
}
_MODEL: Final = tuple(
    tables.models.c[name]
    for name in (
        *("path", "estimator_class", "serialization_format", "size", "registered_model_name", "digest"),
        *("model_id", "details"),
    )
)
# "count" is a method of a row.
_NOTE: Final = (
    tables.notes.c.kind,
    tables.notes.c.subject,
    tables.notes.c.message,
    tables.notes.c.count.label("times"),
)


def _logged(
    connection: Connection, table: sa.Table, runs: Sequence[int], *columns: sa.ColumnElement[Any]
) -> Iterator[sa.Row[Any]]:
    """Rows of a table in the order in which their events were logged."""
    query = (
        sa.select(tables.journals.c.journal_id, table.c.number, table.c.run, *columns)
        .join_from(table, tables.journals, tables.journals.c.id == table.c.journal)
        .where(among(connection, table.c.run, runs))
    )
    return iter(sorted(connection.execute(query), key=lambda row: tuple(row[:2])))


def _model(row: Any) -> LoggedModel:
    return LoggedModel(
        row.path,
        row.estimator_class,
        row.serialization_format,
        row.size,
        row.registered_model_name,
        row.digest,
        row.model_id or "",
        {} if row.details is None else json.loads(row.details),
    )


def _sorted(found: dict[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in sorted(found)} if len(found) > 1 else found
