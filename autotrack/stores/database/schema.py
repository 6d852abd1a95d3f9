"""The version of a database's tables: looked at on open, brought up to date under a lock.

Alembic is imported only where there is something to do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from autotrack.errors import StoreError
from autotrack.stores.database.address import Address

if TYPE_CHECKING:
    from alembic.config import Config

REVISION: Final = "0004"
"""The newest of ``migrations/versions``: what the tables of `autotrack.stores.database.tables` are."""

VERSION_TABLE: Final = "autotrack_version"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x6175746F747261636B % 2**63
_LOCK_NAME: Final = "autotrack_migration"
_LOCK_SECONDS: Final = 600


def prepare(engine: Engine, address: Address) -> None:
    """Make the tables, or bring them up to date; nothing where they are.

    Raises
    ------
    StoreError
        When a newer autotrack made them, or they cannot be made.
    """
    from autotrack.stores.database import engine as engines

    try:
        with engine.connect() as connection:
            if _is_current(connection, address):
                return
        if address.is_sqlite:
            _switch_log(engine, address, engines.is_on_network(address.place))
        with engine.connect() as connection, _alone(connection, address):
            if not _is_current(connection, address):
                _check_place(connection, address)
                upgrade(connection)
                connection.commit()
    except sa.exc.SQLAlchemyError as error:
        raise engines.Database(address).error(error, "opened") from error


def version(connection: Connection) -> str | None:
    """The revision of a database, ``None`` for one without our tables."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalars().all()
    return str(found[0]) if found else None


def config(connection: Connection | None = None) -> Config:
    """What Alembic needs to know."""
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the tables up to a revision, in the caller's transaction where the database has transactions for that."""
    from alembic import command

    command.upgrade(config(connection), revision)


def known_revisions() -> set[str]:
    """The revisions that this version can read."""
    return {path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def _is_current(connection: Connection, address: Address) -> bool:
    found = version(connection)
    if found is not None and found != REVISION and found not in known_revisions():
        raise StoreError(
            f"{address.shown} was made by a newer autotrack (its tables are of version {found}, this one knows "
            f"{REVISION}); upgrade: pip install -U autotrack"
        )
    return found == REVISION


@contextmanager
def _alone(connection: Connection, address: Address) -> Iterator[None]:
    """Hold off every other process that would change the tables."""
    match connection.dialect.name:
        case "sqlite":
            connection = connection.execution_options(autotrack_begin="BEGIN EXCLUSIVE")
            connection.rollback()
            with connection.begin():
                yield
        case "postgresql":
            # Held until the transaction ends, however it does.
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
            yield
        case _:
            lock = {"name": _LOCK_NAME, "seconds": _LOCK_SECONDS}
            if not connection.execute(sa.text("SELECT GET_LOCK(CONCAT(:name, DATABASE()), :seconds)"), lock).scalar():
                raise StoreError(f"{address.shown}: another process has been changing the tables for {_LOCK_SECONDS} s")
            try:
                connection.commit()
                yield
            finally:
                connection.rollback()
                connection.execute(sa.text("SELECT RELEASE_LOCK(CONCAT(:name, DATABASE()))"), {"name": _LOCK_NAME})


def _switch_log(engine: Engine, address: Address, is_on_network: bool) -> None:
    """SQLite's write-ahead log lets readers and a writer work at once; a network file system does not carry it."""
    if is_on_network:
        return
    raw: Any = engine.raw_connection()
    try:
        raw.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error:
        return  # it is an improvement, not a need
    finally:
        raw.close()


def _check_place(connection: Connection, address: Address) -> None:
    """Whether our tables can be made here."""
    from autotrack.stores.database.tables import metadata

    if version(connection) is None:
        there = set(sa.inspect(connection).get_table_names())
        taken = sorted(there & set(metadata.tables))
        if VERSION_TABLE in there:
            # MySQL commits each table: somebody was killed while he made them.
            metadata.drop_all(connection)
        elif taken:
            raise StoreError(
                f"{address.shown} has a table {taken[0]} that is not autotrack's; give autotrack a database of its own"
            )
    if connection.dialect.name == "postgresql":
        found = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if found != "UTF8":
            raise StoreError(
                f"{address.shown} has the encoding {found}; autotrack needs UTF8: "
                f"CREATE DATABASE {address.url.database} ENCODING 'UTF8' TEMPLATE template0"
            )
