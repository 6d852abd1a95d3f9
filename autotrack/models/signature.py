"""What goes into a model and what comes out: columns or tensors, in MLflow's JSON."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple

MAX_VALUES: Final = 1_000
"""So many values of an object column, or rows of a list, are looked at."""

_ANY: Final = "any"
_PLAIN_TYPES: Final = frozenset({"boolean", "integer", "long", "float", "double", "string", "binary", "datetime"})


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """One column.

    Parameters
    ----------
    type : ``boolean``, ``integer`` (32 bits), ``long``, ``float`` (32 bits), ``double``, ``string``, ``binary``,
        ``datetime`` or ``any``; a mapping as MLflow writes it for nested types.
    name : ``None`` for the only column of data without names.
    required : false for a column that had missing values.
    """

    type: str | Mapping[str, Any]
    name: str | int | None = None
    required: bool = True

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"type": self.type} if isinstance(self.type, str) else dict(self.type)
        if self.name is not None:
            data["name"] = self.name
        data["required"] = self.required
        return data


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An array: numpy's name of its dtype, and its shape with -1 for a free length."""

    dtype: str
    shape: tuple[int, ...]
    name: str | None = None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {} if self.name is None else {"name": self.name}
        return data | {"type": "tensor", "tensor-spec": {"dtype": self.dtype, "shape": list(self.shape)}}


Spec = ColumnSpec | TensorSpec


@dataclass(frozen=True, slots=True)
class Signature:
    """A model's inputs and, where known, its outputs.

    ``library`` names the module that a caller needs to make such inputs; it is no part of the text, nor of equality.
    """

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...] | None = None
    library: str = field(default="", compare=False)

    def inputs_json(self) -> str:
        """The inputs as the text that an ``MLmodel`` holds."""
        return json.dumps([spec.to_json() for spec in self.inputs])

    def outputs_json(self) -> str | None:
        """The outputs as the text that an ``MLmodel`` holds."""
        return None if self.outputs is None else json.dumps([spec.to_json() for spec in self.outputs])

    @classmethod
    def from_json(cls, inputs: str | None, outputs: str | None) -> Signature:
        """Read the two texts of an ``MLmodel``.

        Raises
        ------
        ValueError
            For text that is no such list.
        """
        return cls(_specs(inputs) or (), _specs(outputs))


class Inferred(NamedTuple):
    """What `infer_signature` found. ``reason`` says what could not be described, and why."""

    signature: Signature | None
    reason: str | None = None


def infer_signature(X: Any, y_pred: Any = None, *, missing: Mapping[Any, int] | None = None) -> Inferred:
    """Describe a model's inputs and outputs, without a copy of either and without a prediction.

    Parameters
    ----------
    X : what the model was fitted on: pandas or polars DataFrame or Series, numpy array, scipy sparse matrix or array,
        list.
    y_pred : predictions, as many as there are; ``None`` where there are none.
    missing : number of missing values by column name, where it is known already; other columns are looked at.

    Returns
    -------
    Inferred
        Without a signature when ``X`` cannot be described; without outputs when only ``y_pred`` cannot.
    """
    try:
        inputs, library = _describe(X, missing)
    except Exception as error:  # noqa: BLE001 - the user's types may raise anything, and a signature is not worth it
        return Inferred(None, f"inputs: {_reason(error)}")
    if y_pred is None:
        return Inferred(Signature(inputs, None, library))
    try:
        return Inferred(Signature(inputs, _describe(y_pred, None)[0], library))
    except Exception as error:  # noqa: BLE001 - as above
        return Inferred(Signature(inputs, None, library), f"outputs: {_reason(error)}")


class _Unknown(Exception):
    """Says why something cannot be described."""


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, _Unknown) else f"{type(error).__name__}: {error}"


def _describe(data: Any, missing: Mapping[Any, int] | None) -> tuple[tuple[Spec, ...], str]:
    # Whoever holds a frame or an array has imported its library; one that is not loaded is not asked for.
    pandas, numpy, sparse = (sys.modules.get(name) for name in ("pandas", "numpy", "scipy.sparse"))
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _frame(data, missing), "pandas"
    if pandas is not None and isinstance(data, pandas.Series):
        return (_series(data, data.name, missing),), "pandas"
    if numpy is not None and isinstance(data, numpy.ndarray):
        return (_tensor(data.dtype, data.shape),), ""
    if sparse is not None and sparse.issparse(data):
        return (_tensor(data.dtype, data.shape),), "scipy"
    if isinstance(data, (list, tuple)) and numpy is not None:
        return (_sequence(data, numpy),), ""
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(data, (polars.DataFrame, polars.Series)):
        from autotrack.models.polars_columns import frame_columns, series_column

        if isinstance(data, polars.Series):
            return (series_column(data, missing),), "polars"
        if not data.width:
            raise _Unknown("a DataFrame without columns")
        return frame_columns(data, missing), "polars"
    kind = type(data)
    raise _Unknown(f"{kind.__module__}.{kind.__qualname__} is not a type that a signature describes")


def _tensor(dtype: Any, shape: Iterable[int]) -> TensorSpec:
    name = {"U": "str", "S": "bytes"}.get(dtype.char) or dtype.name
    if dtype.names:
        raise _Unknown("a structured array has no one dtype")
    _, *rest = shape or (0,)
    return TensorSpec(name, (-1, *rest))


def _frame(frame: Any, missing: Mapping[Any, int] | None) -> tuple[Spec, ...]:
    names = frame.columns.tolist()
    if not names:
        raise _Unknown("a DataFrame without columns")
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise _Unknown(f"more than one column is named {twice!r}")
    known = missing or {}
    columns: list[Any] = []
    specs = []
    for index, (name, dtype) in enumerate(zip(names, _dtypes(frame))):
        if type(name) is not str and type(name) is not int:
            raise _Unknown(f"column name {name!r} is neither text nor a whole number")
        kind = _type_of(dtype)
        count = known.get(name)
        if count is None and dtype.kind in "biu" and not hasattr(dtype, "na_value"):
            count = 0
        if kind is None or count is None:
            columns = columns or [column for _, column in frame.items()]  # all at once costs half of one by one
            kind = kind or _type_of_values(columns[index], dtype)
            count = _has_missing(columns[index], dtype) if count is None else count
            if count and kind == "long" and dtype.name == "object":  # numbers with holes are floats
                kind = "double"
        specs.append(ColumnSpec(kind, name, count == 0))
    return tuple(specs)


def _dtypes(frame: Any) -> list[Any]:
    """The columns' dtypes; for a frame of one block without the Series that ``frame.dtypes`` makes of them."""
    blocks: Any = getattr(getattr(frame, "_mgr", None), "blocks", ())
    if len(blocks) == 1 and hasattr(blocks[0], "dtype"):
        return [blocks[0].dtype] * frame.shape[1]
    dtypes: list[Any] = frame.dtypes.tolist()
    return dtypes


def _series(series: Any, name: Any, missing: Mapping[Any, int] | None) -> ColumnSpec:
    kind = _type_of(series.dtype) or _type_of_values(series, series.dtype)
    if type(name) is not str and type(name) is not int:
        return ColumnSpec(kind)  # MLflow knows no unnamed column that may be missing
    count = (missing or {}).get(name)
    return ColumnSpec(kind, name, not (_has_missing(series, series.dtype) if count is None else count))


def _has_missing(column: Any, dtype: Any) -> bool:
    if dtype.kind in "fM" and not hasattr(dtype, "na_value") and len(column):
        low = column.to_numpy().min()  # NaN and NaT win, and nothing as long as the column is made
        return bool(low != low)
    return bool(column.hasnans)


def _type_of(dtype: Any) -> str | None:
    """The column type of a dtype, ``None`` where it takes the values to tell. As MLflow's ``_infer_numpy_dtype``."""
    kind = dtype.kind
    size = getattr(dtype, "itemsize", None)
    if size is None and hasattr(dtype, "fill_value"):  # pandas' sparse columns
        return _type_of(dtype.subtype)
    size = size or 0
    if kind == "f":
        return "float" if size <= 4 else "double" if size <= 8 else _ANY
    if kind == "i":
        return "integer" if size <= 4 else "long"
    if kind == "u":
        return "integer" if size < 4 else "long" if size < 8 else _ANY
    if kind == "O":
        return "string" if dtype.name in ("str", "string") else None
    return {"b": "boolean", "M": "datetime", "U": "string", "S": "binary"}.get(kind, _ANY)


def _type_of_values(column: Any, dtype: Any) -> str:
    if (categories := getattr(dtype, "categories", None)) is not None:
        if dtype.name != "category":
            return _ANY
        return _type_of(categories.dtype) or _type_of_objects(categories[:MAX_VALUES].tolist())
    if dtype.name != "object":
        return _ANY
    return _type_of_objects(column.iloc[:MAX_VALUES].tolist())


def _type_of_objects(values: Iterable[Any]) -> str:
    kinds: set[str] = set()
    has_nan = False
    for value in values:
        if value is None or (isinstance(value, float) and value != value):
            has_nan = True
            continue
        if type(value).__name__ in ("NAType", "NaTType"):
            continue
        kinds.add(_type_of_object(value))
    if kinds <= {"long", "double"} and (len(kinds) > 1 or (has_nan and kinds)):
        return "double"
    return kinds.pop() if len(kinds) == 1 else _ANY


def _type_of_object(value: Any) -> str:
    for types, name in _OBJECT_TYPES:
        if isinstance(value, types):
            return name
    if hasattr(value, "dtype") and getattr(value, "shape", None) == ():
        return _type_of(value.dtype) or _ANY
    return _ANY


_OBJECT_TYPES: Final[tuple[tuple[Any, str], ...]] = (
    (str, "string"),
    (bool, "boolean"),
    (int, "long"),
    (float, "double"),
    ((bytes, bytearray), "binary"),
    (dt.date, "datetime"),
)


def _sequence(data: list[Any] | tuple[Any, ...], numpy: Any) -> Spec:
    """A list of rows is the array that scikit-learn makes of it; a flat list is one column without a name."""
    sample = list(islice(data, MAX_VALUES))
    if not sample:
        raise _Unknown("an empty list")
    if not isinstance(sample[0], (list, tuple, numpy.ndarray)):
        return ColumnSpec(_type_of_objects(sample))
    try:
        rows = numpy.asarray(sample)
    except (TypeError, ValueError):
        raise _Unknown("a list of rows that are no array") from None
    if rows.dtype.kind == "i" and len(data) > len(sample):  # the rest may hold fractions
        rows = rows.astype(float)
    return _tensor(rows.dtype, rows.shape)


def _specs(text: str | None) -> tuple[Spec, ...] | None:
    if text is None:
        return None
    items = json.loads(text)
    if not isinstance(items, list) or not all(isinstance(item, dict) and "type" in item for item in items):
        raise ValueError(f"a signature is a list of columns or tensors, found {text[:80]!r}")
    return tuple(_spec(item) for item in items)


def _spec(item: dict[str, Any]) -> Spec:
    kind = item["type"]
    if kind == "tensor":
        tensor = item.get("tensor-spec")
        if not isinstance(tensor, dict) or not isinstance(tensor.get("shape"), list):
            raise ValueError(f"a tensor needs a dtype and a shape, found {item!r}")
        return TensorSpec(str(tensor.get("dtype")), tuple(int(n) for n in tensor["shape"]), item.get("name"))
    name, required = item.pop("name", None), bool(item.pop("required", True))
    return ColumnSpec(kind if kind in _PLAIN_TYPES or kind == _ANY else item, name, required)
