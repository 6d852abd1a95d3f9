"""Looking after a database: what nobody misses any more, and what is wrong."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack import digests
from autotrack.entities import Artifact, LoggedModel, Run
from autotrack.errors import ArtifactNotFound, AutotrackError, StoreError
from autotrack.stores.artifacts.base import ArtifactStorage
from autotrack.stores.base import Finding, Garbage
from autotrack.stores.database import tables
from autotrack.stores.database.chunks import (
    FORGOTTEN_MS,
    DatabaseArtifacts,
    StoredFile,
    content,
    dead_files,
    remove_file,
    stored,
)
from autotrack.stores.database.codes import digest
from autotrack.stores.database.engine import Database
from autotrack.stores.database.names import CHUNK, chunked
from autotrack.stores.database.registry_rows import register_logged, unregistered, versions_of_runs
from autotrack.stores.database.rows import Reader

_RUNS: Final = tables.runs.c
_FILES: Final = tables.files.c


class Upkeep:
    """See `autotrack.stores.base.Maintained`."""

    def __init__(self, database: Database, reader: Reader, artifacts: ArtifactStorage) -> None:
        self._database = database
        self._reader = reader
        self._artifacts = artifacts

    def garbage(self, older_than: float = 0.0) -> list[Garbage]:
        """See `Maintained.garbage`. Files without a run, or not complete, count after a day: their run may yet come."""
        now = int(time.time() * 1000)
        before = now - int(older_than * 1000)
        found = self._database.read(lambda connection: _deleted(connection, before))
        known = set(self._database.read(_run_ids))
        for run_id in self._artifacts.runs():
            if run_id not in known:
                size = self._database.read(lambda connection, run_id=run_id: _size(connection, run_id, before))  # type: ignore[misc]
                if size is not None or not isinstance(self._artifacts, DatabaseArtifacts):
                    place = f"artifacts of {run_id!r}, which is no run"
                    found.append(Garbage("artifacts", place, size, run_id))
        dead = self._database.read(lambda connection: dead_files(connection, min(before, now - FORGOTTEN_MS)))
        wanted = self._database.read(
            lambda connection: versions_of_runs(connection, [item.run_id for item in found if item.run_id is not None])
        )
        found = [replace(item, kept=_named_by(wanted.get(item.run_id or ""))) for item in found]
        found += [Garbage("partial", _partial(number, path), size, run_id) for number, run_id, path, size in dead]
        return found

    def collect(self, garbage: Sequence[Garbage]) -> None:
        """See `Maintained.collect`. A run that was restored since, or that a model version names, stays."""
        for item in garbage:
            if item.run_id is None:
                continue
            run_id = item.run_id
            if item.kind == "run":
                if self._database.write(lambda connection, run_id=run_id: _remove_run(connection, run_id)):  # type: ignore[misc]
                    self._artifacts.remove(run_id)
            elif item.kind == "artifacts":
                wanted = self._database.read(lambda connection, run_id=run_id: versions_of_runs(connection, [run_id]))  # type: ignore[misc]
                if not wanted and run_id not in self._database.read(_run_ids):
                    self._artifacts.remove(run_id)
            else:
                self._database.write(lambda connection, item=item: _remove_partial(connection, item))  # type: ignore[misc]

    def check(self, *, repair: bool = False) -> list[Finding]:
        """See `Maintained.check`."""
        found = []
        if self._database.dialect == "sqlite":
            told = self._database.read(
                lambda connection: connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            )
            found += [Finding(self._database.address.place, str(message)) for message in told if message != "ok"]
        for table in tables.OF_RUNS:
            found += self._check_owners(table, repair)
        found += self._check_registry(repair)
        ids = self._database.read(lambda connection: connection.execute(sa.select(_RUNS.id)).scalars().all())
        for chunk in chunked(ids, CHUNK):
            found += self._check_runs(chunk)
        return found

    def _check_owners(self, table: sa.Table, repair: bool) -> list[Finding]:
        """Rows of a run that is not there."""
        orphan = table.c.run.not_in(sa.select(_RUNS.id))
        query = sa.select(sa.func.count()).select_from(table).where(orphan)
        count = self._database.read(lambda connection: connection.execute(query).scalar_one())
        if not count:
            return []
        message = f"{count:,} rows belong to no run"
        if not repair:
            return [Finding(f"table {table.name}", message)]
        self._database.write(lambda connection: connection.execute(sa.delete(table).where(orphan)))
        return [Finding(f"table {table.name}", message, "removed them")]

    def _check_registry(self, repair: bool) -> list[Finding]:
        """Runs whose models should be versions of a registered model, and are none."""
        runs = self._database.read(unregistered)
        if not runs:
            return []
        message = f"{len(runs):,} runs have logged models under a registered name that are no versions of it"
        if not repair:
            return [Finding("registered models", message)]

        def register(connection: Connection) -> None:
            connection.execute(
                sa.select(_RUNS.id).where(_RUNS.id.in_(runs)).order_by(_RUNS.hash).with_for_update()
            ).all()
            register_logged(connection, runs)

        self._database.write(register)
        return [Finding("registered models", message, "made versions of them")]

    def _check_runs(self, ids: Sequence[int]) -> Iterator[Finding]:
        try:
            runs = self._database.read(lambda connection: self._reader.runs(connection, ids))
        except (AutotrackError, ValueError, KeyError, TypeError) as error:
            if len(ids) == 1:
                yield Finding(f"run number {ids[0]}", f"it cannot be read: {error!r}")
                return
            middle = len(ids) // 2
            yield from self._check_runs(ids[:middle])
            yield from self._check_runs(ids[middle:])
            return
        for number, run in zip(ids, runs):
            yield from self._check_files(number, run)

    def _check_files(self, number: int, run: Run) -> Iterator[Finding]:
        logged: list[Artifact | LoggedModel] = [
            *self._database.read(lambda connection: self._reader.logged_files(connection, number)),
            *run.models,
        ]
        if isinstance(self._artifacts, DatabaseArtifacts):
            there = self._database.read(lambda connection: stored(connection, run.run_id))
            for file in there:
                told = self._database.read(lambda connection, file=file: _damage(connection, file))  # type: ignore[misc]
                if told:
                    yield Finding(f"{run.run_id}/{file.path}", told, run_id=run.run_id)
            yield from _compare(run, logged, there)
            return
        for item in logged:
            if _is_to_come(item):
                continue
            try:
                self._artifacts.fetch(run.run_id, item.path, logged)
            except (ArtifactNotFound, StoreError) as error:
                yield Finding(f"{run.run_id}/{item.path}", str(error), run_id=run.run_id)


def _compare(run: Run, logged: Sequence[Artifact | LoggedModel], there: Sequence[StoredFile]) -> Iterator[Finding]:
    """What events name beside what is stored."""
    for item in logged:
        below = {file.path[len(item.path) :].lstrip("/"): file.digest for file in there if _is_in(file.path, item.path)}
        subject = f"{run.run_id}/{item.path}"
        if not below and _is_to_come(item):
            continue
        if not below:
            yield Finding(subject, "it was recorded, and is not there", run_id=run.run_id)
        elif digests.is_digest(item.digest):
            kept = below[""] if "" in below else digests.of_digests(below)
            if kept != item.digest:
                yield Finding(subject, digests.mismatch(run.run_id, item.path, item.digest, kept), run_id=run.run_id)


def _is_to_come(item: Artifact | LoggedModel) -> bool:
    """Whether it is a model whose folder need not be there yet."""
    return isinstance(item, LoggedModel) and item.is_pending


def _is_in(path: str, base: str) -> bool:
    return path == base or path.startswith(base + "/")


def _damage(connection: Connection, file: StoredFile) -> str:
    """What is wrong with the content of a file."""
    size, found = 0, hashlib.sha256()
    for data in content(connection, file.id):
        size += len(data)
        found.update(data)
    if size != file.size:
        return f"{size:,} bytes of it are there, it had {file.size:,}"
    kept = digests.PREFIX + found.hexdigest()
    return "" if kept == file.digest else f"its content is not what was put there ({kept}, not {file.digest})"


def _deleted(connection: Connection, before: int) -> list[Garbage]:
    query = sa.select(_RUNS.run_id, _RUNS.name).where(_RUNS.deleted_time <= before).order_by(_RUNS.deleted_time)
    return [
        Garbage("run", f"run {run_id} ({name})", _size(connection, run_id), run_id)
        for run_id, name in connection.execute(query)
    ]


def _size(connection: Connection, run_id: str, before: int | None = None) -> int | None:
    """How large a run's files are; ``None`` where there are none, or one came after ``before`` or today."""
    query = sa.select(sa.func.sum(_FILES.size), sa.func.max(_FILES.created)).where(_FILES.run_hash == digest(run_id))
    size, created = connection.execute(query).one()
    if size is None:
        return None
    if before is not None and created > min(before, int(time.time() * 1000) - FORGOTTEN_MS):
        return None
    return int(size)


def _run_ids(connection: Connection) -> set[str]:
    return set(connection.execute(sa.select(_RUNS.run_id)).scalars())


def _remove_run(connection: Connection, run_id: str) -> bool:
    """Remove all rows of a run, if it is deleted still and no model version names it."""
    query = sa.select(_RUNS.id).where(_RUNS.hash == digest(run_id), _RUNS.deleted_time.is_not(None))
    number = connection.execute(query.with_for_update()).scalar()
    if number is None or versions_of_runs(connection, [run_id]):
        return False
    for table in tables.OF_RUNS:
        connection.execute(sa.delete(table).where(table.c.run == number))
    connection.execute(sa.delete(tables.runs).where(_RUNS.id == number))
    return True


def _named_by(version: tuple[str, int] | None) -> str:
    """Why a run that a version names is kept."""
    return "" if version is None else f"version {version[1]} of the model {version[0]!r} names it; delete that first"


def _remove_partial(connection: Connection, item: Garbage) -> None:
    rows: list[Any] = dead_files(connection, int(time.time() * 1000) - FORGOTTEN_MS)
    for number, run_id, path, _ in rows:
        if run_id == item.run_id and _partial(number, path) == item.place:
            remove_file(connection, number)


def _partial(number: int, path: str) -> str:
    return f"upload {number} of {path}, broken off"
