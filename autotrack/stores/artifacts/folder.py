"""A run's artifacts in a folder: listing them, and finding one without ever leaving the folder."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from autotrack import digests
from autotrack.entities import Artifact, LoggedModel
from autotrack.errors import ArtifactNotFound, PathRefused, StoreError
from autotrack.exchanging import exchange
from autotrack.stores.base import Garbage

PARTIAL: Final = re.compile(r"\.tmp-[0-9a-f]{8}$")
"""The end of the name of what is being written, or of what a killed writer left; no reader sees it."""

_SHOWN: Final = 10


class FolderArtifacts:
    """Artifacts as ``FOLDER/<run id>/<path>``; see `autotrack.stores.artifacts.base.ArtifactStorage` and `Swept`.

    Parameters
    ----------
    folder : need not exist.

    Raises
    ------
    StoreError
        When something other than a folder stands there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder: Final = Path(os.path.abspath(os.path.expanduser(folder)))
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file; artifacts stand in a folder")

    @property
    def uri(self) -> str:
        """The folder's absolute path."""
        return str(self.folder)

    def put(self, run_id: str, path: str, source: Path) -> None:
        """See `ArtifactStorage.put`."""
        put(self.folder, run_id, path, source)

    def listing(self, run_id: str, path: str, logged: Iterable[Artifact]) -> list[Artifact]:
        """See `ArtifactStorage.listing`."""
        return listing(self.folder, run_id, path, logged)

    def fetch(self, run_id: str, path: str, logged: Iterable[Artifact | LoggedModel]) -> Path:
        """See `ArtifactStorage.fetch`. It stands there already; its digest is verified."""
        logged = list(logged)
        files = [Artifact(item.path, is_dir=True) if isinstance(item, LoggedModel) else item for item in logged]
        found = find(self.folder, run_id, path, files)
        verify(found, run_id, path, logged)
        return found

    def runs(self) -> Iterator[str]:
        """See `ArtifactStorage.runs`."""
        try:
            with os.scandir(self.folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir() and not PARTIAL.search(entry.name))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.folder} cannot be read: {error}") from error
        yield from names

    def remove(self, run_id: str) -> None:
        """See `ArtifactStorage.remove`."""
        if not folder_name_is_safe(run_id):
            return
        folder = self.folder / run_id
        try:
            if folder.is_symlink():
                folder.unlink()
            else:
                shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"the artifacts in {folder} cannot be removed: {error}") from error

    def garbage(self, older_than: float = 86400.0) -> list[Garbage]:
        """What killed writers left, ``older_than`` seconds ago or longer."""
        found = []
        latest = time.time() - older_than
        for place, folders, names in os.walk(self.folder):
            for name in [name for name in (*folders, *names) if PARTIAL.search(name)]:
                path = Path(place, name)
                try:
                    status = path.lstat()
                except OSError:
                    continue
                if status.st_mtime <= latest:
                    run_id = path.relative_to(self.folder).parts[0]
                    size = None if name in folders else status.st_size
                    found.append(Garbage("partial", str(path), size, run_id))
            folders[:] = [name for name in folders if not PARTIAL.search(name)]
        return sorted(found, key=lambda item: item.place)

    def collect(self, garbage: Sequence[Garbage]) -> None:
        """Remove what `garbage` found; nothing else is removed, whatever stands there.

        Raises
        ------
        StoreError
            When one cannot be removed.
        """
        known = {item.place for item in self.garbage(0)}
        for item in garbage:
            if item.place in known:
                _remove(Path(item.place))
                if os.path.lexists(item.place):
                    raise StoreError(f"{item.place} cannot be removed")

    def close(self) -> None:
        """Nothing to let go of."""


def path_of_uri(uri: str) -> Path:
    """The path of a ``file:`` URI.

    Raises
    ------
    StoreError
        When it names another host.
    """
    from urllib.parse import unquote, urlsplit
    from urllib.request import url2pathname

    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost", "."):
        raise StoreError(f"{uri}: a file: URI cannot name another host ({parts.netloc}); write file:///path")
    return Path(url2pathname(parts.path) if os.name == "nt" else unquote(parts.path, errors="surrogateescape"))


def verify(found: Path, run_id: str, path: str, logged: Iterable[Artifact | LoggedModel]) -> None:
    """Compare a file or folder with the digest that was logged of it, where there is one.

    Raises
    ------
    StoreError
        When they differ, naming both; or when it cannot be read.
    """
    wanted = logged_digest(path, logged)
    if not wanted:
        return
    try:
        digest = digests.of_folder(found) if found.is_dir() else digests.of_file(found)
    except OSError as error:
        raise StoreError(f"artifact {path!r} of run {run_id!r} cannot be read: {error}") from error
    if digest != wanted:
        raise StoreError(digests.mismatch(run_id, path, wanted, digest))


def logged_digest(path: str, logged: Iterable[Artifact | LoggedModel]) -> str:
    """The digest that was logged of a path; empty where none was, or none that can be verified."""
    parts = parts_of(path)
    for item in logged:
        if item.digest and digests.is_digest(item.digest) and parts_of(item.path) == parts:
            return item.digest
    return ""


def folder_name_is_safe(run_id: str) -> bool:
    """Whether a run id, which may come from anybody's journal, can name a folder."""
    return run_id not in ("", ".", "..") and not any(char in "/\\\0:" or _is_surrogate(char) for char in run_id)


def _is_surrogate(char: str) -> bool:
    return "\ud800" <= char <= "\udfff"


def find(root: Path, run_id: str, path: str, logged: Iterable[Artifact], *, known_as: str | None = None) -> Path:
    """Where an artifact stands.

    Parameters
    ----------
    root : the folder with one folder per run.
    path : relative to the run's folder; blank for that folder itself.
    logged : the artifacts that events name.
    known_as : the run's id for people, where its folder has another name.

    Raises
    ------
    ArtifactNotFound
        When there is none, or when ``path`` leaves the run's folder; the message says what there is.
    """
    parts = parts_of(path)
    name = run_id if known_as is None else known_as
    if parts is None or not folder_name_is_safe(run_id):
        raise ArtifactNotFound(f"{path!r} is not a path inside the artifacts of run {name!r}")
    logged = list(logged)
    folder = root / run_id
    target = folder.joinpath(*parts)
    try:
        real = os.path.realpath(target, strict=True)
    except (OSError, ValueError):
        raise ArtifactNotFound(missing(name, path, logged, _on_disk(root / run_id, []), str(root / run_id))) from None
    base = _base(folder)
    if real != base and not real.startswith(base + os.sep):
        raise ArtifactNotFound(f"{path!r} is a link that leads out of the artifacts of run {name!r}")
    return target


def put(root: Path, run_id: str, path: str, source: Path, *, known_as: str | None = None) -> None:
    """Copy a file or folder into a run's folder, in the place of what stands there; whole or not at all.

    Parameters as of `find`.

    Raises
    ------
    StoreError
        When it cannot be copied; a `PathRefused` where the path leaves the run's folder.
    """
    parts = parts_of(path)
    name = run_id if known_as is None else known_as
    if not parts or not folder_name_is_safe(run_id):
        raise PathRefused(f"{path!r} is not a path inside the artifacts of run {name!r}")
    target = root.joinpath(run_id, *parts)
    partial = target.with_name(f"{target.name}.tmp-{os.urandom(4).hex()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        base = _base(root / run_id)
        if not (os.path.realpath(target.parent) + os.sep).startswith(base + os.sep):
            raise PathRefused(f"{path!r} is a link that leads out of the artifacts of run {name!r}")
        if target.exists() and os.path.samefile(source, target):
            return
        try:
            if source.is_dir():
                shutil.copytree(source, partial)
            else:
                shutil.copyfile(source, partial)
            if target.exists() and (target.is_dir() or partial.is_dir()) and not target.is_symlink():
                _swap(partial, target)
            else:
                os.replace(partial, target)
        except BaseException:
            _remove(partial)
            raise
    except (OSError, ValueError) as error:  # a ValueError for a name that this system cannot write
        raise StoreError(f"cannot copy {source} to {target}: {error}") from error


def _swap(partial: Path, target: Path) -> None:
    """Put a file or folder in the place of a folder, or a folder in that of a file, which no plain rename does."""
    if exchange(os.fspath(partial), os.fspath(target)):
        _remove(partial)
        return
    aside = target.with_name(f"{target.name}.tmp-{os.urandom(4).hex()}")
    os.rename(target, aside)
    try:
        os.rename(partial, target)
    except BaseException:
        os.rename(aside, target)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def listing(root: Path, run_id: str, path: str, logged: Iterable[Artifact]) -> list[Artifact]:
    """The files and folders directly below ``path``: what stands on disk, and what events name besides.

    Links that lead out of the run's folder are left out. Empty for a path that is no folder.
    """
    parts = parts_of(path)
    if parts is None:
        return []
    return joined(parts, logged, _on_disk(root / run_id, parts) if folder_name_is_safe(run_id) else [])


def joined(parts: list[str], logged: Iterable[Artifact], there: Iterable[Artifact]) -> list[Artifact]:
    """What is there directly below a path, by name, and what events name besides."""
    found: dict[str, Artifact] = {}
    for artifact in logged:
        named = parts_of(artifact.path)
        if not named or named[: len(parts)] != parts or len(named) == len(parts):
            continue
        below = "/".join(named[: len(parts) + 1])
        if len(named) > len(parts) + 1:
            found[below] = Artifact(below, is_dir=True)
        else:
            found.setdefault(below, Artifact(below, artifact.size, artifact.digest, artifact.is_dir))
    for artifact in there:
        known = found.get(artifact.path)
        digest = known.digest if known is not None else ""
        found[artifact.path] = replace(artifact, digest=digest or artifact.digest)
    return [found[name] for name in sorted(found)]


def _base(folder: Path) -> str:
    """Where a run's folder really stands: below its store's, also when somebody put a link in its place."""
    root = folder.parent
    return os.path.join(os.path.realpath(root.parent), root.name, folder.name)


def _on_disk(folder: Path, parts: list[str]) -> list[Artifact]:
    found: list[Artifact] = []
    try:
        base = _base(folder)
        here = os.path.realpath(folder.joinpath(*parts), strict=True)
        if here != base and not here.startswith(base + os.sep):
            return []
        with os.scandir(here) as entries:
            for entry in entries:
                if PARTIAL.search(entry.name):
                    continue
                real = os.path.realpath(entry.path)
                if real.startswith(base + os.sep) and os.path.exists(real):
                    is_dir = entry.is_dir()
                    size = None if is_dir else entry.stat().st_size
                    found.append(Artifact("/".join([*parts, entry.name]), size, is_dir=is_dir))
    except (OSError, ValueError):
        return found
    return found


def parts_of(path: str) -> list[str] | None:
    """The parts of a relative path; ``None`` for one that is absolute, climbs, or could not be a path."""
    windows = os.name == "nt"
    if "\0" in path or path.startswith("/") or (windows and ("\\" in path or ":" in path)):
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return None if ".." in parts else parts


def missing(
    run_id: str, path: str, logged: Iterable[Artifact | LoggedModel], there: Iterable[Artifact], place: str
) -> str:
    """What is said of an artifact that is not there: what is, and where it was looked for."""
    names = sorted(artifact.path + "/" * artifact.is_dir for artifact in there)
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    what = f"its artifacts are {shown}" if names else "it has no artifacts there"
    was_logged = any(parts_of(item.path) == parts_of(path) for item in logged)
    lost = " was recorded, and is no longer there" if was_logged else " does not exist"
    return f"artifact {path!r} of run {run_id!r}{lost}; looked in {place}; {what}"
