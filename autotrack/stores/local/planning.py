"""Which way to a search: along the order asked for, or from what the filter names.

Along the order, runs are met as they are to be given back, and the search ends when there are enough of them: good when
the filter finds many. From the most selective part of the filter, all runs that it names are sorted: good when these
are few. SQLite cannot tell which it is; here rows are counted, up to a bound, before it is decided. The first way is
gone window by window, each some rows of an index, and left for the second when too little is found on it.

Both ways give exactly what sorting all runs would give.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from autotrack.stores.base import View
from autotrack.stores.expressions import Comparison, Expression, Field, Order
from autotrack.stores.local.sources import Source, conjuncts, count, smallest
from autotrack.stores.local.sql import (
    KEY,
    VIEWS,
    Bound,
    Sql,
    compile_filter,
    compile_order,
    encode,
    joined,
    test,
)
from autotrack.stores.local.tables import TEXT_LENGTH

NEWEST: Final = Order(Field("attribute", "start_time"), descending=True)
_COLUMNS: Final = {"start_time": "runs.start_time", "end_time": "runs.end_time"}
_RUNS: Final = "runs"
_MOST_PARTS: Final = 50
_SORTING: Final = 3
"""Sorting a run takes so many times what looking at a row of an index takes."""


@dataclass(frozen=True, slots=True)
class Effort:
    """When to do what; no number changes what is found.

    Parameters
    ----------
    few : so many runs are sorted without trying anything else.
    window : rows of an index that are looked at in one step, at first.
    longest_window : and at the most.
    bound : counting stops here.
    longest_limit : searches for more runs than this are not planned.
    """

    few: int = 2000
    window: int = 1000
    longest_window: int = 16_000
    bound: int = 200_000
    longest_limit: int = 5000


@dataclass(frozen=True, slots=True)
class Where:
    """What has to hold for a run: conditions on its row, and sources that it is in, counted."""

    conditions: tuple[Sql, ...]
    parts: tuple[Expression, ...] = ()
    sources: tuple[Sql, ...] = ()

    def narrowed(self, condition: Sql, source: Sql | None = None) -> Where:
        """One more condition."""
        more = self.sources if source is None else (*self.sources, source)
        return replace(self, conditions=(*self.conditions, condition), sources=more)


@dataclass(frozen=True, slots=True)
class Walk:
    """An index in whose order runs can be met.

    Parameters
    ----------
    table : where the values stand: ``runs``, or a table that is joined to it as ``o``.
    condition : which of its rows count.
    column : what the index sorts by.
    full : what to sort by, where ``column`` is only its beginning; else the same.
    descending : which way.
    """

    table: str
    condition: Sql
    column: str
    full: str
    descending: bool

    @property
    def rows(self) -> Sql:
        """From the table, joined to nothing."""
        return Sql(f" FROM {self.table} WHERE ") + self.condition

    @property
    def runs(self) -> Sql:
        """From the table and the runs, in this order."""
        join = "" if self.table == _RUNS else " CROSS JOIN runs ON runs.id = o.run"
        return Sql(f" FROM {self.table}{join} WHERE ") + self.condition

    @property
    def turn(self) -> str:
        return " DESC" if self.descending else ""

    def is_whole(self, value: Any) -> bool:
        """Whether rows that share this value of ``column`` are equal in what is sorted by."""
        return self.column == self.full or len(value) < TEXT_LENGTH

    def beyond(self, value: Bound, *, inclusive: bool) -> Sql:
        """That a row comes after a value."""
        sign = ("<" if self.descending else ">") + ("=" if inclusive else "")
        return Sql(f" AND {self.column} {sign} ?", (value,))

    def before(self, value: Bound) -> Sql:
        """That a row comes before a value."""
        return Sql(f" AND {self.column} {'>' if self.descending else '<'} ?", (value,))

    def equal(self, value: Bound) -> Sql:
        """That a run has this value."""
        same = Sql(f"{self.column} = ?", (value,))
        if self.table == _RUNS:
            return same
        return Sql("EXISTS (SELECT 1") + self.rows + " AND o.run = runs.id AND " + same + ")"

    def having(self, value: Bound) -> Sql:
        """The keys of the runs that have this value."""
        key = "id" if self.table == _RUNS else "o.run"
        return Sql(f"SELECT {key} AS run") + self.rows + Sql(f" AND {self.column} = ?", (value,))


def search(
    connection: sqlite3.Connection,
    expression: Expression | None,
    orders: Sequence[Order],
    limit: int | None,
    *,
    experiment: str | None = None,
    view: View = "active",
    effort: Effort = Effort(),
) -> list[int]:
    """The keys of the runs that a filter names, in the order asked for, then newest first."""
    if limit is not None and limit <= 0:
        return []
    text, bound = compile_filter(expression)
    where = Where((Sql(VIEWS[view]), Sql(text, tuple(bound))), tuple(conjuncts(expression)))
    if experiment is not None:
        of_experiment = Sql("SELECT id AS run FROM runs WHERE experiment = ?", (encode(experiment),))
        where = where.narrowed(Sql("runs.experiment = ?", (encode(experiment),)), of_experiment)
    if view == "deleted":
        where = replace(
            where, sources=(*where.sources, Sql("SELECT id AS run FROM runs WHERE deleted_time IS NOT NULL"))
        )
    planner = _Planner(connection, effort)
    if limit is None or limit > effort.longest_limit:
        source = planner.smallest(where, effort.bound)
        few = source is not None and source.count < effort.bound
        return planner.sort(where, orders, -1 if limit is None else min(limit, 2**63 - 1), source if few else None)
    return planner.find(where, list(orders), limit)


class _Progress:
    """What was found on the way so far, and how many rows were looked at for it."""

    def __init__(self, limit: int) -> None:
        self.found: list[int] = []
        self.looked = 0
        self._limit = limit

    @property
    def rest(self) -> int:
        """How many runs are still to be found."""
        return self._limit - len(self.found)

    @property
    def ahead(self) -> float:
        """How many rows more have to be looked at, if it goes on as it went."""
        return self.looked * self.rest / len(self.found) if self.found else float("inf")


class _Planner:
    def __init__(self, connection: sqlite3.Connection, effort: Effort) -> None:
        self._connection = connection
        self._effort = effort

    def find(self, where: Where, orders: list[Order], limit: int) -> list[int]:
        """The first runs, whichever way."""
        few = self._effort.few
        source = self.smallest(where, few + 1)
        if source is not None and source.count <= few:
            return self.sort(where, orders, limit, source)
        by = orders[0] if orders else NEWEST
        walks = _walks(by, where)
        if walks is None:
            return self.sort(where, orders, limit, self._worthwhile(where, self._effort.bound))
        progress = _Progress(limit)
        for walk in walks:
            shorter = self._go(walk, where, orders, progress)
            if shorter is not None:
                return self.sort(where, orders, limit, shorter)
        found = progress.found
        if len(found) >= limit:
            return found[:limit]
        without = _without(by, where)
        if without is not None and (by.field.key in _COLUMNS or self._some_lack(by)):
            found += self.find(without, orders[1:], limit - len(found)) if orders else self.sort(without, [], limit)
        return found[:limit]

    def sort(self, where: Where, orders: Sequence[Order], limit: int, source: Source | None = None) -> list[int]:
        """All runs for which everything holds, sorted; looked for in a source, where there is one."""
        order, bound = compile_order(orders)
        table, conditions = "runs", where.conditions
        if source is not None:
            # The keys are looked up, in whichever order; an index of runs would be gone through from end to end.
            table = "runs NOT INDEXED"
            conditions = (Sql("runs.id IN (SELECT run FROM (") + source.query + "))", *conditions)
        query = Sql(f"SELECT runs.id FROM {table} WHERE ") + joined(" AND ", conditions)
        return self._keys(query + Sql(f" ORDER BY {order} LIMIT ?", (*bound, limit)))

    def smallest(self, where: Where, bound: int) -> Source | None:
        """The source with the fewest rows, counted up to a bound."""
        found = [Source(query, count(self._connection, query, bound)) for query in where.sources]
        for part in where.parts[:_MOST_PARTS]:
            source = smallest(self._connection, part, bound)
            if source is not None:
                found.append(source)
        return min(found, key=lambda source: source.count, default=None)

    def _worthwhile(self, where: Where, bound: int) -> Source | None:
        source = self.smallest(where, bound)
        return source if source is not None and source.count < bound else None

    def _go(self, walk: Walk, where: Where, orders: list[Order], progress: _Progress) -> Source | None:
        """Go along an index and add to what is found; the source to begin with instead, where that is shorter."""
        window = self._effort.window
        start = Sql("")
        while progress.rest > 0:
            first = self._value(walk.rows, walk, start)
            if first is None:
                break
            here = start if start.text else walk.beyond(first[0], inclusive=True)
            then = self._value(walk.rows, walk, here, window)
            if then is not None and then[0] == first[0]:
                progress.found += self._group(walk, first[0], where, orders, progress.rest)
                start = walk.beyond(first[0], inclusive=False)
            else:
                within = here if then is None else here + walk.before(then[0])
                progress.found += self._window(walk, within, where, orders, progress.rest)
                if then is None:
                    break
                start = walk.beyond(then[0], inclusive=True)
            progress.looked += window
            window = min(2 * window, self._effort.longest_window)
            shorter = self._shorter(where, progress)
            if shorter is not None:
                return shorter
        return None

    def _shorter(self, where: Where, progress: _Progress) -> Source | None:
        """A source with so few runs that they are sorted sooner than what is ahead on this way is looked at."""
        if progress.rest <= 0 or progress.ahead < progress.looked:
            return None
        # Counting costs a small part of looking, so that it may be done again and again.
        bound = min(4 * progress.looked, self._effort.bound)
        source = self.smallest(where, bound)
        return source if source is not None and source.count < min(bound, progress.ahead / _SORTING) else None

    def _group(self, walk: Walk, value: Bound, where: Where, orders: list[Order], limit: int) -> list[int]:
        """The first runs of those with one value, of which there are many."""
        group = where.narrowed(walk.equal(value), walk.having(value))
        if orders and walk.is_whole(value):
            return self.find(group, orders[1:], limit)
        return self.sort(group, orders, limit, Source(walk.having(value), 0))

    def _window(self, walk: Walk, within: Sql, where: Where, orders: list[Order], limit: int) -> list[int]:
        """The first runs of those between two values."""
        rest, bound = compile_order(orders[1:])
        by = ", ".join(dict.fromkeys((walk.column + walk.turn, walk.full + walk.turn)))
        order = Sql(f" ORDER BY {f'{by}, {rest}' if orders else rest} LIMIT ?", (*bound, limit))
        such = Sql(" AND ") + joined(" AND ", where.conditions)
        return self._keys(Sql("SELECT runs.id") + walk.runs + within + such + order)

    def _value(self, rows: Sql, walk: Walk, within: Sql, offset: int = 0) -> tuple[Any] | None:
        query = Sql(f"SELECT {walk.column}") + rows + within
        query += Sql(f" ORDER BY {walk.column}{walk.turn} LIMIT 1 OFFSET ?", (offset,))
        found: tuple[Any] | None = self._connection.execute(query.text, query.bound).fetchone()
        return found

    def _some_lack(self, by: Order) -> bool:
        """Whether any run has nothing to be sorted by."""
        having = [walk.rows for walk in _walks(by, Where(())) or ()]
        n_having = sum(self._number(Sql("SELECT count(*)") + rows) for rows in having)
        return n_having < self._number(Sql("SELECT count(*) FROM runs"))

    def _number(self, query: Sql) -> int:
        return int(self._connection.execute(query.text, query.bound).fetchone()[0])

    def _keys(self, query: Sql) -> list[int]:
        return [int(row[0]) for row in self._connection.execute(query.text, query.bound)]


def _walks(by: Order, where: Where) -> list[Walk] | None:
    """The indexes that have the runs in an order, one after the other; ``None`` for an order that no index has."""
    field, turn = by.field, by.descending
    tests = _tests(field, where)
    match field.entity:
        case "attribute" if field.key in _COLUMNS:
            column = _COLUMNS[field.key]
            present = Sql(f"{column} IS NOT NULL")
            return [Walk(_RUNS, _all(present, _bind(tests, column)), column, column, turn)]
        case "metric":
            rows = Sql(f"o.key = {KEY} AND o.value IS NOT NULL", (encode(field.key),))
            return [Walk("metrics AS o", _all(rows, _bind(tests, "o.value")), "o.value", "o.value", turn)]
        case "tag":
            rows = Sql(f"o.key = {KEY}", (encode(field.key),))
            return [Walk("tags AS o", rows, "o.start", "CAST(o.value AS BLOB)", turn)]
        case "param":
            rows = Sql(f"o.number IS NOT NULL AND o.key = {KEY}", (encode(field.key),))
            numbers = Walk("params AS o", _all(rows, _bind(tests, "o.number")), "o.number", "o.number", turn)
            rows = Sql(f"o.number IS NULL AND o.key = {KEY}", (encode(field.key),))
            texts = Walk("params AS o", rows, "o.start", "CAST(o.value AS BLOB)", turn)
            if tests:
                return [numbers]
            return [texts, numbers] if turn else [numbers, texts]
        case _:
            return None


def _without(by: Order, where: Where) -> Where | None:
    """The runs that have nothing to be sorted by; ``None`` when the filter has none of them."""
    field = by.field
    if any(isinstance(part, Comparison) and part.field == field for part in where.parts):
        return None
    if field.key in _COLUMNS and field.entity == "attribute":
        lacking = Sql(f"{_COLUMNS[field.key]} IS NULL")
        return where.narrowed(lacking, Sql("SELECT runs.id AS run FROM runs WHERE ") + lacking)
    table, such = f"{field.entity}s", " AND value IS NOT NULL" if field.entity == "metric" else ""
    query = f"NOT EXISTS (SELECT 1 FROM {table} WHERE run = runs.id AND key = {KEY}{such})"
    return where.narrowed(Sql(query, (encode(field.key),)))


def _tests(field: Field, where: Where) -> list[Comparison]:
    """What the filter says about the very field that is sorted by, as numbers."""
    return [part for part in where.parts if isinstance(part, Comparison) and part.field == field and part.numeric]


def _bind(tests: Sequence[Comparison], column: str) -> list[Sql]:
    found = []
    for comparison in tests:
        bound: list[Bound] = []
        text = test(comparison, column, bound)
        found.append(Sql(text, tuple(bound)))
    return found


def _all(first: Sql, others: Sequence[Sql]) -> Sql:
    return joined(" AND ", [first, *others])
