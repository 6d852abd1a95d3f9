"""Filters and orders applied to runs in memory."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from math import isnan
from typing import Any, Final, cast

from autotrack.entities import Run
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
    param_number,
)

_TESTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "IN": lambda found, values: found in values,
    "NOT IN": lambda found, values: found not in values,
    "LIKE": like,
    "NOT LIKE": lambda found, pattern: not like(found, pattern),
    "ILIKE": lambda found, pattern: like(found, pattern, ignore_case=True),
    "NOT ILIKE": lambda found, pattern: not like(found, pattern, ignore_case=True),
}


def matches(expression: Expression | None, run: Run) -> bool:
    """Whether a filter names a run; ``None`` names every run."""
    match expression:
        case None:
            return True
        case Comparison():
            return _compare(expression, run)
        case IsNull(field):
            return not values(field, run)
        case Not(part):
            return not matches(part, run)
        case And(parts):
            return all(matches(part, run) for part in parts)
        case Or(parts):
            return any(matches(part, run) for part in parts)


def sort_runs(runs: Iterable[Run], orders: Sequence[Order]) -> list[Run]:
    """The runs sorted by ``orders``, the first of them counting most; runs that they do not tell apart stay in place.

    Text is sorted by code points. Params that read as numbers come before other text, by their number.
    """
    ordered = list(runs)
    for order in reversed(orders):
        keyed = [(sort_key(order.field, run), run) for run in ordered]
        present = [pair for pair in keyed if pair[0] is not None]
        present.sort(key=lambda pair: cast(Any, pair[0]), reverse=order.descending)
        ordered = [run for _, run in present] + [run for key, run in keyed if key is None]
    return ordered


def sort_key(field: Field, run: Run) -> tuple[Any, ...] | None:
    """What a run is sorted by where it is sorted by a field; ``None`` for one that comes last in either direction."""
    found = values(field, run)
    if not found:
        return None
    value = found[0]
    if field.entity == "param":
        number = param_number(cast(str, value))
        return (1, value) if number is None else (0, number)
    if isinstance(value, float) and isnan(value):
        return None
    return (value,)


def values(field: Field, run: Run) -> list[Scalar]:
    """What a run has of a field: nothing, one value, or one per dataset or model."""
    found: Any
    match field.entity:
        case "metric":
            found = run.metrics.get(field.key)
        case "param":
            found = run.params.get(field.key)
        case "tag":
            found = run.tags.get(field.key)
        case "dataset":
            return [getattr(dataset, field.key) for dataset in run.datasets]
        case "model":
            return [value for model in run.models if (value := getattr(model, field.key)) is not None]
        case "attribute":
            found = _attribute(field.key, run)
    return [] if found is None else [found]


def _attribute(name: str, run: Run) -> Scalar | None:
    if name in PROCESS_FACTS:
        fact = run.process.get(PROCESS_FACTS[name])
        return fact if isinstance(fact, str) else None
    return cast("Scalar | None", getattr(run, "name" if name == "run_name" else name))


def _compare(comparison: Comparison, run: Run) -> bool:
    found: Iterable[Scalar | None] = values(comparison.field, run)
    if comparison.numeric:
        found = [param_number(value) if isinstance(value, str) else value for value in cast("list[Scalar]", found)]
    test = _TESTS[comparison.operator]
    return any(
        test(value, comparison.value)
        for value in found
        if value is not None and not (isinstance(value, float) and isnan(value))
    )
