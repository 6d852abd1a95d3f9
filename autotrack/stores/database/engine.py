"""Connections to a database: opened when needed, safe with threads and forks; transactions are tried again."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from autotrack.errors import StoreError
from autotrack.stores.database import schema
from autotrack.stores.database.address import Address
from autotrack.stores.database.codes import unescape
from autotrack.stores.expressions import like

CONNECT_SECONDS: Final = 10
BUSY_SECONDS: Final = 60
_RETRY_SECONDS: Final = 60
_LOST_RETRIES: Final = 3
_AGAIN_CODES: Final = {"40001", "40P01", "55P03", 1205, 1213, 1020}
"""Deadlocks, conflicts of transactions, waits for locks that took too long; by SQLSTATE or by MySQL's number."""
_NETWORK: Final = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "lustre", "afs", "ceph", "glusterfs", "beegfs", "gpfs")

T = TypeVar("T")


class Again(Exception):
    """Somebody else was faster, and what was prepared does not hold: `Database.write` lets this through."""


class Database:
    """One database and this process's connections to it.

    Parameters
    ----------
    address : where it is. Nothing is opened before it is needed.
    """

    def __init__(self, address: Address) -> None:
        self.address: Final = address
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._parents: list[Engine | None] = []

    @property
    def dialect(self) -> str:
        """``"sqlite"``, ``"postgresql"``, or ``"mysql"`` for MariaDB too."""
        return self.address.url.get_backend_name()

    def read(self, query: Callable[[Connection], T]) -> T:
        """What a query answers, all of whose statements see the same state.

        Raises
        ------
        StoreError
            When the database cannot be reached or read.
        """
        return self._retry(query, self._reading, "read")

    def glance(self, query: Callable[[Connection], T]) -> T:
        """What a query answers, each of whose statements sees the state of its own moment.

        It costs a PostgreSQL no transaction, which takes twice as many ways there and back as one statement.

        Raises
        ------
        StoreError
            When the database cannot be reached or read.
        """
        return self._retry(query, self._glancing, "read")

    def write(self, change: Callable[[Connection], T]) -> T:
        """What a change answers, once it is committed. It is tried again where it met another one.

        Raises
        ------
        StoreError
            When the database cannot be reached or written to; then nothing is changed.
        """
        return self._retry(change, self._writing, "written to")

    def close(self) -> None:
        """Close this process's connections."""
        self._leave_the_parent_its_own()
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    def _retry(self, work: Callable[[Connection], T], begin: Callable[[], Any], doing: str) -> T:
        deadline = time.monotonic() + _RETRY_SECONDS
        pause, lost = 0.005, 0
        while True:
            try:
                with begin() as connection:
                    return work(connection)
            except sa.exc.DBAPIError as error:
                lost += error.connection_invalidated
                if not (_is_conflict(error) or (error.connection_invalidated and lost < _LOST_RETRIES)):
                    raise self.error(error, doing) from error
                if time.monotonic() > deadline:
                    raise self.error(error, doing) from error
            except sa.exc.SQLAlchemyError as error:
                raise self.error(error, doing) from error
            # Those who met must not meet again.
            time.sleep(pause * (0.5 + random.SystemRandom().random()))
            pause = min(pause * 2, 0.5)

    def error(self, error: Exception, doing: str) -> StoreError:
        """An error for people, without secrets and without statements."""
        cause = getattr(error, "orig", None) or error
        told = self.address.without_secrets(" ".join(str(cause).split()))
        if isinstance(cause, sqlite3.OperationalError) and "unable to open" in told:
            return StoreError(
                f"{self.address.shown}: {self.address.place} cannot be opened ({told}); its folder must exist"
            )
        if _is_unreachable(error):
            return StoreError(
                f"cannot open {self.address.shown}: {told}; check that a server runs at {self.address.place}, and the "
                "user, password and database of the URI"
            )
        return StoreError(f"{self.address.shown} cannot be {doing}: {told}")

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        options: dict[str, Any] = {}
        if self.dialect == "postgresql":
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with self.engine.connect() as connection:
            yield connection.execution_options(**options) if options else connection

    @contextmanager
    def _glancing(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            if self.dialect == "postgresql":
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            if self.dialect == "sqlite":
                connection = connection.execution_options(autotrack_begin="BEGIN IMMEDIATE")
            elif self.dialect == "mysql":
                # What is read under a lock must be what stands there, not what stood there when we began.
                connection = connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                yield connection

    @property
    def engine(self) -> Engine:
        """The engine of this process, its tables made or brought up to date when it is first asked for."""
        self._leave_the_parent_its_own()
        with self._lock:
            if self._engine is None:
                engine = _make_engine(self.address)
                try:
                    schema.prepare(engine, self.address)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine = engine
            return self._engine

    def _leave_the_parent_its_own(self) -> None:
        """After a fork connections, and the lock with whoever held it, are the parent's: neither used nor closed."""
        if self._process != os.getpid():
            self._parents.append(self._engine)
            self._process, self._lock, self._engine = os.getpid(), threading.Lock(), None


def _make_engine(address: Address) -> Engine:
    match address.url.get_backend_name():
        case "sqlite":
            engine = sa.create_engine(
                address.url,
                connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False, "cached_statements": 256},
                hide_parameters=True,
                pool_size=8,
                max_overflow=56,
            )
            event.listen(engine, "connect", _set_up_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        case "postgresql":
            arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "client_encoding": "utf8"}
            arguments |= {"keepalives": 1, "keepalives_idle": 30, "application_name": "autotrack"}
            # Prepared statements do not survive a pooler between us and the server, and are planned for any value.
            arguments["prepare_threshold"] = None
        case _:
            arguments = {
                "connect_timeout": CONNECT_SECONDS,
                "charset": "utf8mb4",
                "init_command": "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
            }
    given = {name: arguments[name] for name in arguments if name not in address.url.query}
    return sa.create_engine(
        address.url,
        connect_args=given,
        hide_parameters=True,
        # A connection that was lost meanwhile is found out by its first statement, and all is tried again; to ask each
        # before it is used would be one more way to a PostgreSQL and back for every read and write.
        pool_pre_ping=address.url.get_backend_name() != "postgresql",
        # As many as have been needed at once stay open: to open one costs a PostgreSQL more than most reads.
        pool_size=8,
        max_overflow=8,
        pool_recycle=1800,
    )


def _set_up_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions are begun by us, see below
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -65536")

    def text_like(text: str | None, pattern: str, ignore_case: int) -> bool:
        return text is not None and like(unescape(text), unescape(pattern), bool(ignore_case))

    connection.create_function("autotrack_like", 3, text_like, deterministic=True)


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("autotrack_begin", "BEGIN"))


def _is_conflict(error: sa.exc.DBAPIError) -> bool:
    cause = error.orig
    if isinstance(cause, sqlite3.OperationalError):
        return "locked" in str(cause) or "busy" in str(cause)
    number = cause.args[0] if cause is not None and cause.args else None
    return getattr(cause, "sqlstate", None) in _AGAIN_CODES or (isinstance(number, int) and number in _AGAIN_CODES)


def _is_unreachable(error: Exception) -> bool:
    if not isinstance(error, sa.exc.DBAPIError):
        return isinstance(error, sa.exc.TimeoutError)
    number = error.orig.args[0] if error.orig is not None and error.orig.args else None
    state = getattr(error.orig, "sqlstate", "")
    return (
        error.connection_invalidated
        or (error.statement is None and not isinstance(error.orig, sqlite3.Error))
        or (isinstance(state, str) and state.startswith("08"))
        or (isinstance(number, int) and number in (1044, 1045, 1049, 2002, 2003, 2006, 2013))
    )


def is_on_network(path: str) -> bool:
    """Whether a file is on a network file system, where SQLite's write-ahead log does not work."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return False
    best, kind = "", ""
    real = os.path.realpath(path)
    for line in lines:
        before, _, behind = line.partition(" - ")
        point = before.split(" ")[4].encode().decode("unicode_escape") if before.count(" ") >= 4 else ""
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, behind.split(" ")[0]
    return kind.startswith(_NETWORK)
