"""Folded entries as rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from autotrack.entities import ACTIVE, BROKEN, DEFAULT_EXPERIMENT, RUNNING
from autotrack.events import dataset_to_json
from autotrack.stores.database import tables
from autotrack.stores.database.codes import TEXT, code, digest, escape, head, shown
from autotrack.stores.database.inserting import Row
from autotrack.stores.expressions import param_number
from autotrack.stores.state import Latest, Place, RunState, State, clamp

NOT_STARTED: Final = -(2**63)
"""The age of a run whose start is not known."""


class Numbers(NamedTuple):
    """The numbers of names and of journals."""

    names: Mapping[str, int]
    journals: Mapping[str, int]


class Rows:
    """New rows by their keys, with what decides whether they replace those there are."""

    def __init__(self) -> None:
        self.rows: dict[Row, Row] = {}
        self.ranks: dict[Row, Any] = {}

    def add(self, key: Row, rank: Any, row: Row) -> None:
        """Take one in."""
        self.rows[key] = row
        self.ranks[key] = rank


def experiment(run: RunState) -> str:
    """The name of a run's experiment, as far as this batch knows."""
    return run.started[1].experiment if run.started is not None else DEFAULT_EXPERIMENT


def head_of(text: str | None) -> str | None:
    """What of a text stands in an index."""
    return None if text is None else head(escape(text))


def run_row(run: RunState, row: Any | None, experiments: Mapping[str, int], names: Mapping[str, int]) -> dict[str, Any]:
    """The columns of a run after these entries; empty where they do not change ``row``, the one that is there."""
    before = _FRESH | {"experiment": experiments.get(DEFAULT_EXPERIMENT), "process": names.get("")}
    if row is not None:
        before = {name: getattr(row, name) for name in _FRESH | {"experiment": 0, "process": 0}}
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
        after |= {"status": end.status, "end_time": clamp(end.end_time), "error": end.error}
        after |= {"end_journal": place.journal_id, "end_number": place.number}
    if run.lifecycle is not None and _is_later(run.lifecycle[0], before, "lifecycle"):
        place, lifecycle = run.lifecycle
        after["deleted_time"] = None if lifecycle.stage == ACTIVE else clamp(lifecycle.time)
        after |= {"lifecycle_journal": place.journal_id, "lifecycle_number": place.number}
    if not after["end_number"]:
        after["status"] = RUNNING if after["start_number"] else BROKEN
    if after["start_time"] is not None and after["end_time"] is not None:
        after["duration"] = code((after["end_time"] - after["start_time"]) / 1000)
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


def rows_of_runs(state: State, ids: Mapping[str, int], numbers: Numbers) -> Iterator[tuple[sa.Table, Rows | list[Row]]]:
    """What runs have, table by table: `Rows` where some may be there already, else a list."""
    params, tags, metrics, points = Rows(), Rows(), Rows(), list[Row]()
    for run_id, run in state.runs.items():
        number = ids[run_id]
        _texts(params, number, run.params, numbers, _param)
        _texts(tags, number, run.tags, numbers, _tag)
        for key, found in run.points.items():
            name = numbers.names[key]
            greatest = found[0] if len(found) == 1 else max(found, key=_place)
            for point in found:
                (step, timestamp, place, position), metric = point
                journal, sort, value = numbers.journals[place.journal_id], code(metric.value), shown(metric.value)
                points.append((number, name, step, timestamp, journal, place.number, position, value, sort))
                if point is greatest:
                    row = (number, name, value, sort, step, timestamp, journal)
                    metrics.add((number, name), (step, timestamp, place.journal_id), row)
    points.sort()
    yield tables.params, params
    yield tables.tags, tags
    yield tables.metrics, metrics
    yield tables.points, points
    for table, attribute, columns in _HASHED:
        rows = Rows()
        for run_id, run in state.runs.items():
            latest: Latest = getattr(run, attribute)
            for key, (place, value) in latest.items():
                hashed = digest(*key) if isinstance(key, tuple) else digest(key)
                row = (ids[run_id], hashed, *columns(value), numbers.journals[place.journal_id], place.number)
                rows.add((ids[run_id], hashed), place.journal_id, row)
        yield table, rows


def _place(point: tuple[Any, Any]) -> Any:
    return point[0]


def _texts(rows: Rows, run: int, latest: Latest, numbers: Numbers, columns: Any) -> None:
    names, journals = numbers
    for key, (place, value) in latest.items():
        name = names[key]
        rows.add((run, name), place.journal_id, (run, name, *columns(value), journals[place.journal_id]))


def _param(value: str) -> Row:
    text, number = escape(value), param_number(value)
    return text, head(text), TEXT if number is None else code(number)


def _tag(value: str) -> Row:
    text = escape(value)
    return text, head(text)


def _dataset(data: Any) -> Row:
    body = json.dumps(dataset_to_json(data))
    return escape(data.name), escape(data.context), escape(data.digest), body


def _artifact(artifact: Any) -> Row:
    return escape(artifact.path), _size(artifact.size), escape(artifact.digest)


def _model(model: Any) -> Row:
    registered = None if model.registered_model_name is None else escape(model.registered_model_name)
    texts = escape(model.path), escape(model.estimator_class), escape(model.serialization_format)
    return *texts, _size(model.size), registered, escape(model.digest)


def _note(note: Any) -> Row:
    return escape(note.kind), escape(note.subject), escape(note.message), note.count


def _size(size: int | None) -> int | None:
    return None if size is None else clamp(size)


_HASHED: Final = (
    (tables.datasets, "datasets", _dataset),
    (tables.artifacts, "artifacts", _artifact),
    (tables.models, "models", _model),
    (tables.notes, "notes", _note),
)
