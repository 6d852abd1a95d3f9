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

    PostgreSQL is sent a text that was made once, with the values as one array: the way through SQLAlchemy would cost
    as much as the answer to so small a question.

    Parameters
    ----------
    columns : what is asked for.
    by : which column is among the values, numbers or digests; the first one when left out.
    locked : whether the rows are held until the transaction ends; then they come by ``by``, the order of locking.
    """

    def __init__(
        self, *columns: sa.ColumnElement[Any], by: sa.ColumnElement[Any] | None = None, locked: bool = False
    ) -> None:
        self._by: Final = columns[0] if by is None else by
        query = sa.select(*columns)
        self._query: Final = query.order_by(self._by).with_for_update() if locked else query
        self._listed: Final = self._query.where(self._by.in_(sa.bindparam("these", expanding=True)))
        self._texts: Final = [place for place, column in enumerate(columns) if isinstance(column.type, Text)]

    def rows(self, connection: Connection, values: Collection[int] | Collection[bytes]) -> Sequence[Row]:
        """The rows, in no order unless locked."""
        if connection.dialect.name != "postgresql":
            return connection.execute(self._listed, {"these": list(values)}).all()
        statement = _text(self, connection.dialect)
        found: Sequence[Row] = connection.exec_driver_sql(statement, {"these": _array(values)}).all()
        if all(is_plain(text) for place in self._texts for row in found if (text := row[place]) is not None):
            return found
        return [
            tuple(
                unescape(value) if place in self._texts and value is not None else value
                for place, value in enumerate(row)
            )
            for row in found
        ]

    def text(self, dialect: Dialect) -> str:
        """The statement for PostgreSQL."""
        these = sa.bindparam("these", type_=sa.ARRAY(self._by.type))
        return str(self._query.where(self._by == sa.any_(these)).compile(dialect=dialect))


@lru_cache
def _text(listing: Listing, dialect: Dialect) -> str:
    return listing.text(dialect)


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
