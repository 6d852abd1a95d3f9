"""Nested lists as the array that a model was fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from autotrack.models import TensorSpec
from autotrack.serving.columns import column_values, number_block, objects, wrong_type
from autotrack.serving.problems import BadInput, show
from autotrack.serving.schema import ANY, Column

_KINDS: Final = {
    "float16": "float",
    "float32": "float",
    "float64": "double",
    "bool": "boolean",
    "str": "string",
    "bytes": "binary",
}
_BOUNDED: Final = frozenset({"int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64"})


def from_rows(rows: Sequence[Sequence[Any]], spec: TensorSpec, names: Sequence[Any] | None = None) -> Any:
    """Rows of one length as an array of two dimensions.

    Raises
    ------
    BadInput
        ``wrong_type`` with the row and, by its name or number, the column; ``wrong_length`` where the model takes
        another number of dimensions.
    """
    if len(spec.shape) == 2 and spec.dtype in ("float64", ANY):
        block = number_block(rows, keep_whole=spec.dtype == ANY)
        if block is not None:
            return block
    if len(spec.shape) == 2:
        return _by_columns(rows, spec, names)
    return from_nested(rows, spec)


def from_nested(data: Sequence[Any], spec: TensorSpec) -> Any:
    """Nested lists as an array of the model's shape and dtype.

    Raises
    ------
    BadInput
        ``ragged_rows``, ``wrong_length`` or ``wrong_type``.
    """
    values = _array(data)
    shape = spec.shape
    if values.ndim != len(shape) or any(want not in (-1, have) for want, have in zip(shape[1:], values.shape[1:])):
        raise BadInput(
            "wrong_length", f"the data is of shape {_shape(values.shape)}, the model takes {_shape(spec.shape)}", row=0
        )
    flat = values.reshape(-1).tolist()
    try:
        array = _cast(column_values(flat, _column(spec), None), spec, None)
    except BadInput as problem:
        if problem.row is not None and values.ndim > 1:
            problem.row = int(np.unravel_index(problem.row, values.shape)[0])
        raise
    return array.reshape(values.shape)


def _array(data: Sequence[Any]) -> Any:
    """An array of objects with as many dimensions as lists are nested."""
    ragged = BadInput("ragged_rows", "the lists that are nested in the data are not all of one length")
    try:
        values = np.array(data, dtype=object)
    except ValueError:
        raise ragged from None
    for value in values.reshape(-1):
        if type(value) is list or type(value) is tuple:
            raise ragged
    return values


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join('any' if size < 0 else str(size) for size in shape)})"


def _by_columns(rows: Sequence[Sequence[Any]], spec: TensorSpec, names: Sequence[Any] | None) -> Any:
    column = _column(spec)
    arrays = []
    for place, values in enumerate(zip(*rows)):
        name = place if names is None else names[place]
        arrays.append(_cast(column_values(values, column, name), spec, name))
    return np.stack(arrays, axis=1)


def _column(spec: TensorSpec) -> Column:
    """A tensor says nothing of missing values: the model itself has to take them or not."""
    dtype = spec.dtype
    if dtype in ("object", ANY):
        return Column(None, ANY, nullable=True)
    if dtype.startswith("datetime64"):
        return Column(None, "datetime", nullable=True)
    if dtype.startswith(("int", "uint")):
        return Column(None, "double" if dtype == "uint64" else "long")
    if dtype in _KINDS:
        return Column(None, _KINDS[dtype], nullable=_KINDS[dtype] != "boolean")
    raise BadInput("wrong_type", f"the model takes values of type {show(dtype)}, which cannot be sent")


def _cast(values: Any, spec: TensorSpec, name: Any) -> Any:
    dtype = spec.dtype
    array = np.asarray(values)
    if dtype in ("object", ANY):
        return array if dtype == ANY else array.astype(object)
    if dtype == "str":
        return array.astype(object) if array.dtype.kind != "U" and _has_missing(array) else array.astype(str)
    if dtype == "bytes":
        return objects(array.tolist())
    if dtype in _BOUNDED:
        limits = np.iinfo(dtype)
        wrong = (array < limits.min) | (array > limits.max)
        if wrong.any():
            row = int(wrong.argmax())
            raise wrong_type(name, row, array[row].item(), "long", f" (the model was fitted on {dtype})")
    return array.astype(dtype)


def _has_missing(array: Any) -> bool:
    return any(type(value) is not str for value in array.tolist())
