"""``memory:`` and ``memory:NAME``: runs that live as long as the process, for tests and scratch work."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from autotrack.entities import DEFAULT_EXPERIMENT, Artifact, Experiment, Metric, Run
from autotrack.errors import RunNotFound, StoreError
from autotrack.events import Entry
from autotrack.stores import scanning
from autotrack.stores.artifacts import folder as artifact_files
from autotrack.stores.base import ACTIVE_RUNS, View, in_view
from autotrack.stores.glances import Points
from autotrack.stores.registering import Change, Logged, Registering, RegistryState
from autotrack.stores.registry import is_name
from autotrack.stores.state import RunState, State, clamp

SCHEME: Final = "memory:"

T = TypeVar("T")


class _Shared(State):
    """What every opener of one URI shares."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()
        self.registry = RegistryState()
        self.folder: Path | None = None
        self.process = os.getpid()

    def take_in_logged_models(self) -> None:
        """Make versions of the models that runs logged under a registered name, and that are none yet."""
        for state in reversed(self.newest_first()):
            if state.started is None:
                continue
            ended = state.ended[1].end_time if state.ended is not None else state.started[1].start_time
            for model in state.models.in_order():
                name = model.registered_model_name
                if name is None or not is_name(name):
                    continue
                logged = Logged(name, state.run_id, model.path, model.digest, clamp(ended))
                if not self.registry.is_known(logged):
                    self.registry.fold(self.registry.take_in(logged))

    def remove_folder(self) -> None:
        # A forked child that exits must not take its parent's files away.
        if self.folder is not None and self.process == os.getpid():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


_states: dict[str, _Shared] = {}
_states_lock = threading.Lock()


def open_uri(uri: str) -> MemoryStore:
    """The store of a ``memory:`` URI."""
    return MemoryStore(uri[len(SCHEME) :])


class MemoryStore(Registering):
    """Runs in this process's memory; every store opened under one name shares them.

    Parameters
    ----------
    name : tells one from another; what stands behind ``memory:``.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name
        with _states_lock:
            self._state = _states.setdefault(name, _Shared())

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
            self._state.apply(entries)

    def get_run(self, run_id: str) -> Run:
        """See `Store.get_run`."""
        with self._state.lock:
            return self._state.run(self._find(run_id))

    def find_runs(self, reference: str) -> list[Run]:
        """See `Store.find_runs`."""
        return scanning.find(lambda: self._newest_first(ACTIVE_RUNS), reference)

    def search_runs(
        self,
        filter: str | None = None,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        *,
        experiment: str | None = None,
        view: View = ACTIVE_RUNS,
    ) -> list[Run]:
        """See `Store.search_runs`."""
        return scanning.search(lambda: self._newest_first(view), filter, order_by, limit, experiment)

    def metric_history(self, run_id: str, key: str) -> list[Metric]:
        """See `Store.metric_history`."""
        with self._state.lock:
            return self._find(run_id).history(key)

    def experiments(self) -> list[Experiment]:
        """See `Store.experiments`."""
        with self._state.lock:
            facts = {name: latest.sorted_by_key() for name, latest in self._state.experiments.items()}
        return scanning.experiments(self._newest_first(ACTIVE_RUNS), facts)

    def outline(self, run_id: str, params: Collection[str], tags: Collection[str]) -> Run | None:
        """See `autotrack.stores.glances.outline`."""
        with self._state.lock:
            state = self._state.runs.get(run_id)
            return None if state is None else state.outline(params, tags)

    def last_points(self, run_ids: Sequence[str]) -> dict[str, Points]:
        """See `autotrack.stores.glances.last_points`."""
        with self._state.lock:
            return {run_id: self._state.runs[run_id].last_points() for run_id in run_ids if run_id in self._state.runs}

    def experiment_facts(self, names: Collection[str] | None) -> dict[str, Mapping[str, Any]]:
        """See `autotrack.stores.glances.experiment_facts`."""
        with self._state.lock:
            told = self._state.experiments
            runs = self._state.runs.values()
            known = set(told) | {run.started[1].experiment if run.started else DEFAULT_EXPERIMENT for run in runs}
            wanted = known if names is None else known.intersection(names)
            return {name: told[name].sorted_by_key() if name in told else {} for name in wanted}

    def artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        """See `Store.artifacts`."""
        return artifact_files.listing(self.root, run_id, path, self._logged(run_id))

    def artifact_path(self, run_id: str, path: str) -> Path:
        """See `Store.artifact_path`."""
        return artifact_files.find(self.root, run_id, path, self._logged(run_id))

    def put_artifact(self, run_id: str, path: str, source: Path) -> None:
        """See `Store.put_artifact`."""
        artifact_files.put(self.root, run_id, path, source)

    def artifact_folder(self, run_id: str) -> Path:
        """Where a run's artifacts are to be written, in a temporary folder that goes when the process does.

        Raises
        ------
        StoreError
            When no folder can have the run's id for a name.
        """
        if not artifact_files.folder_name_is_safe(run_id):
            raise StoreError(f"{run_id!r} cannot be the name of a folder")
        folder = self.root / run_id
        folder.mkdir(exist_ok=True)
        return folder

    def problems(self) -> list[str]:
        """Nothing: what is in memory can be read."""
        return []

    def close(self) -> None:
        """Nothing to let go of: the runs stay for the next opener. See `forget`."""

    def _ask_registry(self, question: Callable[[RegistryState], T]) -> T:
        with self._state.lock:
            self._state.take_in_logged_models()
            return question(self._state.registry)

    def _change_registry(self, plan: Callable[[RegistryState], Change], then: Callable[[RegistryState], T]) -> T:
        with self._state.lock:
            self._state.take_in_logged_models()
            self._state.registry.fold(plan(self._state.registry))
            return then(self._state.registry)

    @property
    def root(self) -> Path:
        """The temporary folder with a folder for each run's artifacts."""
        with self._state.lock:
            if self._state.folder is None:
                self._state.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="autotrack-")))
                atexit.register(self._state.remove_folder)
            return self._state.folder

    def _find(self, run_id: str) -> RunState:
        try:
            return self._state.runs[run_id]
        except KeyError:
            raise RunNotFound(f"no run {run_id!r} in {self.uri}") from None

    def _logged(self, run_id: str) -> list[Artifact]:
        with self._state.lock:
            return self._find(run_id).logged()

    def _newest_first(self, view: View) -> list[Run]:
        with self._state.lock:
            runs = [self._state.run(state) for state in self._state.newest_first()]
        return [run for run in runs if in_view(run, view)]
