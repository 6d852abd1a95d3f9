"""Folded entries as rows."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from autotrack.entities import ACTIVE, BROKEN, DEFAULT_EXPERIMENT, RUNNING
from autotrack.events import dataset_to_json
from autotrack.stores.database import tables
from autotrack.stores.database.codes import code, code_of_param, digest, escape, head, shown
from autotrack.stores.database.inserting import Row
from autotrack.stores.state import GONE, Latest, Place, RunState, State, clamp

NOT_STARTED: Final = -(2**63)
"""The age of a run whose start is not known."""


class Numbers(NamedTuple):
    """The numbers of names and of journals."""

    names: Mapping[str, int]
    journals: Mapping[str, int]


class Rows:
    """New rows of a table.

    Parameters
    ----------
    known : the runs or processes that may have rows already; the rows of others are only added.
    """

    def __init__(self, known: Container[int]) -> None:
        self.known: Final = known
        self.added: list[Row] = []
        self.rows: dict[Row, Row] = {}
        self.ranks: dict[Row, Any] = {}

    def take(self, row: Row, rank: Any) -> None:
        """Take one in: ``rank`` decides whether it replaces the one there is with the same first two columns."""
        if row[0] in self.known:
            key = row[:2]
            self.rows[key] = row
            self.ranks[key] = rank
        else:
            self.added.append(row)


def experiment(run: RunState) -> str:
    """The name of a run's experiment, as far as this batch knows."""
    return run.started[1].experiment if run.started is not None else DEFAULT_EXPERIMENT


def head_of(text: str | None) -> str | None:
    """What of a text stands in an index."""
    return None if text is None else head(escape(text))


def run_row(
    run: RunState, row: Mapping[str, Any] | None, experiments: Mapping[str, int], names: Mapping[str, int]
) -> dict[str, Any]:
    """The columns of a run after these entries; empty where they do not change ``row``, the one that is there."""
    before = _FRESH | {"experiment": experiments.get(DEFAULT_EXPERIMENT), "process": names.get("")}
    if row is not None:
        before = {name: row[name] for name in _FRESH | {"experiment": 0, "process": 0}}
    after = dict(before)
    if run.started is not None and _is_later(run.started[0], before, "start"):
        place, start = run.started
        time = clamp(start.start_time)
        after |= {
            "name": start.name,
            "name_head": head_of(start.name),
            "experiment": experiments[start.experiment],
            "start_time": time,
            "age": time,
            "parent_run_id": start.parent_run_id,
            "parent_head": head_of(start.parent_run_id),
            "process": names[start.process_id],
            "start_journal": place.journal_id,
            "start_number": place.number,
        }
    if run.ended is not None and _is_later(run.ended[0], before, "end"):
        place, end = run.ended
        time_of_end = None if end.status == RUNNING else clamp(end.end_time)
        after |= {"status": end.status, "end_time": time_of_end, "error": end.error}
        after |= {"end_journal": place.journal_id, "end_number": place.number}
    if run.lifecycle is not None and _is_later(run.lifecycle[0], before, "lifecycle"):
        place, lifecycle = run.lifecycle
        after["deleted_time"] = None if lifecycle.stage == ACTIVE else clamp(lifecycle.time)
        after |= {"lifecycle_journal": place.journal_id, "lifecycle_number": place.number}
    if not after["end_number"]:
        after["status"] = RUNNING if after["start_number"] else BROKEN
    is_over = after["start_time"] is not None and after["end_time"] is not None
    after["duration"] = code((after["end_time"] - after["start_time"]) / 1000) if is_over else None
    return after if row is None or after != before else {}


_FRESH: Final[dict[str, Any]] = {
    "name": "",
    "name_head": "",
    "status": BROKEN,
    "start_time": None,
    "end_time": None,
    "duration": None,
    "parent_run_id": None,
    "parent_head": None,
    "error": None,
    "deleted_time": None,
    "age": NOT_STARTED,
    **{
        f"{kind}_{name}": empty
        for kind in ("start", "end", "lifecycle")
        for name, empty in (("journal", ""), ("number", 0))
    },
}


def _is_later(place: Place, row: Mapping[str, Any], kind: str) -> bool:
    number = row[f"{kind}_number"]
    return not number or tuple(place) >= (row[f"{kind}_journal"], number)


def named_rows(
    state: State, ids: Mapping[str, int], numbers: Numbers, known: Container[int]
) -> list[dict[sa.Table, Rows]]:
    """What of runs is kept by names; ``known`` are the runs that were there before.

    Tags and those that were taken away stand together: a key is in one of the two.
    """
    params, metrics, points, tags, removed = (Rows(known) for _ in range(5))
    names, journals = numbers
    for run_id, run in state.runs.items():
        number = ids[run_id]
        for key, (place, text) in run.params.items():
            params.take((number, names[key], *_param(text), journals[place.journal_id]), place.journal_id)
        for key, found in run.points.items():
            name = names[key]
            greatest = found[0] if len(found) == 1 else max(found, key=_place)
            for point in found:
                (step, timestamp, place, position), metric = point
                journal, sort, value = journals[place.journal_id], code(metric.value), shown(metric.value)
                points.added.append((number, name, step, timestamp, journal, place.number, position, value, sort))
                if point is greatest:
                    row = (number, name, value, sort, step, timestamp, journal)
                    metrics.take(row, (step, timestamp, place.journal_id))
        for key, (place, tag) in run.tags.items():
            journal = journals[place.journal_id]
            if tag is GONE:
                removed.take((number, names[key], journal), place.journal_id)
            else:
                stored = escape(tag)
                tags.take((number, names[key], stored, head(stored), journal), place.journal_id)
    return [
        {tables.params: params},
        {tables.metrics: metrics},
        {tables.points: points},
        {tables.tags: tags, tables.removed_tags: removed},
    ]


def hashed_rows(
    state: State, ids: Mapping[str, int], numbers: Numbers, known: Container[int]
) -> Iterator[dict[sa.Table, Rows]]:
    """What of runs is kept by digests of more than a name; see `named_rows`."""
    journals = numbers.journals
    for table, attribute, columns, more in _HASHED:
        rows = Rows(known)
        for run_id, run in state.runs.items():
            latest: Latest = getattr(run, attribute)
            for key, (place, value) in latest.items():
                hashed = digest(*key) if isinstance(key, tuple) else digest(key)
                where = journals[place.journal_id], place.number
                row = (ids[run_id], hashed, *columns(value), *where, *more(value))
                rows.take(row, place.journal_id)
        yield {table: rows}


def _place(point: tuple[Any, Any]) -> Any:
    return point[0]


def _param(value: str) -> Row:
    text = escape(value)
    return text, head(text), code_of_param(value)


def _dataset(data: Any) -> Row:
    body = json.dumps(dataset_to_json(data))
    return escape(data.name), escape(data.context), escape(data.digest), body


def _artifact(artifact: Any) -> Row:
    return escape(artifact.path), _size(artifact.size), escape(artifact.digest)


def _model(model: Any) -> Row:
    registered = None if model.registered_model_name is None else escape(model.registered_model_name)
    texts = escape(model.path), escape(model.estimator_class), escape(model.serialization_format)
    return *texts, _size(model.size), registered, escape(model.digest)


def _more_of_model(model: Any) -> Row:
    details = json.dumps(dict(model.details)) if model.details else None
    return escape(model.model_id) or None, details


def _nothing(_: Any) -> Row:
    return ()


def _note(note: Any) -> Row:
    return escape(note.kind), escape(note.subject), escape(note.message), note.count


def _size(size: int | None) -> int | None:
    return None if size is None else clamp(size)


_HASHED: Final = (
    (tables.datasets, "datasets", _dataset, _nothing),
    (tables.artifacts, "artifacts", _artifact, _nothing),
    (tables.models, "models", _model, _more_of_model),
    (tables.notes, "notes", _note, _nothing),
)
