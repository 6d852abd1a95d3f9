"""``memory:`` and ``memory:NAME``: runs that live as long as the process, for tests and scratch work."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from autotrack.entities import (
    BROKEN,
    DEFAULT_EXPERIMENT,
    RUNNING,
    Artifact,
    Experiment,
    Metric,
    Note,
    Run,
)
from autotrack.entities import experiment_id as id_of_experiment
from autotrack.errors import RunNotFound, StoreError
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    Entry,
    Event,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsSet,
)
from autotrack.stores import artifacts as artifact_files
from autotrack.stores.filters import matches, parse_filter, parse_orders, sort_runs

SCHEME: Final = "memory:"
_MIN, _MAX = -(2**63), 2**63 - 1


class _Place(NamedTuple):
    """Where an entry stands: of two values for one key, the one of the later journal and number stays."""

    journal_id: str
    number: int


class _Latest(dict[Any, tuple[_Place, Any]]):
    """A mapping that keeps for each key the value of the latest place."""

    def put(self, key: Any, place: _Place, value: Any) -> None:
        if key not in self or self[key][0] <= place:
            self[key] = (place, value)

    def sorted_by_key(self) -> dict[Any, Any]:
        return {key: self[key][1] for key in sorted(self)}

    def in_order(self) -> tuple[Any, ...]:
        return tuple(value for _, value in sorted(self.values(), key=lambda pair: pair[0]))


@dataclass
class _Run:
    started: tuple[_Place, RunStarted] | None = None
    ended: tuple[_Place, RunEnded] | None = None
    params: _Latest = field(default_factory=_Latest)
    tags: _Latest = field(default_factory=_Latest)
    datasets: _Latest = field(default_factory=_Latest)
    artifacts: _Latest = field(default_factory=_Latest)
    models: _Latest = field(default_factory=_Latest)
    notes: _Latest = field(default_factory=_Latest)
    points: dict[str, list[tuple[tuple[int, int, _Place, int], Metric]]] = field(default_factory=dict)


class _State:
    """What every opener of one URI shares."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.last: dict[str, int] = {}
        self.runs: dict[str, _Run] = {}
        self.facts: dict[str, _Latest] = {}
        self.folder: Path | None = None
        self.process = os.getpid()

    def remove_folder(self) -> None:
        # A forked child that exits must not take its parent's files away.
        if self.folder is not None and self.process == os.getpid():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


_states: dict[str, _State] = {}
_states_lock = threading.Lock()


def open_uri(uri: str) -> MemoryStore:
    """The store of a ``memory:`` URI."""
    return MemoryStore(uri[len(SCHEME) :])


class MemoryStore:
    """Runs in this process's memory; every store opened under one name shares them.

    Parameters
    ----------
    name : tells one from another; what stands behind ``memory:``.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name
        with _states_lock:
            self._state = _states.setdefault(name, _State())

    @staticmethod
    def forget(uri: str = SCHEME) -> None:
        """Drop the runs and artifacts under a URI; whoever has it open keeps the runs to himself."""
        with _states_lock:
            state = _states.pop(uri.removeprefix(SCHEME), None)
        if state is not None:
            state.remove_folder()

    @property
    def uri(self) -> str:
        """``memory:`` and the name."""
        return SCHEME + self._name

    def apply(self, entries: Sequence[Entry]) -> None:
        """See `Store.apply`."""
        entries = list(entries)
        with self._state.lock:
            for entry in entries:
                if entry.number > self._state.last.get(entry.journal_id, 0):
                    self._state.last[entry.journal_id] = entry.number
                    _fold(self._state, _Place(entry.journal_id, entry.number), entry.event)

    def get_run(self, run_id: str) -> Run:
        """See `Store.get_run`."""
        with self._state.lock:
            return self._run(run_id, self._find(run_id))

    def find_runs(self, reference: str) -> list[Run]:
        """See `Store.find_runs`."""
        if not reference:
            return []
        return [run for run in self._newest_first() if run.run_id.startswith(reference) or run.name == reference]

    def search_runs(
        self,
        filter: str | None = None,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        *,
        experiment: str | None = None,
    ) -> list[Run]:
        """See `Store.search_runs`."""
        expression = parse_filter(filter)
        orders = parse_orders(order_by)
        runs = [run for run in self._newest_first() if experiment is None or run.experiment == experiment]
        found = sort_runs((run for run in runs if matches(expression, run)), orders)
        return found if limit is None else found[: max(0, limit)]

    def metric_history(self, run_id: str, key: str) -> list[Metric]:
        """See `Store.metric_history`."""
        with self._state.lock:
            points = self._find(run_id).points.get(key, [])
            return [metric for _, metric in sorted(points, key=lambda point: point[0])]

    def experiments(self) -> list[Experiment]:
        """See `Store.experiments`."""
        counts: dict[str, int] = {}
        for run in self._newest_first():
            counts[run.experiment] = counts.get(run.experiment, 0) + 1
        return [Experiment(id_of_experiment(name), name, counts[name]) for name in sorted(counts)]

    def artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        """See `Store.artifacts`."""
        return artifact_files.listing(self._root(), run_id, path, self._logged(run_id))

    def artifact_path(self, run_id: str, path: str) -> Path:
        """See `Store.artifact_path`."""
        return artifact_files.find(self._root(), run_id, path, self._logged(run_id))

    def artifact_folder(self, run_id: str) -> Path:
        """Where a run's artifacts are to be written, in a temporary folder that goes when the process does.

        Raises
        ------
        StoreError
            When no folder can have the run's id for a name.
        """
        if not artifact_files.folder_name_is_safe(run_id):
            raise StoreError(f"{run_id!r} cannot be the name of a folder")
        folder = self._root() / run_id
        folder.mkdir(exist_ok=True)
        return folder

    def problems(self) -> list[str]:
        """Nothing: what is in memory can be read."""
        return []

    def close(self) -> None:
        """Nothing to let go of: the runs stay for the next opener. See `forget`."""

    def _root(self) -> Path:
        with self._state.lock:
            if self._state.folder is None:
                self._state.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="autotrack-")))
                atexit.register(self._state.remove_folder)
            return self._state.folder

    def _find(self, run_id: str) -> _Run:
        try:
            return self._state.runs[run_id]
        except KeyError:
            raise RunNotFound(f"no run {run_id!r} in {self.uri}") from None

    def _logged(self, run_id: str) -> list[Artifact]:
        with self._state.lock:
            run = self._find(run_id)
            folders = [Artifact(model.path, is_dir=True) for model in run.models.in_order()]
            return [*run.artifacts.in_order(), *folders]

    def _newest_first(self) -> list[Run]:
        def age(pair: tuple[str, _Run]) -> tuple[bool, int, _Place, str]:
            run_id, run = pair
            if run.started is None:
                return (False, 0, _Place("", 0), run_id)
            place, event = run.started
            return (True, _clamp(event.start_time), place, run_id)

        with self._state.lock:
            pairs = sorted(self._state.runs.items(), key=age, reverse=True)
            return [self._run(run_id, run) for run_id, run in pairs]

    def _run(self, run_id: str, run: _Run) -> Run:
        start = run.started[1] if run.started is not None else None
        end = run.ended[1] if run.ended is not None else None
        open_status = BROKEN if start is None else RUNNING
        process_id = start.process_id if start is not None else ""
        return Run(
            run_id=run_id,
            name=start.name if start is not None else "",
            experiment=start.experiment if start is not None else DEFAULT_EXPERIMENT,
            status=end.status if end is not None else open_status,
            start_time=_clamp(start.start_time) if start is not None else None,
            end_time=_clamp(end.end_time) if end is not None else None,
            parent_run_id=start.parent_run_id if start is not None else None,
            process_id=process_id,
            params=run.params.sorted_by_key(),
            metrics={key: max(run.points[key], key=lambda point: point[0])[1].value for key in sorted(run.points)},
            tags=run.tags.sorted_by_key(),
            datasets=run.datasets.in_order(),
            models=run.models.in_order(),
            notes=run.notes.in_order(),
            process=self._state.facts.get(process_id, _Latest()).sorted_by_key(),
            error=end.error if end is not None else None,
            broken="its start is not recorded" if start is None else None,
        )


def _fold(state: _State, place: _Place, event: Event) -> None:
    if isinstance(event, ProcessDescribed):
        facts = state.facts.setdefault(event.process_id, _Latest())
        for key, fact in event.facts.items():
            facts.put(key, place, fact)
        return
    run = state.runs.setdefault(event.run_id, _Run())
    match event:
        case RunStarted():
            if run.started is None or run.started[0] <= place:
                run.started = (place, event)
        case RunEnded():
            if run.ended is None or run.ended[0] <= place:
                run.ended = (place, event)
        case ParamsLogged(_, texts):
            _put_all(run.params, place, texts)
        case TagsSet(_, texts):
            _put_all(run.tags, place, texts)
        case MetricsLogged(_, metrics):
            for position, metric in enumerate(metrics):
                kept = Metric(metric.key, float(metric.value), _clamp(metric.step), _clamp(metric.timestamp))
                run.points.setdefault(metric.key, []).append(((kept.step, kept.timestamp, place, position), kept))
        case DatasetLogged(_, dataset):
            run.datasets.put((dataset.name, dataset.context), place, dataset)
        case ArtifactLogged(_, artifact):
            run.artifacts.put(artifact.path, place, artifact)
        case ModelLogged(_, model):
            run.models.put(model.path, place, model)
        case NoteLogged(_, note):
            kept_note = Note(note.kind, note.subject, note.message, _clamp(note.count))
            run.notes.put((note.kind, note.subject, note.message), place, kept_note)


def _put_all(latest: _Latest, place: _Place, texts: Mapping[str, str]) -> None:
    for key, text in texts.items():
        latest.put(key, place, text)


def _clamp(number: int) -> int:
    return max(_MIN, min(int(number), _MAX))
