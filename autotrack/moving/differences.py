"""What one store has to be told of a run so that it knows what another one knows: events and points, nothing twice.

The source wins: a value that both have is the source's afterwards; what only the target has stays: a tag that was
taken away in the source meanwhile too, and the end of a run that goes on in the source, which may be an older copy.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from autotrack.entities import ACTIVE, BROKEN, DEFAULT_EXPERIMENT, DELETED, RUNNING, Artifact, Metric, Run
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
    TagsSet,
    dataset_to_json,
)
from autotrack.journal import new_journal_id
from autotrack.moving.reading import Known
from autotrack.stores.state import clamp

POINTS: Final = 1000
"""So many points stand in one event at the most."""

T = TypeVar("T")


@dataclass(slots=True)
class Difference:
    """What the target is to be told, in this order; ``facts`` are those of the run's process that it lacks."""

    run: Run
    facts: dict[str, Any] = field(default_factory=dict)
    before: list[Event] = field(default_factory=list)
    points: list[Metric] = field(default_factory=list)
    after: list[Event] = field(default_factory=list)
    has_points: int = 0
    """How many points of the run the target has already."""
    latest: int = 0
    """The latest time in all of the run, in milliseconds, of those that have come yet."""

    def __bool__(self) -> bool:
        return bool(self.facts or self.before or self.points or self.after)

    def subjects(self) -> list[str]:
        """What it is about, in words."""
        named = [event.type.rpartition("_")[0].replace("_", " ") for event in (*self.before, *self.after)]
        extra = ["process"] * bool(self.facts) + ["metrics"] * bool(self.points)
        return list(dict.fromkeys([*extra, *named]))


def difference(source: Known, target: Known | None, logged: Mapping[str, Artifact]) -> Difference:
    """What to tell the target.

    Parameters
    ----------
    target : what it knows of the run; ``None`` for nothing.
    logged : the artifacts that stand in the target now and have to be named there, by path.
    """
    run = source.run
    there = target.run if target is not None else Run(run.run_id, "", DEFAULT_EXPERIMENT, BROKEN)
    told = Difference(run)
    told.facts = _changed(run.process, there.process)
    starts = (run.name, run.start_time, run.experiment, run.parent_run_id, run.process_id)
    # A run whose start is lost in the source may have one in the target.
    if _is_started(run) and starts != (
        there.name,
        there.start_time,
        there.experiment,
        there.parent_run_id,
        there.process_id,
    ):
        start = RunStarted(run.run_id, run.name, run.start_time or 0, run.experiment, run.parent_run_id, run.process_id)
        told.before.append(start)
    if params := _changed(run.params, there.params):
        told.before.append(ParamsLogged(run.run_id, params))
    if tags := _changed(run.tags, there.tags):
        told.before.append(TagsSet(run.run_id, tags))
    datasets = _to_log(run.datasets, there.datasets, lambda dataset: _text(dataset_to_json(dataset)))
    told.before += [DatasetLogged(run.run_id, dataset) for dataset in datasets]
    files = target.files if target is not None else {}
    told.before += [ArtifactLogged(run.run_id, artifact) for artifact in _unlogged(logged, files)]
    told.before += [ModelLogged(run.run_id, model) for model in _to_log(run.models, there.models, repr)]
    told.before += [NoteLogged(run.run_id, note) for note in _to_log(run.notes, there.notes, repr)]
    points = target.points if target is not None else {}
    told.has_points = sum(map(len, points.values()))
    for key, history in source.points.items():
        told.points += _missing(history, points.get(key, ()))
    times = [run.start_time, run.end_time, *(point.timestamp for line in source.points.values() for point in line)]
    told.latest = max((moment for moment in times if moment is not None and _has_come(moment)), default=0)
    ended = run.status not in (RUNNING, BROKEN)
    if ended and (run.status, run.end_time, run.error) != (there.status, there.end_time, there.error):
        end = run.end_time if run.end_time is not None else run.start_time or 0
        told.after.append(RunEnded(run.run_id, run.status, end, run.error))
    if run.deleted_time != there.deleted_time:
        stage = ACTIVE if run.deleted_time is None else DELETED
        moment = int(time.time() * 1000) if run.deleted_time is None else run.deleted_time
        told.after.append(LifecycleSet(run.run_id, stage, moment))
    return told


def new_entries(told: Difference, journal_id: str | None = None) -> list[Entry]:
    """Entries that make the run in a store that does not have it, its start first.

    Two programs that copy one run at the same time make a journal of one id: the target takes it in once. It begins
    with the time of the run's start, so that what was logged since, and by others, is later.
    """
    events = [*told.before, *_batches(told), *told.after]
    return _numbered(journal_id or f"{stamp(told.run.start_time)}-{_hash(told.run.run_id)}", events)


def starting_entries(told: Difference) -> list[Entry]:
    """Entries that make no more than the run's place: the first one of `new_entries`, where that is its start."""
    entries = new_entries(told)[:1]
    if not told.before or not isinstance(told.before[0], RunStarted):
        entries = _numbered(new_journal_id(), [TagsSet(told.run.run_id, {})])
    return [*facts_entries(told), *entries]


def changing_entries(told: Difference, *, fresh: bool = False) -> list[Entry]:
    """Entries that bring a run up to date which the target has already.

    What replaces an earlier value goes into a journal of now; doing that twice changes nothing. Points are added, so
    their journal's id tells how many the target had: of two programs that copy at the same time, it takes one's. It is
    a new one if ``fresh``.
    """
    run = told.run
    events: list[Event] = [*told.before, *told.after]
    entries: list[Entry] = []
    if told.points:
        # Of points at one step and time the last one logged counts: later copies need greater ids.
        journal_id = f"{stamp(told.latest)}-{_hash(run.run_id)}-{told.has_points:012x}"
        entries += _numbered(new_journal_id() if fresh else journal_id, _batches(told))
    if told.facts:
        events.insert(0, ProcessDescribed(run.process_id, told.facts))
    return entries + _numbered(new_journal_id(), events)


def facts_entries(told: Difference) -> list[Entry]:
    """The facts of a run's process, in a journal that is the same for all runs with these facts that start at once."""
    if not told.facts:
        return []
    journal_id = f"{stamp(told.run.start_time)}-{_hash(facts_key(told))}"
    return _numbered(journal_id, [ProcessDescribed(told.run.process_id, told.facts)])


def described(source: Mapping[str, Mapping[str, Any]], target: Mapping[str, Mapping[str, Any]]) -> list[Entry]:
    """What is to be told of experiments, whose facts are given by their names; a target may pass over it."""
    changes = {name: _changed(facts, target.get(name, {})) for name, facts in source.items()}
    return _numbered(new_journal_id(), [ExperimentDescribed(name, facts) for name, facts in changes.items() if facts])


def facts_key(told: Difference) -> str:
    """Tells facts of a process from others."""
    return _text([told.run.process_id, told.facts])


def stamp(milliseconds: int | None) -> str:
    """The beginning of a journal's id for this time; for one that is unknown or has not come yet, the earliest."""
    known = milliseconds if milliseconds is not None and _has_come(milliseconds) else 0
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime(known / 1000))


def _has_come(milliseconds: int) -> bool:
    return 0 <= milliseconds <= time.time() * 1000


def _is_started(run: Run) -> bool:
    told = run.name or run.parent_run_id or run.process_id or run.experiment != DEFAULT_EXPERIMENT
    return run.start_time is not None or (run.status != BROKEN and bool(told))


def _numbered(journal_id: str, events: Iterable[Event]) -> list[Entry]:
    return [Entry(journal_id, number, event) for number, event in enumerate(events, 1)]


def _batches(told: Difference) -> list[Event]:
    points = told.points
    return [
        MetricsLogged(told.run.run_id, tuple(points[start : start + POINTS])) for start in range(0, len(points), POINTS)
    ]


def _changed(source: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, Any]:
    # As text: NaN is not equal to itself, and a store may give a list back where a tuple went in.
    return {key: value for key, value in source.items() if key not in target or _text(value) != _text(target[key])}


def _to_log(source: Sequence[T], target: Sequence[T], text: Callable[[T], str]) -> Sequence[T]:
    """What to log again, so that the target has these values in this order: those from the first that is out of it."""
    rest = iter(text(item) for item in target)
    for index, item in enumerate(source):
        if text(item) not in rest:  # looks on from where it found the one before
            return source[index:]
    return ()


def _missing(source: Iterable[Metric], target: Iterable[Metric]) -> list[Metric]:
    """The points that the target lacks; equal ones are counted."""
    there = Counter(map(_point, target))
    missing = []
    for metric in source:
        point = _point(metric)
        if there[point]:
            there[point] -= 1
        else:
            missing.append(metric)
    return missing


def _point(metric: Metric) -> tuple[int, int, float | None]:
    return clamp(metric.step), clamp(metric.timestamp), metric.value if metric.value == metric.value else None


def _unlogged(logged: Mapping[str, Artifact], there: Mapping[str, Artifact]) -> list[Artifact]:
    found = []
    for path, artifact in logged.items():
        other = there.get(path)
        if other is None or artifact.digest != other.digest or _size(artifact) != _size(other):
            found.append(artifact)
    return found


def _size(artifact: Artifact) -> int | None:
    return None if artifact.size is None else clamp(artifact.size)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
