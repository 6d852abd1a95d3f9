"""Texts that many rows share, kept once and named by a number."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.stores.database.codes import digest

_CACHED: Final = 100_000
CHUNK: Final = 500
"""How many values one statement names at the most."""

T = TypeVar("T")


class Names:
    """The rows of a table such as ``names``, of which this process remembers those it met. Rows are never changed.

    Parameters
    ----------
    table : with the columns ``id``, ``hash`` and ``text``.
    """

    def __init__(self, table: sa.Table) -> None:
        self.table: Final = table
        self._ids: dict[str, int] = {}
        self._texts: dict[int, str] = {}

    def ids(self, connection: Connection, texts: Collection[str]) -> dict[str, int]:
        """The numbers of those of the texts that have one."""
        known, columns = self._ids, self.table.c
        found = {text: known[text] for text in texts if text in known}
        missing = [text for text in texts if text not in found]
        for chunk in chunked(missing, CHUNK):
            query = sa.select(columns.id, columns.text).where(columns.hash.in_([digest(text) for text in chunk]))
            found |= self._remember((int(number), str(text)) for number, text in connection.execute(query))
        return found

    def texts(self, connection: Connection, ids: Collection[int]) -> Callable[[int], str]:
        """The texts of these numbers."""
        known, columns = self._texts, self.table.c
        missing = [number for number in set(ids) if number not in known]
        if missing:
            known = {number: known[number] for number in ids if number in known}
            for chunk in chunked(missing, CHUNK):
                query = sa.select(columns.id, columns.text).where(among(connection, columns.id, chunk))
                rows = self._remember((int(number), str(text)) for number, text in connection.execute(query))
                known |= {number: text for text, number in rows.items()}
        return known.__getitem__

    def _remember(self, rows: Iterable[tuple[int, str]]) -> dict[str, int]:
        found = {text: number for number, text in rows}
        # Without a lock, which a fork could leave held: rows never change, so what two threads do at once is the same.
        # Whoever looks up while others begin anew keeps the dictionaries that he has.
        if len(self._ids) + len(found) > _CACHED:
            self._ids, self._texts = {}, {}
        self._ids.update(found)
        self._texts.update({number: text for text, number in found.items()})
        return found


def among(connection: Connection, column: sa.ColumnElement[int], numbers: Collection[int]) -> sa.ColumnElement[bool]:
    """That a column holds one of these numbers.

    PostgreSQL is given them as one array, whose length changes neither the statement nor what is sent beside it.
    """
    if connection.dialect.name != "postgresql":
        return column.in_(numbers)
    return column == sa.any_(sa.literal(list(numbers), sa.ARRAY(sa.BigInteger())))


def chunked(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """The items, in lists of ``size`` and a shorter one at the end."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
