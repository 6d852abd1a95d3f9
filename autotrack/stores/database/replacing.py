"""Rows in the place of those that are not later: each of two values for one key stays, or goes, by its rank.

What is there is asked of all tables in one statement, for a server answers many small ones with more work than one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

from autotrack.stores.database import merging, tables
from autotrack.stores.database.inserting import Row, delete, insert
from autotrack.stores.database.names import CHUNK, chunked

_OWNERS: Final = 50

_Pair = tuple[Sequence[int], Sequence[Any]]
"""Owners, and the keys of which they may have rows."""

Family = Mapping[sa.Table, merging.Rows]
"""New rows of a table, or of two where a key stands in one or the other: that it has a value, or none any more."""


def replace(connection: Connection, families: Sequence[Family]) -> None:
    """Write rows in the place of those that are not later.

    Parameters
    ----------
    families : of tables whose keys are of one kind, numbers or digests.
    """
    family_of = {table: family for family in families for table in family}
    ranks: dict[sa.Table, dict[Row, Any]] = {}
    for family in families:
        found = {key: rank for rows in family.values() for key, rank in rows.ranks.items()}
        ranks |= dict.fromkeys(family, found)
    stale: dict[sa.Table, list[Row]] = {table: [] for table in family_of}
    for table, key, rank in _present(connection, ranks):
        if key not in ranks[table]:
            continue
        if ranks[table][key] >= rank:
            stale[table].append(key)
        else:
            for rows in family_of[table].values():
                rows.rows.pop(key, None)
    for table, keys in stale.items():
        delete(connection, table, keys)
    for table, family in family_of.items():
        insert(connection, table, sorted([*family[table].added, *family[table].rows.values()]))


def _present(connection: Connection, wanted: Mapping[sa.Table, Collection[Row]]) -> Iterator[tuple[sa.Table, Row, Any]]:
    """The rows there are of these keys, and more of the same owners: their table, key and rank."""
    asked = tuple(table for table in wanted if wanted[table])
    if not asked:
        return
    for pairs in zip_longest(*(_pairs(wanted[table]) for table in asked), fillvalue=((), ())):
        for place, owner, other, step, timestamp, journal in _ask(connection, asked, pairs):
            table = asked[place]
            key = owner, (other if isinstance(other, int) else bytes(other))
            yield table, key, ((step, timestamp, journal) if table is tables.metrics else journal)


def _pairs(keys: Iterable[Row]) -> Iterator[_Pair]:
    """Owners and the rest of their keys, few enough for a statement."""
    by_owner: dict[int, list[Any]] = {}
    for owner, other in keys:
        by_owner.setdefault(owner, []).append(other)
    for owners in chunked(by_owner, _OWNERS):
        others = dict.fromkeys(other for owner in owners for other in by_owner[owner])
        for chunk in chunked(others, CHUNK):
            yield owners, chunk


def _ask(connection: Connection, places: tuple[sa.Table, ...], pairs: Iterable[_Pair]) -> Any:
    """The rows that tables have, each of its pair of owners and keys."""
    values: dict[str, Any] = {}
    for number, (owners, others) in enumerate(pairs):
        values |= {f"owners_{number}": list(owners), f"others_{number}": list(others)}
    if connection.dialect.name == "postgresql":
        return connection.exec_driver_sql(_arrays(connection.dialect, places), values)
    return connection.execute(_lists(places), values)


@lru_cache
def _lists(places: tuple[sa.Table, ...]) -> Any:
    """The statement, whose lists are written out anew each time."""

    def named(name: str, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        return column.in_(sa.bindparam(name, expanding=True))

    return _union(places, named)


@lru_cache
def _arrays(dialect: Dialect, places: tuple[sa.Table, ...]) -> str:
    """The same for PostgreSQL, which is given each list as one value: the text of the statement never changes."""

    def named(name: str, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        return column == sa.any_(sa.bindparam(name, type_=sa.ARRAY(column.type)))

    return str(_union(places, named).compile(dialect=dialect))


def _union(places: Sequence[sa.Table], named: Any) -> Any:
    queries = []
    for number, table in enumerate(places):
        owner, key = list(table.primary_key)[:2]
        is_metrics = table is tables.metrics
        rank = (table.c.step, table.c.timestamp) if is_metrics else (sa.literal_column("0"), sa.literal_column("0"))
        query = sa.select(sa.literal_column(str(number)), owner, key, *rank, tables.journals.c.journal_id)
        query = query.join_from(table, tables.journals, tables.journals.c.id == table.c.journal)
        queries.append(query.where(named(f"owners_{number}", owner), named(f"others_{number}", key)))
    return queries[0] if len(queries) == 1 else sa.union_all(*queries)
