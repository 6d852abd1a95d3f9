"""Rows as the nouns of `autotrack.entities`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import Artifact, Dataset, Experiment, LoggedModel, Metric, Note, Run, experiment_id
from autotrack.events import dataset_from_json
from autotrack.stores.database import tables
from autotrack.stores.database.codes import decode, digest, digests
from autotrack.stores.database.listing import Listing, Logged
from autotrack.stores.database.names import CHUNK, Names, among, chunked
from autotrack.stores.glances import Points
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

    def runs(self, connection: Connection, ids: Sequence[int], points: dict[str, Points] | None = None) -> list[Run]:
        """The runs of these rows, in this order, everything about them fetched in bulk.

        Parameters
        ----------
        points : is told where their metrics stand, by the runs' ids.
        """
        found: dict[int, Run] = {}
        for chunk in chunked(ids, CHUNK):
            found |= self._read(connection, chunk, points)
        return [found[number] for number in ids]

    def last_points(self, connection: Connection, run_ids: Sequence[str]) -> dict[str, Points]:
        """See `autotrack.stores.glances.last_points`."""
        found: dict[str, dict[str, tuple[int, int]]] = {run_id: {} for run_id in run_ids}
        for chunk in chunked(run_ids, CHUNK):
            hashes = digests(chunk)
            query = sa.select(_RUNS.id, _RUNS.hash).where(_RUNS.hash.in_(hashes))
            owners = {int(number): found[hashes[bytes(key)]] for number, key in connection.execute(query)}
            for run, key, _, step, timestamp in self._keyed(connection, _METRICS, owners):
                owners[run][key] = (step, timestamp)
        return dict(found)

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
        return [_model(row) for _, row in _MODELS.rows(connection, [run])]

    def _read(self, connection: Connection, chunk: Sequence[int], points: dict[str, Points] | None) -> dict[int, Run]:
        rows = _RUN_ROWS.rows(connection, chunk)
        params: dict[int, dict[str, str]] = {number: {} for number in chunk}
        for run, key, value in self._keyed(connection, PARAMS, chunk):
            params[run][key] = value
        tags: dict[int, dict[str, str]] = {number: {} for number in chunk}
        for run, key, value in self._keyed(connection, TAGS, chunk):
            tags[run][key] = value
        metrics: dict[int, dict[str, float]] = {number: {} for number in chunk}
        last: dict[int, dict[str, tuple[int, int]]] = {number: {} for number in chunk}
        for run, key, value, step, timestamp in self._keyed(connection, _METRICS, chunk):
            metrics[run][key] = decode(value)
            last[run][key] = (step, timestamp)
        datasets: dict[int, list[Dataset]] = {number: [] for number in chunk}
        logged = _DATASETS.rows(connection, chunk)
        for (run, _), told in zip(logged, _loads(body for _, (body,) in logged)):
            datasets[run].append(dataset_from_json(told))
        models: dict[int, list[LoggedModel]] = {number: [] for number in chunk}
        for run, model in _MODELS.rows(connection, chunk):
            models[run].append(_model(model))
        notes: dict[int, list[Note]] = {number: [] for number in chunk}
        for run, note in _NOTES.rows(connection, chunk):
            notes[run].append(Note(*note))
        experiment_of = self.experiments.texts(connection, {row[3] for row in rows})
        process_of = self.names.texts(connection, {row[8] for row in rows})
        facts = self._facts(connection, {row[8] for row in rows})
        found: dict[int, Run] = {}
        for number, run_id, name, experiment, status, start, end, parent, process, error, deleted, started in rows:
            found[number] = Run(
                run_id=run_id,
                name=name,
                experiment=experiment_of(experiment),
                status=status,
                start_time=start,
                end_time=end,
                parent_run_id=parent,
                process_id=process_of(process),
                params=params[number],
                metrics=metrics[number],
                tags=tags[number],
                datasets=tuple(datasets[number]),
                models=tuple(models[number]),
                notes=tuple(notes[number]),
                process=dict(facts[process]),
                error=error,
                broken=None if started else NO_START,
                deleted_time=deleted,
            )
            if points is not None:
                points[run_id] = last[number]
        return found

    def _keyed(self, connection: Connection, listing: Listing, numbers: Collection[int]) -> Iterator[Sequence[Any]]:
        """Rows with names for the numbers that come second, in the order of these."""
        rows = listing.rows(connection, numbers)
        keys = {row[1] for row in rows}
        key_of = self.names.texts(connection, keys)
        names = {key: key_of(key) for key in keys}
        rank = {key: place for place, key in enumerate(sorted(keys, key=names.__getitem__))}
        return ((owner, names[key], *rest) for owner, key, *rest in sorted(rows, key=lambda row: rank[row[1]]))

    def _facts(self, connection: Connection, processes: Collection[int]) -> dict[int, dict[str, Any]]:
        facts: dict[int, dict[str, Any]] = {process: {} for process in processes}
        rows = list(self._keyed(connection, _FACTS, processes))
        for (process, key, _), fact in zip(rows, _loads(value for *_, value in rows)):
            facts[process][key] = fact
        return facts


_RUN_ROWS: Final = Listing(*RUN_COLUMNS)
PARAMS: Final = Listing(tables.params.c.run, tables.params.c.key, tables.params.c.value)
TAGS: Final = Listing(tables.tags.c.run, tables.tags.c.key, tables.tags.c.value)
_METRICS: Final = Listing(*(tables.metrics.c[name] for name in ("run", "key", "sort", "step", "timestamp")))
_FACTS: Final = Listing(tables.facts.c.process, tables.facts.c.key, tables.facts.c.value)
_DATASETS: Final = Logged(tables.datasets, tables.datasets.c.body)
_NOTES: Final = Logged(tables.notes, *(tables.notes.c[name] for name in ("kind", "subject", "message", "count")))
_MODELS: Final = Logged(
    tables.models,
    *(tables.models.c[name] for name in ("path", "estimator_class", "serialization_format", "size")),
    *(tables.models.c[name] for name in ("registered_model_name", "digest", "model_id", "details")),
)


def _loads(texts: Iterable[str]) -> list[Any]:
    """What these JSON texts say, each: read in one go, for there are many and they are short."""
    return cast(list[Any], json.loads(f"[{','.join(texts)}]"))


def _model(row: Sequence[Any]) -> LoggedModel:
    path, estimator, form, size, registered, checked, model_id, details = row
    told = {} if details is None else json.loads(details)
    return LoggedModel(path, estimator, form, size, registered, checked, model_id or "", told)


def _sorted(found: dict[str, Any]) -> dict[str, Any]:
    return {key: found[key] for key in sorted(found)} if len(found) > 1 else found
