"""Pages of runs, counts, children and names from the index: see `autotrack.stores.paging`.

The runs behind a place in a search are, one stretch after the other: those equal in all that is sorted by and not so
new as the last one; those equal in all but the last order, and behind it in that; and so on up to those that are behind
it in the first order. Each stretch is a search of its own, along the index of its first order from that place on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, cast

from autotrack.entities import Run
from autotrack.stores import paging, tokens
from autotrack.stores.base import View
from autotrack.stores.expressions import Order
from autotrack.stores.local import rows
from autotrack.stores.local.planning import Effort, Planner, search
from autotrack.stores.local.sql import VIEWS, Sql, decode, encode, joined, sort_values
from autotrack.stores.local.walks import NEWEST, Behind, Where, where_of
from autotrack.stores.paging import Names, Page, by_fields
from autotrack.stores.tokens import Place, Plain

KIND: Final = "folder"
EFFORT = Effort()
_TIES: Final = ("runs.start_time", "runs.start_journal", "runs.start_number", "runs.run_id")
_OLDEST_FIRST: Final = ", ".join(f"{column} ASC" for column in _TIES)
_CHUNK: Final = 500
_LARGE: Final = 500
"""Of an experiment with more runs, not each is asked for the names that it has."""
_PROBES: Final = 20_000
_LEAST_PROBES: Final = 20

_NAMED: Final = {
    "params": ("number IS NOT NULL", "number IS NULL"),
    "metrics": ("1",),
    "tags": ("1",),
}
"""The tables of what has a name, with what is true for the rows of each of their indexes."""


def page(
    connection: sqlite3.Connection,
    orders: Sequence[Order],
    limit: int,
    where: Where,
    place: Place | None,
    digest: bytes,
) -> Page:
    """See `autotrack.stores.paging.page_runs`.

    Parameters
    ----------
    where : what holds for the runs of the search.
    place : where the page before ended.
    digest : of the search, see `tokens.search_digest`.
    """
    if limit <= 0:
        return Page([])
    planner = Planner(connection, EFFORT)
    distinct = by_fields(orders)
    limit = min(limit, 2**63 - 2)
    if place is None:
        keys = planner.first(where, distinct, limit + 1)
    else:
        keys = _behind(connection, planner, where, distinct, place, limit + 1)
    found = rows.runs(connection, keys[:limit])
    if len(keys) <= limit:
        return Page(found)
    sorted_by, ties = _place_of(connection, keys[limit - 1], distinct)
    return Page(found, tokens.encode(digest, sorted_by, ties))


def count(connection: sqlite3.Connection, where: Where, at_most: int | None) -> int:
    """See `autotrack.stores.paging.count_runs`."""
    bound = EFFORT.bound
    if at_most is not None:
        # Few are soon found by walking, unless they are rare: to see how rare they are must not take longer than that.
        (n_runs,) = connection.execute("SELECT coalesce(max(id), 0) FROM runs").fetchone()
        bound = min(bound, max(5 * at_most, n_runs // 50, 1))
    source = Planner(connection, EFFORT).smallest(where, bound)
    table, conditions = "runs", where.conditions
    if source is not None and source.count < bound:
        table = "runs NOT INDEXED"
        conditions = (Sql("runs.id IN (SELECT run FROM (") + source.query + "))", *conditions)
    query = Sql(f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE ") + joined(" AND ", conditions)
    query += Sql(" LIMIT ?)", (-1 if at_most is None else max(0, min(at_most, 2**63 - 1)),))
    return int(connection.execute(query.text, query.bound).fetchone()[0])


def children(
    connection: sqlite3.Connection, run_ids: Sequence[str], view: View, limit_each: int | None
) -> dict[str, list[Run]]:
    """See `autotrack.stores.paging.children_of`."""
    found: dict[str, list[Run]] = {run_id: [] for run_id in run_ids}
    wanted = list(found)
    most = 2**63 - 1 if limit_each is None else max(0, min(limit_each, 2**63 - 1))
    for start in range(0, len(wanted), _CHUNK):
        chunk = [encode(run_id) for run_id in wanted[start : start + _CHUNK]]
        query = (
            f"SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY parent_run_id ORDER BY {_OLDEST_FIRST}) "
            f"AS place FROM runs WHERE parent_run_id IN ({', '.join('?' * len(chunk))}) AND {VIEWS[view]}) "
            "WHERE place <= ? ORDER BY place"
        )
        keys = [int(row[0]) for row in connection.execute(query, (*chunk, most))]
        for run in rows.runs(connection, keys):
            found[cast(str, run.parent_run_id)].append(run)
    return found


def child_counts(connection: sqlite3.Connection, run_ids: Sequence[str], view: View) -> dict[str, int]:
    """See `autotrack.stores.paging.count_children`."""
    found = dict.fromkeys(run_ids, 0)
    wanted = list(found)
    for start in range(0, len(wanted), _CHUNK):
        chunk = [encode(run_id) for run_id in wanted[start : start + _CHUNK]]
        query = (
            f"SELECT parent_run_id, count(*) FROM runs WHERE parent_run_id IN ({', '.join('?' * len(chunk))}) "
            f"AND {VIEWS[view]} GROUP BY parent_run_id"
        )
        found.update((decode(parent), int(count)) for parent, count in connection.execute(query, chunk))
    return found


def names(connection: sqlite3.Connection, experiment: str | None) -> Names:
    """See `autotrack.stores.paging.names_of`."""
    where = where_of(None, None if experiment is None else [experiment], "active")
    some = None
    if experiment is not None:
        # Of a very large experiment the newest and the oldest, and what is found near both ends of each index.
        n_runs = count(connection, where, _LARGE + 1)
        oldest = Order(NEWEST.field, descending=False)
        ends = [[]] if n_runs <= _LARGE else [[NEWEST], [oldest]]
        some = [key for by in ends for key in search(connection, None, by, _LARGE, experiment=experiment)]
        if n_runs <= _LARGE:
            return Names(*(_names_of(connection, table, some) for table in _NAMED))
    return Names(*(_all_names(connection, table, where, some) for table in _NAMED))


def mark(connection: sqlite3.Connection) -> str:
    """How far the journals have been folded, as a short text."""
    found = connection.execute("SELECT id, name, size, offset, state FROM files WHERE state <> 6 ORDER BY id")
    packs = connection.execute("SELECT count(*), max(id) FROM files").fetchone()
    return paging.digest_of(repr((packs, found.fetchall())))


def _behind(
    connection: sqlite3.Connection,
    planner: Planner,
    where: Where,
    orders: Sequence[Order],
    place: Place,
    limit: int,
) -> list[int]:
    """The keys of the runs that follow a place."""
    start_time, journal, number, run_id = _ties(place)
    keys = place.whole(orders, lambda: _keys_now(connection, run_id, orders))
    behind = [Behind(order, key) for order, key in zip(orders, keys)]
    stretches: list[tuple[Where, list[Order], Behind]] = []
    tied: Where | None = where
    for number_of, one in enumerate(behind):
        if tied is None:
            break
        stretches.append((tied, list(orders[number_of:]), one))
        tied = one.tied(tied)
    found: list[int] = []
    if tied is not None:
        newer = Behind(NEWEST, start_time)
        alike = newer.tied(tied)
        if alike is not None:
            found += planner.sort(alike.narrowed(_after_ties(journal, number, run_id)), [], limit)
        if not any(order.field == NEWEST.field for order in orders):
            stretches.append((tied, [], newer))
    for some, rest, one in reversed(stretches):
        if len(found) >= limit:
            break
        found += planner.find(some, rest, limit - len(found), one)
    return found


def _after_ties(journal: str | None, number: int | None, run_id: str) -> Sql:
    """That a run comes behind another of the same start time."""
    older = Sql("runs.run_id < ?", (encode(run_id),))
    for column, value in (("runs.start_number", number), ("runs.start_journal", journal)):
        if value is None:
            older = Sql(f"({column} IS NULL AND ") + older + ")"
        else:
            bound = encode(value) if isinstance(value, str) else value
            less = Sql(f"({column} < ? OR {column} IS NULL OR ({column} = ? AND ", (bound, bound))
            older = less + older + "))"
    return older


def _ties(place: Place) -> tuple[int | None, str | None, int | None, str]:
    """What decides between equals, of a token that a stranger may have made."""
    match place.ties:
        case [(int() | None) as start_time, (str() | None) as journal, (int() | None) as number, str() as run_id]:
            return start_time, journal, number, run_id
    raise tokens.refused()


def _place_of(
    connection: sqlite3.Connection, key: int, orders: Sequence[Order]
) -> tuple[list[Plain], tuple[Plain, ...]]:
    """What a run is sorted by, and what decides between it and its equals."""
    values = [sort_values(order) for order in orders]
    columns = [*(value for each in values for value in each), *(Sql(tie) for tie in _TIES)]
    query = Sql("SELECT ") + joined(", ", columns) + Sql(" FROM runs WHERE runs.id = ?", (key,))
    row = iter(connection.execute(query.text, query.bound).fetchone())
    found: list[Plain] = []
    for each in values:
        told = [next(row) for _ in each]
        found.append(next((_plain(value) for value in told if value is not None), None))
    return found, tuple(_plain(value) for value in row)


def _keys_now(connection: sqlite3.Connection, run_id: str, orders: Sequence[Order]) -> list[Plain] | None:
    row = connection.execute("SELECT id FROM runs WHERE run_id = ?", (encode(run_id),)).fetchone()
    return None if row is None else _place_of(connection, row[0], orders)[0]


def _plain(value: str | bytes | int | float | None) -> Plain:
    return decode(value) if isinstance(value, bytes) else value


def _names_of(connection: sqlite3.Connection, table: str, runs: Sequence[int]) -> list[str]:
    """The names that these runs have."""
    found: set[str] = set()
    for start in range(0, len(runs), _CHUNK):
        chunk = runs[start : start + _CHUNK]
        numbers = f"SELECT DISTINCT key FROM {table} WHERE run IN ({', '.join('?' * len(chunk))})"
        query = f"SELECT keys.key FROM keys WHERE id IN ({numbers})"
        found.update(decode(key) for (key,) in connection.execute(query, chunk))
    return paging.sorted_names(found)


def _all_names(connection: sqlite3.Connection, table: str, where: Where, known: Sequence[int] | None) -> list[str]:
    """The names of which an index says that active runs have them; of some experiments, that a few rows say it of."""
    found: set[str] = set(_names_of(connection, table, known)) if known is not None else set()
    for such in _NAMED[table]:
        first = f"SELECT min(key) FROM {table} WHERE {such}"
        each = (
            f"WITH RECURSIVE each(key) AS ({first} UNION ALL SELECT ({first} AND key > each.key) FROM each WHERE key "
        )
        each += "IS NOT NULL) SELECT each.key, keys.key FROM each JOIN keys ON keys.id = each.key"
        numbers = [(int(number), decode(name)) for number, name in connection.execute(each)]
        probes = max(_LEAST_PROBES, _PROBES // max(1, len(numbers)))
        conditions = joined(" AND ", where.conditions)
        limit = "" if known is None else f" LIMIT {probes}"
        query = (
            f"SELECT 1 FROM (SELECT run FROM {table} WHERE {such} AND key = ?{limit}) AS o "
            f"CROSS JOIN runs ON runs.id = o.run WHERE {conditions.text} LIMIT 1"
        )
        for number, name in numbers:
            if name not in found and connection.execute(query, (number, *conditions.bound)).fetchone() is not None:
                found.add(name)
    return paging.sorted_names(found)
