"""Artifacts in the database itself, in chunks of a megabyte.

A file that is being written is a row that no reader sees. When its last chunk is there, one short transaction shows it
and hides what stood in its place, whose chunks are removed afterwards. What a killed writer left is removed by whoever
writes a day later.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack import digests
from autotrack.entities import Artifact, LoggedModel
from autotrack.errors import ArtifactNotFound, PathRefused, StoreError
from autotrack.stores.artifacts.cache import ArtifactCache
from autotrack.stores.artifacts.folder import joined, logged_digest, missing, parts_of
from autotrack.stores.database import tables
from autotrack.stores.database.codes import digest
from autotrack.stores.database.engine import Database
from autotrack.stores.database.inserting import insert_new
from autotrack.stores.database.names import CHUNK as MANY
from autotrack.stores.database.names import chunked

CHUNK: Final = 1 << 20
FORGOTTEN_MS: Final = 86_400_000
"""A file that is not complete after so many milliseconds was left by a killed writer."""

WRITTEN: Final = 0
SHOWN: Final = 1
REPLACED: Final = 2

_FILES: Final = tables.files.c
_CHUNKS: Final = tables.chunks.c


class StoredFile(NamedTuple):
    """A file that readers see."""

    id: int
    path: str
    size: int
    digest: str


class DatabaseArtifacts:
    """Artifacts in a database; see `autotrack.stores.artifacts.base.ArtifactStorage`.

    Parameters
    ----------
    database : is not closed with it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache = ArtifactCache()

    @property
    def uri(self) -> str:
        """The database's."""
        return self._database.address.shown

    def put(self, run_id: str, path: str, source: Path) -> None:
        """See `ArtifactStorage.put`. Files that are there already, with the same content, are not sent again."""
        parts = parts_of(path)
        if not parts:
            raise PathRefused(f"{path!r} is not a path inside the artifacts of run {run_id!r}")
        base = "/".join(parts)
        local = _local_files(source, base)
        self._database.write(_forget_the_dead)
        there = {file.path: file for file in self._database.read(lambda connection: stored(connection, run_id))}
        new: list[int] = []
        try:
            for name, (file, size, checked) in local.items():
                known = there.get(name)
                if known is None or (known.size, known.digest) != (size, checked):
                    new.append(self._upload(run_id, name, file, size, checked))
            replaced = self._database.write(lambda connection: _show(connection, run_id, base, set(local), new))
        except BaseException:
            self._remove(new)
            raise
        self._remove(replaced)

    def listing(self, run_id: str, path: str, logged: Iterable[Artifact]) -> list[Artifact]:
        """See `ArtifactStorage.listing`."""
        parts = parts_of(path)
        if parts is None:
            return []
        there = self._database.read(lambda connection: stored(connection, run_id))
        return joined(parts, logged, _children(there, parts))

    def fetch(self, run_id: str, path: str, logged: Iterable[Artifact | LoggedModel]) -> Path:
        """See `ArtifactStorage.fetch`."""
        logged = list(logged)
        parts = parts_of(path)
        if parts is None:
            raise ArtifactNotFound(f"{path!r} is not a path inside the artifacts of run {run_id!r}")
        base = "/".join(parts)
        there = self._database.read(lambda connection: stored(connection, run_id))
        files = {file.path[len(base) :].lstrip("/"): file for file in there if _is_below(file.path, base)}
        if not files and base:
            told = missing(run_id, path, logged, _children(there, []), self.uri)
            raise ArtifactNotFound(told)
        is_folder = "" not in files
        known = digests.of_digests({name: file.digest for name, file in files.items()})
        wanted = logged_digest(path, logged) or (known if is_folder else files[""].digest)

        def write(target: Path) -> None:
            self._database.read(lambda connection: _download(connection, files, is_folder, target))

        return self._cache.fetched(run_id, path, wanted, write)

    def runs(self) -> Iterator[str]:
        """See `ArtifactStorage.runs`."""
        query = sa.select(_FILES.run_id).where(_FILES.state == SHOWN).distinct()
        yield from sorted(self._database.read(lambda connection: connection.execute(query).scalars().all()))

    def remove(self, run_id: str) -> None:
        """See `ArtifactStorage.remove`."""
        query = sa.select(_FILES.id).where(_FILES.run_hash == digest(run_id))
        self._remove(self._database.read(lambda connection: connection.execute(query).scalars().all()))

    def close(self) -> None:
        """Nothing to let go of: the connections are the store's."""

    def _upload(self, run_id: str, path: str, source: Path, size: int, checked: str) -> int:
        """Send a file, a transaction per chunk, and give its row."""
        number = self._database.write(lambda connection: _new_file(connection, run_id, path, size, checked))
        try:
            sent = hashlib.sha256()
            with source.open("rb") as file:
                for position in range(2**62):
                    data = file.read(CHUNK)
                    if not data:
                        break
                    sent.update(data)
                    row = {"file": number, "number": position, "data": data}
                    self._database.write(lambda connection, row=row: _put_chunk(connection, row))  # type: ignore[misc]
            if digests.PREFIX + sent.hexdigest() != checked:
                raise StoreError(f"{source} was changed while it was put among the artifacts of run {run_id!r}")
        except BaseException as error:
            self._remove([number])
            if isinstance(error, OSError):
                raise StoreError(f"cannot read {source}: {error}") from error
            raise
        return number

    def _remove(self, files: Iterable[int]) -> None:
        """Remove files for good, one transaction each. What stays because that failed is removed a day later."""
        for number in files:
            try:
                self._database.write(lambda connection, number=number: remove_file(connection, number))  # type: ignore[misc]
            except StoreError:
                return


def stored(connection: Connection, run_id: str) -> list[StoredFile]:
    """The files of a run that readers see, by path."""
    query = sa.select(_FILES.id, _FILES.path, _FILES.size, _FILES.digest)
    rows: Iterable[Any] = connection.execute(query.where(_FILES.run_hash == digest(run_id), _FILES.state == SHOWN))
    return sorted((StoredFile(*row) for row in rows), key=lambda file: file.path)


def content(connection: Connection, file: int) -> Iterator[bytes]:
    """A file, chunk by chunk."""
    for position in range(2**62):
        query = sa.select(_CHUNKS.data).where(_CHUNKS.file == file, _CHUNKS.number == position)
        data = connection.execute(query).scalar()
        if data is None:
            return
        yield bytes(data)


def remove_file(connection: Connection, file: int) -> None:
    """Remove a file and its chunks."""
    connection.execute(sa.delete(tables.chunks).where(_CHUNKS.file == file))
    connection.execute(sa.delete(tables.files).where(_FILES.id == file))


def dead_files(connection: Connection, before: int) -> list[tuple[int, str, str, int]]:
    """Files that no reader sees, of writers that were killed: number, run, path and size."""
    query = sa.select(_FILES.id, _FILES.run_id, _FILES.path, _FILES.size).where(
        _FILES.state.in_([WRITTEN, REPLACED]), _FILES.created < before
    )
    return [(int(number), run_id, path, int(size)) for number, run_id, path, size in connection.execute(query)]


def _forget_the_dead(connection: Connection) -> None:
    for number, *_ in dead_files(connection, _now() - FORGOTTEN_MS)[:10]:
        remove_file(connection, number)


def _new_file(connection: Connection, run_id: str, path: str, size: int, checked: str) -> int:
    row = {"run_hash": digest(run_id), "run_id": run_id, "path": path, "size": size, "digest": checked}
    made = connection.execute(sa.insert(tables.files).values(**row, created=_now(), state=WRITTEN))
    return int(made.inserted_primary_key[0])  # type: ignore[index]


def _put_chunk(connection: Connection, row: dict[str, Any]) -> None:
    # Tried again after a connection was lost, it may be there already.
    connection.execute(sa.delete(tables.chunks).where(_CHUNKS.file == row["file"], _CHUNKS.number == row["number"]))
    connection.execute(sa.insert(tables.chunks).values(**row))


def _show(connection: Connection, run_id: str, base: str, kept: set[str], new: list[int]) -> list[int]:
    """Let readers see new files in the place of what stands at ``base`` and below, and give what they replace."""
    insert_new(connection, tables.counters, ("name", "last"), [("files", 0)])
    # One at a time, or two could show themselves in the same place.
    counters = tables.counters.c
    connection.execute(sa.update(tables.counters).where(counters.name == "files").values(last=counters.last + 1))
    there = stored(connection, run_id)
    for file in there:
        if base.startswith(file.path + "/"):
            raise StoreError(
                f"{base!r} cannot be put among the artifacts of run {run_id!r}: {file.path!r} there is a file"
            )
    rows: Iterable[Any] = connection.execute(sa.select(_FILES.path).where(_FILES.id.in_(new))).scalars() if new else []
    fresh = set(rows)
    replaced = [
        file.id for file in there if _is_below(file.path, base) and (file.path in fresh or file.path not in kept)
    ]
    for chunk in chunked(replaced, MANY):
        connection.execute(sa.update(tables.files).where(_FILES.id.in_(chunk)).values(state=REPLACED))
    for chunk in chunked(new, MANY):
        connection.execute(sa.update(tables.files).where(_FILES.id.in_(chunk)).values(state=SHOWN))
    if kept - fresh - {file.path for file in there}:
        raise StoreError(f"{base!r} of run {run_id!r} was replaced by another writer at the same time; put it again")
    return replaced


def _download(connection: Connection, files: dict[str, StoredFile], is_folder: bool, target: Path) -> None:
    if is_folder:
        target.mkdir(exist_ok=True)
    for name, file in files.items():
        parts = parts_of(name)
        if parts is None:
            raise StoreError(f"{name!r} can be no file on this machine")
        place = target.joinpath(*parts)
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as out:
            for data in content(connection, file.id):
                out.write(data)


def _local_files(source: Path, base: str) -> dict[str, tuple[Path, int, str]]:
    """The files to put, by path, with size and digest.

    Raises
    ------
    StoreError
        When one of them cannot be read.
    """
    found: dict[str, Path] = {}
    try:
        if source.is_dir():
            for place, _, names in os.walk(source, onerror=_raise, followlinks=True):
                for name in names:
                    file = Path(place, name)
                    found[f"{base}/{file.relative_to(source).as_posix()}"] = file
        else:
            found[base] = source
        described = {}
        for path, file in found.items():
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                raise OSError(None, "it is neither a file nor a folder", str(file))
            described[path] = (file, status.st_size, digests.of_file(file))
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot put {source} among the artifacts: {error}") from error
    return described


def _raise(error: OSError) -> None:
    raise error


def _is_below(path: str, base: str) -> bool:
    return not base or path == base or path.startswith(base + "/")


def _children(there: Iterable[StoredFile], parts: list[str]) -> list[Artifact]:
    """The files and folders directly below a folder."""
    found: dict[str, Artifact] = {}
    start = "".join(part + "/" for part in parts)
    for file in there:
        if file.path.startswith(start):
            name, is_folder, _ = file.path[len(start) :].partition("/")
            path = start + name
            found[path] = Artifact(path, is_dir=True) if is_folder else Artifact(path, file.size, file.digest)
    return list(found.values())


def _now() -> int:
    return int(time.time() * 1000)
