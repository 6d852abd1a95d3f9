"""What of a folder nobody misses, and removing it for good."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from autotrack import journal
from autotrack.journal import JOURNALS
from autotrack.owners import Identity, own_identity
from autotrack.stores.artifacts.folder import PARTIAL, folder_name_is_safe
from autotrack.stores.base import Garbage
from autotrack.stores.local import compaction
from autotrack.stores.local.compaction import Removal
from autotrack.stores.local.index import Index
from autotrack.stores.local.sql import decode, encode
from autotrack.stores.local.tables import HEADLESS, SCHEMA_VERSION, UNREADABLE

RUN: Final = "run"
ARTIFACTS_OF_NO_RUN: Final = "artifacts"
PARTIAL_WRITE: Final = "partial"
JOURNAL_FILES: Final = "journals"

GRACE_SECONDS: Final = 86_400
"""How old files of no run have to be: a live process writes a run's files before its journal names them."""
_ALIVE: Final = "a live process may still write to it; once that has ended it goes"
_VERSION: Final = "the registered model {0} comes from it; once that is deleted (autotrack models delete {1}) it goes"
_UNKNOWN_VERSIONS: Final = "the registry is damaged and may name it; see autotrack fsck"
_UNREADABLE: Final = "a journal that cannot be read may tell of it; see autotrack fsck"


Named = Mapping[str, str] | None
"""The runs that versions of registered models name, with one of these each; ``None`` where that cannot be told."""


def find(folder: Path, artifacts: Path, index: Index, older_than: float, named: Named) -> list[Garbage]:
    """What can be removed, and what will be able to be; see `autotrack.stores.base.Maintained.garbage`."""
    return [
        *_runs(folder, artifacts, index, older_than, named),
        *_orphans(artifacts, index),
        *_partial(folder, artifacts, index),
        *_journals(folder, index),
    ]


def loose(folder: Path, artifacts: Path, index: Index) -> list[Garbage]:
    """Of that, the files of no run."""
    return [*_orphans(artifacts, index), *_partial(folder, artifacts, index)]


def collect(folder: Path, artifacts: Path, index: Index, garbage: Sequence[Garbage], named: Named) -> None:
    """Remove these, each if it still is garbage.

    Raises
    ------
    OSError, ValueError, sqlite3.DatabaseError
        When something cannot be read, written or deleted. Doing it again finishes it.
    """
    runs = {item.run_id for item in garbage if item.kind == RUN and item.run_id is not None and not item.kept}
    runs = set() if named is None else runs - named.keys()
    if runs:
        _remove_runs(folder, artifacts, index, runs)
    kinds = {item.kind for item in garbage}
    wanted = {(item.kind, item.place) for item in garbage if not item.kept}
    if ARTIFACTS_OF_NO_RUN in kinds:
        for item in _orphans(artifacts, index):
            if (item.kind, item.place) in wanted and not item.kept:
                _delete(folder / item.place)
    if PARTIAL_WRITE in kinds:
        for item in list(_partial(folder, artifacts, index)):
            if (item.kind, item.place) in wanted:
                _delete(folder / item.place)
    if JOURNAL_FILES in kinds:
        compaction.compact(folder, index, wait=True, limit=None)


def _runs(folder: Path, artifacts: Path, index: Index, older_than: float, named: Named) -> Iterator[Garbage]:
    latest = int((time.time() - older_than) * 1000)
    query = "SELECT run_id, name, deleted_time FROM runs WHERE deleted_time IS NOT NULL ORDER BY deleted_time, run_id"
    found = [(decode(run_id), decode(name)) for run_id, name, at in index.connection.execute(query) if at <= latest]
    living = compaction.runs_of_the_living(folder, index) if found else set()
    for run_id, name in found:
        size = _size(artifacts / run_id) if folder_name_is_safe(run_id) else 0
        kept = _ALIVE if run_id in living else ""
        if named is None:
            kept = _UNKNOWN_VERSIONS
        elif run_id in named:
            kept = _VERSION.format(named[run_id], shlex.quote(named[run_id]))
        yield Garbage(RUN, f"{run_id}  {name}", size, run_id, kept)


def _remove_runs(folder: Path, artifacts: Path, index: Index, runs: set[str]) -> None:
    # A run may have been restored since.
    execute = index.connection.execute
    deleted = {decode(row[0]) for row in execute("SELECT run_id FROM runs WHERE deleted_time IS NOT NULL")}
    runs &= deleted
    processes = {decode(row[0]) for run in runs for row in execute(_PROCESS, (encode(run),))}
    others = execute("SELECT run_id, process_id FROM runs")
    still_used = {decode(process) for run_id, process in others if decode(run_id) not in runs}
    removed = compaction.remove(folder, index, Removal(frozenset(runs), frozenset(processes - still_used - {""})))
    # Behind the journals: files that are left over belong to no run, and the next sweep finds them.
    for run_id in removed.runs:
        if folder_name_is_safe(run_id):
            _delete(artifacts / run_id)


_PROCESS: Final = "SELECT process_id FROM runs WHERE run_id = ?"


def _orphans(artifacts: Path, index: Index) -> Iterator[Garbage]:
    known = {decode(row[0]) for row in index.connection.execute("SELECT run_id FROM runs")}
    query = "SELECT (SELECT count(*) FROM problems) + (SELECT count(*) FROM files WHERE state = ?)"
    unreadable = index.connection.execute(query, (UNREADABLE,)).fetchone()[0]
    for entry in _entries(artifacts):
        if entry.name in known or PARTIAL.search(entry.name) or not _is_old(Path(entry.path)):
            continue
        kept = _UNREADABLE if unreadable else ""
        yield Garbage(ARTIFACTS_OF_NO_RUN, f"{artifacts.name}/{entry.name}", _size(Path(entry.path)), kept=kept)


def _partial(folder: Path, artifacts: Path, index: Index) -> Iterator[Garbage]:
    for path in [*_partial_below(artifacts), *_partial_below(folder / JOURNALS)]:
        if _is_old(path):
            yield Garbage(PARTIAL_WRITE, path.relative_to(folder).as_posix(), _size(path))
    for row in index.files().values():
        path = folder / JOURNALS / row.name
        if row.state == HEADLESS and _is_old(path) and not _is_locked(path):
            yield Garbage(PARTIAL_WRITE, path.relative_to(folder).as_posix(), row.size)

    for path in folder.glob("runs.db.[0-9]*"):  # beside an index that was newer than the autotrack of then
        if path.suffix.removeprefix(".").isdecimal() and int(path.suffix[1:]) < SCHEMA_VERSION and _is_old(path):
            yield Garbage(PARTIAL_WRITE, path.relative_to(folder).as_posix(), _size(path))


def _partial_below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            if PARTIAL.search(name):
                yield Path(place, name)
        folders[:] = [name for name in folders if not PARTIAL.search(name)]


def _journals(folder: Path, index: Index) -> Iterator[Garbage]:
    count = len(compaction.candidates(folder, index))
    if count > 1:
        yield Garbage(JOURNAL_FILES, f"{JOURNALS}/: {count:,} journals of processes that ended, to become one file")


def _is_locked(path: Path) -> bool:
    here = own_identity()
    nobody = Identity("", journal.UNKNOWN, "", here.boot)
    return journal.is_alive(path, journal.Header("", 1, 0, nobody))


def _is_old(path: Path) -> bool:
    return time.time() - _newest(path) > GRACE_SECONDS


def _newest(path: Path) -> float:
    """When a file, or anything in a folder, was last changed."""
    try:
        newest = path.lstat().st_mtime
    except OSError:
        return time.time()  # it is being moved about
    if path.is_symlink():
        return newest
    for place, folders, files in os.walk(path):
        for name in [*folders, *files]:
            try:
                newest = max(newest, os.lstat(os.path.join(place, name)).st_mtime)
            except OSError:
                return time.time()
    return newest


def _size(path: Path) -> int:
    if path.is_symlink():
        return 0
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    total = 0
    for place, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _delete(path: Path) -> None:
    """Delete a file, link or folder; a folder gets a name first that no reader sees."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    aside = path if PARTIAL.search(path.name) else path.with_name(f"{path.name}.tmp-{os.urandom(4).hex()}")
    if aside != path:
        os.rename(path, aside)
    shutil.rmtree(aside)
