"""Where things stand in an MLflow folder: experiments, runs, and which folder belongs to whom."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autotrack.entities import DEFAULT_EXPERIMENT, experiment_id
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.folder import files, sidecar
from autotrack.stores.mlflow.translation import EXPERIMENT_TAGS

TRASH: Final = ".trash"
REGISTRY: Final = "models"
ARTIFACTS: Final = "artifacts"
PARAMS: Final = "params"
METRICS: Final = "metrics"
TAGS: Final = "tags"
INPUTS: Final = "inputs"
OUTPUTS: Final = "outputs"
DATASETS: Final = "datasets"
MODELS: Final = "models"
DEFAULT_ID: Final = "0"
LOCK: Final = ".autotrack.lock"

RESERVED: Final = frozenset({TAGS, DATASETS, "traces", MODELS})
"""Folders of an experiment that are no runs."""

_RUN_FOLDERS: Final = (METRICS, PARAMS, ARTIFACTS)
_MAX_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class ExperimentFolder:
    """An experiment's folder. ``problem`` says why its ``meta.yaml`` tells no name; the folder's is used then."""

    path: Path
    name: str
    is_deleted: bool = False
    problem: str | None = None
    artifact_location: str = ""


class Layout:
    """The folders below one root. Not thread-safe: the caller holds a lock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._metas: dict[Path, tuple[Stamp | None, ExperimentFolder]] = {}
        self._runs: dict[str, Path] = {}

    def locked(self) -> AbstractContextManager[None]:
        """Hold this while a folder of an experiment or a run is made or moved.

        Raises
        ------
        OSError
            When the lock's file cannot be opened.
        """
        return files.locked(self.root / LOCK)

    def make_root(self) -> None:
        """Make what MLflow makes when it opens a folder for the first time; the caller need hold no lock.

        Raises
        ------
        OSError
            When it cannot be made.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        if (self.root / DEFAULT_ID / files.META).exists() and (self.root / TRASH).is_dir():
            return
        with self.locked():
            (self.root / TRASH).mkdir(exist_ok=True)
            if not any((parent / DEFAULT_ID).is_dir() for parent in (self.root, self.root / TRASH)):
                self._make_experiment(DEFAULT_ID, DEFAULT_EXPERIMENT)

    def experiments(self) -> list[ExperimentFolder]:
        """Those that are active, then those in the trash."""
        found = []
        for parent in (self.root, self.root / TRASH):
            for path in _folders(parent):
                if path.name == REGISTRY and parent == self.root:
                    continue
                found.append(self.experiment(path))
        return found

    def experiment(self, path: Path) -> ExperimentFolder:
        """What an experiment's folder says of itself."""
        signature = stamp(path / files.META)
        kept = self._metas.get(path)
        if kept is not None and kept[0] == signature:
            return kept[1]
        found = self._read(path)
        self._metas[path] = (signature, found)
        return found

    def _read(self, path: Path) -> ExperimentFolder:
        in_trash = path.parent.name == TRASH and path.parent.parent == self.root
        try:
            meta = files.read_yaml(path / files.META)
        except FileNotFoundError:
            problem = f"experiment {path.name} has no {files.META}"
            return ExperimentFolder(path, path.name, in_trash, problem)
        except (OSError, ValueError) as error:
            problem = f"{path / files.META} cannot be read: {error}"
            return ExperimentFolder(path, path.name, in_trash, problem)
        name = meta.get("name")
        if not isinstance(name, str):
            return ExperimentFolder(path, path.name, in_trash, f"{path / files.META} has no name")
        is_deleted = in_trash or meta.get("lifecycle_stage") == "deleted"
        return ExperimentFolder(path, name, is_deleted, None, str(meta.get("artifact_location") or ""))

    def experiment_folder(self, name: str) -> Path:
        """The folder of the experiment with this name (as MLflow takes it), made where there is none.

        The caller holds `locked`.
        """
        if name == DEFAULT_EXPERIMENT and (self.root / DEFAULT_ID).is_dir():
            return self.root / DEFAULT_ID
        named = [found for found in self.experiments() if found.name == name and found.problem is None]
        if named:
            return min(named, key=lambda found: found.is_deleted).path
        number = experiment_id(name)
        attempt = 0
        while any((parent / number).exists() for parent in (self.root, self.root / TRASH)):
            # MLflow's users renamed the experiment that had this id.
            attempt += 1
            number = experiment_id(f"{name}\0{attempt}")
        return self._make_experiment(number, name)

    def _make_experiment(self, number: str, name: str) -> Path:
        folder = self.root / number
        now = int(time.time() * 1000)
        meta = {
            "artifact_location": uri_of(folder),
            "creation_time": now,
            "experiment_id": number,
            "last_update_time": now,
            "lifecycle_stage": "active",
            "name": name,
        }
        files.remove_temporaries(self.root)
        # MLflow takes every folder here for an experiment, but those whose names end like its trash.
        temporary = self.root / f"{files.TEMPORARY}{os.urandom(6).hex()}{TRASH}"
        temporary.mkdir()
        try:
            (temporary / files.META).write_bytes(files.render_yaml(meta))
            (temporary / TAGS).mkdir()
            for key, text in EXPERIMENT_TAGS.items():
                (temporary / TAGS / key).write_text(text, encoding="utf-8")
            os.rename(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return folder

    def run_folders(self) -> Iterator[tuple[Path, ExperimentFolder]]:
        """Every run's folder, with its experiment's."""
        for experiment in self.experiments():
            for path in _folders(experiment.path):
                if path.name not in RESERVED and _looks_like_a_run(path):
                    yield path, experiment

    def find(self, run_id: str) -> Path | None:
        """The folder of a run."""
        name = folder_name(run_id)
        kept = self._runs.get(name)
        if kept is not None and kept.is_dir():
            return kept
        for parent in (self.root, self.root / TRASH):
            for experiment in _folders(parent):
                path = experiment / name
                if path.is_dir() and (experiment.name != REGISTRY or parent != self.root) and _looks_like_a_run(path):
                    self._runs[name] = path
                    return path
        self._runs.pop(name, None)
        return None

    def remember(self, path: Path) -> None:
        """A run's folder stands here."""
        self._runs[path.name] = path

    def make_run(self, run_id: str, experiment: str | None) -> Path:
        """The folder of a run, made where there is none: in the experiment, or in the default one if that is not known.

        Raises
        ------
        OSError
            When it cannot be made.
        """
        with self.locked():
            path = self.find(run_id)
            if path is None:
                parent = self.root / DEFAULT_ID if experiment is None else self.experiment_folder(experiment)
                path = parent / folder_name(run_id)
                path.mkdir(parents=True, exist_ok=True)
            if not (path / sidecar.RUN).exists():
                files.write(path / sidecar.RUN, sidecar.header(run_id=run_id), path)
            self.remember(path)
            return path

    def move_run(self, path: Path, experiment: str) -> Path:
        """Move a run's folder to another experiment; the caller holds the run's lock.

        Raises
        ------
        OSError
            When it cannot be moved.
        """
        with self.locked():
            target = self.experiment_folder(experiment) / path.name
            if target != path:
                os.rename(path, target)
            self.remember(target)
            return target


def folder_name(run_id: str) -> str:
    """The name of a run's folder: its id, where MLflow takes that for one."""
    if limits.run_id_is_valid(run_id) and run_id not in RESERVED and len(run_id) < _MAX_NAME:
        return run_id
    return "odd-" + hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def uri_of(folder: Path) -> str:
    """The ``file:`` URI of a folder, as MLflow wants it: absolute."""
    return folder.as_uri()


Stamp = tuple[int, int, int]
"""Time of change, size and number of a file or folder: by it a change is noticed without opening it."""


def stamp(path: str | os.PathLike[str]) -> Stamp | None:
    """The stamp of a file or folder, ``None`` where there is none."""
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return None


def stamp_of(about: os.stat_result) -> Stamp:
    """The stamp of what was looked at. The time alone is too coarse: the number tells a file from its successor."""
    return about.st_mtime_ns, about.st_size, about.st_ino


def listing(folder: Path) -> dict[str, Stamp]:
    """The stamps of all files below a folder, by path relative to it, with forward slashes; links are left out."""
    found: dict[str, Stamp] = {}
    if not folder.is_symlink():
        _list(os.fspath(folder), "", found)
    return found


def _list(folder: str, prefix: str, found: dict[str, Stamp]) -> None:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _list(entry.path, f"{prefix}{entry.name}/", found)
                elif entry.is_file(follow_symlinks=False):
                    found[prefix + entry.name] = stamp_of(entry.stat(follow_symlinks=False))
    except OSError:
        return


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return sorted(Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []


def _looks_like_a_run(path: Path) -> bool:
    return any((path / name).exists() for name in (files.META, sidecar.RUN, *_RUN_FOLDERS))
