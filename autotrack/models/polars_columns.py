"""A polars frame or series as the columns of a signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from autotrack.models.signature import ColumnSpec

# What is not here, such as lists, structs and numbers of more than 64 bits with their sign, is of any type.
_TYPES: Final[Mapping[str, str]] = {
    "Boolean": "boolean",
    **dict.fromkeys(("Int8", "Int16", "Int32", "UInt8", "UInt16"), "integer"),
    **dict.fromkeys(("Int64", "UInt32"), "long"),
    **dict.fromkeys(("Float16", "Float32"), "float"),
    "Float64": "double",
    **dict.fromkeys(("String", "Utf8", "Categorical", "Enum"), "string"),
    "Binary": "binary",
    **dict.fromkeys(("Date", "Datetime"), "datetime"),
}


def frame_columns(frame: Any, missing: Mapping[Any, int] | None) -> tuple[ColumnSpec, ...]:
    """One spec for each column; those that hold a null or a NaN are not required."""
    return tuple(series_column(column, missing) for column in frame.get_columns())


def series_column(column: Any, missing: Mapping[Any, int] | None = None) -> ColumnSpec:
    """The spec of one column, without a name where it has none."""
    kind = type_of(column.dtype)
    if not column.name:
        return ColumnSpec(kind)  # MLflow knows no unnamed column that may be missing
    count = (missing or {}).get(column.name)
    if count is None:
        count = column.null_count() or (kind in ("float", "double") and column.is_nan().any())
    return ColumnSpec(kind, column.name, not count)


def type_of(dtype: Any) -> str:
    """The column type of a dtype."""
    return _TYPES.get(dtype.base_type().__name__, "any")
