"""``mlruns:DIR``: the folder that MLflow's file store reads and writes.

What autotrack writes stands twice: whole in our own record (`autotrack.stores.mlflow.folder.sidecar`), and as far as
they can hold it in MLflow's files. What MLflow writes or changes is read from its files.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

from autotrack.entities import Artifact, Experiment, Metric, Run
from autotrack.errors import RunNotFound, StoreError
from autotrack.events import Entry, ExperimentDescribed, ProcessDescribed, RunStarted
from autotrack.stores import scanning
from autotrack.stores.artifacts import folder as artifact_files
from autotrack.stores.base import ACTIVE_RUNS, View, in_view
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.folder import sidecar
from autotrack.stores.mlflow.folder.anchoring import anchor
from autotrack.stores.mlflow.folder.known import Known, Processes
from autotrack.stores.mlflow.folder.layout import ARTIFACTS, Layout
from autotrack.stores.mlflow.folder.reading import model_in
from autotrack.stores.mlflow.folder.registry import FolderRegistry

SCHEME: Final = "mlruns:"

_AT_ONCE: Final = 200
"""So many runs' records are open, and locked, at a time."""

_UNFIT: Final = frozenset({errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG})
"""Errors that say that something else stands where a file of MLflow's belongs."""

T = TypeVar("T")


def open_uri(uri: str) -> MlrunsStore:
    """The store of a ``mlruns:`` URI; without a folder ``./mlruns``, as MLflow has it."""
    rest = uri[len(SCHEME) :]
    if rest.startswith("file:"):
        from urllib.parse import unquote, urlsplit

        rest = unquote(urlsplit(rest).path)
    elif rest.startswith("//"):
        raise StoreError(f"{uri!r}: a folder is written mlruns:./folder or mlruns:/folder")
    return MlrunsStore(rest or "mlruns")


class MlrunsStore(FolderRegistry):
    """The runs in an MLflow folder. Opening and reading one that does not exist shows no runs, and does not make it.

    Parameters
    ----------
    folder : what MLflow calls the tracking directory, such as ``mlruns``.

    Raises
    ------
    StoreError
        When something other than a folder stands there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__(Path(os.path.abspath(os.path.expanduser(folder))))
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file; an MLflow folder is a folder")
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._layout = Layout(self.folder)
        self._processes = Processes(self.folder)
        self._known: dict[str, Known] = {}
        self._is_anchored = False

    @property
    def uri(self) -> str:
        """``mlruns:`` and the folder's absolute path."""
        return SCHEME + str(self.folder)

    def apply(self, entries: Sequence[Entry]) -> None:
        """See `Store.apply`. Of a batch with more than 200 runs a part may be stored when it fails; apply it again."""
        entries = list(entries)
        if entries:
            self._with_lock(lambda: self._apply(entries))

    def get_run(self, run_id: str) -> Run:
        """See `Store.get_run`."""
        return self._with_lock(lambda: self._find(run_id).told.run)

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
        return self._with_lock(lambda: self._find(run_id).history(key))

    def experiments(self) -> list[Experiment]:
        """See `Store.experiments`."""
        return scanning.experiments(self._newest_first(ACTIVE_RUNS))

    def artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        """See `Store.artifacts`. The logged models of MLflow 3 are listed as folders, by their names."""
        known = self._with_lock(lambda: self._find(run_id))
        within = model_in(known.told.models, path)
        if within is not None:
            name, folder, rest = within
            below = artifact_files.listing(folder.parent, folder.name, rest, ())
            return [Artifact(f"{name}/{file.path}", file.size, file.digest, file.is_dir) for file in below]
        found = artifact_files.listing(known.path, ARTIFACTS, path, known.logged())
        if not path.strip("/."):
            there = {artifact.path for artifact in found}
            found += [Artifact(name, is_dir=True) for name in known.told.models if name not in there]
        return sorted(found, key=lambda artifact: artifact.path)

    def artifact_path(self, run_id: str, path: str) -> Path:
        """See `Store.artifact_path`."""
        known = self._with_lock(lambda: self._find(run_id))
        within = model_in(known.told.models, path)
        if within is not None:
            _, folder, rest = within
            return artifact_files.find(folder.parent, folder.name, rest, (), known_as=run_id)
        return artifact_files.find(known.path, ARTIFACTS, path, known.logged(), known_as=run_id)

    def put_artifact(self, run_id: str, path: str, source: Path) -> None:
        """See `Store.put_artifact`."""
        known = self._with_lock(lambda: self._find(run_id))
        artifact_files.put(known.path, ARTIFACTS, path, source, known_as=run_id)

    def problems(self) -> list[str]:
        """See `Store.problems`."""
        return self._with_lock(self._problems)

    def close(self) -> None:
        """See `Store.close`: files are open only while they are used."""

    def _with_lock(self, use: Callable[[], T]) -> T:
        if self._process != os.getpid():  # after a fork the lock may be held by a thread that is not here
            self._process, self._lock = os.getpid(), threading.RLock()
        with self._lock:
            try:
                return use()
            except OSError as error:
                raise StoreError(f"{self.folder}: {error}") from error

    def _apply(self, entries: Sequence[Entry]) -> None:
        self._layout.make_root()
        about_processes = [entry for entry in entries if isinstance(entry.event, ProcessDescribed)]
        by_run: dict[str, list[Entry]] = {}
        for entry in entries:
            # MLflow's folder keeps no more of an experiment than its name.
            if not isinstance(entry.event, ProcessDescribed | ExperimentDescribed):
                by_run.setdefault(entry.event.run_id, []).append(entry)
        changed = set(self._processes.apply(about_processes)) if about_processes else set()
        run_ids = sorted(by_run)
        for start in range(0, len(run_ids), _AT_ONCE):
            self._append({run_id: by_run[run_id] for run_id in run_ids[start : start + _AT_ONCE]})
        self._anchor()
        for run_id in run_ids:
            path = self._layout.find(run_id)
            if path is not None:
                self._project(self._at(path))
        applied = [path for run_id in run_ids if (path := self._layout.find(run_id)) is not None]
        self._register([self._at(path) for path in applied])
        for known in list(self._known.values()):
            if known.state is not None and known.state.process_id in changed and known.run_id not in by_run:
                self._project(known)

    def _anchor(self) -> None:
        if not self._is_anchored:
            anchor(self._layout, lambda path: self._project(self._at(path), again=True))
            self._is_anchored = True

    def _append(self, by_run: Mapping[str, Sequence[Entry]]) -> None:
        """Append to the records of these runs, to all or to none."""
        done: list[tuple[sidecar.Held, int]] = []
        with ExitStack() as stack:
            try:
                for run_id, entries in by_run.items():
                    known, held = self._hold(run_id, _experiment_of(entries))
                    stack.callback(held.close)
                    known.log.refresh(held.descriptor)
                    before = known.log.offset
                    known.log.append(held.descriptor, entries)
                    done.append((held, before))
            except (OSError, StoreError):
                for held, offset in done:
                    os.ftruncate(held.descriptor, offset)
                self._known.clear()
                raise

    def _hold(self, run_id: str, experiment: str | None) -> tuple[Known, sidecar.Held]:
        """The run with its record open and locked, made where it is not there."""
        while True:
            path = self._layout.find(run_id)
            if path is None or not (path / sidecar.RUN).exists():
                path = self._layout.make_run(run_id, experiment)
            held = sidecar.Held(path / sidecar.RUN)
            if held.is_in_place:
                return self._at(path), held
            held.close()

    def _project(self, known: Known, *, again: bool = False, wait: bool = True) -> None:
        """Bring MLflow's files of a run up to date."""
        try:
            held = sidecar.Held(known.path / sidecar.RUN, wait=wait)
        except FileNotFoundError:  # somebody moved or removed it: whoever looks for it next finds out
            return
        try:
            if held.is_ours and held.is_in_place:
                known.log.refresh(held.descriptor)
                known.unwritten = ""
                moved = known.project(self._layout, self._processes, again=again)
                if moved != known.path:
                    self._known.pop(str(known.path), None)
                    known.path = moved
                    known.log.path = moved / sidecar.RUN
                    self._known[str(moved)] = known
        except OSError as error:
            if error.errno not in _UNFIT:
                raise
            # Nothing is lost: our record has it. What stands in the way is named, and other runs are not held up.
            known.unwritten = f"run {known.run_id}: cannot be written for MLflow: {error}"
        finally:
            held.close()
        known.refresh(self._layout, self._processes)

    def _at(self, path: Path) -> Known:
        known = self._known.get(str(path))
        if known is None:
            known = self._known[str(path)] = Known(path)
        return known

    def _find(self, run_id: str) -> Known:
        path = self._layout.find(run_id)
        if path is None:
            raise RunNotFound(f"no run {run_id!r} in {self.uri}")
        known = self._fresh(path)
        if known.run_id != run_id or known.is_empty:
            raise RunNotFound(f"no run {run_id!r} in {self.uri}")
        return known

    def _fresh(self, path: Path) -> Known:
        known = self._at(path)
        known.refresh(self._layout, self._processes)
        if known.is_stale:
            try:
                self._project(known, wait=False)
            except OSError:  # a folder that cannot be written is read all the same
                pass
        return known

    def _all(self) -> Iterable[Known]:
        there: dict[str, Known] = {}
        for path, _ in list(self._layout.run_folders()):
            known = self._fresh(path)
            if not known.is_empty:
                there.setdefault(known.run_id, known)
        paths = {str(known.path) for known in there.values()}
        self._known = {path: known for path, known in self._known.items() if path in paths}
        return there.values()

    def _newest_first(self, view: View) -> list[Run]:
        def runs() -> list[Run]:
            found = sorted(self._all(), key=lambda known: known.age, reverse=True)
            return [known.told.run for known in found]

        return [run for run in self._with_lock(runs) if in_view(run, view)]

    def _problems(self) -> list[str]:
        found = [experiment.problem for experiment in self._layout.experiments() if experiment.problem is not None]
        found += [*self._processes.problems(), *self._registry_problems()]
        hidden: dict[str, int] = {}
        for known in sorted(self._all(), key=lambda known: known.run_id):
            found += known.problems()
            if known.told.run.deleted_time is None and self._layout.experiment(known.path.parent).is_deleted:
                hidden[known.told.run.experiment] = hidden.get(known.told.run.experiment, 0) + 1
        found += [
            f"experiment {name!r} is in MLflow's trash: MLflow shows its {count} active runs when it is restored"
            for name, count in hidden.items()
        ]
        return found


def _experiment_of(entries: Sequence[Entry]) -> str | None:
    """The experiment in which a run begins, as MLflow takes its name; ``None`` where its start is not among these."""
    for entry in entries:
        if isinstance(entry.event, RunStarted):
            return limits.name_for(entry.event.experiment, limits.MAX_EXPERIMENT_NAME)
    return None
