"""Finding runs: which index to walk along.

A search with a limit is answered in one of two ways. Where some part of the filter names few runs (they are counted,
up to a bound), those are looked up and sorted. Otherwise the runs are walked in the order asked for, along the index
of what they are sorted by, and those that the filter does not name are passed over until the limit is reached; runs
without that field come last, by a second walk.

Where runs are sorted by a param or tag first of which many have the same value, and by something else then, each value
is searched for by itself, in the order that comes second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from math import isqrt, prod
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import Run
from autotrack.stores.base import ACTIVE_RUNS, ALL_RUNS, View
from autotrack.stores.database import tables
from autotrack.stores.database.codes import TEXT, escape, head
from autotrack.stores.database.conditions import KEYED, NEWEST_FIRST, RUNS, Conditions
from autotrack.stores.database.names import among
from autotrack.stores.database.places import Behind, bounds, key_of
from autotrack.stores.database.rows import Reader
from autotrack.stores.expressions import And, Expression, Field, Order
from autotrack.stores.glances import Points
from autotrack.stores.matching import matches
from autotrack.stores.tokens import Plain

FEW: Final = 20_000
"""Never are more runs looked up and sorted rather than walked."""

LONGEST_WALK: Final = 10_000
"""Above this limit runs are not walked but sorted."""

LARGE_GROUP: Final = 1000
"""So many runs have to share the first value that they are sorted by for values to be searched one by one."""

_COUNTS: Final = 6
_TOGETHER: Final = 4
"""How many times more runs a part may name that is not alone."""
_MOST_GROUPS: Final = 50
_PLANNING: Final = {
    # Until a table has been analysed, its planner would rather read and sort it all.
    **dict.fromkeys(
        ("enable_sort", "enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_material"), "off"
    ),
    # What is switched off above costs ten thousand million on paper, for which it would compile the query (0.1 s) and
    # start other processes.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}
_PLAN: Final = "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _PLANNING.items())
_PARENT: Final = tables.runs.alias("parent").c
_WALKED: Final = {entity: table.alias("walked") for entity, table in KEYED.items()}
_START: Final = Field("attribute", "start_time")
TIES: Final = (RUNS.age, RUNS.start_journal, RUNS.start_number, RUNS.run_id)
"""What decides between runs that are equal in all orders."""


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
    searching = Search(connection, reader, expression, orders)
    if not searching.look_in(None if experiment is None else [experiment], view):
        return []
    if searching.exact:
        return reader.runs(connection, searching.ids(limit))
    return [run for _, run in named(connection, reader, expression, searching.ids, limit)]


def named(
    connection: Connection,
    reader: Reader,
    expression: Expression | None,
    ids: Callable[[int | None], list[int]],
    limit: int | None,
    points: dict[str, Points] | None = None,
) -> list[tuple[int, Run]]:
    """The first runs that a filter names, with their rows, where a database finds more than these.

    Parameters
    ----------
    ids : gives the rows of as many runs, in order, that the database takes for named.
    points : is told where the metrics of these runs stand, and perhaps those of more.
    """
    found: list[tuple[int, Run]] = []
    seen, wanted = 0, limit
    while True:
        rows = ids(wanted)
        pairs = zip(rows[seen:], reader.runs(connection, rows[seen:], points))
        found += [(row, run) for row, run in pairs if matches(expression, run)]
        if limit is None or len(found) >= limit or wanted is None or len(rows) < wanted:
            return found if limit is None else found[:limit]
        seen, wanted = len(rows), wanted * 4


class Search:
    """Runs that are looked for, and ways to find them."""

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
        self._behind: Behind | None = None
        self._few: Any | None = None
        self._looked = False
        self._none = False
        self._planned = False

    def look_in(self, experiments: Sequence[str] | None, view: View, top_level: bool = False) -> bool:
        """Keep to some experiments, to active or deleted runs, to the uppermost; false where there can be none."""
        shown: list[Any] = []
        if view != ALL_RUNS:
            is_active = RUNS.deleted_time.is_(None)
            self._tests.append(is_active if view == ACTIVE_RUNS else sa.not_(is_active))
            if view != ACTIVE_RUNS:
                self._drivers.append(sa.select(RUNS.id.label("run")).where(RUNS.deleted_time.is_not(None)))
            shown.append(_PARENT.deleted_time.is_(None) == (view == ACTIVE_RUNS))
        if experiments is not None:
            numbers = sorted(self._reader.experiments.ids(self._connection, experiments).values())
            if not numbers:
                return False
            tested: Any = RUNS.experiment
            if len(numbers) > 1:
                # Several have no order in common: an index of theirs would only lead away from the one of the order.
                tested = RUNS.experiment + sa.literal_column("0", sa.BigInteger())
            self._tests.append(tested.in_(numbers))
            self._drivers.append(sa.select(RUNS.id.label("run")).where(RUNS.experiment.in_(numbers)))
            shown.append(_PARENT.experiment.in_(numbers))
        if top_level:
            is_parent = [_PARENT.run_head == RUNS.parent_head, _PARENT.run_id == RUNS.parent_run_id]
            found: Any = sa.select(sa.literal_column("1")).where(*is_parent, *shown).limit(1)
            has_parent = found.correlate(tables.runs).scalar_subquery().is_not(None)
            self._tests.append(sa.or_(RUNS.parent_run_id.is_(None), sa.not_(has_parent)))
        return True

    def behind(self, place: Behind, skipped: int) -> Search:
        """The search among the runs behind a place, by all orders but the first ones; those are equal."""
        search = copy(self)
        search._orders = self._orders[skipped:]
        search._behind = place
        return search

    def tied(self, order: Order, key: Plain) -> Search:
        """The search among the runs that are sorted by this."""
        values = self._values(order)
        bound = bounds(order, key)
        search = copy(self)
        if key is None:
            search._tests = [*self._tests, values[0].is_(None)]
            return search
        search._tests = [*self._tests, *(value == each for value, each in zip(values, bound))]
        if order.field.entity in KEYED:
            columns = KEYED[order.field.entity].c
            rows: Any = sa.select(columns.run.label("run")).where(columns.key == self._conditions.number(order.field))
            if order.field.entity != "tag":
                rows = rows.where(columns.sort == bound[0])
            if isinstance(key, str):
                rows = rows.where(columns.head == head(escape(key)), columns.value == key)
            search._drivers = [rows, *self._drivers]
            search._few, search._looked = None, False
        return search

    def place(self, run: int) -> tuple[list[Plain], list[Any]]:
        """What a run is sorted by: by the orders, and by what decides between equals."""
        values = [self._values(order) for order in self._orders]
        query = sa.select(*(value for each in values for value in each), *TIES).where(RUNS.id == run)
        told = iter(self._connection.execute(query).one())
        keys = [key_of(order, [next(told) for _ in each]) for order, each in zip(self._orders, values)]
        return keys, list(told)

    def where(self, condition: Any) -> Search:
        """The search among the runs for which a condition holds."""
        search = copy(self)
        search._tests = [*self._tests, condition]
        return search

    def newest(self, condition: Any, limit: int) -> list[int]:
        """The first runs for which a condition holds, newest first; it names few runs, by an index."""
        self._plan()
        query = sa.select(RUNS.id).where(condition, *self._filter, *self._tests)
        return self._fetch(query.order_by(*NEWEST_FIRST).limit(limit))

    def count(self, at_most: int | None) -> int:
        """How many runs there are, counted up to a bound."""
        few = self._few_runs(LONGEST_WALK)
        query = sa.select(RUNS.id).where(*self._filter, *self._tests, *([] if few is None else [self._named(few)]))
        if at_most is not None:
            query = query.limit(min(at_most, 2**63 - 1))
        counted = sa.select(sa.func.count()).select_from(query.subquery())
        return int(self._connection.execute(counted).scalar_one())

    def _values(self, order: Order) -> list[Any]:
        """What runs are sorted by; the first is NULL for those without the field."""
        return [term.value for term in self._conditions.terms(order)[1:]]

    def _place(self, by_index: bool) -> list[Any]:
        """That a run comes behind the place."""
        if self._behind is None:
            return []
        if not self._orders:
            return [self._behind.older(by_index)]
        return [self._behind.test(self._values(self._orders[0]))]

    def ids(self, limit: int | None) -> list[int]:
        """The rows of the first runs, in order."""
        if limit is None or limit > LONGEST_WALK:
            query = self._all()
            return self._fetch(query if limit is None else query.limit(min(limit, 2**63 - 1)))
        self._plan()
        few = self._few_runs(limit)
        if self._none:
            return []
        if few is not None:
            return self._fetch(self._all(by_age=False).where(self._named(few)).limit(limit))
        by_value = self._by_value(limit)
        if by_value is not None:
            return by_value
        found: list[int] = []
        for query in self._walks():
            found += self._fetch(query.limit(limit - len(found)))
            if len(found) >= limit:
                break
        return found

    def _plan(self) -> None:
        if self._connection.dialect.name == "postgresql" and not self._planned:
            self._connection.exec_driver_sql(_PLAN)
            self._planned = True  # for the searches that begin as copies of this one, too

    def _by_value(self, limit: int) -> list[int] | None:
        """The first runs, one value of the first order after the other; ``None`` where that is not the way."""
        if len(self._orders) < 2 or self._orders[0].field.entity not in ("param", "tag"):
            return None
        found: list[int] = []
        groups = _Groups(self._connection, self._conditions, self._orders[0], self._behind)
        for number, group in enumerate(groups):
            if number == _MOST_GROUPS or (number == 0 and not self._is_large(group.runs)):
                return None
            found += self._with_value(group).ids(limit - len(found))
            if len(found) >= limit:
                return found
        return found + self._fetch(self._walks()[-1].limit(limit - len(found)))

    def _is_large(self, runs: Any) -> bool:
        counted = sa.select(sa.func.count()).select_from(runs.limit(LARGE_GROUP).subquery())
        return int(self._connection.execute(counted).scalar_one()) >= LARGE_GROUP

    def _with_value(self, group: _Group) -> Search:
        """The search among the runs of a group, by the orders that are left."""
        search = copy(self)
        search._orders = self._orders[1:]
        search._tests = [*self._tests, group.test]
        search._drivers = [group.runs, *self._drivers]
        search._behind = None
        search._few, search._looked = None, False
        return search

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
        return (
            sa.select(RUNS.id).where(*self._filter, *self._tests, *self._place(by_age)).order_by(*terms, *NEWEST_FIRST)
        )

    def _terms(self, orders: Sequence[Order]) -> list[Any]:
        return [term.ordered(order.descending) for order in orders for term in self._conditions.terms(order)]

    def _few_runs(self, limit: int) -> Any | None:
        """The runs that parts of the filter name, where these are few; what else holds of them is not looked at yet.

        Walking N runs until ``limit`` are found costs some N / K * limit, where K of them have the parts, which are
        taken for independent of each other. Looking up each of M runs costs some 2 M, and to find those that have
        several parts, some 1/8 for each run that has one.
        """
        if self._looked:
            return self._few
        self._looked, self._none = True, False
        parts = [driver for part in self._parts[:50] if (driver := self._conditions.driver(part)) is not None]
        drivers = [*self._drivers, *parts][:_COUNTS]
        if not drivers:
            return None
        runs = max(1, int(self._connection.execute(sa.select(sa.func.max(RUNS.id))).scalar() or 0))
        together = len(drivers) > 1 and self._connection.dialect.name != "mysql"  # old ones have no INTERSECT
        bound = min(FEW, max(limit, isqrt(runs * limit // 2) * (_TOGETHER if together else 1))) + 1
        counts = {number: count for number, each in enumerate(drivers) if (count := self._count(each, bound)) < bound}
        if not counts:
            return None
        if not together:
            least = min(counts, key=counts.__getitem__)
            counts = {least: counts[least]}
        named = runs * prod(count / runs for count in counts.values())
        self._none = 0 in counts.values()
        if min(counts.values()) <= limit or 2 * named + sum(counts.values()) / 8 <= limit * runs / named:
            found = [sa.select(drivers[number].subquery().c.run) for number in sorted(counts, key=counts.__getitem__)]
            self._few = found[0] if len(found) == 1 else sa.intersect(*found)
        return self._few

    def _count(self, driver: Any, bound: int) -> int:
        counted = sa.select(sa.func.count()).select_from(sa.select(driver.subquery()).limit(bound).subquery())
        return int(self._connection.execute(counted).scalar_one())

    def _walks(self) -> list[Any]:
        """Queries that, one after the other, give all runs in order, each along an index."""
        if not self._orders:
            return [self._all()]
        first, *others = self._orders
        rest = [*self._terms(others), *NEWEST_FIRST]
        if first.field == _START:
            started = sa.select(RUNS.id).where(*self._filter, *self._tests)
            by_age = RUNS.age.desc() if first.descending else RUNS.age.asc()
            place = [] if self._behind is None else [self._behind.beyond(RUNS.age)]
            return [
                started.where(RUNS.start_number > 0, *place).order_by(by_age, *rest),
                started.where(RUNS.start_number == 0).order_by(*rest),
            ]
        if first.field.entity not in KEYED:
            return [self._all()]
        table = _WALKED[first.field.entity]
        columns, number = table.c, self._conditions.number(first.field)
        there = sa.select(RUNS.id).select_from(table.join(tables.runs, columns.run == RUNS.id))
        named = Conditions(self._connection, self._reader, table).of(self._expression)
        there = there.where(columns.key == number, *([] if named is None else [named]), *self._tests)
        walks = []
        for condition, terms in _segments(first, columns, self._behind):
            walks.append(there.where(*condition).order_by(*terms, *rest))
        plain = KEYED[first.field.entity].c
        has: Any = sa.select(sa.literal_column("1")).where(plain.run == RUNS.id, plain.key == number)
        if first.field.entity == "metric":
            has = has.where(plain.sort.is_not(None))
        lacks = has.correlate(tables.runs).scalar_subquery().is_(None)
        return [*walks, sa.select(RUNS.id).where(lacks, *self._filter, *self._tests).order_by(*rest)]


class _Group(NamedTuple):
    """The runs that have one value of a param or tag: what finds them by an index, and what tells one of them."""

    runs: Any
    test: Any


class _Groups:
    """The values of a param or tag, in the order asked for."""

    def __init__(
        self, connection: Connection, conditions: Conditions, order: Order, behind: Behind | None = None
    ) -> None:
        self._connection = connection
        self._behind_place = behind
        self._order = order
        self._table = KEYED[order.field.entity]
        self._key = conditions.number(order.field)

    def __iter__(self) -> Iterator[_Group]:
        columns = self._table.c
        for condition, terms in _segments(self._order, columns, self._behind_place):
            last: list[Any] = []
            while True:
                query = sa.select(*_columns_of(terms)).where(columns.key == self._key, *condition, *last)
                row = self._connection.execute(query.order_by(*terms).limit(1)).first()
                if row is None:
                    break
                yield self._group(row)
                last = [self._behind(row)]

    def _group(self, row: Any) -> _Group:
        columns = self._table.c
        runs = sa.select(columns.run.label("run")).where(columns.key == self._key)
        test: Any = sa.select(sa.literal_column("1")).where(columns.run == RUNS.id, columns.key == self._key)
        if len(row) == 1:
            runs = runs.where(columns.sort == row.sort)
            # As in `Conditions`, with 0 added so that no index leads astray.
            test = test.where(columns.sort + sa.literal_column("0", sa.BigInteger()) == row.sort)
        else:
            if self._order.field.entity == "param":
                runs = runs.where(columns.sort == TEXT)
            runs = runs.where(columns.head == row.head, columns.value == row.value)
            test = test.where(columns.value == row.value)
        return _Group(runs, test.correlate(tables.runs).scalar_subquery().is_not(None))

    def _behind(self, row: Any) -> Any:
        columns, descending = self._table.c, self._order.descending
        if len(row) == 1:
            return columns.sort < row.sort if descending else columns.sort > row.sort
        beyond = columns.head < row.head if descending else columns.head > row.head
        further = columns.value < row.value if descending else columns.value > row.value
        return sa.or_(beyond, sa.and_(columns.head == row.head, further))


def _columns_of(terms: list[Any]) -> list[Any]:
    """What terms of an order sort by."""
    return [term.element for term in terms]


def _segments(order: Order, columns: Any, behind: Behind | None = None) -> list[tuple[list[Any], list[Any]]]:
    """The rows of one key in order, as stretches that each follow the index; those that come behind a place."""

    def turned(*terms: Any) -> list[Any]:
        return [term.desc() if order.descending else term.asc() for term in terms]

    is_text = behind is not None and isinstance(behind.key, str)
    numbers = [] if behind is None else [behind.beyond(columns.sort)] if "sort" in columns and not is_text else []
    texts = [behind.beyond_text(columns.head, columns.value)] if behind is not None and is_text else []
    match order.field.entity:
        case "metric":
            return [([columns.sort.is_not(None), *numbers], turned(columns.sort))]
        case "tag":
            return [([columns.run.is_not(None), *texts], turned(columns.head, columns.value))]
    both = [
        ([columns.sort < TEXT, *numbers], turned(columns.sort)),
        ([columns.sort == TEXT, *texts], turned(columns.head, columns.value)),
    ]
    if order.descending:
        both.reverse()
    # Numbers come before texts, or behind them.
    return both if behind is None or is_text == order.descending else both[1:]
