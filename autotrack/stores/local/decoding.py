"""The lines of journals as rows, without the events between where a line is plain.

`autotrack.events.from_json` says what a line means. Nine lines in ten hold nothing that it has to think about: the keys
and the types that `autotrack.events.to_json` writes. For these, what it and `Batch.take` come to is worked out in one
step, which takes half the time; whatever looks different in any way goes through them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from autotrack.entities import DEFAULT_EXPERIMENT
from autotrack.events import RunEnded, RunStarted
from autotrack.stores.expressions import param_number
from autotrack.stores.local.sql import encode
from autotrack.stores.local.writing import Batch, JournalPlace

_MAX: Final = 2**62
_DATASET: Final = frozenset(("name", "context", "kind", "digest", "shape", "columns", "target"))
_dumps: Final = json.JSONEncoder(separators=(",", ":")).encode

Plain = Callable[[Batch, int, JournalPlace, int, dict[str, Any]], bool]


def take_plain(batch: Batch, file: int, place: JournalPlace, number: int, data: dict[str, Any]) -> bool:
    """Take in a line if it is plain; whether it was."""
    kind = data.get("type")
    plain = _PLAIN.get(kind) if type(kind) is str else None
    return plain is not None and type(data.get("run_id")) is str and plain(batch, file, place, number, data)


def _params(batch: Batch, file: int, place: JournalPlace, number: int, data: dict[str, Any]) -> bool:
    texts = data.get("params")
    if type(texts) is not dict or not _are_texts(texts.values()):
        return False
    run, journal, key = batch.run(data["run_id"]), place.key, batch.key
    batch.rows["params"] += [
        (run, key(name), text if text.isascii() else encode(text), param_number(text), journal)
        for name, text in texts.items()
    ]
    return True


def _tags(batch: Batch, file: int, place: JournalPlace, number: int, data: dict[str, Any]) -> bool:
    texts = data.get("tags")
    if type(texts) is not dict or not _are_texts(texts.values()):
        return False
    run, journal, key = batch.run(data["run_id"]), place.key, batch.key
    batch.rows["tags"] += [
        (run, key(name), text if text.isascii() else encode(text), journal) for name, text in texts.items()
    ]
    return True


def _metrics(batch: Batch, file: int, place: JournalPlace, number: int, data: dict[str, Any]) -> bool:
    metrics = data.get("metrics")
    if type(metrics) is not list:
        return False
    for metric in metrics:
        if type(metric) is not list or len(metric) != 4:
            return False
        name, value, step, time = metric
        if type(name) is not str or type(value) is not float or not _fits(step) or not _fits(time):
            return False
    run, journal, key = batch.run(data["run_id"]), place.key, batch.key
    for position, (name, value, step, time) in enumerate(metrics):
        batch.point(place, number, (run, key(name), value, step, time, journal), position)
    return True


def _dataset(batch: Batch, file: int, place: JournalPlace, number: int, data: dict[str, Any]) -> bool:
    dataset = data.get("dataset")
    if type(dataset) is not dict or dataset.keys() != _DATASET:
        return False
    texts = [dataset[name] for name in ("name", "context", "digest", "kind")]
    if not _are_texts(texts):
        return False
    shape, columns, target = dataset["shape"], dataset["columns"], dataset["target"]
    if type(shape) is not list or type(columns) is not list or type(target) is not dict:
        return False
    if not all(length is None or type(length) is int for length in shape):
        return False
    if not all(type(column) is dict for column in columns):
        return False
    body = _dumps(dataset)
    name, context, digest, _ = map(encode, texts)
    batch.rows["datasets"].append((batch.run(data["run_id"]), name, context, digest, body, number, place.key))
    return True


def _artifact(batch: Batch, file: int, place: JournalPlace, number: int, data: dict[str, Any]) -> bool:
    path, size, digest = data.get("path"), data.get("size"), data.get("digest")
    if type(path) is not str or type(digest) is not str or not (size is None or _fits(size)):
        return False
    row = (batch.run(data["run_id"]), encode(path), size, encode(digest), place.key)
    batch.rows["artifacts"].append(row)
    return True


def _started(batch: Batch, file: int, place: JournalPlace, number: int, data: dict[str, Any]) -> bool:
    name, time, parent = data.get("name"), data.get("start_time"), data.get("parent_run_id")
    experiment, process = data.get("experiment", DEFAULT_EXPERIMENT), data.get("process_id", "")
    if not _are_texts((name, experiment, process)) or type(time) is not int:
        return False
    if parent is not None and type(parent) is not str:
        return False
    batch.started(file, place, number, RunStarted(data["run_id"], str(name), time, experiment, parent, process))
    return True


def _ended(batch: Batch, file: int, place: JournalPlace, number: int, data: dict[str, Any]) -> bool:
    status, time, error = data.get("status"), data.get("end_time"), data.get("error")
    if type(status) is not str or type(time) is not int or not (error is None or type(error) is str):
        return False
    batch.ended(place, number, RunEnded(data["run_id"], status, time, error))
    return True


def _are_texts(values: Iterable[Any]) -> bool:
    for value in values:  # noqa: SIM110 - all() and a generator take twice as long
        if type(value) is not str:
            return False
    return True


def _fits(number: Any) -> bool:
    return type(number) is int and -_MAX < number < _MAX


_PLAIN: Final[dict[str, Plain]] = {
    "params_logged": _params,
    "tags_set": _tags,
    "metrics_logged": _metrics,
    "dataset_logged": _dataset,
    "artifact_logged": _artifact,
    "run_started": _started,
    "run_ended": _ended,
}
