"""The files of runs: put, listed, and fetched into a folder of this process, their digests verified."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from autotrack.digests import of_file, of_folder
from autotrack.entities import Artifact
from autotrack.errors import ArtifactNotFound, StoreError
from autotrack.plots.files import is_plots
from autotrack.stores.mlflow.rest.catalog import Catalog
from autotrack.stores.mlflow.rest.client import Json
from autotrack.stores.mlflow.rest.document import FOLDER, Document
from autotrack.stores.mlflow.rest.files import Files, Found, safe_path, walk
from autotrack.stores.mlflow.rest.models import Models, is_model

PARTIAL: Final = f"{FOLDER}/partial"
"""Folder of marks: what is named there is being uploaded, or was when its writer died; no reader of ours sees it."""

_logger = logging.getLogger(__name__)

_AT_ONCE: Final = 4
_SHOWN: Final = 10


class Artifacts:
    """The artifacts of runs on a server. Safe for threads."""

    def __init__(self, catalog: Catalog, models: Models) -> None:
        self._catalog = catalog
        self._models = models
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._process = 0
        self._fetched: dict[tuple[str, str], tuple[str, Path]] = {}

    def put(self, native: Json, run_id: str, path: str, source: Path) -> None:
        """See `Store.put_artifact`."""
        inside = safe_path(path)
        if not inside or inside.partition("/")[0] == FOLDER:
            raise StoreError(f"{path!r} is not a path inside the artifacts of run {run_id!r}")
        files = self._catalog.files(native)
        if not source.is_dir():
            self._put_file(files, inside, source)
            self._put_pictures(files, inside, source)
            return
        sources = _files_below(source)
        if is_model(source):
            begun = self._models.begin(native, inside, source)
            if begun is not None:
                if not begun[1]:
                    _upload_all(begun[0], "", sources)
                    self._models.finish(native, inside)
                return
        # A folder with the mark in it: older servers remove folders, and fail to remove a single file.
        mark = f"{PARTIAL}/{_mark(inside)}"
        files.upload(f"{mark}/mark", b"")
        if {found.path for found in walk(files, inside)} - {f"{inside}/{name}" for name in sources}:
            files.delete(inside)
        try:
            _upload_all(files, inside + "/", sources)
        except StoreError:  # of any kind: a server that cannot write may just hang up
            above, _, _ = inside.rpartition("/")
            if not any(found.path == inside and not found.is_dir for found in files.listing(above)):
                raise
            files.delete(inside)  # a file stands there, which a folder takes the place of
            _upload_all(files, inside + "/", sources)
        files.delete(mark)

    def _put_pictures(self, files: Files, path: str, source: Path) -> None:
        """Put the pictures of a file of plots beside it, as MLflow's pages show no data."""
        if not is_plots(path):
            return
        from autotrack.stores.mlflow.pictures import pictures_of

        pictures = pictures_of(source.read_bytes())
        for name, data in pictures.drawn.items():
            files.upload(name, data)
        for problem in pictures.problems:
            _logger.info("%s: %s", path, problem)

    def _put_file(self, files: Files, path: str, source: Path) -> None:
        try:
            source.open("rb").close()
        except OSError as error:
            raise StoreError(f"cannot read {source}: {error}") from error
        try:
            files.upload(path, source)
        except StoreError:
            if not files.listing(path):
                raise
            files.delete(path)  # a folder stands there, which a file takes the place of
            files.upload(path, source)

    def listing(self, native: Json, document: Document | None, path: str) -> list[Artifact]:
        """See `Store.artifacts`."""
        here = safe_path(path)
        if here is None or here.partition("/")[0] == FOLDER:
            return []
        logged = _logged(document)
        found: dict[str, Artifact] = {}
        for artifact in logged.values():
            if artifact.path.startswith(f"{here}/") or not here:
                rest = artifact.path[len(here) + 1 if here else 0 :]
                name, deeper, _ = rest.partition("/")
                below = f"{here}/{name}" if here else name
                if deeper:
                    found[below] = Artifact(below, is_dir=True)
                else:
                    found.setdefault(below, artifact)
        for item in self._there(native, document, here):
            known = logged.get(item.path)
            digest = known.digest if known is not None and not item.is_dir else ""
            found[item.path] = Artifact(item.path, item.size, digest, item.is_dir)
        return [found[name] for name in sorted(found)]

    def fetch(self, native: Json, run_id: str, document: Document | None, path: str) -> Path:
        """See `Store.artifact_path`."""
        inside = safe_path(path)
        if inside is None or inside.partition("/")[0] == FOLDER:
            raise ArtifactNotFound(f"{path!r} is not a path inside the artifacts of run {run_id!r}")
        wanted = _digest(document, inside)
        key = (str(native["info"]["run_id"]), inside)
        with self._lock:
            digest, kept = self._fetched.get(key, ("", None))
        if kept is not None and wanted and digest == wanted and kept.exists():
            return kept
        target = self._place(key)
        try:
            self._download(native, document, inside, target)
        except FileNotFoundError:
            raise ArtifactNotFound(self._missing(native, run_id, document, path, inside)) from None
        if wanted:
            real = of_folder(target) if target.is_dir() else of_file(target)
            if real != wanted:
                raise StoreError(
                    f"artifact {path!r} of run {run_id!r} is not what was logged: its digest is {real}, not {wanted}"
                )
        with self._lock:
            self._fetched[key] = (wanted, target)
        return target

    def close(self) -> None:
        """Remove what was fetched."""
        with self._lock:
            if self._folder is not None:
                _remove(self._folder, self._process)
            self._folder = None
            self._fetched.clear()

    def _download(self, native: Json, document: Document | None, path: str, target: Path) -> None:
        files, inside = self._files(native, document, path)
        if any(path == part or path.startswith(part + "/") for part in self._partial(native)):
            raise FileNotFoundError(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if inside:
            try:
                with target.open("wb") as file:
                    files.download(inside, file)
                return
            except FileNotFoundError:
                target.unlink()
        found = [item for item in walk(files, inside) if path or item.path.partition("/")[0] != FOLDER]
        models = [] if path else list(self._model_ids(native, document))
        if not found and not models:
            raise FileNotFoundError(path)
        for folder in models:
            self._download(native, document, folder, target / folder)
        skipped = len(inside) + 1 if inside else 0
        for item in found:
            place = target / item.path[skipped:]
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as file:
                files.download(item.path, file)

    def _there(self, native: Json, document: Document | None, path: str) -> list[Found]:
        """What really stands directly below a path."""
        files, inside = self._files(native, document, path)
        if files is not None and inside != path:
            prefix = path[: len(path) - len(inside)].rstrip("/")
            return [Found(f"{prefix}/{item.path}", item.is_dir, item.size) for item in files.listing(inside)]
        partial = self._partial(native)
        if any(path == part or path.startswith(part + "/") for part in partial):
            return []
        found = [item for item in files.listing(path) if item.path not in (FOLDER, *partial)]
        names = {item.path for item in found}
        for folder in self._model_ids(native, document):
            parent, _, _ = folder.rpartition("/")
            if parent == path and folder not in names:
                found.append(Found(folder, True))
        return found

    def _files(self, native: Json, document: Document | None, path: str) -> tuple[Files, str]:
        """The files among which a path is, and the path there: those of the run, or of one of its logged models."""
        for folder, model_id in self._model_ids(native, document).items():
            if path == folder or path.startswith(folder + "/"):
                files = self._models.files_of(model_id, native)
                if files is not None:
                    return files, path[len(folder) + 1 :]
        return self._catalog.files(native), path

    def _model_ids(self, native: Json, document: Document | None) -> dict[str, str]:
        if document is not None:
            return dict(document.model_ids)
        outputs = native.get("outputs", {}).get("model_outputs", ())
        return dict(self._models.logged(native)) if outputs else {}

    def _partial(self, native: Json) -> list[str]:
        marks = self._catalog.files(native).listing(PARTIAL)
        return [unquote(mark.path.rpartition("/")[2].replace("~", "%")) for mark in marks]

    def _place(self, key: tuple[str, str]) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="autotrack-")))
                self._process = os.getpid()
                # Whoever does not close the store still leaves nothing behind.
                atexit.register(_remove, self._folder, self._process)
        name = key[1].rpartition("/")[2] or "artifacts"
        return Path(tempfile.mkdtemp(dir=self._folder)) / name

    def _missing(self, native: Json, run_id: str, document: Document | None, path: str, inside: str) -> str:
        there = [item.path + "/" * item.is_dir for item in self._there(native, document, "")]
        there.sort()
        more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
        what = f"its artifacts are {', '.join(there[:_SHOWN])}{more}" if there else "it has no artifacts on the server"
        lost = " was recorded, and is not on the server" if inside in _logged(document) else " does not exist"
        return f"artifact {path!r} of run {run_id!r}{lost}; {what}"


def _remove(folder: Path, process: int) -> None:
    """Remove a temporary folder, unless it is that of the process that forked this one."""
    if process == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)


def _upload_all(files: Files, prefix: str, sources: dict[str, Path]) -> None:
    """Upload files, a few at once; the first failure ends it."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = [pool.submit(files.upload, prefix + name, source) for name, source in sources.items()]
        try:
            for done in waiting:
                done.result()
        except BaseException:
            for other in waiting:
                other.cancel()
            raise


def _files_below(folder: Path) -> dict[str, Path]:
    """The files below a folder, by path relative to it.

    Raises
    ------
    StoreError
        When one cannot be read.
    """
    found = {}
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            try:
                path.open("rb").close()
            except OSError as error:
                raise StoreError(f"cannot read {path}: {error}") from error
            found[path.relative_to(folder).as_posix()] = path
    return found


def _logged(document: Document | None) -> dict[str, Artifact]:
    """What events name, by path; paths that lead nowhere are left out."""
    if document is None:
        return {}
    folders: Iterable[Artifact] = (Artifact(model.path, is_dir=True) for model in document.run.models)
    found = {}
    for artifact in (*document.files, *folders):
        inside = safe_path(artifact.path)
        if inside:
            found[inside] = Artifact(inside, artifact.size, artifact.digest, artifact.is_dir)
    return found


def _digest(document: Document | None, path: str) -> str:
    if document is None:
        return ""
    models = {safe_path(model.path): model.digest for model in document.run.models}
    files = {safe_path(file.path): file.digest for file in document.files}
    return files.get(path) or models.get(path) or ""


def _mark(path: str) -> str:
    """A path as the name of one file that no server reads as anything else."""
    return quote(path, safe="").replace("~", "%7E").replace("%", "~")
