"""One column compared with one value, as `autotrack.stores.matching` compares them.

Numbers are compared exactly, integers beyond 2**53 too: a bound is moved to the nearest float or integer on its side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from autotrack.stores.database.codes import HEAD, after, code, escape, head
from autotrack.stores.expressions import Scalar

Condition = ColumnElement[bool]
_LEAST, _GREATEST = -(2**63), 2**63 - 1

_MIRRORED: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
}


def constant(value: bool) -> Condition:
    """A condition that holds always, or never; every database takes it in every place."""
    return sa.literal_column("1") == sa.literal_column("1" if value else "0")


def compare_codes(column: Any, operator: str, value: Scalar | tuple[Scalar, ...]) -> Condition:
    """A float, of which the column holds the code, compared with a number."""
    if isinstance(value, tuple):
        codes = sorted({found for item in value if (found := _exact_code(item)) is not None})
        return _within(column, operator, codes)
    assert not isinstance(value, str)
    if operator in ("=", "!="):
        found = _exact_code(value)
        return _within(column, "IN" if operator == "=" else "NOT IN", [] if found is None else [found])
    nearest = _nearest(value)
    if nearest != nearest:
        return constant(False)
    bound = code(nearest)
    if nearest < value:  # nothing lies between the two
        return _bool(column <= bound if operator[0] == "<" else column > bound)
    if nearest > value:
        return _bool(column < bound if operator[0] == "<" else column >= bound)
    return _bool(_MIRRORED[operator](column, bound))


def compare_integers(column: Any, operator: str, value: Scalar | tuple[Scalar, ...]) -> Condition:
    """An integer of 64 bits compared with a number."""
    if isinstance(value, tuple):
        whole = sorted({int(item) for item in value if _is_whole(item)})
        return _within(column, operator, whole)
    assert not isinstance(value, str)
    if operator in ("=", "!="):
        return _within(column, "IN" if operator == "=" else "NOT IN", [int(value)] if _is_whole(value) else [])
    if value != value:
        return constant(False)
    if value > _GREATEST or value < _LEAST:
        return constant((value > 0) == (operator[0] == "<"))
    bound = math.floor(value) if operator in ("<=", ">") else math.ceil(value)
    return _bool(_MIRRORED[operator](column, bound))


def compare_texts(column: Any, operator: str, value: Scalar | tuple[Scalar, ...], start: Any = None) -> Condition:
    """A text compared with another, or a list; ``start`` is the column of its head, where there is one."""
    if isinstance(value, tuple):
        texts = [str(item) for item in value]
        if start is not None and operator == "IN" and all(len(escape(text)) < HEAD for text in texts):
            return _bool(start.in_([escape(text) for text in texts]))
        return _bool(column.in_(texts) if operator == "IN" else column.not_in(texts))
    text = str(value)
    begin = head(escape(text))
    match operator:
        case "=":
            if start is None:
                return _bool(column == text)
            return _bool(start == begin) if len(begin) < HEAD else sa.and_(start == begin, column == text)
        case "!=":
            return _bool(column != text)
    found = _bool(_MIRRORED[operator](column, text))
    if start is None:
        return found
    return sa.and_(start <= begin if operator[0] == "<" else start >= begin, found)


def like(dialect: str, column: Any, operator: str, pattern: str, start: Any = None) -> tuple[Condition, Condition]:
    """``LIKE`` and its kin: a condition that holds wherever it should, and one that holds nowhere else.

    The two differ where the database cannot tell: of texts with escaped characters, and of lower case beyond ASCII.
    """
    ignore_case, negated = "ILIKE" in operator, operator.startswith("NOT")
    if dialect == "sqlite":
        called = sa.func.autotrack_like(column, sa.literal(escape(pattern)), int(ignore_case), type_=sa.Integer())
        exact = _bool(called == (0 if negated else 1))
        if start is not None and not negated and not ignore_case:
            exact = sa.and_(exact, *begins(start, escape(_fixed(pattern))))
        return exact, exact
    stored = sa.type_coerce(column, sa.Text())
    plain = [_find(dialect, stored, "\x01") == 0]
    text = sa.type_coerce(sa.func.lower(stored) if ignore_case else stored, sa.Text())
    if ignore_case:
        bytes_of = sa.func.octet_length if dialect == "postgresql" else sa.func.length
        plain.append(bytes_of(stored) == sa.func.char_length(stored))
        pattern = pattern.lower()
    else:
        plain.append(_find(dialect, stored, "\ue000") == 0)
    found = text.like(sa.literal(escape(pattern).replace("!", "!!"), sa.Text()), escape="!")
    if negated:
        found = sa.not_(found)
    # The texts are not cut before they are compared, so those with escapes begin alike too.
    bounds = begins(start, escape(_fixed(pattern))) if start is not None and not negated and not ignore_case else []
    is_plain = sa.and_(*plain)
    return sa.and_(sa.or_(found, sa.not_(is_plain)), *bounds), sa.and_(found, is_plain, *bounds)


def begins(start: Any, prefix: str) -> list[Condition]:
    """What holds of the head of a text that begins with ``prefix`` (escaped), and of hardly any other."""
    if not prefix:
        return []
    prefix = head(prefix)
    end = after(prefix)
    return [start >= prefix] if end is None else [start >= prefix, start < end]


def _fixed(pattern: str) -> str:
    """What every text begins with that a pattern matches."""
    return min(pattern.partition("%")[0], pattern.partition("_")[0], key=len)


def _find(dialect: str, text: Any, char: str) -> Any:
    find = sa.func.strpos if dialect == "postgresql" else sa.func.instr
    return find(text, sa.literal(char, sa.Text()), type_=sa.Integer())


def _within(column: Any, operator: str, values: list[int]) -> Condition:
    if operator == "IN":
        return _bool(column.in_(values)) if values else constant(False)
    return _bool(column.not_in(values)) if values else _bool(column.is_not(None))


def _nearest(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _exact_code(value: Scalar) -> int | None:
    if isinstance(value, str):
        return None
    nearest = _nearest(value)
    return code(nearest) if nearest == value else None


def _is_whole(value: Scalar) -> bool:
    return (
        not isinstance(value, str)
        and math.isfinite(_nearest(value))
        and value == int(value)
        and _LEAST <= value <= _GREATEST
    )


def _bool(condition: Any) -> Condition:
    found: Condition = condition
    return found
