"""Filters and orders as SQL over the tables of `autotrack.stores.local.index`.

Every value and every key is bound as a parameter. What SQL gives here equals `autotrack.stores.matching`:

- a text is stored as TEXT, or as a BLOB where it holds lone surrogates, which UTF-8 does not have (`encode`); it is
  compared and sorted as bytes, whose order is that of the code points;
- a metric that is NaN is a row whose value is NULL; a comparison with NULL finds no row;
- ``LIKE`` is our own function, because SQLite's stops at a NUL and folds ASCII only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from autotrack.stores.base import View
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
    like,
)

Bound = str | bytes | int | float | None


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL with what it binds."""

    text: str
    bound: tuple[Bound, ...] = ()

    def __add__(self, other: Sql | str) -> Sql:
        if isinstance(other, str):
            return Sql(self.text + other, self.bound)
        return Sql(self.text + other.text, self.bound + other.bound)


BROKEN: Final = (
    "CASE WHEN runs.started IS NOT NULL THEN runs.damage WHEN runs.damage IS NULL THEN 'its start is not recorded' "
    "ELSE runs.damage || '; its start is not recorded' END"
)

_COLUMNS: Final = {
    "run_id": "runs.run_id",
    "run_name": "runs.name",
    "experiment": "runs.experiment",
    "experiment_id": "runs.experiment_id",
    "status": "runs.status",
    "start_time": "runs.start_time",
    "end_time": "runs.end_time",
    "duration": "(runs.end_time - runs.start_time) / 1000.0",
    "parent_run_id": "runs.parent_run_id",
    "error": "runs.error",
    "broken": f"({BROKEN})",
}

VIEWS: Final[dict[View, str]] = {
    "active": "runs.deleted_time IS NULL",
    "deleted": "runs.deleted_time IS NOT NULL",
    "all": "1",
}

KEY: Final = "(SELECT id FROM keys WHERE keys.key = ?)"

NEWEST_FIRST: Final = "runs.start_time DESC, runs.start_journal DESC, runs.start_number DESC, runs.run_id DESC"


def encode(text: str) -> str | bytes:
    """A text as SQLite can bind it."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def encode_bytes(text: str) -> bytes:
    """A text as the bytes that its order is told by."""
    return text.encode("utf-8", "surrogatepass")


def decode(stored: str | bytes) -> str:
    """Undo `encode`."""
    return stored if isinstance(stored, str) else stored.decode("utf-8", "surrogatepass")


def register(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that the SQL of this module calls."""

    def text_like(text: str | bytes | None, pattern: str | bytes, ignore_case: int) -> bool:
        return text is not None and like(decode(text), decode(pattern), bool(ignore_case))

    connection.create_function("autotrack_like", 3, text_like, deterministic=True)


def joined(word: str, parts: Iterable[Sql]) -> Sql:
    """The parts with a word between them."""
    parts = list(parts)
    return Sql(word.join(part.text for part in parts), tuple(item for part in parts for item in part.bound))


def compile_filter(expression: Expression | None) -> tuple[str, list[Bound]]:
    """The condition that a filter sets on a row of ``runs``, never NULL, and what to bind."""
    bound: list[Bound] = []
    return ("1" if expression is None else _condition(expression, bound)), bound


def compile_order(orders: Sequence[Order]) -> tuple[str, list[Bound]]:
    """What to ``ORDER BY``, and what to bind: ``orders``, then the newest first."""
    bound: list[Bound] = []
    terms: list[str] = []
    for order in orders:
        terms += _sort_terms(order, bound)
    return ", ".join([*terms, NEWEST_FIRST]), bound


def _condition(expression: Expression, bound: list[Bound]) -> str:
    match expression:
        case Comparison(field):
            return _exists(field, bound, expression)
        case IsNull(field):
            return f"NOT {_exists(field, bound, None)}"
        case Not(part):
            return f"NOT {_condition(part, bound)}"
        case And(parts):
            return _balanced("AND", [_condition(part, bound) for part in parts])
        case Or(parts):
            return _balanced("OR", [_condition(part, bound) for part in parts])


def _balanced(word: str, parts: list[str]) -> str:
    # SQLite counts a chain of a thousand ANDs as a thousand levels of nesting, and refuses.
    if len(parts) <= 8:
        return "(" + f" {word} ".join(parts) + ")"
    middle = len(parts) // 2
    return f"({_balanced(word, parts[:middle])} {word} {_balanced(word, parts[middle:])})"


def _exists(field: Field, bound: list[Bound], comparison: Comparison | None) -> str:
    """Whether the run has the field, with a value that the comparison names."""
    if field.entity == "attribute" and field.key not in PROCESS_FACTS:
        column = _COLUMNS[field.key]
        such = "" if comparison is None else f" AND {test(comparison, column, bound)}"
        return f"({column} IS NOT NULL{such})"
    source, column = _source(field, bound)
    if comparison is not None and field.entity == "param" and comparison.numeric:
        column = "number"
    such = "" if comparison is None else f" AND {test(comparison, column, bound)}"
    return f"EXISTS (SELECT 1 FROM {source}{such})"


def _source(field: Field, bound: list[Bound]) -> tuple[str, str]:
    """Where a field's values stand, up to its ``WHERE``, and in which column."""
    match field.entity:
        case "metric":
            bound.append(encode(field.key))
            return f"metrics WHERE run = runs.id AND key = {KEY}", "value"
        case "param":
            bound.append(encode(field.key))
            return f"params WHERE run = runs.id AND key = {KEY}", "value"
        case "tag":
            bound.append(encode(field.key))
            return f"tags WHERE run = runs.id AND key = {KEY}", "value"
        case "dataset":
            return "datasets WHERE run = runs.id", field.key
        case "model":
            return f"models WHERE run = runs.id AND {field.key} IS NOT NULL", field.key
        case "attribute":
            bound.append(PROCESS_FACTS[field.key])
            return "facts WHERE process_id = runs.process_id AND key = ? AND text IS NOT NULL", "text"


def test(comparison: Comparison, column: str, bound: list[Bound]) -> str:
    """``column operator value`` for a column that is not NULL; a NULL makes it NULL."""
    operator, value = comparison.operator, comparison.value
    if isinstance(value, tuple):
        bound.extend(_literal(item) for item in value)
        return f"{column} {operator} ({', '.join('?' * len(value))})"
    if "LIKE" in operator:
        bound += [encode(cast(str, value)), int("ILIKE" in operator)]
        return f"{'NOT ' if operator.startswith('NOT') else ''}autotrack_like({column}, ?, ?)"
    if isinstance(value, str) and operator not in ("=", "!="):
        bound.append(encode_bytes(value))
        return f"CAST({column} AS BLOB) {operator} ?"
    bound.append(_literal(value))
    return f"{column} {operator} ?"


def _literal(value: Scalar) -> Bound:
    return encode(value) if isinstance(value, str) else value


def sort_values(order: Order) -> list[Sql]:
    """What runs are sorted by, NULL for those without the field: of a param its number, and the text of others."""
    field = order.field
    bound: list[Bound] = []
    if field.entity == "attribute" and field.key not in PROCESS_FACTS:
        value = _COLUMNS[field.key]
    else:
        source, column = _source(field, bound)
        if field.entity == "param":
            text = "CASE WHEN number IS NULL THEN CAST(value AS BLOB) END"
            return [Sql(f"(SELECT {what} FROM {source})", tuple(bound)) for what in ("number", text)]
        value = f"(SELECT {column} FROM {source})"
    return [Sql(f"CAST({value} AS BLOB)" if field.kind == "text" else value, tuple(bound))]


def _sort_terms(order: Order, bound: list[Bound]) -> list[str]:
    """What to sort by; runs without the field come last in either direction."""
    field, turn = order.field, " DESC" if order.descending else ""
    values = sort_values(order)
    if field.entity == "param":
        # Numbers before other texts; of a number only its value counts.
        source, _ = _source(field, bound)
        values.insert(0, Sql(f"(SELECT number IS NULL FROM {source})"))
    for value in values:
        bound += value.bound
    first, *others = (value.text for value in values)
    return [f"{first}{turn} NULLS LAST", *(f"{value}{turn}" for value in others)]
