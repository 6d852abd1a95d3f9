"""Finding runs: which index to walk along.

A search with a limit is answered in one of two ways. Where some part of the filter names few runs (they are counted,
up to a bound), those are looked up and sorted. Otherwise the runs are walked in the order asked for, along the index
of what they are sorted by, and those that the filter does not name are passed over until the limit is reached; runs
without that field come last, by a second walk.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import Run
from autotrack.stores.base import ACTIVE_RUNS, ALL_RUNS, View
from autotrack.stores.database import tables
from autotrack.stores.database.codes import TEXT
from autotrack.stores.database.conditions import KEYED, NEWEST_FIRST, RUNS, Conditions
from autotrack.stores.database.names import among
from autotrack.stores.database.rows import Reader
from autotrack.stores.expressions import And, Expression, Field, Order
from autotrack.stores.matching import matches

FEW: Final = 20_000
"""Never are more runs looked up and sorted rather than walked."""

LONGEST_WALK: Final = 10_000
"""Above this limit runs are not walked but sorted."""

_COUNTS: Final = 6
_PLANNING: Final = {
    # Until a table has been analysed, its planner would rather read and sort it all.
    **dict.fromkeys(("enable_sort", "enable_seqscan", "enable_bitmapscan", "enable_hashjoin"), "off"),
    # What is switched off above costs ten thousand million on paper, for which it would compile the query (0.1 s) and
    # start other processes.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
_PLAN: Final = sa.select(*(sa.func.set_config(name, value, True) for name, value in _PLANNING.items()))
_START: Final = Field("attribute", "start_time")


def search(
    connection: Connection,
    reader: Reader,
    expression: Expression | None,
    orders: Sequence[Order],
    limit: int | None,
    experiment: str | None,
    view: View,
) -> list[Run]:
    """See `Store.search_runs`."""
    if limit is not None and limit <= 0:
        return []
    searching = _Search(connection, reader, expression, orders)
    if not searching.look_in(experiment, view):
        return []
    if searching.exact:
        return reader.runs(connection, searching.ids(limit))
    found: list[Run] = []
    seen, wanted = 0, limit
    while True:
        ids = searching.ids(wanted)
        found += [run for run in reader.runs(connection, ids[seen:]) if matches(expression, run)]
        if limit is None or len(found) >= limit or wanted is None or len(ids) < wanted:
            return found if limit is None else found[:limit]
        seen, wanted = len(ids), wanted * 4


class _Search:
    def __init__(
        self, connection: Connection, reader: Reader, expression: Expression | None, orders: Sequence[Order]
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._conditions = Conditions(connection, reader)
        condition = self._conditions.of(expression)
        self.exact = self._conditions.exact
        self._expression = expression
        self._filter = [] if condition is None else [condition]
        self._tests: list[Any] = []
        self._drivers: list[Any] = []
        self._parts = expression.parts if isinstance(expression, And) else [expression] if expression else []
        self._orders = list(orders)
        self._few: Any | None = None
        self._looked = False

    def look_in(self, experiment: str | None, view: View) -> bool:
        """Keep to an experiment and to active or deleted runs; false where there can be none."""
        if view != ALL_RUNS:
            is_active = RUNS.deleted_time.is_(None)
            self._tests.append(is_active if view == ACTIVE_RUNS else sa.not_(is_active))
            if view != ACTIVE_RUNS:
                self._drivers.append(sa.select(RUNS.id.label("run")).where(RUNS.deleted_time.is_not(None)))
        if experiment is not None:
            number = self._reader.experiments.ids(self._connection, [experiment]).get(experiment)
            if number is None:
                return False
            self._tests.append(RUNS.experiment == number)
            self._drivers.append(sa.select(RUNS.id.label("run")).where(RUNS.experiment == number))
        return True

    def ids(self, limit: int | None) -> list[int]:
        """The rows of the first runs, in order."""
        if limit is None or limit > LONGEST_WALK:
            query = self._all()
            return self._fetch(query if limit is None else query.limit(min(limit, 2**63 - 1)))
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(_PLAN)
        few = self._few_runs(limit)
        if few is not None:
            return self._fetch(self._all(by_age=False).where(self._named(few)).limit(limit))
        found: list[int] = []
        for query in self._walks():
            found += self._fetch(query.limit(limit - len(found)))
            if len(found) >= limit:
                break
        return found

    def _named(self, few: Any) -> Any:
        if self._connection.dialect.name == "postgresql":
            # A planner that has not counted a table yet may think otherwise of a query inside this one.
            return among(self._connection, RUNS.id, self._fetch(few))
        return RUNS.id.in_(few)

    def _fetch(self, query: Any) -> list[int]:
        return [int(number) for number in self._connection.execute(query).scalars()]

    def _all(self, by_age: bool = True) -> Any:
        """Every run, all orders computed; not ``by_age`` where walking from the newest run on is not worth it."""
        terms = self._terms(self._orders)
        if not by_age:
            terms.append((RUNS.age + sa.literal_column("0", sa.BigInteger())).desc())  # which no index is in order of
        return sa.select(RUNS.id).where(*self._filter, *self._tests).order_by(*terms, *NEWEST_FIRST)

    def _terms(self, orders: Sequence[Order]) -> list[Any]:
        return [term.ordered(order.descending) for order in orders for term in self._conditions.terms(order)]

    def _few_runs(self, limit: int) -> Any | None:
        """The part of the filter that names the fewest runs, where these are few.

        Looking up M runs costs some M; walking N runs until ``limit`` are found, some N / M * limit. They are few
        where the first is less.
        """
        if self._looked:
            return self._few
        self._looked = True
        runs = self._connection.execute(sa.select(sa.func.max(RUNS.id))).scalar() or 0
        parts = [driver for part in self._parts[:50] if (driver := self._conditions.driver(part)) is not None]
        least = min(FEW, max(limit, isqrt(int(runs) * limit // 2))) + 1
        for driver in [*self._drivers, *parts][:_COUNTS]:
            counted = sa.select(sa.func.count()).select_from(sa.select(driver.subquery()).limit(least).subquery())
            count = int(self._connection.execute(counted).scalar_one())
            if count < least:
                least, self._few = count, sa.select(driver.subquery().c.run)
        return self._few

    def _walks(self) -> list[Any]:
        """Queries that, one after the other, give all runs in order, each along an index."""
        if not self._orders:
            return [self._all()]
        first, *others = self._orders
        rest = [*self._terms(others), *NEWEST_FIRST]
        if first.field == _START:
            started = sa.select(RUNS.id).where(*self._filter, *self._tests)
            by_age = RUNS.age.desc() if first.descending else RUNS.age.asc()
            return [
                started.where(RUNS.start_number > 0).order_by(by_age, *rest),
                started.where(RUNS.start_number == 0).order_by(*rest),
            ]
        if first.field.entity not in KEYED:
            return [self._all()]
        table = KEYED[first.field.entity].alias("walked")
        columns, number = table.c, self._conditions.number(first.field)
        there = sa.select(RUNS.id).select_from(table.join(tables.runs, columns.run == RUNS.id))
        named = Conditions(self._connection, self._reader, table).of(self._expression)
        there = there.where(columns.key == number, *([] if named is None else [named]), *self._tests)
        walks = []
        for condition, terms in _segments(first, columns):
            walks.append(there.where(condition).order_by(*terms, *rest))
        plain = KEYED[first.field.entity].c
        has: Any = sa.select(sa.literal_column("1")).where(plain.run == RUNS.id, plain.key == number)
        if first.field.entity == "metric":
            has = has.where(plain.sort.is_not(None))
        lacks = has.correlate(tables.runs).scalar_subquery().is_(None)
        return [*walks, sa.select(RUNS.id).where(lacks, *self._filter, *self._tests).order_by(*rest)]


def _segments(order: Order, columns: Any) -> list[tuple[Any, list[Any]]]:
    """The rows of one key in order, as stretches that each follow the index."""

    def turned(*terms: Any) -> list[Any]:
        return [term.desc() if order.descending else term.asc() for term in terms]

    match order.field.entity:
        case "metric":
            return [(columns.sort.is_not(None), turned(columns.sort))]
        case "tag":
            return [(columns.run.is_not(None), turned(columns.head, columns.value))]
    numbers = (columns.sort < TEXT, turned(columns.sort))
    texts = (columns.sort == TEXT, turned(columns.head, columns.value))
    return [texts, numbers] if order.descending else [numbers, texts]
