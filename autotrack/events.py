"""What can happen to a run, and its JSON form: the one language that writers and readers share.

Rules for changing it: a new optional key is compatible, a new event type is compatible (older readers name it and go
on), anything else needs a new ``FORMAT_VERSION``. Non-finite metric values are written as the strings ``"NaN"``,
``"Infinity"`` and ``"-Infinity"``, because JSON has no numbers for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from autotrack.entities import DEFAULT_EXPERIMENT, LIFECYCLE_STAGES, Artifact, Dataset, LoggedModel, Metric, Note

FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins. ``start_time`` in milliseconds since the epoch; ``process_id`` names a `ProcessDescribed`."""

    type: ClassVar[str] = "run_started"
    run_id: str
    name: str
    start_time: int
    experiment: str = DEFAULT_EXPERIMENT
    parent_run_id: str | None = None
    process_id: str = ""


@dataclass(frozen=True, slots=True)
class ParamsLogged:
    """Params, as strings of any length. A later value of the same key replaces the earlier one."""

    type: ClassVar[str] = "params_logged"
    run_id: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MetricsLogged:
    """Points of metrics; a run keeps the whole history."""

    type: ClassVar[str] = "metrics_logged"
    run_id: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class TagsSet:
    """Tags, as strings. A later value of the same key replaces the earlier one."""

    type: ClassVar[str] = "tags_set"
    run_id: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TagsDeleted:
    """Tags are taken away. One that is set later is there again."""

    type: ClassVar[str] = "tags_deleted"
    run_id: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DatasetLogged:
    """The run saw this data. The same name and context again replaces the earlier entry."""

    type: ClassVar[str] = "dataset_logged"
    run_id: str
    dataset: Dataset


@dataclass(frozen=True, slots=True)
class ArtifactLogged:
    """A file now stands, complete, among the run's artifacts. The same path again replaces the earlier entry."""

    type: ClassVar[str] = "artifact_logged"
    run_id: str
    artifact: Artifact


@dataclass(frozen=True, slots=True)
class ModelLogged:
    """A model folder now stands, complete, among the run's artifacts (its files have no events of their own)."""

    type: ClassVar[str] = "model_logged"
    run_id: str
    model: LoggedModel


@dataclass(frozen=True, slots=True)
class NoteLogged:
    """A sentence about the run. The same kind, subject and message again replaces the earlier note."""

    type: ClassVar[str] = "note_logged"
    run_id: str
    note: Note


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run is over. ``error`` is the traceback or reason of one that did not finish.

    A later one with the status ``RUNNING`` says that the run goes on: it has no end time then.
    """

    type: ClassVar[str] = "run_ended"
    run_id: str
    status: str
    end_time: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LifecycleSet:
    """The run was deleted or restored: ``stage`` is ``"active"`` or ``"deleted"``, ``time`` in milliseconds."""

    type: ClassVar[str] = "lifecycle_set"
    run_id: str
    stage: str
    time: int


@dataclass(frozen=True, slots=True)
class ProcessDescribed:
    """Facts about the program that makes runs; told again, keys replace or join those told before."""

    type: ClassVar[str] = "process_described"
    process_id: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExperimentDescribed:
    """Facts about an experiment, whether it has runs or not; told again, keys replace or join those told before.

    ``experiment`` is the name that runs give, on which its id depends. Keys that are in use: ``shown_name`` (it was
    renamed), ``stage`` (``"active"`` or ``"deleted"``), ``created_time`` and ``updated_time`` (milliseconds since the
    epoch), and ``tag.KEY`` for each tag, ``None`` for one that was taken away.
    """

    type: ClassVar[str] = "experiment_described"
    experiment: str
    facts: Mapping[str, Any] = field(default_factory=dict)


Event = (
    RunStarted
    | ParamsLogged
    | MetricsLogged
    | TagsSet
    | TagsDeleted
    | DatasetLogged
    | ArtifactLogged
    | ModelLogged
    | NoteLogged
    | RunEnded
    | LifecycleSet
    | ProcessDescribed
    | ExperimentDescribed
)

RunEvent = (
    RunStarted
    | ParamsLogged
    | MetricsLogged
    | TagsSet
    | TagsDeleted
    | DatasetLogged
    | ArtifactLogged
    | ModelLogged
    | NoteLogged
    | RunEnded
    | LifecycleSet
)
"""An event of one run."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with its place: number ``number`` (from 1, without gaps) of the journal ``journal_id``.

    The place makes `Store.apply` idempotent: an entry applied before is passed over.
    """

    journal_id: str
    number: int
    event: Event


def number_to_json(value: float) -> float | str:
    """A float as JSON can carry it."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def number_from_json(value: float | str) -> float:
    """Undo `number_to_json`. Raises ``ValueError`` for any other text."""
    return float(value)


def to_json(event: Event) -> dict[str, Any]:
    """The event as a mapping of JSON types, with its ``type``."""
    data: dict[str, Any] = {"type": event.type}
    match event:
        case RunStarted():
            data |= {"run_id": event.run_id, "name": event.name, "start_time": event.start_time}
            data |= {"experiment": event.experiment, "process_id": event.process_id}
            if event.parent_run_id is not None:
                data["parent_run_id"] = event.parent_run_id
        case ParamsLogged():
            data |= {"run_id": event.run_id, "params": dict(event.params)}
        case MetricsLogged():
            points = [[m.key, number_to_json(m.value), m.step, m.timestamp] for m in event.metrics]
            data |= {"run_id": event.run_id, "metrics": points}
        case TagsSet():
            data |= {"run_id": event.run_id, "tags": dict(event.tags)}
        case TagsDeleted():
            data |= {"run_id": event.run_id, "keys": list(event.keys)}
        case DatasetLogged():
            data |= {"run_id": event.run_id, "dataset": dataset_to_json(event.dataset)}
        case ArtifactLogged():
            artifact = event.artifact
            data |= {"run_id": event.run_id, "path": artifact.path, "size": artifact.size, "digest": artifact.digest}
        case ModelLogged():
            model = event.model
            data |= {"run_id": event.run_id, "path": model.path, "estimator_class": model.estimator_class}
            data |= {"serialization_format": model.serialization_format, "size": model.size}
            if model.registered_model_name is not None:
                data["registered_model_name"] = model.registered_model_name
            if model.digest:
                data["digest"] = model.digest
            if model.model_id:
                data["model_id"] = model.model_id
            if model.details:
                data["details"] = dict(model.details)
        case NoteLogged():
            note = event.note
            data |= {"run_id": event.run_id, "kind": note.kind, "subject": note.subject, "message": note.message}
            if note.count != 1:
                data["count"] = note.count
        case RunEnded():
            data |= {"run_id": event.run_id, "status": event.status, "end_time": event.end_time}
            if event.error is not None:
                data["error"] = event.error
        case LifecycleSet():
            data |= {"run_id": event.run_id, "stage": event.stage, "time": event.time}
        case ProcessDescribed():
            data |= {"process_id": event.process_id, "facts": dict(event.facts)}
        case ExperimentDescribed():
            data |= {"experiment": event.experiment, "facts": dict(event.facts)}
    return data


def from_json(data: Mapping[str, Any]) -> Event:
    """Undo `to_json`.

    Raises
    ------
    ValueError
        For an unknown type, or a mapping that lacks what its type needs.
    """
    kind = data.get("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise ValueError(f"unknown event type {kind!r}")
    try:
        return reader(data)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"malformed {kind!r} event: {error!r}") from error


def dataset_to_json(dataset: Dataset) -> dict[str, Any]:
    """A dataset as a mapping of JSON types."""
    data = {
        "name": dataset.name,
        "context": dataset.context,
        "kind": dataset.kind,
        "digest": dataset.digest,
        "shape": list(dataset.shape),
        "columns": [dict(column) for column in dataset.columns],
        "target": dict(dataset.target),
    }
    if dataset.source:
        data["source"] = dict(dataset.source)
    return data


def dataset_from_json(data: Mapping[str, Any]) -> Dataset:
    """Undo `dataset_to_json`."""
    return Dataset(
        name=_text(data["name"]),
        context=_text(data["context"]),
        kind=_text(data["kind"]),
        digest=_text(data["digest"]),
        shape=tuple(None if n is None else int(n) for n in data.get("shape", ())),
        columns=tuple(_mapping(column) for column in data.get("columns", ())),
        target=_mapping(data.get("target", {})),
        source=_mapping(data.get("source", {})),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, found {type(value).__name__}")
    return value


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value)


def _mapping(value: Any) -> dict[str, Any]:
    """A JSON object, and no list of pairs, of which ``dict`` would also make something."""
    return {_text(key): item for key, item in value.items()}


def _texts(value: Any) -> dict[str, str]:
    return {_text(key): _text(text) for key, text in value.items()}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {type(value).__name__}")
    return value


def _run_started(data: Mapping[str, Any]) -> Event:
    return RunStarted(
        run_id=_text(data["run_id"]),
        name=_text(data["name"]),
        start_time=int(data["start_time"]),
        experiment=_text(data.get("experiment", DEFAULT_EXPERIMENT)),
        parent_run_id=_optional_text(data.get("parent_run_id")),
        process_id=_text(data.get("process_id", "")),
    )


def _metrics_logged(data: Mapping[str, Any]) -> Event:
    points = tuple(
        Metric(_text(key), number_from_json(value), int(step), int(timestamp))
        for key, value, step, timestamp in data["metrics"]
    )
    return MetricsLogged(_text(data["run_id"]), points)


def _artifact_logged(data: Mapping[str, Any]) -> Event:
    artifact = Artifact(_text(data["path"]), _optional_int(data.get("size")), _text(data.get("digest", "")))
    return ArtifactLogged(_text(data["run_id"]), artifact)


def _model_logged(data: Mapping[str, Any]) -> Event:
    model = LoggedModel(
        path=_text(data["path"]),
        estimator_class=_text(data.get("estimator_class", "")),
        serialization_format=_text(data.get("serialization_format", "")),
        size=_optional_int(data.get("size")),
        registered_model_name=_optional_text(data.get("registered_model_name")),
        digest=_text(data.get("digest", "")),
        model_id=_text(data.get("model_id", "")),
        details=_mapping(data.get("details", {})),
    )
    return ModelLogged(_text(data["run_id"]), model)


def _note_logged(data: Mapping[str, Any]) -> Event:
    note = Note(_text(data["kind"]), _text(data["subject"]), _text(data["message"]), int(data.get("count", 1)))
    return NoteLogged(_text(data["run_id"]), note)


def _run_ended(data: Mapping[str, Any]) -> Event:
    return RunEnded(
        _text(data["run_id"]), _text(data["status"]), int(data["end_time"]), _optional_text(data.get("error"))
    )


def _lifecycle_set(data: Mapping[str, Any]) -> Event:
    stage = _text(data["stage"])
    if stage not in LIFECYCLE_STAGES:
        raise ValueError(f"a lifecycle stage is one of {', '.join(LIFECYCLE_STAGES)}, not {stage!r}")
    return LifecycleSet(_text(data["run_id"]), stage, int(data["time"]))


_READERS: dict[str, Callable[[Mapping[str, Any]], Event]] = {
    "run_started": _run_started,
    "params_logged": lambda data: ParamsLogged(_text(data["run_id"]), _texts(data["params"])),
    "metrics_logged": _metrics_logged,
    "tags_set": lambda data: TagsSet(_text(data["run_id"]), _texts(data["tags"])),
    "tags_deleted": lambda data: TagsDeleted(_text(data["run_id"]), tuple(_text(key) for key in _list(data["keys"]))),
    "dataset_logged": lambda data: DatasetLogged(_text(data["run_id"]), dataset_from_json(data["dataset"])),
    "artifact_logged": _artifact_logged,
    "model_logged": _model_logged,
    "note_logged": _note_logged,
    "run_ended": _run_ended,
    "lifecycle_set": _lifecycle_set,
    "process_described": lambda data: ProcessDescribed(_text(data["process_id"]), _mapping(data["facts"])),
    "experiment_described": lambda data: ExperimentDescribed(_text(data["experiment"]), _mapping(data["facts"])),
}
