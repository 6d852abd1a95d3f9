"""Where the files of runs stand on this machine when a store had to fetch them.

They are kept by their content for all of the user's processes, below ``$AUTOTRACK_CACHE_DIR`` (else
``$XDG_CACHE_HOME/autotrack``, else ``~/.cache/autotrack``), as ``artifacts/<first two digits>/<digest>/<name>``: a
script that loads the same model each time it starts fetches it once, and two runs with the same file share it. A path
that was handed out outlives the store it came from. Where that folder cannot be written, a temporary one takes its
place, which is removed when the process ends.

Any number of processes share the folder without locks: content is written beside its place, verified and renamed. It is
read-only there, and verified again before a process first hands it out, so that what was changed on disk is fetched
anew. What nobody asked for in `KEPT_DAYS` is removed; above `MOST_BYTES` so is what was not asked for longest. What was
asked for within the last hour stays in any case: a path that was handed out is to be read, not to be kept.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from autotrack import digests
from autotrack.errors import StoreError

VARIABLE: Final = "AUTOTRACK_CACHE_DIR"
KEPT_DAYS: Final = 30
MOST_BYTES: Final = 4 * 1024**3
_IN_USE: Final = 3600.0
"""Seconds after it was asked for in which nothing is removed."""

_SWEEP_EVERY: Final = 3600.0
_DAY: Final = 86400.0
_PARTIAL: Final = ".tmp-"


def cache_folder() -> Path:
    """Where this user's processes keep what they fetched; it need not exist."""
    if chosen := os.environ.get(VARIABLE):
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.path.abspath(base), "autotrack")


class ArtifactCache:
    """What was fetched, for any storage. Every method may be called from several threads.

    Parameters
    ----------
    folder : shared by all processes that name it; `cache_folder` when left out.
    most_bytes : above this, what was not asked for longest is removed.
    """

    def __init__(self, folder: Path | None = None, *, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._verified: dict[Path, tuple[int, int, int]] = {}
        self._swept: float | None = None

    def fetched(self, run_id: str, path: str, digest: str, write: Callable[[Path], None]) -> Path:
        """Where an artifact stands, after having it written where it does not yet.

        Parameters
        ----------
        run_id, path : for the name of the file and for errors.
        digest : of the file (`autotrack.digests.of_file`) or folder (`autotrack.digests.of_folder`); empty when it is
            not known, and then it is written each time, to be told apart by its content.
        write : makes the file, or the folder with all that is in it, at the place it is given, where nothing stands.

        Raises
        ------
        StoreError
            When what was written has another digest, naming both, or this machine's disk refuses it. What ``write``
            raises, other than an ``OSError``, is passed on.
        """
        name = path.rstrip("/").rpartition("/")[2] or "artifacts"
        try:
            root = self._root()
            target = _target(root, digest, name) if digests.is_digest(digest) else None
            if target is None or not self._is_intact(target, digest):
                target = self._fetch(root, name, run_id, path, digest, write)
            os.utime(target.parent)
        except OSError as error:
            raise StoreError(f"artifact {path!r} of run {run_id!r} cannot be kept on this machine: {error}") from error
        self._sweep_now_and_then(root)
        return target

    def sweep(self, root: Path | None = None) -> None:
        """Remove what was not asked for in `KEPT_DAYS`, and the oldest of the rest while it is too much."""
        now = time.time()
        entries = []
        for first in _children(self._root() if root is None else root):
            for entry in [first] if first.name.startswith(_PARTIAL) else _children(first):
                try:
                    entries.append((entry.stat().st_mtime, entry))
                except OSError:
                    continue
        total = 0
        for used, entry in sorted(entries, reverse=True):
            total += _size(entry)
            if now - used > _IN_USE and (total > self._most_bytes or now - used > KEPT_DAYS * _DAY):
                _remove(entry)

    def _root(self) -> Path:
        """The folder of all processes, or one of this process's own where that one cannot be written."""
        shared = (cache_folder() if self._folder is None else self._folder) / "artifacts"
        try:
            shared.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.access(shared, os.W_OK | os.X_OK):
                return shared
        except OSError:
            pass
        return _temporary_root()

    def _is_intact(self, target: Path, digest: str) -> bool:
        try:
            status = target.stat()
            if stat.S_ISDIR(status.st_mode):
                if digests.of_folder(target) == digest:
                    return True
            else:
                mark = (status.st_ino, status.st_mtime_ns, status.st_size)
                if self._verified.get(target) == mark:
                    return True
                if digests.of_file(target) == digest:
                    self._verified[target] = mark
                    return True
        except OSError:
            return False
        _remove(target)
        return False

    def _fetch(self, root: Path, name: str, run_id: str, path: str, digest: str, write: Callable[[Path], None]) -> Path:
        partial = root / f"{_PARTIAL}{os.urandom(8).hex()}"
        partial.mkdir(mode=0o700)
        try:
            written = partial / name
            write(written)
            found = digests.of_folder(written) if written.is_dir() else digests.of_file(written)
            if digests.is_digest(digest) and found != digest:
                raise StoreError(digests.mismatch(run_id, path, digest, found))
            _protect(written)
            target = _target(root, found, name)
            if digest != found and self._is_intact(target, found):
                return target
            for attempt in range(3):
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                try:
                    os.replace(written, target)
                    break
                except FileNotFoundError:  # swept away just now
                    if attempt == 2:
                        raise
                except OSError:  # a folder that another thread or process put there meanwhile
                    if not self._is_intact(target, found) and attempt == 2:
                        raise
            return target
        finally:
            _remove(partial)

    def _sweep_now_and_then(self, root: Path) -> None:
        with self._lock:
            now = time.monotonic()
            if self._swept is not None and now - self._swept < _SWEEP_EVERY:
                return
            self._swept = now
        self.sweep(root)


_temporary: tuple[int, Path] | None = None
_temporary_lock = threading.Lock()


def _temporary_root() -> Path:
    global _temporary
    with _temporary_lock:
        if _temporary is None or _temporary[0] != os.getpid():
            _temporary = os.getpid(), Path(os.path.realpath(tempfile.mkdtemp(prefix="autotrack-artifacts-")))
            atexit.register(_remove_if_ours, *_temporary)
        return _temporary[1]


def _remove_if_ours(process: int, path: Path) -> None:
    if process == os.getpid():  # a forked child leaves it to its parent
        _remove(path)


def _target(root: Path, digest: str, name: str) -> Path:
    hexadecimal = digest.removeprefix(digests.PREFIX)
    return root / hexadecimal[:2] / hexadecimal / name


def _protect(path: Path) -> None:
    """Nobody is to write into what all share; folders must stay writable to be removed."""
    if os.name == "nt":
        return
    if not path.is_dir():
        path.chmod(0o444)
    for place, _, names in os.walk(path):
        for name in names:
            os.chmod(os.path.join(place, name), 0o444)


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            pass
