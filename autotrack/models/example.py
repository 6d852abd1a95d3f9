"""The input example: a few rows in the two JSON forms that MLflow's tools read."""

from __future__ import annotations

import base64
import datetime as dt
import json
import sys
from typing import Any, Final, NamedTuple

FILE: Final = "input_example.json"
SERVING_FILE: Final = "serving_input_example.json"


class Example(NamedTuple):
    """Contents of the two files, and what the ``MLmodel`` says of them."""

    text: str
    serving_text: str
    info: dict[str, str]


def render_example(data: Any) -> Example:
    """Render a few rows: pandas or polars DataFrame, numpy array, scipy CSR or CSC matrix, or a list.

    Raises
    ------
    TypeError
        For any other type, and for values that JSON cannot carry.
    """
    info = {"artifact_path": FILE, "serving_input_path": SERVING_FILE}
    pandas, numpy, sparse = (sys.modules.get(name) for name in ("pandas", "numpy", "scipy.sparse"))
    content: Any
    if pandas is not None and isinstance(data, pandas.DataFrame):
        columns = data.columns.tolist()
        content = {"columns": columns, "data": data.astype(object).where(data.notna(), None).to_numpy().tolist()}
        if columns == list(range(len(columns))):
            del content["columns"]
        info |= {"type": "dataframe", "pandas_orient": "split" if "columns" in content else "values"}
        serving = {"dataframe_split": content}
    elif numpy is not None and isinstance(data, numpy.ndarray):
        content = _without_nan(data)
        info["type"] = "ndarray"
        serving = {"inputs": content}
    elif sparse is not None and sparse.issparse(data) and data.format in ("csr", "csc"):
        content = {"data": _without_nan(data.data), "indices": data.indices, "indptr": data.indptr}
        content["shape"] = list(data.shape)
        info["type"] = f"sparse_matrix_{data.format}"
        serving = {"inputs": data.toarray()}
    elif (polars := sys.modules.get("polars")) is not None and isinstance(data, polars.DataFrame):
        rows = [[None if value != value else value for value in row] for row in data.rows()]
        content = {"columns": data.columns, "data": rows}
        info |= {"type": "dataframe", "pandas_orient": "split"}
        serving = {"dataframe_split": content}
    elif isinstance(data, list):
        content = data
        info["type"] = "json_object"
        serving = {"inputs": content}
    else:
        raise TypeError(f"an input example cannot be a {type(data).__module__}.{type(data).__qualname__}")
    return Example(json.dumps(content, default=_plain), json.dumps(serving, default=_plain, indent=2), info)


def _without_nan(array: Any) -> Any:
    if array.dtype.kind not in "fc":
        return array
    rows = array.astype(object)
    rows[array != array] = None
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(value).decode("ascii")
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return value.tolist()
    raise TypeError(f"JSON cannot carry a {type(value).__module__}.{type(value).__qualname__}")
