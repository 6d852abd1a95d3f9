"""Pages of runs, counts, children and names from the tables: see `autotrack.stores.paging`.

The runs behind a place in a search are, one stretch after the other: those equal in all that is sorted by and not so
new as the last one; those equal in all but the last order, and behind it in that; and so on up to those that are behind
it in the first order. Each stretch is a search of its own, along the index of its first order from that place on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import Run
from autotrack.stores import tokens
from autotrack.stores.base import ACTIVE_RUNS, ALL_RUNS, View
from autotrack.stores.database import tables
from autotrack.stores.database.comparing import compare_texts
from autotrack.stores.database.conditions import RUNS, Conditions
from autotrack.stores.database.names import CHUNK, among, chunked
from autotrack.stores.database.places import Behind
from autotrack.stores.database.rows import Reader
from autotrack.stores.database.searching import Search, named
from autotrack.stores.expressions import Expression, Field, Order
from autotrack.stores.glances import Points
from autotrack.stores.matching import matches
from autotrack.stores.paging import Names, Page, by_fields, sorted_names
from autotrack.stores.tokens import Place, Plain

KIND: Final = "database"
_AGE: Final = Order(Field("attribute", "start_time"), descending=True)
_OLDEST_FIRST: Final = (RUNS.age.asc(), RUNS.start_journal.asc(), RUNS.start_number.asc(), RUNS.run_id.asc())
_LARGE: Final = 1000
"""Of an experiment with more runs, not each is asked for the names that it has."""
_PROBES: Final = 1000
_MOST_PROBED: Final = 100
_LONGEST: Final = 2**62


def page(
    connection: Connection,
    reader: Reader,
    expression: Expression | None,
    orders: Sequence[Order],
    limit: int,
    experiments: Sequence[str] | None,
    view: View,
    top_level: bool,
    place: Place | None,
    digest: bytes,
    points: dict[str, Points] | None = None,
) -> Page:
    """See `autotrack.stores.paging.page_runs`.

    Parameters
    ----------
    place : where the page before ended.
    digest : of the search, see `tokens.search_digest`.
    points : is told where the metrics of the runs stand, by the runs' ids.
    """
    distinct = by_fields(orders)
    search = Search(connection, reader, expression, distinct)
    if limit <= 0 or not search.look_in(experiments, view, top_level):
        return Page([])
    limit = min(limit, _LONGEST)
    ids = search.ids if place is None else _behind(connection, reader, search, distinct, place)
    if search.exact:
        rows = ids(limit + 1)
        runs = reader.runs(connection, rows[:limit], points)
    else:
        pairs = named(connection, reader, expression, ids, limit + 1, points)
        rows, runs = [row for row, _ in pairs], [run for _, run in pairs[:limit]]
    if len(rows) <= limit:
        return Page(runs)
    return Page(runs, tokens.encode(digest, *search.place(rows[limit - 1])))


def count(
    connection: Connection,
    reader: Reader,
    expression: Expression | None,
    experiments: Sequence[str] | None,
    view: View,
    at_most: int | None,
    top_level: bool,
) -> int:
    """See `autotrack.stores.paging.count_runs`."""
    search = Search(connection, reader, expression, ())
    if (at_most is not None and at_most <= 0) or not search.look_in(experiments, view, top_level):
        return 0
    if search.exact:
        return search.count(at_most)
    # Those that the database is sure of are counted, the others looked at.
    surely = Conditions(connection, reader).of(expression, generous=False)
    assert surely is not None
    found = search.where(surely).count(at_most)
    if at_most is not None and found >= at_most:
        return found
    perhaps = search.where(sa.not_(surely)).ids(None)
    for chunk in chunked(perhaps, CHUNK):
        found += sum(matches(expression, run) for run in reader.runs(connection, chunk))
        if at_most is not None and found >= at_most:
            return at_most
    return found


def children(
    connection: Connection, reader: Reader, run_ids: Sequence[str], view: View, limit_each: int | None
) -> dict[str, list[Run]]:
    """See `autotrack.stores.paging.children_of`."""
    found: dict[str, list[Run]] = {run_id: [] for run_id in run_ids}
    place = sa.func.row_number().over(partition_by=RUNS.parent_run_id, order_by=_OLDEST_FIRST).label("place")
    for chunk in chunked(list(found), CHUNK):
        query = sa.select(RUNS.id, place).where(compare_texts(RUNS.parent_run_id, "IN", tuple(chunk), RUNS.parent_head))
        if view != ALL_RUNS:
            query = query.where(RUNS.deleted_time.is_(None) if view == ACTIVE_RUNS else RUNS.deleted_time.is_not(None))
        placed = query.subquery()
        rows = sa.select(placed.c.id).order_by(placed.c.place)
        if limit_each is not None:
            rows = rows.where(placed.c.place <= max(0, min(limit_each, _LONGEST)))
        for run in reader.runs(connection, [int(row) for row in connection.execute(rows).scalars()]):
            if run.parent_run_id in found:
                found[run.parent_run_id].append(run)
    return found


def child_counts(connection: Connection, run_ids: Sequence[str], view: View) -> dict[str, int]:
    """See `autotrack.stores.paging.count_children`."""
    found = dict.fromkeys(run_ids, 0)
    for chunk in chunked(list(found), CHUNK):
        inside = compare_texts(RUNS.parent_run_id, "IN", tuple(chunk), RUNS.parent_head)
        query = sa.select(RUNS.parent_run_id, sa.func.count()).where(inside).group_by(RUNS.parent_run_id)
        if view != ALL_RUNS:
            query = query.where(RUNS.deleted_time.is_(None) if view == ACTIVE_RUNS else RUNS.deleted_time.is_not(None))
        found.update((parent, int(count)) for parent, count in connection.execute(query) if parent in found)
    return found


def names(connection: Connection, reader: Reader, experiment: str | None) -> Names:
    """See `autotrack.stores.paging.names_of`."""
    if experiment is None:
        found = [_all_names(connection, reader, table) for table in _NAMED]
    else:
        number = reader.experiments.ids(connection, [experiment]).get(experiment)
        found = [[], [], []] if number is None else _names_in(connection, reader, experiment, number)
    return Names(*found)


def mark(connection: Connection) -> str:
    """How far the journals have been applied, as a short text."""
    journals = tables.journals.c
    query = sa.select(sa.func.count(), sa.func.max(journals.id), sa.func.sum(journals.last_number))
    count, latest, applied = connection.execute(query.select_from(tables.journals)).one()
    return f"{count}-{latest or 0}-{applied or 0}"


_NAMED: Final = (tables.params, tables.metrics, tables.tags)


def _behind(
    connection: Connection, reader: Reader, search: Search, orders: Sequence[Order], place: Place
) -> Callable[[int | None], list[int]]:
    """What gives the rows of the runs that follow a place."""
    age, journal, number, run_id = _ties(place)

    def now() -> list[Plain] | None:
        row = reader.run_number(connection, run_id)
        return None if row is None else search.place(row)[0]

    keys = place.whole(orders, now)
    stretches: list[Search] = []
    tied = search
    for skipped, (order, key) in enumerate(zip(orders, keys)):
        if key is not None:
            stretches.append(tied.behind(Behind(order, key), skipped))
        tied = tied.tied(order, key)
    tied = tied.behind(Behind(_AGE, age), len(orders))
    if _AGE.field not in [order.field for order in orders]:
        stretches.append(tied)
    last = sa.and_(RUNS.start_number == number, RUNS.run_id < run_id)
    later = sa.and_(RUNS.start_journal == journal, sa.or_(RUNS.start_number < number, last))
    alike = sa.and_(RUNS.age == age, sa.or_(RUNS.start_journal < journal, later))

    def ids(limit: int | None) -> list[int]:
        most = _LONGEST if limit is None else limit
        found = tied.newest(alike, most)
        for stretch in reversed(stretches):
            if len(found) >= most:
                break
            found += stretch.ids(most - len(found))
        return found

    return ids


def _ties(place: Place) -> tuple[int, str, int, str]:
    """What decides between equals, of a token that a stranger may have made."""
    match place.ties:
        case [int() as age, str() as journal, int() as number, str() as run_id]:
            return age, journal, number, run_id
    raise tokens.refused()


def _all_names(connection: Connection, reader: Reader, table: sa.Table) -> list[str]:
    """The names that active runs have in a table: of each key the index is asked for one such run."""
    each = _keys_of(table)
    has: Any = sa.select(sa.literal_column("1")).select_from(table.join(tables.runs, table.c.run == RUNS.id))
    has = has.where(table.c.key == each.c.key, RUNS.deleted_time.is_(None)).limit(1).correlate(each)
    query = sa.select(each.c.key).where(each.c.key.is_not(None), has.scalar_subquery().is_not(None))
    return _texts(connection, reader, connection.execute(query).scalars().all())


def _names_in(connection: Connection, reader: Reader, experiment: str, number: int) -> list[list[str]]:
    """The names in an experiment: of a large one, those of its newest and oldest runs, and what a few rows tell."""

    def ids(descending: bool, limit: int) -> list[int]:
        search = Search(connection, reader, None, [Order(_AGE.field, descending)])
        return search.ids(limit) if search.look_in([experiment], ACTIVE_RUNS) else []

    some = ids(True, _LARGE + 1)
    is_large = len(some) > _LARGE
    if is_large:
        some += ids(False, _LARGE)
    found = []
    for table in _NAMED:
        keys: set[int] = set()
        for chunk in chunked(some, CHUNK):
            query = sa.select(table.c.key).where(among(connection, table.c.run, chunk)).distinct()
            keys.update(connection.execute(query).scalars())
        if is_large:
            others = connection.execute(sa.select(_keys_of(table).c.key)).scalars()
            unknown = [key for key in others if key is not None and key not in keys]
            keys.update(key for key in unknown[:_MOST_PROBED] if _is_in(connection, table, key, number))
        found.append(_texts(connection, reader, list(keys)))
    return found


def _is_in(connection: Connection, table: sa.Table, key: int, experiment: int) -> bool:
    """Whether one of the first runs with a key is of an experiment."""
    some = sa.select(table.c.run).where(table.c.key == key).limit(_PROBES).subquery()
    query = sa.select(RUNS.id).join_from(some, tables.runs, some.c.run == RUNS.id)
    query = query.where(RUNS.experiment == experiment, RUNS.deleted_time.is_(None)).limit(1)
    return connection.execute(query).first() is not None


def _keys_of(table: sa.Table) -> Any:
    """The keys of a table and NULL, each found by its index from the one before."""
    first = sa.select(sa.func.min(table.c.key).label("key")).cte("each_key", recursive=True)
    other = table.alias("other")
    then: Any = sa.select(sa.func.min(other.c.key)).where(other.c.key > first.c.key).correlate(first).scalar_subquery()
    return first.union_all(sa.select(then).where(first.c.key.is_not(None)))


def _texts(connection: Connection, reader: Reader, keys: Sequence[int]) -> list[str]:
    name_of = reader.names.texts(connection, keys)
    return sorted_names(name_of(key) for key in keys)
