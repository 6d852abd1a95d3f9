"""The nouns as JSON between a server of ours and its clients: nothing is lost on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Final, TypeVar

from autotrack import errors
from autotrack.entities import (
    Artifact,
    Experiment,
    LoggedModel,
    Metric,
    ModelVersion,
    Note,
    RegisteredModel,
    Run,
)
from autotrack.events import (
    Entry,
    dataset_from_json,
    dataset_to_json,
    from_json,
    number_from_json,
    number_to_json,
    to_json,
)

Json = dict[str, Any]
T = TypeVar("T")

ERRORS: Final = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.AutotrackError)
}
"""The errors that a client raises as the server did, by name."""


def entry_to_json(entry: Entry) -> list[Any]:
    """An entry with its place."""
    return [entry.journal_id, entry.number, to_json(entry.event)]


def entry_from_json(data: Any) -> Entry:
    """Undo `entry_to_json`.

    Raises
    ------
    ValueError
        When it is none.
    """
    if not isinstance(data, list) or len(data) != 3:
        raise ValueError("an entry is a list of a journal's id, a number and an event")
    journal, number, event = data
    if not isinstance(journal, str) or not journal or type(number) is not int or not isinstance(event, dict):
        raise ValueError("an entry is a list of a journal's id, a number and an event")
    return Entry(journal, number, from_json(event))


def run_to_json(run: Run) -> Json:
    """A run."""
    data: Json = {field.name: getattr(run, field.name) for field in fields(Run)}
    data["metrics"] = {key: number_to_json(value) for key, value in run.metrics.items()}
    data["datasets"] = [dataset_to_json(dataset) for dataset in run.datasets]
    data["models"] = [plain(model) for model in run.models]
    data["notes"] = [plain(note) for note in run.notes]
    return data


def run_from_json(data: Mapping[str, Any]) -> Run:
    """Undo `run_to_json`; what a newer server tells beside it is passed over."""
    told = _known(Run, data)
    told["metrics"] = {key: _number(value) for key, value in data["metrics"].items()}
    told["datasets"] = tuple(dataset_from_json(dataset) for dataset in data["datasets"])
    told["models"] = tuple(LoggedModel(**_known(LoggedModel, model)) for model in data["models"])
    told["notes"] = tuple(Note(**_known(Note, note)) for note in data["notes"])
    return Run(**told)


def points_to_json(points: Sequence[Metric]) -> list[list[Any]]:
    """The points of one metric, without its key."""
    return [[number_to_json(point.value), point.step, point.timestamp] for point in points]


def points_from_json(key: str, data: Sequence[Sequence[Any]]) -> list[Metric]:
    """Undo `points_to_json`."""
    return [Metric(key, number_from_json(value), step, timestamp) for value, step, timestamp in data]


def plain(noun: LoggedModel | Note | Artifact | Experiment | ModelVersion | RegisteredModel) -> Json:
    """A noun all of whose fields are JSON types."""
    return asdict(noun)


def artifact_from_json(data: Mapping[str, Any]) -> Artifact:
    """Undo `plain`."""
    return Artifact(**_known(Artifact, data))


def experiment_from_json(data: Mapping[str, Any]) -> Experiment:
    """Undo `plain`."""
    return Experiment(**_known(Experiment, data))


def version_from_json(data: Mapping[str, Any]) -> ModelVersion:
    """Undo `plain`."""
    told = _known(ModelVersion, data)
    return ModelVersion(**told | {"aliases": tuple(told["aliases"])})


def model_from_json(data: Mapping[str, Any]) -> RegisteredModel:
    """Undo `plain`."""
    return RegisteredModel(**_known(RegisteredModel, data))


def _number(value: float | str) -> float:
    number = number_from_json(value)
    return math.nan if math.isnan(number) else number  # one object, so that runs that are read twice are equal


def _known(kind: Any, data: Mapping[str, Any]) -> Json:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in data.items() if name in names}
