"""The folder store: ``journals/*.jsonl``, ``artifacts/<run id>/…`` and ``runs.db``, an index that can be rebuilt.

The journals and artifacts are the truth. Every read first folds what the journals gained, live ones included, into the
index, each file in one transaction together with how far it was read; so several readers may fold at once, and nothing
is taken in twice. An index that is damaged, of an earlier version, or whose journals were deleted or rewritten is made
anew; one of a newer version is left alone, and another used beside it; one that cannot be written is kept in memory.
No absolute path stands in the folder: it can be moved.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from autotrack import journal
from autotrack.entities import Artifact, Experiment, Metric, Run
from autotrack.errors import FilterError, RunNotFound, StoreError
from autotrack.events import Entry
from autotrack.hooks import before_read
from autotrack.stores import tokens
from autotrack.stores.artifacts import folder as artifact_files
from autotrack.stores.base import ACTIVE_RUNS, Finding, Garbage, View
from autotrack.stores.filters import parse_filter, parse_orders
from autotrack.stores.glances import Points
from autotrack.stores.local import compaction, glancing, paging, rows, sweeping, waiting
from autotrack.stores.local.folding import fold
from autotrack.stores.local.incoming import locked, make_folder, write
from autotrack.stores.local.index import Index, NewerIndexError
from autotrack.stores.local.planning import search
from autotrack.stores.local.registry import Registry
from autotrack.stores.local.sql import VIEWS, Bound, encode
from autotrack.stores.local.tables import SCHEMA_VERSION
from autotrack.stores.local.walks import where_of
from autotrack.stores.paging import Names, Page
from autotrack.stores.registering import Change, Registering, RegistryState
from autotrack.stores.registry import is_name

ARTIFACTS: Final = "artifacts"
INDEX: Final = "runs.db"
_TOO_MUCH: Final = ("parser stack overflow", "expression tree is too large", "too many sql variables")

_ATTEMPTS: Final = 10
_TIDY_SECONDS: Final = 60

_said: set[Path] = set()

T = TypeVar("T")


def open_uri(uri: str) -> LocalStore:
    """The store of a path or a ``file:`` URI."""
    if uri.lower().startswith("file:"):
        return LocalStore(artifact_files.path_of_uri(uri))
    return LocalStore(Path(uri))


class LocalStore(Registering):
    """The runs in a folder. Opening and reading one that does not exist shows no runs, and does not make it.

    Parameters
    ----------
    folder : the store's folder, such as ``.autotrack``.

    Raises
    ------
    StoreError
        When something other than a folder stands there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder: Final = Path(os.path.abspath(os.path.expanduser(folder)))
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file; a store is a folder")
        self._lock = threading.RLock()
        self._resting = 0
        self._rested: Index | None = None
        self._process = os.getpid()
        self._index: Index | None = None
        self._parents: Index | None = None
        self._in_memory = False
        self._tidy_again = 0.0
        self._leaves: int | None = None
        self._registry = Registry(self.folder)

    @property
    def uri(self) -> str:
        """The folder's absolute path."""
        return str(self.folder)

    def apply(self, entries: Sequence[Entry]) -> None:
        """See `Store.apply`. The entries are kept in journals of their own, so that the index can be rebuilt."""
        entries = list(entries)
        if entries:
            make_folder(self.folder)
            self._attempt(lambda index: write(self.folder, index, entries))

    def get_run(self, run_id: str) -> Run:
        """See `Store.get_run`."""
        found = self._search("run_id = ?", [encode(run_id)])
        if not found:
            raise self._no_run(run_id)
        return found[0]

    def find_runs(self, reference: str) -> list[Run]:
        """See `Store.find_runs`."""
        if not reference:
            return []
        condition = f"{VIEWS[ACTIVE_RUNS]} AND (name = ? OR run_id = ? OR run_id > ? AND run_id < ?)"
        after = encode(reference + chr(0x10FFFF))
        return self._search(condition, [*[encode(reference)] * 3, after])

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
        expression, orders = parse_filter(filter), parse_orders(order_by)

        def query(index: Index) -> list[Run]:
            keys = search(index.connection, expression, orders, limit, experiment=experiment, view=view)
            return rows.runs(index.connection, keys)

        return self._find(query, filter)

    def page_runs(
        self,
        filter: str | None = None,
        order_by: Sequence[str] = (),
        limit: int = 100,
        *,
        experiments: Sequence[str] | None = None,
        view: View = ACTIVE_RUNS,
        after: str | None = None,
        top_level: bool = False,
    ) -> Page:
        """See `autotrack.stores.paging.page_runs`."""
        expression, orders = parse_filter(filter), parse_orders(order_by)
        digest = tokens.search_digest(paging.KIND, filter, order_by, experiments, view, top_level)
        place = None if after is None else tokens.decode(digest, after)
        where = where_of(expression, experiments, view, top_level)
        return self._find(
            lambda index: paging.page(index.connection, orders, limit, where, place, digest),
            filter,
        )

    def count_runs(
        self,
        filter: str | None = None,
        *,
        experiments: Sequence[str] | None = None,
        view: View = ACTIVE_RUNS,
        at_most: int | None = None,
        top_level: bool = False,
    ) -> int:
        """See `autotrack.stores.paging.count_runs`."""
        where = where_of(parse_filter(filter), experiments, view, top_level)
        return self._find(lambda index: paging.count(index.connection, where, at_most), filter)

    def children_of(
        self, run_ids: Sequence[str], *, view: View = ACTIVE_RUNS, limit_each: int | None = None
    ) -> dict[str, list[Run]]:
        """See `autotrack.stores.paging.children_of`."""
        return self._with_index(lambda index: paging.children(index.connection, run_ids, view, limit_each))

    def names_of(self, experiment: str | None = None) -> Names:
        """See `autotrack.stores.paging.names_of`."""
        return self._with_index(lambda index: paging.names(index.connection, experiment))

    def change_mark(self) -> str:
        """See `autotrack.stores.paging.change_mark`. The journals say it, and whether those who write them live."""
        return self._with_index(lambda index: paging.mark(index.connection))

    def metric_history(self, run_id: str, key: str) -> list[Metric]:
        """See `Store.metric_history`."""
        return self._with_index(lambda index: rows.history(index.connection, self._key(index, run_id), key))

    def metric_histories(self, run_id: str) -> dict[str, list[Metric]]:
        """See `autotrack.stores.base.histories`."""
        return self._with_index(lambda index: rows.histories(index.connection, self._key(index, run_id)))

    def outline(self, run_id: str, params: Collection[str], tags: Collection[str]) -> Run | None:
        """See `autotrack.stores.glances.outline`."""
        return self._with_index(lambda index: glancing.outline(index.connection, run_id, params, tags))

    def last_points(self, run_ids: Sequence[str]) -> dict[str, Points]:
        """See `autotrack.stores.glances.last_points`."""
        return self._with_index(lambda index: glancing.last_points(index.connection, run_ids))

    def experiment_facts(self, names: Collection[str] | None) -> dict[str, dict[str, Any]]:
        """See `autotrack.stores.glances.experiment_facts`."""
        return self._with_index(lambda index: glancing.experiment_facts(index.connection, names))

    def experiments(self) -> list[Experiment]:
        """See `Store.experiments`."""
        return self._with_index(lambda index: rows.experiments(index.connection))

    def artifacts(self, run_id: str, path: str = "") -> list[Artifact]:
        """See `Store.artifacts`."""
        return artifact_files.listing(self.folder / ARTIFACTS, run_id, path, self._logged(run_id))

    def artifact_path(self, run_id: str, path: str) -> Path:
        """See `Store.artifact_path`."""
        return artifact_files.find(self.folder / ARTIFACTS, run_id, path, self._logged(run_id))

    def put_artifact(self, run_id: str, path: str, source: Path) -> None:
        """See `Store.put_artifact`."""
        artifact_files.put(self.folder / ARTIFACTS, run_id, path, source)

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """See `autotrack.stores.base.at_rest`."""
        with self._lock:
            self._resting += 1
            self._rested = None
        try:
            yield
        finally:
            with self._lock:
                self._resting -= 1

    def artifact_folder(self, run_id: str) -> Path:
        """Where a run's artifacts are to be written; it need not exist yet.

        Raises
        ------
        StoreError
            When no folder can have the run's id for a name.
        """
        if not artifact_files.folder_name_is_safe(run_id):
            raise StoreError(f"{run_id!r} cannot be the name of a folder")
        return self.folder / ARTIFACTS / run_id

    def problems(self) -> list[str]:
        """See `Store.problems`."""
        query = "SELECT message FROM problems JOIN files ON files.id = problems.file ORDER BY files.name, problems.id"
        found = self._with_index(lambda index: [str(message) for (message,) in index.connection.execute(query)])
        with self._lock:
            try:
                return found + self._registry.problems()
            except StoreError as error:
                return [*found, str(error)]

    def garbage(self, older_than: float = 0.0) -> list[Garbage]:
        """See `Maintained.garbage`. Files of no run have to be a day old."""
        artifacts = self.folder / ARTIFACTS
        with self._named_errors():
            named = self._named_runs()
            return self._with_index(
                lambda index: sweeping.find(self.folder, artifacts, index, older_than, named), closed=False
            )

    def collect(self, garbage: Sequence[Garbage]) -> None:
        """See `Maintained.collect`. What a live process may write to stays."""
        artifacts = self.folder / ARTIFACTS
        with self._named_errors():
            named = self._named_runs()
            self._with_index(
                lambda index: sweeping.collect(self.folder, artifacts, index, garbage, named), closed=False
            )

    def check(self, *, repair: bool = False, tell: Callable[[str, int, int], None] | None = None) -> list[Finding]:
        """See `Maintained.check`.

        Parameters
        ----------
        tell : is told now and then what is being checked, how many of it are done, and of how many.
        """
        from autotrack.stores.local.checking import Check

        check = Check(
            self.folder,
            self.folder / ARTIFACTS,
            self.folder / INDEX,
            repair=repair,
            reset=self._reset,
            apply=self.apply,
            tell=tell,
        )
        try:
            return check.run()
        except (OSError, ValueError, sqlite3.Error) as error:
            raise StoreError(f"cannot check {self.folder}: {error}") from error

    def close(self) -> None:
        """See `Store.close`."""
        self._leave_the_parent_its_own()
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None

    def _ask_registry(self, question: Callable[[RegistryState], T]) -> T:
        self._leave_the_parent_its_own()
        with self._lock:
            return question(self._up_to_date_registry())

    def _change_registry(self, plan: Callable[[RegistryState], Change], then: Callable[[RegistryState], T]) -> T:
        self._leave_the_parent_its_own()
        with self._lock:
            plan(self._up_to_date_registry())  # what is refused writes nothing
            return then(self._registry.change(lambda state: [plan(state)]))

    def _up_to_date_registry(self) -> RegistryState:
        """The registry, with a version of every logged model that is to be one."""
        found = self._with_index(waiting.logged)
        if not found:
            return self._registry.read()
        if problems := self._registry.problems():
            if self._registry.path not in _said:
                _said.add(self._registry.path)
                message = "%s; models that were logged since are no versions until autotrack fsck --repair mends it"
                logging.getLogger("autotrack").warning(message, problems[0])
            return self._registry.read()
        named = [model for model in found if is_name(model.name)]
        try:
            self._registry.take_in(named)
        except StoreError:  # no room, or no right to write: the answer is the same
            return self._registry.suppose(named)
        try:
            self._with_index(lambda index: waiting.done(index, found), closed=False)
        except StoreError:
            pass  # they are looked at again next time
        return self._registry.read()

    def _named_runs(self) -> dict[str, str] | None:
        """The runs that versions name; ``None`` where that cannot be told."""
        return self._ask_registry(lambda state: None if self._registry.problems() else state.runs())

    def _find(self, query: Callable[[Index], T], filter: str | None) -> T:
        """As `_with_index`; says it where the filter is too much for SQLite."""
        try:
            return self._with_index(query)
        except StoreError as error:
            if any(reason in str(error.__cause__).lower() for reason in _TOO_MUCH):
                message = f"the filter is too large for this SQLite ({error.__cause__}): {filter!r:.200}"
                raise FilterError(message) from error
            raise

    def _search(self, condition: str, bound: list[Bound]) -> list[Run]:
        return self._with_index(lambda index: rows.search(index.connection, condition, bound))

    def _logged(self, run_id: str) -> list[Artifact]:
        return self._with_index(lambda index: rows.logged_artifacts(index.connection, self._key(index, run_id)))

    def _key(self, index: Index, run_id: str) -> int:
        row = index.connection.execute("SELECT id FROM runs WHERE run_id = ?", (encode(run_id),)).fetchone()
        if row is None:
            raise self._no_run(run_id)
        return int(row[0])

    def _no_run(self, run_id: str) -> RunNotFound:
        return RunNotFound(f"no run {run_id!r} in {self.folder}")

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot sweep {self.folder}: {error}") from error

    def _with_index(self, query: Callable[[Index], T], *, closed: bool = True) -> T:
        """What a query answers, once everything is folded in; ``closed`` in that it sees no change meanwhile."""

        def fold_and_query(index: Index) -> T:
            if not self._resting or self._rested is not index:
                fold(self.folder, index)
                if closed:
                    self._tidy(index)
                self._rested = index
            if not closed:
                return query(index)
            with index.reading():
                return query(index)

        return self._attempt(fold_and_query)

    def _tidy(self, index: Index) -> None:
        """Pack the journals of dead processes when there are very many; not in a process that may be training."""
        if index.path is None or before_read or not compaction.is_due(index):
            return
        if time.monotonic() < self._tidy_again:
            return
        self._tidy_again = time.monotonic() + _TIDY_SECONDS
        try:
            compaction.compact(self.folder, index)
        except (OSError, ValueError, sqlite3.OperationalError):  # no room, no right to write, or a pack that is damaged
            pass  # the store can be read as it is

    def _attempt(self, use: Callable[[Index], T]) -> T:
        """Use the index; where SQLite fails, again on a new file, and at last in memory."""
        self._leave_the_parent_its_own()
        with self._lock:
            was_reset = False
            while True:
                try:
                    return use(self._open())
                except sqlite3.DatabaseError as error:
                    if self._in_memory or any(reason in str(error).lower() for reason in _TOO_MUCH):
                        raise StoreError(f"{self.folder} cannot be read: {error}") from error
                    damaged = not isinstance(error, sqlite3.OperationalError) or "no such" in str(error)
                    if not damaged or was_reset or not self._reset():
                        self._go_into_memory()
                    was_reset = True

    def _leave_the_parent_its_own(self) -> None:
        """After a fork the connection, and the lock with whoever held it, are the parent's: neither used nor closed."""
        if self._process != os.getpid():
            self._process, self._lock, self._parents, self._index = os.getpid(), threading.RLock(), self._index, None
            self._registry = Registry(self.folder)

    def _open(self) -> Index:
        path = None if self._in_memory or not (self.folder / journal.JOURNALS).is_dir() else self._path()
        if self._index is not None:
            if self._index.path == path and (path is None or _inode(path) == self._index.inode):
                return self._index
            self._index.close()
            self._index = None
        try:
            self._index = _opened(path)
        except NewerIndexError as error:
            self._leave_newer(error)
            self._index = _opened(self._path())
        return self._index

    def _path(self) -> Path:
        return self.folder / (INDEX if self._leaves != _inode(self.folder / INDEX) else f"{INDEX}.{SCHEMA_VERSION}")

    def _leave_newer(self, error: NewerIndexError) -> None:
        """Go on with an index beside the one of a newer autotrack."""
        if self.folder not in _said:
            _said.add(self.folder)
            message = (
                "%s; this autotrack goes on with an index of its own, %s.%d. A newer autotrack would read the first."
            )
            logging.getLogger("autotrack").warning(message, error, INDEX, SCHEMA_VERSION)
        self._leaves = _inode(self.folder / INDEX)

    def _reset(self) -> bool:
        """Delete the damaged index; whether that could be done, by this process or another."""
        path = self._path()
        damaged = _inode(path) if self._index is None else self._index.inode
        if self._index is not None:
            self._index.close()
            self._index = None
        try:
            with locked(self.folder):
                if _inode(path) == damaged:
                    for suffix in ("-journal", "-wal", "-shm", ""):
                        path.with_name(path.name + suffix).unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def _go_into_memory(self) -> None:
        """Go on with an index of our own, beginning with what can be read of the one on disk."""
        old, self._index = self._index, Index(None)
        self._in_memory = True
        if old is not None:
            try:
                old.connection.backup(self._index.connection, pages=-1, sleep=0)
            except sqlite3.Error:
                self._index.close()
                self._index = Index(None)
            old.close()


def _opened(path: Path | None) -> Index:
    for _ in range(_ATTEMPTS):
        try:
            return Index(path)
        except FileNotFoundError:  # another process deleted it, damaged, between our opening it and looking at it
            continue
    raise sqlite3.OperationalError(f"{path} is deleted again and again")


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
