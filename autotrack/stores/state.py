"""What entries make of a run: the meaning of events, in memory.

Every store comes to this state, by whatever means. A store that has no tables of its own folds entries with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from autotrack.entities import ACTIVE, BROKEN, DEFAULT_EXPERIMENT, RUNNING, Artifact, Metric, Note, Run
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    Entry,
    Event,
    ExperimentDescribed,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsDeleted,
    TagsSet,
)
from autotrack.stores.glances import Points

NO_START: Final = "its start is not recorded"
_MIN, _MAX = -(2**63), 2**63 - 1


class Place(NamedTuple):
    """Where an entry stands: of two values for one key, the one of the later journal and number stays."""

    journal_id: str
    number: int


GONE: Final = object()
"""In the place of a value that was taken away."""


class Latest(dict[Any, tuple[Place, Any]]):
    """A mapping that keeps for each key the value of the latest place."""

    def put(self, key: Any, place: Place, value: Any) -> None:
        """Keep a value unless there is one of a later place."""
        if key not in self or self[key][0] <= place:
            self[key] = (place, value)

    def put_all(self, place: Place, values: Mapping[Any, Any]) -> None:
        """`put` for each."""
        for key, value in values.items():
            self.put(key, place, value)

    def sorted_by_key(self) -> dict[Any, Any]:
        """The values by key, in the order of the keys."""
        return {key: self[key][1] for key in sorted(self) if self[key][1] is not GONE}

    def chosen(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """The values of those of the keys that are there."""
        return {key: self[key][1] for key in keys if key in self and self[key][1] is not GONE}

    def take_away(self, key: Any, place: Place) -> None:
        """Remove a key unless there is a value of a later place; one of an earlier place does not come back."""
        self.put(key, place, GONE)

    def in_order(self) -> tuple[Any, ...]:
        """The values in the order of their places."""
        return tuple(value for _, value in sorted(self.values(), key=lambda pair: pair[0]))


@dataclass
class RunState:
    """One run as its entries have made it so far."""

    run_id: str
    started: tuple[Place, RunStarted] | None = None
    ended: tuple[Place, RunEnded] | None = None
    lifecycle: tuple[Place, LifecycleSet] | None = None
    params: Latest = field(default_factory=Latest)
    tags: Latest = field(default_factory=Latest)
    datasets: Latest = field(default_factory=Latest)
    artifacts: Latest = field(default_factory=Latest)
    models: Latest = field(default_factory=Latest)
    notes: Latest = field(default_factory=Latest)
    points: dict[str, list[tuple[tuple[int, int, Place, int], Metric]]] = field(default_factory=dict)

    def fold(self, place: Place, event: Event) -> None:
        """Take in an event of this run."""
        match event:
            case RunStarted():
                self.started = _later(self.started, place, event)
            case RunEnded():
                self.ended = _later(self.ended, place, event)
            case LifecycleSet():
                self.lifecycle = _later(self.lifecycle, place, event)
            case ParamsLogged(_, texts):
                self.params.put_all(place, texts)
            case TagsSet(_, texts):
                self.tags.put_all(place, texts)
            case TagsDeleted(_, keys):
                for key in keys:
                    self.tags.take_away(key, place)
            case MetricsLogged(_, metrics):
                for position, metric in enumerate(metrics):
                    step, timestamp = clamp(metric.step), clamp(metric.timestamp)
                    is_plain = type(metric.value) is float and metric.value != 0
                    if not is_plain or step != metric.step or timestamp != metric.timestamp:
                        # There is one zero: SQLite has no negative one.
                        metric = Metric(metric.key, float(metric.value) + 0.0, step, timestamp)
                    self.points.setdefault(metric.key, []).append(((step, timestamp, place, position), metric))
            case DatasetLogged(_, dataset):
                self.datasets.put((dataset.name, dataset.context), place, dataset)
            case ArtifactLogged(_, artifact):
                self.artifacts.put(artifact.path, place, artifact)
            case ModelLogged(_, model):
                self.models.put(model.path, place, model)
            case NoteLogged(_, note):
                kept_note = Note(note.kind, note.subject, note.message, clamp(note.count))
                self.notes.put((note.kind, note.subject, note.message), place, kept_note)

    @property
    def process_id(self) -> str:
        """The process that started the run; empty where that is not known."""
        return self.started[1].process_id if self.started is not None else ""

    @property
    def age(self) -> tuple[bool, int, Place, str]:
        """Runs sorted by this, the greatest first, are sorted newest first."""
        if self.started is None:
            return (False, 0, Place("", 0), self.run_id)
        place, event = self.started
        return (True, clamp(event.start_time), place, self.run_id)

    def history(self, key: str) -> list[Metric]:
        """Every point of one metric, by step, then time, then place."""
        return [metric for _, metric in sorted(self.points.get(key, []), key=lambda point: point[0])]

    def last_points(self) -> Points:
        """See `autotrack.stores.glances.last_points`."""
        return {key: max(points, key=lambda point: point[0])[0][:2] for key, points in self.points.items()}

    def outline(self, params: Iterable[str], tags: Iterable[str]) -> Run:
        """See `autotrack.stores.glances.outline`."""
        bare = RunState(self.run_id, self.started, self.ended, self.lifecycle).run({})
        return replace(bare, params=self.params.chosen(params), tags=self.tags.chosen(tags))

    def logged(self) -> list[Artifact]:
        """The artifacts and model folders that events name."""
        folders = [Artifact(model.path, is_dir=True) for model in self.models.in_order()]
        return [*self.artifacts.in_order(), *folders]

    def run(self, facts: Mapping[str, Any]) -> Run:
        """The run, made by a process of which these facts are known."""
        start = self.started[1] if self.started is not None else None
        end = self.ended[1] if self.ended is not None else None
        lifecycle = self.lifecycle[1] if self.lifecycle is not None else None
        open_status = BROKEN if start is None else RUNNING
        return Run(
            run_id=self.run_id,
            name=start.name if start is not None else "",
            experiment=start.experiment if start is not None else DEFAULT_EXPERIMENT,
            status=end.status if end is not None else open_status,
            start_time=clamp(start.start_time) if start is not None else None,
            end_time=clamp(end.end_time) if end is not None and end.status != RUNNING else None,
            parent_run_id=start.parent_run_id if start is not None else None,
            process_id=self.process_id,
            params=self.params.sorted_by_key(),
            metrics={key: max(self.points[key], key=lambda point: point[0])[1].value for key in sorted(self.points)},
            tags=self.tags.sorted_by_key(),
            datasets=self.datasets.in_order(),
            models=self.models.in_order(),
            notes=self.notes.in_order(),
            process=dict(facts),
            error=end.error if end is not None else None,
            broken=NO_START if start is None else None,
            deleted_time=None if lifecycle is None or lifecycle.stage == ACTIVE else clamp(lifecycle.time),
        )


class State:
    """Runs and processes, folded from entries. Not thread-safe: the caller holds a lock."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}
        self.runs: dict[str, RunState] = {}
        self.facts: dict[str, Latest] = {}
        self.experiments: dict[str, Latest] = {}

    def apply(self, entries: Iterable[Entry]) -> None:
        """Take in entries, passing over those applied before."""
        for entry in entries:
            if entry.number > self.last.get(entry.journal_id, 0):
                self.last[entry.journal_id] = entry.number
                self.fold(Place(entry.journal_id, entry.number), entry.event)

    def fold(self, place: Place, event: Event) -> None:
        """Take in one event, whether it came before or not."""
        if isinstance(event, ProcessDescribed):
            self.facts.setdefault(event.process_id, Latest()).put_all(place, event.facts)
        elif isinstance(event, ExperimentDescribed):
            self.experiments.setdefault(event.experiment, Latest()).put_all(place, event.facts)
        else:
            run = self.runs.get(event.run_id)
            if run is None:
                run = self.runs[event.run_id] = RunState(event.run_id)
            run.fold(place, event)

    def run(self, state: RunState) -> Run:
        """The run of a state, with the facts of its process."""
        facts = self.facts.get(state.process_id)
        return state.run({} if facts is None else facts.sorted_by_key())

    def newest_first(self) -> list[RunState]:
        """The states of all runs."""
        return sorted(self.runs.values(), key=lambda state: state.age, reverse=True)


def clamp(number: int) -> int:
    """The nearest integer that fits into 64 bits."""
    number = int(number)
    return number if _MIN <= number <= _MAX else max(_MIN, min(number, _MAX))


def _later(kept: tuple[Place, Any] | None, place: Place, event: Any) -> tuple[Place, Any]:
    return (place, event) if kept is None or kept[0] <= place else kept
