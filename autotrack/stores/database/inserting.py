"""Many rows at once, by the fastest way that each database has."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

from autotrack.stores.database.codes import escape
from autotrack.stores.database.tables import Text

_ENOUGH_FOR_COPY: Final = 8

Row = tuple[Any, ...]


def insert(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows: a value per column of the table, texts escaped."""
    if not rows:
        return
    if connection.dialect.name == "postgresql" and len(rows) >= _ENOUGH_FOR_COPY:
        _copy(connection, table, rows)
    else:
        connection.exec_driver_sql(_insert(connection.dialect, table), list(rows))


def insert_new(connection: Connection, table: sa.Table, names: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert those rows that are not there yet; ``names`` are the columns given."""
    if not rows:
        return
    dialect = connection.dialect
    if dialect.name == "mysql":
        ending = " ON DUPLICATE KEY UPDATE {0} = {0}".format(_quoted(dialect, [next(iter(table.primary_key)).name]))
    else:
        ending = " ON CONFLICT DO NOTHING"
    connection.exec_driver_sql(_insert(dialect, table, tuple(names)) + ending, list(rows))


def gives_ids(dialect: str) -> bool:
    """Whether a database of this kind tells the id of the row that it inserts: MySQL does not, nor old SQLite."""
    return dialect == "postgresql" or (dialect == "sqlite" and sqlite3.sqlite_version_info >= (3, 35))


def insert_one(connection: Connection, table: sa.Table, names: Sequence[str], row: Row) -> int | None:
    """Insert a row that is not there yet; its id, which the database gives, or ``None`` (see `gives_ids`)."""
    statement = _insert(connection.dialect, table, tuple(names)) + " ON CONFLICT DO NOTHING RETURNING id"
    number = connection.exec_driver_sql(statement, row).scalar()
    return None if number is None else int(number)


def delete(connection: Connection, table: sa.Table, keys: Sequence[Row]) -> None:
    """Delete rows by the first columns of their primary key."""
    if not keys:
        return
    dialect = connection.dialect
    names = [column.name for column in table.primary_key][: len(keys[0])]
    place = _place(dialect)
    condition = " AND ".join(f"{_quoted(dialect, [name])} = {place}" for name in names)
    connection.exec_driver_sql(f"DELETE FROM {_quoted(dialect, [table.name])} WHERE {condition}", list(keys))


def escaped(table: sa.Table, row: Row) -> Row:
    """A row whose texts are as they go in."""
    texts = _texts(table)
    return tuple(
        escape(value) if is_text and value is not None else value for value, is_text in zip(row, texts, strict=True)
    )


@lru_cache
def _texts(table: sa.Table) -> tuple[bool, ...]:
    return tuple(isinstance(column.type, Text) for column in table.columns)


@lru_cache
def _insert(dialect: Dialect, table: sa.Table, names: tuple[str, ...] = ()) -> str:
    columns = names or tuple(column.name for column in table.columns)
    places = ", ".join([_place(dialect)] * len(columns))
    return f"INSERT INTO {_quoted(dialect, [table.name])} ({_quoted(dialect, columns)}) VALUES ({places})"


def _copy(connection: Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    dialect = connection.dialect
    names = _quoted(dialect, [column.name for column in table.columns])
    statement = f"COPY {_quoted(dialect, [table.name])} ({names}) FROM STDIN"
    cursor: Any = connection.connection.cursor()
    errors: Any = dialect.dbapi
    try:
        with cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except errors.Error as error:
        raise sa.exc.DBAPIError.instance(statement, None, error, errors.Error, hide_parameters=True) from error
    finally:
        cursor.close()


def _place(dialect: Dialect) -> str:
    return "?" if dialect.name == "sqlite" else "%s"


def _quoted(dialect: Dialect, names: Sequence[str]) -> str:
    return ", ".join(dialect.identifier_preparer.quote(name) for name in names)
