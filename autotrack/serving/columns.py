"""One column's values from a request, checked all at once; a wrong one is looked for only when there is one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
import pandas as pd

from autotrack.serving.problems import BadInput, place, show
from autotrack.serving.schema import ANY, Column

NONE: Final[type] = type(None)
NUMBERS: Final[frozenset[type]] = frozenset({int, float, NONE})
"""The types of JSON's numbers and of its null."""

_WORDS: Final = {
    "boolean": "true or false",
    "integer": "a whole number",
    "long": "a whole number",
    "float": "a number",
    "double": "a number",
    "string": "text",
    "binary": "base64 text",
    "datetime": "a time as ISO 8601 text without a time zone",
    "array": "a list",
    "object": "an object",
    "map": "an object",
}
_LIMITS: Final = {"integer": 2**31, "long": 2**63}
_NOW: Final = frozenset({"now", "today"})


def column_values(values: Sequence[Any], column: Column, name: Any) -> Any:
    """A column as the model is to see it.

    Parameters
    ----------
    values : what JSON gave, one for each row: numbers, texts, true, false, null; lists and objects.
    name : what the request calls the column, for messages.

    Returns
    -------
    An array of numpy, or one of pandas' where numpy has none that holds missing values.

    Raises
    ------
    BadInput
        ``wrong_type`` or ``missing_value``, with the first row that is wrong.
    """
    return _READERS.get(column.type, _any)(values, column, name)


def number_block(rows: Sequence[Sequence[Any]], *, keep_whole: bool) -> Any:
    """Rows of one length as one array of numbers, NaN for null; ``None`` where they are not all numbers.

    Parameters
    ----------
    keep_whole : make an array of whole numbers of nothing but such; else all become floats.
    """
    types = set(map(type, chain.from_iterable(rows)))
    if not types <= NUMBERS or types <= {NONE}:
        return None
    try:
        if NONE in types:
            return np.array(rows, dtype=np.float64)
        dtype = np.int64 if keep_whole and types == {int} else np.float64
        shape = len(rows), len(rows[0])
        return np.fromiter(chain.from_iterable(rows), dtype, shape[0] * shape[1]).reshape(shape)
    except OverflowError:
        return None


def wrong_type(name: Any, row: int | None, value: Any, kind: str, why: str = "") -> BadInput:
    """The problem of a value that is not of its column's type."""
    wanted = _WORDS.get(kind, f"a value of type {kind}")
    message = f"{place(name, row)}: {show(value)} is not {wanted}, which the model takes there{why}"
    return BadInput("wrong_type", message, columns=() if name is None else (name,), row=row)


def missing_value(name: Any, row: int | None) -> BadInput:
    """The problem of a missing value where the model has seen none."""
    return BadInput(
        "missing_value",
        f"{place(name, row)}: the value is missing (null or NaN), and the model was fitted on data without missing "
        "values there: send a value",
        columns=() if name is None else (name,),
        row=row,
    )


def refuse_missing(missing: Any, column: Column, name: Any) -> bool:
    """Whether any is missing; raises where none may be."""
    if not missing.any():
        return False
    if not column.nullable:
        raise missing_value(name, int(missing.argmax()))
    return True


def _first(values: Sequence[Any], is_wrong: Callable[[Any], bool]) -> tuple[int, Any]:
    return next((row, value) for row, value in enumerate(values) if is_wrong(value))


def _check_types(values: Sequence[Any], allowed: frozenset[type], name: Any, kind: str) -> set[type]:
    types = set(map(type, values))
    if not types <= allowed:
        row, value = _first(values, lambda value: type(value) not in allowed)
        raise wrong_type(name, row, value, kind)
    return types


def _number(values: Sequence[Any], column: Column, name: Any) -> Any:
    types = _check_types(values, NUMBERS, name, column.type)
    numbers = _floats(values, name, column.type)
    if float in types or NONE in types:
        refuse_missing(np.isnan(numbers), column, name)
    return narrowed(numbers, name) if column.type == "float" else numbers


def _floats(values: Sequence[Any], name: Any, kind: str) -> Any:
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        row, value = _first(values, _overflows)
        raise wrong_type(name, row, value, kind, " (it is beyond what 64 bits hold)") from None


def _overflows(value: Any) -> bool:
    try:
        float(value or 0)
    except OverflowError:
        return True
    return False


def narrowed(numbers: Any, name: Any) -> Any:
    """Numbers of 64 bits as 32 bits; refused where one would become infinite."""
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32)
    beyond = np.isinf(narrow) & ~np.isinf(numbers)
    if beyond.any():
        row = int(beyond.argmax())
        raise wrong_type(name, row, float(numbers[row]), "float", " (it is beyond what 32 bits hold)")
    return narrow


def _whole(values: Sequence[Any], column: Column, name: Any) -> Any:
    types = _check_types(values, NUMBERS, name, column.type)
    if types == {int}:
        try:
            return whole(np.array(values, dtype=np.int64), column, name)
        except OverflowError:
            row, value = _first(values, lambda value: not -(2**63) <= value < 2**63)
            raise wrong_type(name, row, value, column.type, " (it is beyond what 64 bits hold)") from None
    return whole(_floats(values, name, column.type), column, name)


def whole(numbers: Any, column: Column, name: Any) -> Any:
    """Numbers of numpy as whole ones: a fraction is refused, not cut off."""
    kind, limit = column.type, _LIMITS[column.type]
    if numbers.dtype.kind == "f":
        missing = np.isnan(numbers)
        has_missing = refuse_missing(missing, column, name)
        wrong = ~missing & ~((numbers == np.trunc(numbers)) & (numbers >= -limit) & (numbers < limit))
    else:
        has_missing = False
        wrong = numbers >= limit
        if numbers.dtype.kind == "i":
            wrong |= numbers < -limit
    if wrong.any():
        row = int(wrong.argmax())
        is_fraction = abs(numbers[row]) < limit
        why = " (the model was fitted on whole numbers)" if is_fraction else " (it is beyond what the column holds)"
        raise wrong_type(name, row, numbers[row].item(), kind, why)
    width = "32" if kind == "integer" else "64"
    if has_missing:
        return pd.array(numbers, dtype=f"Int{width}")
    return numbers.astype(f"int{width}")


def _boolean(values: Sequence[Any], column: Column, name: Any) -> Any:
    types = _check_types(values, frozenset({bool, int, float, NONE}), name, column.type)
    if types == {bool}:
        return np.array(values, dtype=np.bool_)
    numbers = _floats(values, name, column.type)
    missing = np.isnan(numbers)
    has_missing = refuse_missing(missing, column, name)
    wrong = ~missing & (numbers != 0) & (numbers != 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise wrong_type(name, row, values[row], column.type)
    flags = numbers == 1
    if not has_missing:
        return flags
    objects = flags.astype(object)
    objects[missing] = np.nan
    return objects


def _string(values: Sequence[Any], column: Column, name: Any) -> Any:
    types = set(map(type, values))
    if types == {str}:
        return texts(values)
    wrong = types - {str, float, NONE}
    if wrong or float in types:
        for row, value in enumerate(values):
            if type(value) in wrong or (type(value) is float and value == value):
                raise wrong_type(name, row, value, column.type)
    missing = np.fromiter((value is None or value != value for value in values), np.bool_, len(values))
    refuse_missing(missing, column, name)
    return texts([np.nan if value is None else value for value in values])


def _str_dtype() -> Any:
    dtype = pd.Series(["a"]).dtype
    return None if dtype.kind == "O" and dtype.name == "object" else dtype


_STR: Final = _str_dtype()
"""What pandas makes of texts from its release 3 on; ``None`` before, where they are objects."""


def texts(values: Sequence[Any]) -> Any:
    """Texts, NaN where one is missing, in the array that pandas itself makes of them."""
    return objects(values) if _STR is None else pd.array(values, dtype=_STR)


def objects(values: Sequence[Any]) -> Any:
    """An array of objects, of one dimension whatever the values are."""
    return np.fromiter(values, dtype=object, count=len(values))


def _datetime(values: Sequence[Any], column: Column, name: Any) -> Any:
    kinds = _check_types(values, frozenset({str, float, NONE}), name, column.type)
    if float in kinds:
        for row, value in enumerate(values):
            if type(value) is float and value == value:
                raise wrong_type(name, row, value, column.type)
        values = [None if type(value) is float else value for value in values]
    words = set(map(str.lower, filter(None, values))) & _NOW  # pandas would read the clock
    try:
        times = pd.to_datetime(list(values), format="ISO8601")
        if words or times.tz is not None:
            raise ValueError
        times = times.as_unit("ns")
    except (ValueError, OverflowError, TypeError, AttributeError):
        row, value = _first(values, _is_no_time)
        raise wrong_type(name, row, value, column.type) from None
    refuse_missing(times.isna(), column, name)
    return times.array


def _is_no_time(value: Any) -> bool:
    if value is None:
        return False
    try:
        time = pd.to_datetime([value], format="ISO8601")
        return value.lower() in _NOW or time.tz is not None or time.as_unit("ns") is None
    except (ValueError, OverflowError, TypeError, AttributeError):
        return True


def _binary(values: Sequence[Any], column: Column, name: Any) -> Any:
    _check_types(values, frozenset({str, NONE}), name, column.type)
    decoded: list[bytes | None] = []
    for row, value in enumerate(values):
        if value is None:
            if not column.nullable:
                raise missing_value(name, row)
            decoded.append(None)
            continue
        try:
            decoded.append(base64.b64decode("".join(value.split()), validate=True))
        except (binascii.Error, ValueError):
            raise wrong_type(name, row, value, column.type) from None
    return objects(decoded)


def _nested(values: Sequence[Any], column: Column, name: Any) -> Any:
    wanted = list if column.type == "array" else dict
    types = _check_types(values, frozenset({wanted, NONE}), name, column.type)
    if NONE in types and not column.nullable:
        raise missing_value(name, _first(values, lambda value: value is None)[0])
    return objects(values)


def _any(values: Sequence[Any], column: Column, name: Any) -> Any:
    """What pandas would infer: whole numbers, numbers, flags, texts; objects where they are mixed."""
    types = set(map(type, values))
    if types <= NUMBERS:
        try:
            if types == {int}:
                return np.array(values, dtype=np.int64)
        except OverflowError:
            pass
        numbers = _floats(values, name, "double")
        refuse_missing(np.isnan(numbers), column, name)
        return numbers
    if types == {bool}:
        return np.array(values, dtype=np.bool_)
    if types <= {str, NONE}:
        return _string(values, column, name)
    if NONE in types:
        refuse_missing(np.fromiter((value is None for value in values), np.bool_, len(values)), column, name)
        values = [np.nan if value is None else value for value in values]
    return objects(values)


_READERS: Final[dict[str, Callable[[Sequence[Any], Column, Any], Any]]] = {
    "double": _number,
    "float": _number,
    "long": _whole,
    "integer": _whole,
    "boolean": _boolean,
    "string": _string,
    "datetime": _datetime,
    "binary": _binary,
    "array": _nested,
    "object": _nested,
    "map": _nested,
    ANY: _any,
}
