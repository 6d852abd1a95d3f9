"""``s3://``, ``gs://`` and ``az://``: artifacts in an object store. `object_layout` tells how they stand there."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from autotrack import digests
from autotrack.entities import Artifact, LoggedModel
from autotrack.errors import ArtifactNotFound, PathRefused, StoreError
from autotrack.stores.artifacts import folder as artifact_files
from autotrack.stores.artifacts.cache import ArtifactCache
from autotrack.stores.artifacts.object_client import Bucket, Changed, Found, Missing
from autotrack.stores.artifacts.object_layout import (
    HIDDEN,
    Manifest,
    RunObjects,
    Stored,
    below,
    is_at_or_below,
    is_manifest,
    key_of,
    path_of,
)
from autotrack.stores.base import Garbage

_TRIES: Final = 10
"""So often something is done again that another writer came between."""

_AT_ONCE: Final = 4
"""Files of a folder on their way at the same time."""

DAY: Final = 86400.0


class ObjectArtifacts:
    """Artifacts in a bucket; see `autotrack.stores.artifacts.base.ArtifactStorage` and `Swept`.

    Parameters
    ----------
    uri : ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX`` or ``az://CONTAINER/PREFIX``. Endpoint, region and credentials
        come from the provider's usual environment variables.
    timeout : seconds after which a request that fails is not tried again; see `Bucket`.
    cache : keeps what was fetched; the user's when left out.

    Raises
    ------
    StoreError
        For another URI, or when the package obstore is not installed. Nothing is asked of the server yet.
    """

    def __init__(self, uri: str, *, timeout: float | None = None, cache: ArtifactCache | None = None) -> None:
        self._bucket: Final = Bucket(uri, timeout=timeout)
        self._cache: Final = cache or ArtifactCache()

    @property
    def uri(self) -> str:
        """Scheme, bucket and prefix."""
        return self._bucket.uri

    def put(self, run_id: str, path: str, source: Path) -> None:
        """See `ArtifactStorage.put`."""
        path = _checked(run_id, path)
        files = _files_of(source, path)
        if not source.is_dir():
            self._put_file(run_id, path, source)
        else:
            self._put_folder(run_id, path, files)

    def listing(self, run_id: str, path: str, logged: Iterable[Artifact]) -> list[Artifact]:
        """See `ArtifactStorage.listing`."""
        parts = artifact_files.parts_of(path)
        if parts is None:
            return []
        there = _children(self._objects(run_id), "/".join(parts)) if _run_is_safe(run_id) else []
        return artifact_files.joined(parts, logged, there)

    def fetch(self, run_id: str, path: str, logged: Iterable[Artifact | LoggedModel]) -> Path:
        """See `ArtifactStorage.fetch`."""
        parts = artifact_files.parts_of(path)
        if parts is None or not _run_is_safe(run_id):
            raise ArtifactNotFound(f"{path!r} is not a path inside the artifacts of run {run_id!r}")
        wanted, logged = "/".join(parts), list(logged)
        for _ in range(_TRIES):
            objects = self._objects(run_id)
            files = below(objects.files(), wanted)
            is_folder = wanted not in files
            if is_folder and wanted not in objects.folders() and not (files and not wanted):
                raise ArtifactNotFound(self._missing(run_id, path, objects, logged))
            digest = artifact_files.logged_digest(path, logged) or _digest_of(files, wanted, is_folder)
            try:
                download = partial(self._download, run_id, files, wanted, is_folder)
                return self._cache.fetched(run_id, wanted, digest, download)
            except Missing:  # replaced since it was listed
                continue
        raise StoreError(f"artifact {path!r} of run {run_id!r} has files that are no longer in {self.uri}")

    def runs(self) -> Iterator[str]:
        """See `ArtifactStorage.runs`."""
        yield from sorted(path_of(name) for name in self._bucket.folders())

    def remove(self, run_id: str) -> None:
        """See `ArtifactStorage.remove`."""
        if _run_is_safe(run_id):
            self._bucket.delete([found.key for found in self._bucket.listing(key_of(run_id))])

    def garbage(self, older_than: float = DAY) -> list[Garbage]:
        """Objects that no reader sees: of uploads that broke off, and of folders that were replaced.

        Parameters
        ----------
        older_than : in seconds; an upload under way has objects that nobody sees yet.
        """
        found = []
        latest = time.time() - older_than
        for run_id in self.runs():
            stored = self._list(run_id)
            objects = self._read(run_id, stored)
            first, last = objects.removable(key for key, there in stored.items() if there.modified <= latest)
            found += [Garbage("partial", self._place(run_id, key), stored[key].size, run_id) for key in (*first, *last)]
        return found

    def collect(self, garbage: Sequence[Garbage]) -> None:
        """Remove what `garbage` found, except what a writer has shown since.

        Raises
        ------
        StoreError
            When one cannot be removed.
        """
        places = {item.place for item in garbage}
        for run_id in sorted({item.run_id for item in garbage if item.run_id}):
            objects = self._objects(run_id)
            for keys in objects.removable(key for key in objects.objects if self._place(run_id, key) in places):
                self._bucket.delete([f"{key_of(run_id)}/{key}" for key in keys])

    def close(self) -> None:
        """Connections go with the object; what was fetched stays in the cache, for whoever still reads it."""

    def _put_file(self, run_id: str, path: str, source: Path) -> None:
        uploaded: Stored | None = None
        for _ in range(_TRIES):
            objects = self._objects(run_id)
            _refuse_below_a_file(run_id, path, objects)
            manifest = objects.governing(path)
            inside = [folder for folder in objects.manifests if is_at_or_below(folder, path)]
            if manifest is None and not inside:
                self._upload(run_id, source, key_of(path))
                self._delete(run_id, [key for key in objects.objects if path_of(key).startswith(path + "/")])
                return
            if uploaded is None:
                key = key_of(path)
                if manifest is None or key in objects.objects:  # a reader would see it there too early
                    key = _new_place(path)
                uploaded = self._upload(run_id, source, key)
            if self._show(run_id, objects, path, {path: uploaded}):
                return
        raise self._busy(run_id, path)

    def _put_folder(self, run_id: str, path: str, sources: dict[str, Path]) -> None:
        local = {file: _described(file, source) for file, source in sources.items()}
        uploaded = False
        for _ in range(_TRIES):
            objects = self._objects(run_id)
            _refuse_below_a_file(run_id, path, objects)
            if not uploaded:
                if path in objects.folders() and _same(below(objects.files(), path), local):
                    return
                if not self._announced(run_id, path, objects, local):
                    if objects.is_free(path) and objects.governing(path) is None:
                        continue  # another writer was faster
                    place = _new_place("")
                    local = {file: s._replace(key=place + key_of(file)) for file, s in local.items()}
                self._upload_all(run_id, sources, local)
                uploaded = True
                continue
            if self._show(run_id, objects, path, local):
                return
        raise self._busy(run_id, path)

    def _announced(self, run_id: str, path: str, objects: RunObjects, local: dict[str, Stored]) -> bool:
        """Whether the folder's files may go to their own names: nothing is there, or what a killed writer left."""
        manifest = objects.governing(path)
        if manifest is None and objects.is_free(path):
            return self._write(run_id, Manifest(path, complete=False, pending=local))
        if manifest is None or manifest.path != path or manifest.files or not _same(manifest.pending, local):
            return False
        return self._write(run_id, manifest)  # anew, so that it is not as old as the writer that was killed

    def _show(self, run_id: str, objects: RunObjects, path: str, new: dict[str, Stored]) -> bool:
        """Let readers see these files at a path instead of what is there; false when another writer came between."""
        old = objects.governing(path)
        base = path if old is None else old.path
        seen = objects.files()
        files = {file: s for file, s in below(seen, base).items() if not is_at_or_below(file, path)}
        manifest = Manifest(base, files | new, mark=None if old is None else old.mark)
        if not self._write(run_id, manifest):
            return False
        replaced = {s.key for s in below(seen, path).values()} - {s.key for s in manifest.files.values()}
        replaced |= {
            m.key for folder, m in objects.manifests.items() if folder != base and is_at_or_below(folder, base)
        }
        self._delete(run_id, replaced & set(objects.objects))
        return True

    def _objects(self, run_id: str) -> RunObjects:
        for _ in range(_TRIES):
            try:
                return self._read(run_id, self._list(run_id))
            except Missing:  # removed since it was listed
                continue
        raise self._busy(run_id, "")

    def _list(self, run_id: str) -> dict[str, Found]:
        prefix = key_of(run_id)
        return {found.key[len(prefix) + 1 :]: found for found in self._bucket.listing(prefix)}

    def _read(self, run_id: str, stored: dict[str, Found]) -> RunObjects:
        manifests = {}
        for key in filter(is_manifest, stored):
            data, mark = self._bucket.read(f"{key_of(run_id)}/{key}")
            try:
                manifest = Manifest.from_bytes(data, mark)
            except ValueError as error:
                raise StoreError(f"{self.uri}/{key_of(run_id)}/{key} cannot be read: {error}") from error
            if manifest.key == key:
                manifests[manifest.path] = manifest
        return RunObjects({key: Stored(key, found.size) for key, found in stored.items()}, manifests)

    def _write(self, run_id: str, manifest: Manifest) -> bool:
        try:
            self._bucket.write(f"{key_of(run_id)}/{manifest.key}", manifest.to_bytes(), manifest.mark)
        except Changed:
            return False
        return True

    def _upload(self, run_id: str, source: Path, key: str) -> Stored:
        size, digest = self._bucket.upload(source, f"{key_of(run_id)}/{key}")
        return Stored(key, size, digest)

    def _upload_all(self, run_id: str, sources: dict[str, Path], files: dict[str, Stored]) -> None:
        def upload(path: str) -> None:
            if self._upload(run_id, sources[path], files[path].key) != files[path]:
                raise StoreError(f"{sources[path]} was changed while it was put among the artifacts of run {run_id!r}")

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(upload, files):
                pass

    def _download(self, run_id: str, files: dict[str, Stored], path: str, is_folder: bool, target: Path) -> None:
        if not is_folder:
            self._bucket.download(f"{key_of(run_id)}/{files[path].key}", target)
            return
        start = len(path) + 1 if path else 0

        def download(item: tuple[str, Stored]) -> None:
            parts = artifact_files.parts_of(item[0][start:])
            if not parts:
                raise StoreError(f"{item[0]!r} of run {run_id!r} in {self.uri} can be no file on this machine")
            place = target.joinpath(*parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            self._bucket.download(f"{key_of(run_id)}/{item[1].key}", place)

        target.mkdir()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(download, files.items()):
                pass

    def _delete(self, run_id: str, keys: Iterable[str]) -> None:
        """Remove what nobody sees any more; what stays is garbage, and no harm."""
        try:
            self._bucket.delete([f"{key_of(run_id)}/{key}" for key in keys])
        except StoreError:
            return

    def _place(self, run_id: str, key: str) -> str:
        return f"{self.uri}/{key_of(run_id)}/{key}"

    def _busy(self, run_id: str, path: str) -> StoreError:
        return StoreError(
            f"artifact {path!r} of run {run_id!r} in {self.uri} is being written by others all the time; try again"
        )

    def _missing(self, run_id: str, path: str, objects: RunObjects, logged: Iterable[Artifact | LoggedModel]) -> str:
        return artifact_files.missing(run_id, path, logged, _children(objects, ""), f"{self.uri}/{key_of(run_id)}")


def _run_is_safe(run_id: str) -> bool:
    return artifact_files.folder_name_is_safe(run_id)


def _checked(run_id: str, path: str) -> str:
    parts = artifact_files.parts_of(path)
    if not parts or not _run_is_safe(run_id) or parts[0] == HIDDEN:
        raise PathRefused(f"{path!r} is not a path inside the artifacts of run {run_id!r}")
    return "/".join(parts)


def _refuse_below_a_file(run_id: str, path: str, objects: RunObjects) -> None:
    files = objects.files()
    for file in files:
        if path.startswith(file + "/"):
            raise StoreError(f"{path!r} cannot be put among the artifacts of run {run_id!r}: {file!r} there is a file")


def _files_of(source: Path, path: str) -> dict[str, Path]:
    """The files to be put, by their paths.

    Raises
    ------
    StoreError
        When one of them cannot be read.
    """
    try:
        if not source.is_dir():
            source.stat()
            return {path: source}
        found = {}
        for place, _, names in os.walk(source, onerror=_raise, followlinks=True):
            for name in names:
                file = Path(place, name)
                if not stat.S_ISREG(file.stat().st_mode):
                    raise OSError(None, "it is neither a file nor a folder", str(file))
                found[f"{path}/{file.relative_to(source).as_posix()}"] = file
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot put {source} among the artifacts: {error}") from error
    return found


def _raise(error: OSError) -> None:
    raise error


def _described(path: str, source: Path) -> Stored:
    try:
        return Stored(key_of(path), source.stat().st_size, digests.of_file(source))
    except OSError as error:
        raise StoreError(f"cannot read {source}: {error}") from error


def _same(there: dict[str, Stored], local: dict[str, Stored]) -> bool:
    return {path: s[1:] for path, s in there.items()} == {path: s[1:] for path, s in local.items()}


def _new_place(path: str) -> str:
    return f"{HIDDEN}/{os.urandom(16).hex()}/{key_of(path)}"


def _digest_of(files: dict[str, Stored], path: str, is_folder: bool) -> str:
    """The digest that the manifest tells; empty where it does not tell all of it."""
    if not is_folder:
        return files[path].digest
    start = len(path) + 1 if path else 0
    known = {name[start:]: file.digest for name, file in files.items()}
    return digests.of_digests(known) if all(known.values()) else ""


def _children(objects: RunObjects, folder: str) -> list[Artifact]:
    """The files and folders directly below a folder that a reader sees."""
    start = len(folder) + 1 if folder else 0
    found = {}
    for path, file in below(objects.files(), folder).items():
        if path != folder and "/" not in path[start:]:
            found[path] = Artifact(path, file.size, file.digest)
    for path in objects.folders():
        if path != folder and is_at_or_below(path, folder) and "/" not in path[start:]:
            found[path] = Artifact(path, is_dir=True)
    return [found[path] for path in sorted(found)]
