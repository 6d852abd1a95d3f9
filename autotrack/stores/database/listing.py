"""The rows of a table that belong to some runs, by statements that never change with how many these are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

from autotrack.stores.database import tables
from autotrack.stores.database.codes import is_plain, unescape
from autotrack.stores.database.names import among
from autotrack.stores.database.tables import Text

Row = Sequence[Any]


class Listing:
    """What is asked for each time that runs are read or written: columns of a table, where one is among some values.

    The statement is a text that is made once, and what comes back is looked at as it is: the way through SQLAlchemy
    would cost as much as the answer to so small a question.

    Parameters
    ----------
    columns : what is asked for: numbers and texts.
    by : which column is among the values, numbers or digests; the first one when left out.
    locked : whether the rows are held until the transaction ends; then they come by ``by``, the order of locking.
    """

    def __init__(
        self, *columns: sa.ColumnElement[Any], by: sa.ColumnElement[Any] | None = None, locked: bool = False
    ) -> None:
        self._columns: Final = columns
        self._by: Final = columns[0] if by is None else by
        self._locked: Final = locked
        self._texts: Final = [place for place, column in enumerate(columns) if isinstance(column.type, Text)]

    def rows(self, connection: Connection, values: Collection[int] | Collection[bytes]) -> Sequence[Row]:
        """The rows, in no order unless locked."""
        if not values:
            return []
        begin, end = _statement(self, connection.dialect)
        if connection.dialect.name == "postgresql":
            found = connection.exec_driver_sql(f"{begin}%s{end}", (_array(values),)).all()
        else:
            place = "?" if connection.dialect.name == "sqlite" else "%s"
            found = connection.exec_driver_sql(f"{begin}{', '.join([place] * len(values))}{end}", tuple(values)).all()
        if all(is_plain(text) for place in self._texts for row in found if (text := row[place]) is not None):
            return found
        return [
            tuple(
                unescape(value) if place in self._texts and value is not None else value
                for place, value in enumerate(row)
            )
            for row in found
        ]

    def statement(self, dialect: Dialect) -> tuple[str, str]:
        """What comes before the values, and behind them."""
        by = str(self._by.compile(dialect=dialect))
        begin = f"{sa.select(*self._columns).compile(dialect=dialect)} WHERE {by} "
        held = f" ORDER BY {by}{'' if dialect.name == 'sqlite' else ' FOR UPDATE'}" if self._locked else ""
        if dialect.name == "postgresql":
            return f"{begin}= ANY(", f"::{self._by.type.compile(dialect=dialect)}[]){held}"
        return f"{begin}IN (", f"){held}"


@lru_cache
def _statement(listing: Listing, dialect: Dialect) -> tuple[str, str]:
    return listing.statement(dialect)


def _array(values: Collection[int] | Collection[bytes]) -> str:
    """An array as PostgreSQL reads it."""
    return "{" + ",".join([str(one) if isinstance(one, int) else f'"\\\\x{one.hex()}"' for one in values]) + "}"


class Logged:
    """The same for what was logged of runs one after the other, in the order of its events."""

    def __init__(self, table: sa.Table, *columns: sa.ColumnElement[Any]) -> None:
        self._listing = Listing(table.c.run, table.c.journal, table.c.number, *columns)

    def rows(self, connection: Connection, runs: Collection[int]) -> list[tuple[int, Row]]:
        """Each with its run."""
        found = self._listing.rows(connection, runs)
        first: dict[int, int] = {}
        mixed = {run for run, journal, *_ in found if first.setdefault(run, journal) != journal}
        places: dict[int, str] = {}
        if mixed:  # of one journal the numbers tell the order, of several their ids, as texts
            columns = tables.journals.c
            journals = {journal for run, journal, *_ in found if run in mixed}
            query = sa.select(columns.id, columns.journal_id).where(among(connection, columns.id, journals))
            places = {int(number): str(text) for number, text in connection.execute(query)}
        ordered = sorted(found, key=lambda row: (places.get(row[1], ""), row[2]))
        return [(row[0], row[3:]) for row in ordered]
