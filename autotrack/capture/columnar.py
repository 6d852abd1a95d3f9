"""Digest, schema and missing counts of data that lies in columns outside of pandas: polars and pyarrow.

Whoever holds such data has loaded its library; none is imported here. The digest depends on names, types and values,
not on how a column is cut into chunks.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from autotrack.capture.contents import digest_of_objects


class Described(NamedTuple):
    """What `fingerprint.describe` needs of such data."""

    columns: tuple[dict[str, Any], ...]
    digest: str
    shape: tuple[int, ...]


def describe_columns(data: Any) -> Described | None:
    """Describe a polars DataFrame or Series, or a pyarrow Table, RecordBatch, Array or ChunkedArray.

    ``None`` for data of any other type.
    """
    polars, pyarrow = sys.modules.get("polars"), sys.modules.get("pyarrow")
    if polars is not None and isinstance(data, polars.DataFrame):
        return _described(data.get_columns(), data.columns, data.shape, _polars)
    if polars is not None and isinstance(data, polars.Series):
        return _described([data], [data.name], data.shape, _polars)
    if pyarrow is not None and isinstance(data, (pyarrow.Table, pyarrow.RecordBatch)):
        return _described(data.columns, data.schema.names, (data.num_rows, data.num_columns), _arrow)
    if pyarrow is not None and isinstance(data, (pyarrow.Array, pyarrow.ChunkedArray)):
        return _described([data], [""], (len(data),), _arrow)
    return None


Column = Callable[[Any], tuple[str, bytes, int]]


def _described(columns: list[Any], names: list[str], shape: tuple[int, ...], column: Column) -> Described:
    found = []
    whole = hashlib.sha256()
    for name, (dtype, digest, missing) in zip(names, map(column, columns), strict=True):
        whole.update(repr((name, dtype, shape[0])).encode("utf-8", "surrogatepass") + digest)
        found.append({"name": (name or None) if len(shape) == 1 else name, "dtype": dtype, "missing": missing})
    whole.update(repr(shape).encode())
    return Described(tuple(found), whole.hexdigest(), shape)


def _numbers(parts: Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]]) -> tuple[bytes, int]:
    """Digest of parts of a column of numbers, each with the places of its missing values; and the count of NaN."""
    values, holes = hashlib.sha256(), hashlib.sha256()
    nan = row = 0
    for part, missing in parts:
        values.update(np.ascontiguousarray(part).view(np.uint8).data)
        if part.dtype.kind == "f":
            nan += int(np.isnan(part).sum())
        if missing is not None:
            holes.update((np.flatnonzero(missing) + row).astype(np.int64).tobytes())
        row += len(part)
    return values.digest() + holes.digest(), nan


def _polars(column: Any) -> tuple[str, bytes, int]:
    dtype, missing = str(column.dtype), int(column.null_count())
    base = column.dtype.base_type().__name__
    polars: Any = sys.modules["polars"]
    if base in ("Categorical", "Enum"):
        column = column.cast(polars.String)
    elif base == "Boolean":
        column = column.cast(polars.UInt8)
    if column.dtype.is_temporal() or (column.dtype.is_numeric() and base not in ("Decimal", "Int128", "UInt128")):
        values = column.to_physical()
        holes = column.is_null().to_numpy() if missing else None
        digest, nan = _numbers(iter([((values.fill_null(0) if missing else values).to_numpy(), holes)]))
        return dtype, digest, missing + nan
    return dtype, digest_of_objects(column.to_list()), missing


def _arrow(column: Any) -> tuple[str, bytes, int]:
    dtype, missing = str(column.type), int(column.null_count)
    chunks = column.chunks if hasattr(column, "chunks") else [column]
    pyarrow: Any = sys.modules["pyarrow"]
    types = pyarrow.types
    if types.is_dictionary(column.type):
        chunks = [chunk.dictionary_decode() for chunk in chunks]
    kind = column.type
    if types.is_temporal(kind) and kind.bit_width in (32, 64):
        chunks = [chunk.view(pyarrow.int64() if kind.bit_width == 64 else pyarrow.int32()) for chunk in chunks]
        kind = pyarrow.int64()
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        digest, nan = _numbers(map(_arrow_numbers, chunks))
        return dtype, digest, missing + nan
    return dtype, digest_of_objects(value for chunk in chunks for value in chunk.to_pylist()), missing


def _arrow_numbers(chunk: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    if not chunk.null_count:
        return chunk.to_numpy(zero_copy_only=False), None
    missing = chunk.is_null().to_numpy(zero_copy_only=False)
    zero = False if str(chunk.type) == "bool" else 0
    return chunk.fill_null(zero).to_numpy(zero_copy_only=False), missing
