"""Predictions as the bytes of an answer: JSON, or what the client's ``Accept`` asks for."""

from __future__ import annotations

import base64
import datetime as dt
import json
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from autotrack.serving.media import ARROW_STREAM, CSV, JSON, PARQUET_TYPES
from autotrack.serving.problems import BadInput
from autotrack.serving.schema import InputSchema
from autotrack.serving.scoring import ScoringFailed

try:
    import orjson
except ImportError:  # it only makes this faster
    orjson = None  # type: ignore[assignment]

MAX_CELLS: Final = 20_000_000
"""A sparse result is written out up to so many values."""

_OFFERED: Final = (JSON, ARROW_STREAM, *PARQUET_TYPES, CSV)


class Answer(NamedTuple):
    """The body of an answer and its content type."""

    body: bytes
    media_type: str


def write_answer(predictions: Any, accept: str | None, schema: InputSchema) -> Answer:
    """Write predictions as JSON, or as the table that the client prefers.

    JSON is ``{"predictions": …}`` as MLflow's scoring server answers: a list for an array, records for a DataFrame or
    Series, a list of lists for several outputs. NaN and infinite numbers are null, since JSON has none.

    Parameters
    ----------
    predictions : what a method of the model gave.
    accept : the header's value, with its q-values. What is not offered, or cannot be made of these predictions, is
        answered in JSON.

    Raises
    ------
    BadInput
        ``too_large`` when a sparse result of so many rows cannot be written out.
    ScoringFailed
        When the predictions are of a type that cannot be written.
    """
    if hasattr(predictions, "toarray") and hasattr(predictions, "nnz"):
        predictions = _dense(predictions)
    media_type = preferred(accept)
    if media_type != JSON:
        body = _table_body(predictions, media_type, schema)
        if body is not None:
            return Answer(body, media_type)
    return Answer(_to_json(predictions), JSON)


@lru_cache(maxsize=256)
def preferred(accept: str | None) -> str:
    """The content type to answer in: the one of highest q-value that is offered, JSON where any will do."""
    if not accept:
        return JSON
    best, best_q = JSON, 0.0
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        q = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    q = float(value)
                except ValueError:
                    q = 0.0
        found = JSON if kind in ("*/*", "application/*") else CSV if kind == "text/*" else kind
        if found in _OFFERED and best_q < q <= 1:
            best, best_q = found, q
    return best


def _dense(matrix: Any) -> Any:
    cells = int(np.prod(matrix.shape, dtype=object))
    if cells > MAX_CELLS:
        rows = max(MAX_CELLS // max(int(matrix.shape[-1]), 1), 1)
        raise BadInput(
            "too_large",
            f"the answer would hold {cells} values: send at most {rows} rows at once",
            status=413,
        )
    return matrix.toarray()


def _to_json(predictions: Any) -> bytes:
    plain = _plain(predictions)
    if orjson is not None:
        try:
            return orjson.dumps(
                {"predictions": plain},
                default=json_default,
                option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME,
            )
        except (TypeError, ValueError):  # such as whole numbers beyond 64 bits
            pass
    try:
        return json.dumps(
            {"predictions": _finite(plain)}, default=lambda value: _finite(json_default(value)), allow_nan=False
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ScoringFailed(f"the predictions, {_kind(predictions)}, cannot be written as JSON: {error}") from error


def _plain(predictions: Any) -> Any:
    if isinstance(predictions, pd.DataFrame):
        return predictions.to_dict(orient="records")
    if isinstance(predictions, pd.Series):
        return pd.DataFrame(predictions).to_dict(orient="records")
    if isinstance(predictions, np.ndarray):
        return _array(predictions)
    return predictions


def _array(array: Any) -> Any:
    kind = array.dtype.kind
    if kind == "f":
        # The same number as the model's, written with all the digits of 64 bits, as MLflow does.
        return np.ascontiguousarray(array, dtype=np.float64) if orjson is not None else array.astype(float).tolist()
    if kind in "iub":
        return np.ascontiguousarray(array) if orjson is not None and array.dtype.isnative else array.tolist()
    if kind == "M":
        texts = np.datetime_as_string(array).astype(object)
        texts[np.isnat(array)] = None
        return texts.tolist()
    return array.tolist()


def json_default(value: Any) -> Any:
    """What JSON has no word for, in MLflow's way."""
    if isinstance(value, np.ndarray):
        return _array(value) if value.ndim else json_default(value[()])
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(np.datetime_as_string(value))
    if isinstance(value, np.generic):
        return value.item()
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return base64.encodebytes(value).decode("ascii")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (pd.DataFrame, pd.Series)):
        return _plain(value)
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        return _array(_dense(value))
    if isinstance(value, (set, frozenset, range)):
        return list(value)
    raise TypeError(f"there is {_kind(value)} in them")


def _finite(value: Any) -> Any:
    """The same without NaN and infinite numbers, for the writer of Python, which knows no null for them."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _finite(value.tolist()) if value.dtype.kind in "fiubOUS" else _finite(json_default(value))
    return value


def _kind(value: Any) -> str:
    kind = type(value)
    return f"a {kind.__module__}.{kind.__qualname__}"


def _table_body(predictions: Any, media_type: str, schema: InputSchema) -> bytes | None:
    """The predictions as a table; ``None`` where they are none, or pyarrow is missing."""
    frame = to_frame(predictions, schema)
    if frame is None:
        return None
    if media_type == CSV:
        return frame.to_csv(index=False).encode()
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        return None
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return None
    sink = pa.BufferOutputStream()
    if media_type == ARROW_STREAM:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        parquet.write_table(table, sink)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def to_frame(predictions: Any, schema: InputSchema) -> pd.DataFrame | None:
    """Predictions as a DataFrame, one row for each row of the request; ``None`` where they are no table.

    Columns are called as the signature calls the outputs, else ``predictions``; those of an array of several
    columns ``0``, ``1`` …; those of several outputs ``0_0``, ``0_1`` …, the output's number first.
    """
    if isinstance(predictions, pd.DataFrame):
        return predictions.set_axis([str(name) for name in predictions.columns], axis=1)
    if isinstance(predictions, pd.Series):
        return pd.DataFrame({str(predictions.name or "predictions"): predictions})
    if hasattr(predictions, "toarray") and hasattr(predictions, "nnz"):
        predictions = _dense(predictions)
    if isinstance(predictions, list) and predictions and all(getattr(part, "ndim", 0) == 2 for part in predictions):
        columns = {
            f"{output}_{place}": part[:, place]
            for output, part in enumerate(predictions)
            for place in range(part.shape[1])
        }
        return pd.DataFrame(columns)
    if not isinstance(predictions, np.ndarray):
        try:
            predictions = np.asarray(predictions)
        except ValueError:
            return None
    outputs = [spec.name for spec in schema.outputs or ()]
    if predictions.ndim == 1:
        name = outputs[0] if len(outputs) == 1 and outputs[0] is not None else "predictions"
        return pd.DataFrame({str(name): predictions})
    if predictions.ndim != 2:
        return None
    width = predictions.shape[1]
    named = len(outputs) == width and all(name is not None for name in outputs)
    return pd.DataFrame(predictions, columns=[str(name) for name in (outputs if named else range(width))])
