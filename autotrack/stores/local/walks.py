"""The indexes in whose order runs can be met, and what has to hold for those that are meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from autotrack.stores.base import View
from autotrack.stores.expressions import Comparison, Expression, Field, Order
from autotrack.stores.local.sources import conjuncts
from autotrack.stores.local.sql import (
    KEY,
    VIEWS,
    Bound,
    Sql,
    compile_filter,
    encode,
    encode_bytes,
    joined,
    sort_values,
    test,
)
from autotrack.stores.local.tables import TEXT_LENGTH
from autotrack.stores.tokens import Plain

NEWEST: Final = Order(Field("attribute", "start_time"), descending=True)
_COLUMNS: Final = {"start_time": "runs.start_time", "end_time": "runs.end_time"}
_RUNS: Final = "runs"


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


@dataclass(frozen=True, slots=True)
class Behind:
    """Only the runs that come behind all those with one value of an order.

    Parameters
    ----------
    order : the first order of a search.
    key : the value: a number, a text, or ``None`` for the runs that have none.
    """

    order: Order
    key: Plain

    @property
    def condition(self) -> Sql:
        """That a run comes behind."""
        if self.key is None:
            return Sql("0")
        values, turn = sort_values(self.order), self.order.descending
        lacks = joined(" AND ", [value + " IS NULL" for value in values])
        mine, *others = reversed(values) if isinstance(self.key, str) else values
        parts = [mine + Sql(f" {'<' if turn else '>'} ?", (_bound(self.key),)), lacks]
        if others and isinstance(self.key, str) == turn:
            # Numbers before texts, or the other way round.
            parts.append(others[0] + " IS NOT NULL")
        return Sql("(") + joined(" OR ", parts) + ")"

    def start(self, walk: Walk) -> Sql | None:
        """Where on a walk to begin; ``None`` for one whose runs all come before."""
        if self.key is None:
            return None
        if (walk.column == "o.number") is isinstance(self.key, str) and self.order.field.entity == "param":
            is_later = isinstance(self.key, str) == self.order.descending
            return Sql("") if is_later else None
        return walk.beyond(self._beginning(walk), inclusive=False)

    def alike(self, walk: Walk) -> Bound:
        """The beginning that other texts behind this one may have too, where it stands for them on the walk."""
        start = self.start(walk)
        beginning = None if start is None or not start.text else self._beginning(walk)
        return None if beginning is None or walk.is_whole(beginning) else beginning

    def tied(self, where: Where) -> Where | None:
        """What holds for the runs that have the very value; ``None`` when there are none."""
        values = sort_values(self.order)
        walks = walks_by(self.order, where)
        if self.key is None:
            if walks is not None:
                return lacking(self.order, where)
            return where.narrowed(joined(" AND ", [value + " IS NULL" for value in values]))
        same = values[-1 if isinstance(self.key, str) else 0] + Sql(" = ?", (_bound(self.key),))
        for walk in walks or ():
            if self.order.field.entity != "param" or (walk.column == "o.number") is not isinstance(self.key, str):
                value = self._beginning(walk)
                such = where.narrowed(walk.equal(value), walk.having(value))
                return such if walk.is_whole(value) else such.narrowed(same)
        return where.narrowed(same)

    def _beginning(self, walk: Walk) -> Bound:
        value = _bound(self.key)
        return value if walk.column == walk.full else cast(bytes, value)[:TEXT_LENGTH]


def _bound(key: Plain) -> Bound:
    """A key as what runs are sorted by is compared with it."""
    return encode_bytes(key) if isinstance(key, str) else key


def where_of(
    expression: Expression | None, experiments: Sequence[str] | None, view: View, top_level: bool = False
) -> Where:
    """What has to hold for the runs of a search; `autotrack.stores.paging.page_runs` says what it names."""
    text, bound = compile_filter(expression)
    where = Where((Sql(VIEWS[view]), Sql(text, tuple(bound))), tuple(conjuncts(expression)))
    within = Sql("1")
    if experiments is not None:
        names = tuple(map(encode, dict.fromkeys(experiments)))
        within = Sql(f"runs.experiment IN ({', '.join('?' * len(names))})", names)
        # With a sign before it no index is used: it would lead away from the order in which runs are walked.
        where = where.narrowed(Sql("+") + within, Sql("SELECT runs.id AS run FROM runs WHERE ") + within)
    if view == "deleted":
        deleted = Sql("SELECT id AS run FROM runs WHERE deleted_time IS NOT NULL")
        where = replace(where, sources=(*where.sources, deleted))
    if top_level:
        shown = joined(" AND ", [Sql("runs.run_id = this.parent_run_id"), Sql(VIEWS[view]), within])
        without_parent = Sql("runs.parent_run_id IS NULL OR NOT EXISTS (SELECT 1 FROM ")
        where = where.narrowed(Sql("(") + without_parent + _parent(shown) + "))")
    return where


def _parent(shown: Sql) -> Sql:
    """The same about another run."""
    text = shown.text.replace("runs.", "parent.").replace("this.", "runs.")
    return Sql(f"runs AS parent WHERE {text}", shown.bound)


def walks_by(by: Order, where: Where) -> list[Walk] | None:
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


def lacking(by: Order, where: Where) -> Where | None:
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
