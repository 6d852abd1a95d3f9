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
from dataclasses import dataclass
from typing import Any, Final

from autotrack.stores.base import View
from autotrack.stores.expressions import Expression, Order
from autotrack.stores.local.sources import Source, count, smallest
from autotrack.stores.local.sql import Bound, Sql, compile_order, joined
from autotrack.stores.local.walks import NEWEST, Behind, Walk, Where, lacking, walks_by, where_of

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
    where = where_of(expression, None if experiment is None else [experiment], view)
    return Planner(connection, effort).first(where, orders, limit)


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


class Planner:
    def __init__(self, connection: sqlite3.Connection, effort: Effort) -> None:
        self._connection = connection
        self._effort = effort

    def first(self, where: Where, orders: Sequence[Order], limit: int | None) -> list[int]:
        """The first runs of a search, or all of them."""
        bound = self._effort.bound
        if limit is None or limit > self._effort.longest_limit:
            source = self.smallest(where, bound)
            few = source is not None and source.count < bound
            return self.sort(where, orders, -1 if limit is None else min(limit, 2**63 - 1), source if few else None)
        return self.find(where, list(orders), limit)

    def find(self, where: Where, orders: list[Order], limit: int, behind: Behind | None = None) -> list[int]:
        """The first runs, whichever way; those of them that come behind a value of the first order."""
        if behind is not None and behind.key is None:
            return []
        by = orders[0] if orders else NEWEST
        every = where if behind is None else where.narrowed(behind.condition)
        few = self._effort.few
        source = self.smallest(where, few + 1)
        if source is not None and source.count <= few:
            return self.sort(every, orders, limit, source)
        walks = walks_by(by, where)
        if walks is None:
            return self.sort(every, orders, limit, self._worthwhile(where, self._effort.bound))
        progress = _Progress(limit)
        for walk in walks:
            start = Sql("") if behind is None else behind.start(walk)
            if start is None:
                continue
            if behind is not None and (alike := behind.alike(walk)) is not None and progress.rest > 0:
                some = every.narrowed(walk.equal(alike), walk.having(alike))
                progress.found += self.sort(some, orders, progress.rest, Source(walk.having(alike), 0))
            shorter = self._go(walk, where, orders, progress, start)
            if shorter is not None:
                return self.sort(every, orders, limit, shorter)
        found = progress.found
        if len(found) >= limit:
            return found[:limit]
        without = lacking(by, where)
        if without is not None and (by.field.entity == "attribute" or self._some_lack(by)):
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

    def _go(self, walk: Walk, where: Where, orders: list[Order], progress: _Progress, start: Sql) -> Source | None:
        """Go along an index and add to what is found; the source to begin with instead, where that is shorter."""
        window = self._effort.window
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
        having = [walk.rows for walk in walks_by(by, Where(())) or ()]
        n_having = sum(self._number(Sql("SELECT count(*)") + rows) for rows in having)
        return n_having < self._number(Sql("SELECT count(*) FROM runs"))

    def _number(self, query: Sql) -> int:
        return int(self._connection.execute(query.text, query.bound).fetchone()[0])

    def _keys(self, query: Sql) -> list[int]:
        return [int(row[0]) for row in self._connection.execute(query.text, query.bound)]
