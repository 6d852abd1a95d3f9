"""Filters as conditions on the table ``runs``, orders as what to sort by.

Every value and every key is bound. What a condition names equals what `autotrack.stores.matching` names, or is more
where the database cannot tell exactly; then `Conditions.exact` is false, and who searches looks at each run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import FINISHED, Run
from autotrack.stores.database import tables
from autotrack.stores.database.codes import TEXT, code_of_param
from autotrack.stores.database.comparing import (
    Condition,
    compare_codes,
    compare_integers,
    compare_texts,
    constant,
    like,
)
from autotrack.stores.database.rows import Reader
from autotrack.stores.expressions import (
    PROCESS_FACTS,
    And,
    Comparison,
    Expression,
    Field,
    IsNull,
    Not,
    Or,
    Order,
    Scalar,
)
from autotrack.stores.matching import matches
from autotrack.stores.state import NO_START

RUNS: Final = tables.runs.c
_UNKNOWN: Final = -1
"""The number of a name that no row has."""

_TEXTS: Final = {
    "run_id": (RUNS.run_id, RUNS.run_head),
    "run_name": (RUNS.name, RUNS.name_head),
    "status": (RUNS.status, None),
    "parent_run_id": (RUNS.parent_run_id, RUNS.parent_head),
    "error": (RUNS.error, None),
}
_TIMES: Final = {"start_time": RUNS.start_time, "end_time": RUNS.end_time}
KEYED: Final = {"metric": tables.metrics, "param": tables.params, "tag": tables.tags}

_NUMBER_STARTS: Final = frozenset("0123456789+-.iI \t\n\r\f\v%_")

NEWEST_FIRST: Final = (RUNS.age.desc(), RUNS.start_journal.desc(), RUNS.start_number.desc(), RUNS.run_id.desc())
LARGEST: Final = 2000
"""What of a filter is left to the database: 250 comparisons, or lists of as many values in all. Beyond, it is asked for
more runs than the filter names, and each of them is looked at."""

_COMPARISON: Final = 8


@dataclass(frozen=True, slots=True)
class Term:
    """One thing to sort by; ``turns`` where a descending order turns it round."""

    value: Any
    turns: bool = True

    def ordered(self, descending: bool) -> Any:
        """It, as ``ORDER BY`` takes it."""
        return self.value.desc() if descending and self.turns else self.value.asc()


class Conditions:
    """Makes conditions for one search.

    Parameters
    ----------
    walked : a table that is joined to ``runs``, one row per run. What a run has is then looked up by that row's
        ``run``, so that a run that the filter does not name need not be looked up itself.
    """

    def __init__(self, connection: Connection, reader: Reader, walked: Any | None = None) -> None:
        self._run = RUNS.id if walked is None else walked.c.run
        self._outer = (tables.runs,) if walked is None else (tables.runs, walked)
        self._connection = connection
        self._dialect = connection.dialect.name
        self._reader = reader
        self._experiments: dict[str, int] | None = None
        self._names: dict[str, int] = {}
        self.exact = True

    def of(self, expression: Expression | None, *, generous: bool = True) -> Condition | None:
        """The condition of a filter, never NULL; ``None`` where it names every run.

        Where not ``generous``, it may name fewer runs than the filter rather than more.
        """
        if expression is None:
            return None
        if _size(expression) > LARGEST:
            self.exact = False
            if not generous:
                return constant(False)
            smaller = _smaller(expression)
            if smaller is None:
                return None
            expression = smaller
        self._learn(leaf.field for leaf in leaves(expression))
        return self._condition(expression, generous)

    def number(self, field: Field) -> int:
        """The number of the key of a metric, param or tag."""
        self._learn([field])
        return self._names.get(_key(field), _UNKNOWN)

    def driver(self, expression: Expression) -> Any | None:
        """The numbers of the runs that a part of a filter names, found by an index; ``None`` where there is none."""
        match expression:
            case Comparison(field, operator) if operator not in ("!=", "NOT IN") and "LIKE" not in operator:
                return self._driver(expression)
            case Comparison(field, "LIKE", value) if field.entity in ("param", "tag") and str(value)[:1] not in (
                "%",
                "_",
                "",
            ):
                return self._driver(expression)
            case Or(parts):
                if len(parts) > 8:
                    return None
                found: list[Any] = [self.driver(part) for part in parts]
                return None if any(part is None for part in found) else sa.union_all(*found)
        return None

    def terms(self, order: Order) -> list[Term]:
        """What to sort runs by; those without the field come last in both directions."""
        field = order.field
        if field.entity in KEYED:
            self._learn([field])
            table = KEYED[field.entity]
            columns = [table.c.value] if table is tables.tags else [table.c.sort]
            if table is tables.params:
                columns.append(text_of_param(table))
            values = [self._value(table, field, column) for column in columns]
        elif field.key in PROCESS_FACTS:
            self._learn([field])
            facts = tables.facts.c
            query = sa.select(facts.text).where(
                facts.process == RUNS.process, facts.key == self._names.get(_key(field), _UNKNOWN)
            )
            values = [query.correlate(tables.runs).scalar_subquery()]
        elif field.key in ("experiment", "experiment_id"):
            column = tables.experiments.c.text if field.key == "experiment" else tables.experiments.c.experiment_id
            query = sa.select(column).where(tables.experiments.c.id == RUNS.experiment)
            values = [query.correlate(tables.runs).scalar_subquery()]
        elif field.key == "broken":
            values = [sa.case((RUNS.start_number == 0, 1))]
        elif field.key == "duration":
            values = [RUNS.duration]
        else:
            values = [_TIMES[field.key] if field.key in _TIMES else _TEXTS[field.key][0]]
        return [Term(values[0].is_(None), turns=False), *(Term(value) for value in values)]

    def _value(self, table: sa.Table, field: Field, column: Any) -> Any:
        query = sa.select(column).where(table.c.run == RUNS.id, table.c.key == self._names.get(_key(field), _UNKNOWN))
        return query.correlate(tables.runs).scalar_subquery()

    def _learn(self, fields: Any) -> None:
        keys = {_key(field) for field in fields if field.entity in KEYED or field.key in PROCESS_FACTS}
        self._names |= self._reader.names.ids(self._connection, keys - self._names.keys())

    def _condition(self, expression: Expression, generous: bool) -> Condition:
        """What holds for each run that the expression names, and where not ``generous``, for no other."""
        match expression:
            case Comparison() | IsNull():
                return self._leaf(expression, generous)
            case Not(part):
                return sa.not_(self._condition(part, not generous))
            case And(parts):
                return _balanced(sa.and_, [self._condition(part, generous) for part in parts])
            case Or(parts):
                return _balanced(sa.or_, [self._condition(part, generous) for part in parts])

    def _leaf(self, leaf: Comparison | IsNull, generous: bool) -> Condition:
        field = leaf.field
        comparison = leaf if isinstance(leaf, Comparison) else None
        if field.entity == "attribute" and field.key not in PROCESS_FACTS:
            return self._attribute(field.key, comparison, generous)
        found = self._rows(field, comparison, generous, [_one()]).correlate(*self._outer)
        if field.entity in ("dataset", "model"):
            found = found.limit(1)
        # Not EXISTS: some planners make a join of that, and would rather join all than stop at the limit.
        is_there = found.scalar_subquery().is_not(None)
        condition: Condition = is_there if comparison is not None else sa.not_(is_there)
        return condition

    def _rows(self, field: Field, comparison: Comparison | None, generous: bool, columns: list[Any]) -> Any:
        """The rows that hold a field, with a value that the comparison names."""
        match field.entity:
            case "metric" | "param" | "tag":
                table = KEYED[field.entity]
                tests = [table.c.run == self._run, table.c.key == self._names.get(_key(field), _UNKNOWN)]
                if comparison is not None:
                    tests += self._keyed_tests(table, comparison, generous)
                return sa.select(*columns).where(*tests)
            case "dataset":
                column: Any = tables.datasets.c[field.key]
                tests = [tables.datasets.c.run == self._run]
            case "model":
                column = tables.models.c[field.key]
                tests = [tables.models.c.run == self._run, column.is_not(None)]
            case "attribute":
                facts = tables.facts.c
                column = facts.text
                number = self._names.get(_key(field), _UNKNOWN)
                tests = [facts.process == RUNS.process, facts.key == number, column.is_not(None)]
        if comparison is not None:
            tests.append(self._text(column, None, comparison, generous))
        return sa.select(*columns).where(*tests)

    def _keyed_tests(
        self, table: sa.Table, comparison: Comparison, generous: bool, by_index: bool = False
    ) -> list[Any]:
        """What holds of a row that has the key; ``by_index`` where an index is to find it by that."""
        if table is tables.metrics or comparison.numeric:
            # With 0 added no index is used: a row is to be found by its run and key, whatever a planner thinks.
            sort = table.c.sort if by_index else table.c.sort + sa.literal_column("0", sa.BigInteger())
            found = compare_codes(sort, comparison.operator, comparison.value)
            # Texts have the greatest code. Of two upper bounds some databases use but one, and not the nearer.
            below = table is tables.metrics or comparison.operator in ("<", "<=", "=", "IN")
            return [found] if below else [sort < TEXT, found]
        return [self._text(table.c.value, None, comparison, generous)]

    def _text(self, column: Any, start: Any, comparison: Comparison, generous: bool) -> Condition:
        if "LIKE" not in comparison.operator:
            return compare_texts(column, comparison.operator, comparison.value, start)
        upper, lower = like(self._dialect, column, comparison.operator, str(comparison.value), start)
        if upper is not lower:
            self.exact = False
        return upper if generous else lower

    def _attribute(self, name: str, comparison: Comparison | None, generous: bool) -> Condition:
        if name in ("experiment", "experiment_id"):
            return constant(False) if comparison is None else RUNS.experiment.in_(self._experiments_of(comparison))
        if name == "broken":
            if comparison is None:
                return RUNS.start_number != 0
            holds = matches(comparison, Run("", "", "", "", broken=NO_START))
            return sa.and_(RUNS.start_number == 0, constant(holds))
        column: Any
        if name in _TEXTS:
            # Without the head: no index is to lead away from the order in which runs are walked.
            column, _ = _TEXTS[name]
            test = None if comparison is None else self._text(column, None, comparison, generous)
        else:
            column = RUNS.duration if name == "duration" else _TIMES[name]
            compare = compare_codes if name == "duration" else compare_integers
            test = None if comparison is None else compare(column, comparison.operator, comparison.value)
        return column.is_(None) if test is None else sa.and_(column.is_not(None), test)

    def _experiments_of(self, comparison: Comparison) -> list[int]:
        """The experiments that a comparison names, decided here: they are few."""
        if self._experiments is None:
            columns = tables.experiments.c
            rows = self._connection.execute(sa.select(columns.text, columns.id))
            self._experiments = {str(text): int(number) for text, number in rows}
        found = self._experiments.items()
        return [number for text, number in found if matches(comparison, Run("", "", text, ""))] or [_UNKNOWN]

    def _driver(self, comparison: Comparison) -> Any | None:
        field = comparison.field
        if field.entity == "attribute":
            if field.key in ("experiment", "experiment_id"):
                return sa.select(RUNS.id.label("run")).where(self._attribute(field.key, comparison, True))
            column, start = _TEXTS.get(field.key, (None, None))
            if field.key == "status":
                values = comparison.value if isinstance(comparison.value, tuple) else (comparison.value,)
                texts = [str(value) for value in values]
                if comparison.operator not in ("=", "IN") or FINISHED in texts:
                    return None
                return sa.select(RUNS.id.label("run")).where(RUNS.status.in_(texts), tables.is_unfinished)
            if start is None:
                return None
            return sa.select(RUNS.id.label("run")).where(self._text(column, start, comparison, True))
        if field.entity not in KEYED:
            return None
        self._learn([field])
        table = KEYED[field.entity]
        tests: list[Any] = [table.c.key == self._names.get(_key(field), _UNKNOWN)]
        if table is tables.metrics or comparison.numeric:
            tests += self._keyed_tests(table, comparison, True, by_index=True)
        else:
            if table is tables.params:
                codes = _codes(comparison)
                if codes is None:
                    return None
                tests.append(table.c.sort.in_(codes))
            tests.append(self._text(table.c.value, table.c.head, comparison, True))
        return sa.select(table.c.run.label("run")).where(*tests)


def _codes(comparison: Comparison) -> list[int] | None:
    """The codes that params may have whose text a comparison names; ``None`` where there are too many."""
    value = comparison.value
    if "LIKE" in comparison.operator:
        return [TEXT] if str(value)[:1] not in _NUMBER_STARTS else None
    if comparison.operator not in ("=", "IN"):
        return None
    texts = [str(item) for item in value] if isinstance(value, tuple) else [str(value)]
    return sorted({code_of_param(text) for text in texts})


def text_of_param(table: Any) -> Any:
    """The text of a param that does not read as a number: others are sorted by their number alone."""
    return sa.case((table.c.sort == TEXT, table.c.value))


def leaves(expression: Expression) -> Iterator[Comparison | IsNull]:
    """What a filter is built of."""
    match expression:
        case Not(part):
            yield from leaves(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case _:
            yield expression


def _size(expression: Expression) -> int:
    size = 0
    for leaf in leaves(expression):
        many = isinstance(leaf, Comparison) and isinstance(leaf.value, tuple)
        size += len(cast("tuple[Scalar, ...]", cast(Comparison, leaf).value)) if many else 1
        size += _COMPARISON - 1
    return size


def _smaller(expression: Expression) -> Expression | None:
    """A filter that names at least the same runs, and is not too large; ``None`` where that is every run."""
    if not isinstance(expression, And):
        return None
    kept: list[Expression] = []
    left = LARGEST
    for part in expression.parts:
        left -= _size(part)
        if left < 0:
            break
        kept.append(part)
    return And(tuple(kept)) if kept else None


def _key(field: Field) -> str:
    return field.key if field.entity in KEYED else PROCESS_FACTS.get(field.key, "")


def _one() -> Any:
    return sa.literal_column("1")


def _balanced(join: Any, parts: list[Condition]) -> Condition:
    # SQLite counts a chain of a thousand ANDs as a thousand levels of nesting, and refuses.
    if len(parts) <= 8:
        return join(*parts).self_group()  # type: ignore[no-any-return]
    middle = len(parts) // 2
    return join(_balanced(join, parts[:middle]), _balanced(join, parts[middle:])).self_group()  # type: ignore[no-any-return]
