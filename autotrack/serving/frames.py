"""A DataFrame whose columns have types already, as what the model takes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd

from autotrack.serving import tables, tensors
from autotrack.serving.columns import column_values, narrowed, objects, refuse_missing, texts, whole, wrong_type
from autotrack.serving.problems import BadInput, place
from autotrack.serving.schema import ANY, Column, InputSchema

_NUMBERS: Final = frozenset({"double", "float", "long", "integer"})


def from_frame(frame: pd.DataFrame, schema: InputSchema, types: Mapping[str, str] | None = None) -> Any:
    """What the model is to see of a DataFrame: of one that was read from a file, or is part of one.

    Parameters
    ----------
    types : what the file calls the columns' types, for messages; else it is pandas' words.

    Raises
    ------
    BadInput
        With the column and the row that do not fit.
    """
    names = [str(name) for name in frame.columns]
    types = types or {}
    order = tables.match(names, schema)
    if schema.tensor is not None or (schema.columns is None and schema.width is not None):
        return _tensor(frame, names, schema)
    if schema.columns is None:
        return frame.set_axis(names, axis=1)
    if (schema.flat or not schema.named) and len(names) != len(schema.columns):
        message = f"the request has {len(names)} columns, the model takes {len(schema.columns)}"
        raise BadInput("wrong_length", message, columns=names)
    if schema.one_type == "double" and (order is None or -1 not in order):
        plain = _double_block(frame)
        if plain is not None:
            block = plain if order is None else plain[:, order]
            tables.refuse_missing_in(block, schema.columns)
            return pd.DataFrame(block, columns=schema.index, copy=False)
    arrays: dict[int, Any] = {}
    for spot, spec in enumerate(schema.columns):
        source = spot if order is None else order[spot]
        if source < 0:
            arrays[spot] = column_values([None] * len(frame), spec, spec.name)
        else:
            arrays[spot] = typed(frame.iloc[:, source], spec, names[source], types.get(names[source]))
    if schema.flat:
        return np.asarray(arrays[0], dtype=object) if not hasattr(arrays[0], "isna") else arrays[0]
    made = pd.DataFrame(arrays, copy=False)
    made.columns = schema.index
    return made


def typed(series: pd.Series, spec: Column, name: str, type_name: str | None = None) -> Any:
    """A column of some dtype as one of the model's type.

    Raises
    ------
    BadInput
        ``wrong_type`` or ``missing_value``.
    """
    dtype = series.dtype
    kind = dtype.kind
    if spec.type == ANY:
        refuse_missing(series.isna().to_numpy(), spec, name)
        return series.array
    if isinstance(dtype, pd.CategoricalDtype):
        if spec.type == "string" and _are_texts(dtype.categories):
            refuse_missing(series.isna().to_numpy(), spec, name)
            return series.array
        return typed(series.astype(dtype.categories.dtype), spec, name, type_name)
    if kind == "O" and dtype.name not in ("str", "string"):
        return _from_objects(series, spec, name)
    if spec.type in _NUMBERS and kind in "iuf":
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan) if series.hasnans else series.to_numpy(copy=False)
        if spec.type in ("long", "integer"):
            return whole(numbers, spec, name)
        if numbers.dtype.kind == "f":
            refuse_missing(np.isnan(numbers), spec, name)
        if spec.type == "float":
            return narrowed(numbers, name)
        return numbers.astype(np.float64, copy=False)
    if spec.type == "boolean" and kind in "biuf":
        return column_values(_plain_list(series), spec, name)
    if spec.type == "string" and dtype.name in ("str", "string"):
        refuse_missing(series.isna().to_numpy(), spec, name)
        return texts([np.nan if value is pd.NA else value for value in series.tolist()])
    if spec.type == "datetime" and kind == "M" and getattr(dtype, "tz", None) is None:
        refuse_missing(series.isna().to_numpy(), spec, name)
        try:
            return series.dt.as_unit("ns").array
        except (ValueError, OverflowError):
            raise wrong_type(name, None, "a time", spec.type, " (beyond the years 1678 to 2261)") from None
    if series.isna().all():
        return column_values([None] * len(series), spec, name)
    raise BadInput(
        "wrong_type",
        f"{place(name, None)} is of type {type_name or dtype}, the model takes {spec.type} there",
        columns=(name,),
    )


def _are_texts(categories: Any) -> bool:
    return set(map(type, categories)) <= {str}


def _plain_list(series: pd.Series) -> list[Any]:
    return [None if _is_missing(value) else _plain(value) for value in series.tolist()]


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def _from_objects(series: pd.Series, spec: Column, name: str) -> Any:
    values = _plain_list(series)
    if spec.type == "binary" and set(map(type, values)) <= {bytes, type(None)}:
        refuse_missing(series.isna().to_numpy(), spec, name)
        return objects(values)
    return column_values(values, spec, name)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value


def _double_block(frame: pd.DataFrame) -> Any:
    kinds = {dtype.kind for dtype in frame.dtypes if isinstance(dtype, np.dtype)}
    if not kinds <= set("iuf") or any(not isinstance(dtype, np.dtype) for dtype in frame.dtypes):
        return None
    return frame.to_numpy(dtype=np.float64)


def _tensor(frame: pd.DataFrame, names: list[str], schema: InputSchema) -> Any:
    spec = schema.tensor
    assert spec is not None
    width = schema.width
    if width is not None and width != len(names):
        raise BadInput("wrong_length", f"the request has {len(names)} columns, the model takes {width}", columns=names)
    if spec.dtype in ("float64", ANY) and len(spec.shape) == 2:
        block = _double_block(frame)
        if block is not None:
            return block
    columns = [_plain_values(frame.iloc[:, spot]) for spot in range(len(names))]
    if len(spec.shape) == 1 and len(columns) == 1:
        return tensors.from_nested(columns[0], spec)
    return tensors.from_rows(list(zip(*columns)), spec, names)


def _plain_values(series: pd.Series) -> list[Any]:
    if series.dtype.kind == "M":
        return [None if value is pd.NaT else value.isoformat() for value in series.tolist()]
    return _plain_list(series)
