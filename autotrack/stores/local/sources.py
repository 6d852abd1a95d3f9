"""Where the runs that a filter names can be looked up: queries of the keys of runs that an index answers.

Of each source it holds that every run for which its part of the filter is true is in it, perhaps more than once; the
filter itself is asked again of each run that is found.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from autotrack.stores.expressions import And, Comparison, Expression, Field, IsNull, Not, Or, Scalar, param_number
from autotrack.stores.local.sql import KEY, Bound, Sql, encode, encode_bytes, joined, test
from autotrack.stores.local.tables import TEXT_LENGTH

_MOST_PARTS: Final = 50
_ORDERED: Final = ("=", "<", "<=", ">", ">=", "IN")
_ATTRIBUTES: Final = {
    "run_id": ("=", "IN"),
    "run_name": ("=", "IN"),
    "experiment": ("=", "IN"),
    "parent_run_id": ("=", "IN"),
    "status": ("=", "IN"),
    "start_time": _ORDERED,
    "end_time": _ORDERED,
}
"""Attributes that have an index, and the comparisons that it answers."""
_COLUMNS: Final = {"run_name": "name"}


@dataclass(frozen=True, slots=True)
class Source:
    """A query of the keys of runs, and how many rows it has; ``count`` may stop at a bound."""

    query: Sql
    count: int


def conjuncts(expression: Expression | None) -> list[Expression]:
    """The parts that all have to be true."""
    match expression:
        case None:
            return []
        case And(parts):
            return [leaf for part in parts for leaf in conjuncts(part)]
        case _:
            return [expression]


def smallest(connection: sqlite3.Connection, expression: Expression, bound: int) -> Source | None:
    """The source with the fewest rows, which are counted up to a bound; ``None`` where no index helps."""
    match expression:
        case And(parts):
            found = [source for part in parts if (source := smallest(connection, part, bound)) is not None]
            return min(found, key=lambda source: source.count, default=None)
        case Or(parts):
            if len(parts) > _MOST_PARTS:
                return None
            every = [smallest(connection, part, bound) for part in parts]
            found = [source for source in every if source is not None]
            if len(found) < len(every):
                return None
            query = joined(" UNION ALL ", (Sql("SELECT run FROM (") + source.query + ")" for source in found))
            return Source(query, sum(source.count for source in found))
        case Comparison() | Not(IsNull()):
            query_of = _query(expression)
            if query_of is None:
                return None
            query, counted = query_of
            return Source(query, count(connection, counted, bound))
        case _:
            return None


def count(connection: sqlite3.Connection, query: Sql, bound: int) -> int:
    """How many rows a query has, counted up to a bound."""
    whole = Sql("SELECT count(*) FROM (") + query + Sql(" LIMIT ?)", (bound,))
    return int(connection.execute(whole.text, whole.bound).fetchone()[0])


def _query(expression: Comparison | Not) -> tuple[Sql, Sql] | None:
    """The source of one part, and what to count for it."""
    if isinstance(expression, Not):
        present = _with_key(expression.part.field) if isinstance(expression.part, IsNull) else None
        return None if present is None else (present, present)
    field = expression.field
    match field.entity:
        case "metric":
            found = _with_key(field, _test(expression, "value"))
        case "param" if expression.numeric:
            number = _test(expression, "number")
            found = Sql("SELECT run FROM params WHERE number IS NOT NULL AND key = ") + _key(field) + " AND " + number
        case "param" if expression.operator in ("=", "IN"):
            found = _any_of(expression, lambda text: _param_equals(field, text))
        case "tag" if expression.operator in ("=", "IN"):
            found = _any_of(expression, lambda text: _with_key(field, _text_equals(text)))
        case "param" | "tag":
            start = _text_range(expression) if field.entity == "tag" else None
            query = _with_key(field, _test(expression, "value"), start)
            present = _with_key(field, start)
            return None if query is None or present is None else (query, present)
        case "dataset" if field.key != "context" and expression.operator in ("=", "IN"):
            found = Sql("SELECT run FROM datasets WHERE ") + _test(expression, field.key)
        case "model" if field.key == "registered_model_name" and expression.operator in ("=", "IN"):
            found = Sql("SELECT run FROM models WHERE ") + _test(expression, field.key)
        case "attribute":
            found = _attribute(expression)
        case _:
            found = None
    return None if found is None else (found, found)


def _attribute(comparison: Comparison) -> Sql | None:
    name, value = comparison.field.key, comparison.value
    if comparison.operator not in _ATTRIBUTES.get(name, ()):
        return None
    query = Sql("SELECT id AS run FROM runs WHERE ") + _test(comparison, _COLUMNS.get(name, name))
    if name == "status":
        if "FINISHED" in (value if isinstance(value, tuple) else (value,)):
            return None  # that is most of them
        query += " AND status <> 'FINISHED'"
    return query


def _with_key(field: Field, *tests: Sql | None) -> Sql | None:
    """The runs that have a metric, param or tag, and for whose value the tests are true."""
    such = [Sql(" AND ") + each for each in tests if each is not None]
    rest = _key(field) + joined("", such)
    match field.entity:
        case "metric":
            return Sql("SELECT run FROM metrics WHERE key = ") + rest
        case "tag":
            return Sql("SELECT run FROM tags WHERE key = ") + rest
        case "param":
            numbers = Sql("SELECT run FROM params WHERE number IS NOT NULL AND key = ") + rest
            return numbers + Sql(" UNION ALL SELECT run FROM params WHERE number IS NULL AND key = ") + rest
        case _:
            return None


def _param_equals(field: Field, text: str) -> Sql:
    query, number = Sql("SELECT run FROM params WHERE key = ") + _key(field), param_number(text)
    if number is None:
        return query + " AND number IS NULL AND " + _text_equals(text)
    return query + Sql(" AND number IS NOT NULL AND number = ? AND value = ?", (number, encode(text)))


def _text_equals(text: str) -> Sql:
    start = encode_bytes(text)[:TEXT_LENGTH]
    if len(start) < TEXT_LENGTH:  # that is all of it
        return Sql("start = ?", (start,))
    return Sql("start = ? AND value = ?", (start, encode(text)))


def _text_range(comparison: Comparison) -> Sql | None:
    """What a comparison says about the beginning of a text."""
    operator, value = comparison.operator, comparison.value
    if not isinstance(value, str):
        return None
    if operator == "LIKE":
        first = value.partition("%")[0].partition("_")[0]
        start = encode_bytes(first)[:TEXT_LENGTH]
        if not start:
            return None
        return Sql("start BETWEEN ? AND ?", (start, start + b"\xff" * TEXT_LENGTH))
    if operator in ("<", "<=", ">", ">="):
        return Sql(f"start {operator[0]}= ?", (encode_bytes(value)[:TEXT_LENGTH],))
    return None


def _any_of(comparison: Comparison, query: Callable[[str], Sql | None]) -> Sql | None:
    value = comparison.value
    texts: Iterable[Scalar] = dict.fromkeys(value) if isinstance(value, tuple) else (value,)
    queries = [found for text in texts if (found := query(str(text))) is not None]
    return joined(" UNION ALL ", queries) if len(queries) <= _MOST_PARTS else None


def _key(field: Field) -> Sql:
    return Sql(KEY, (encode(field.key),))


def _test(comparison: Comparison, column: str) -> Sql:
    bound: list[Bound] = []
    text = test(comparison, column, bound)
    return Sql(text, tuple(bound))
