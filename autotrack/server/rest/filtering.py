"""MLflow's filters as autotrack's: attributes and tags that only MLflow has are found where autotrack keeps them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

from autotrack.errors import FilterError
from autotrack.server.rest import wire
from autotrack.stores.expressions import And, Comparison, Expression, Field, IsNull, Not, Operator, Or, Order, Scalar
from autotrack.stores.filters import parse_filter, parse_order_by
from autotrack.stores.mlflow.translation import PARENT, RUN_NAME, SOURCE_NAME, USER

PREFIX: Final = "autotrack:"
"""Begins the key by which an attribute that the language does not have is read."""

_QUOTED: Final = re.compile(r"""("(?:[^"]|"")*"|'(?:[^']|'')*'|`[^`]*`)""")
_ARTIFACT_URI: Final = "artifact_uri"
_URI: Final = re.compile(re.escape(wire.ARTIFACTS) + "/*([^/]+)/([^/]+)/artifacts/?")

_ATTRIBUTE_OF: Final = {
    RUN_NAME: Field("attribute", "run_name"),
    PARENT: Field("attribute", "parent_run_id"),
    USER: Field("attribute", "user"),
    SOURCE_NAME: Field("attribute", "script"),
}
"""Tags that MLflow's clients ask for, and what autotrack has instead."""

_NOWHERE: Final = And((IsNull(Field("attribute", "run_id")), Not(IsNull(Field("attribute", "run_id")))))


def runs_filter(text: str | None) -> str | None:
    """The filter of a search for runs.

    Raises
    ------
    FilterError
        When it cannot be understood.
    """
    if not text or not text.strip():
        return None
    read = with_attributes(text, (_ARTIFACT_URI,), "tags")
    expression = parse_filter(read)
    changed = None if expression is None else _each(expression, _for_runs)
    return text if changed == expression and read == text else shown(changed) if changed else None


def runs_orders(texts: Sequence[str]) -> list[str]:
    """The orders of a search for runs.

    Raises
    ------
    FilterError
        When one cannot be understood.
    """
    found: list[str] = []
    for text in texts:
        if text.strip():
            order = parse_order_by(with_attributes(text, (_ARTIFACT_URI,), "tags"))
            found += _orders(order)
    return found


def with_attributes(text: str, names: Collection[str], entity: str) -> str:
    """A filter in which attributes that the language lacks are written as metrics or tags.

    Parameters
    ----------
    names : the attributes; each becomes the key `PREFIX` and the name.
    entity : ``"metrics"`` for numbers, ``"tags"`` for text.
    """
    if not any(name in text for name in names):
        return text
    words = "|".join(map(re.escape, names))
    found = re.compile(rf"(?<![\w.])(?:(?:attributes?|attr|run)\.)?({words})(?![\w.])", re.IGNORECASE)
    parts = _QUOTED.split(text)
    for number in range(0, len(parts), 2):
        parts[number] = found.sub(lambda match: f'{entity}."{PREFIX}{match[1].lower()}"', parts[number])
    for number in range(1, len(parts), 2):  # attributes.`name`
        name = parts[number][1:-1]
        before = re.search(r"(?:attributes?|attr|run)\.$", parts[number - 1], re.IGNORECASE)
        if before and name in names:
            parts[number - 1] = parts[number - 1][: before.start()] + f"{entity}."
            parts[number] = f'"{PREFIX}{name}"'
    return "".join(parts)


def _each(expression: Expression, change: Callable[[Comparison | IsNull], Expression]) -> Expression:
    """A tree with each leaf changed."""
    match expression:
        case And(parts):
            return And(tuple(_each(part, change) for part in parts))
        case Or(parts):
            return Or(tuple(_each(part, change) for part in parts))
        case Not(part):
            return Not(_each(part, change))
        case _:
            return change(expression)


def _for_runs(leaf: Comparison | IsNull) -> Expression:
    field = leaf.field
    if field.entity != "tag":
        return leaf
    if field.key == PREFIX + _ARTIFACT_URI:
        return _artifact_uri(leaf)
    attribute = _ATTRIBUTE_OF.get(field.key)
    if attribute is None:
        return leaf
    instead = replace(leaf, field=attribute)
    if field.key == RUN_NAME:
        return instead
    if isinstance(leaf, IsNull):
        return And((leaf, instead))
    # The run's own tag counts where it has one.
    return Or((leaf, And((IsNull(field), instead))))


def _artifact_uri(leaf: Comparison | IsNull) -> Expression:
    """Where a run's artifacts are follows from its id."""
    run_id = Field("attribute", "run_id")
    if isinstance(leaf, IsNull):
        return replace(leaf, field=run_id)
    operators: dict[Operator, Operator] = {"=": "IN", "IN": "IN", "!=": "NOT IN", "NOT IN": "NOT IN"}
    if leaf.operator not in operators:
        raise FilterError(
            "cannot understand the filter: artifact_uri is compared by = != IN and NOT IN; ask for run_id"
        )
    values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    matched = [match for value in values if isinstance(value, str) and (match := _URI.fullmatch(value))]
    if not matched:
        return Not(_NOWHERE) if operators[leaf.operator] == "NOT IN" else _NOWHERE
    return Comparison(run_id, operators[leaf.operator], tuple(match[2] for match in matched))


def _orders(order: Order) -> list[str]:
    field = order.field
    fields = [field]
    if field.entity == "tag" and field.key == PREFIX + _ARTIFACT_URI:
        fields = [Field("attribute", "experiment_id"), Field("attribute", "run_id")]
    elif field.entity == "tag" and field.key in _ATTRIBUTE_OF:
        instead = _ATTRIBUTE_OF[field.key]
        fields = [instead] if field.key in (RUN_NAME, PARENT) else [field, instead]
    return [f"{_field(one)} {'DESC' if order.descending else 'ASC'}" for one in fields]


def shown(expression: Expression) -> str:
    """A tree as the text of a filter."""
    match expression:
        case And(parts):
            return "(" + " AND ".join(map(shown, parts)) + ")"
        case Or(parts):
            return "(" + " OR ".join(map(shown, parts)) + ")"
        case Not(part):
            return f"NOT ({shown(part)})"
        case IsNull(field):
            return f"{_field(field)} IS NULL"
        case Comparison(field, operator, value):
            told = f"({', '.join(map(_scalar, value))})" if isinstance(value, tuple) else _scalar(value)
            return f"{_field(field)} {operator} {told}"


def _field(field: Field) -> str:
    if field.entity == "attribute":
        return f"attributes.{field.key}"
    return f"{field.entity}s.{_quoted(field.key)}"


def _scalar(value: Scalar) -> str:
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
