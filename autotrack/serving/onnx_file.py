"""A model as an ONNX file, which is compared with the model before it is written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from autotrack import __version__
from autotrack.errors import ModelError
from autotrack.serving.problems import show
from autotrack.serving.schema import ANY, InputSchema

INPUT: Final = "input"
"""The name of the one tensor that a model without named inputs takes."""

COLUMNS: Final = "autotrack.columns"
"""The entry of the file's metadata with the names of that tensor's columns, in order, as JSON."""

ROWS: Final = 64
TOLERANCE: Final = 1e-4
"""How far numbers may differ, as a part of the largest: ONNX models compute with 32 bits, scikit-learn with 64."""

_OTHERS: Final = ("xgboost", "lightgbm", "catboost")
_MAX_DEPTH: Final = 20


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: size in bytes, inputs and outputs by name with their types, rows compared, largest difference.

    ``difference`` is a part of the largest number that the model gave.
    """

    path: Path
    size: int
    inputs: dict[str, str]
    outputs: dict[str, str]
    rows: int
    difference: float


def export_onnx(model: Any, schema: InputSchema, target: Path, *, rows: Any = None) -> Exported:
    """Convert a model with skl2onnx, compare what it predicts in onnxruntime, and write it.

    A model that picks columns by name (a ``ColumnTransformer`` in it) gets an input of shape (rows, 1) for each column,
    called and typed as the signature says; any other one tensor ``input`` of 32-bit numbers, whose columns the file's
    metadata names. Classifiers give ``label`` and ``probabilities``.

    Parameters
    ----------
    rows : as the model takes them, to compare with; ``None`` to make some up.

    Raises
    ------
    ModelError
        When a library is missing, skl2onnx cannot convert the model, or the file would predict something else. Then
        nothing is written.
    """
    try:
        import onnxruntime
        from skl2onnx import convert_sklearn
    except ImportError:
        raise ModelError("exporting to ONNX needs skl2onnx and onnxruntime: pip install 'autotrack[onnx]'") from None
    name = type(model).__name__
    for part in _parts(model, 0):
        package = type(part).__module__.partition(".")[0]
        if package in _OTHERS:
            raise ModelError(
                f"{type(part).__name__} is {package}'s, which skl2onnx does not convert and needs onnxmltools: that is "
                f"not supported. {package} writes a format of its own that other programs read"
            )
    inputs = _inputs(model, schema)
    is_classifier = hasattr(model, "predict_proba")
    try:
        options = {"zipmap": False} if is_classifier and hasattr(model, "classes_") else None
        proto = convert_sklearn(model, name, initial_types=list(inputs.items()), options=options)
    except Exception as error:
        reason = " ".join(str(error).split("\n\n")[0].split())[:400]
        raise ModelError(f"skl2onnx cannot convert {name}: {reason or type(error).__name__}") from error
    known: dict[str, str] = {"autotrack": __version__}
    if list(inputs) == [INPUT] and schema.named:
        known[COLUMNS] = json.dumps([str(name) for name in schema.names])
    for key, value in known.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    content: bytes = proto.SerializeToString()
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, quiet, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = " ".join(str(error).split())[:400]
        raise ModelError(f"onnxruntime does not take what skl2onnx made of {name}: {reason}") from error
    is_made_up = rows is None
    if is_made_up:
        rows = _make_rows(model, schema, inputs)
    difference = _compare(model, session, inputs, rows, is_made_up)
    _write(target, content)
    return Exported(
        target,
        len(content),
        {found.name: found.type for found in session.get_inputs()},
        {found.name: found.type for found in session.get_outputs()},
        len(rows),
        difference,
    )


def _inputs(model: Any, schema: InputSchema) -> dict[str, Any]:
    """Names and skl2onnx's types of the inputs."""
    from skl2onnx.common import data_types as types

    if schema.flat:
        return {INPUT: types.StringTensorType([None, 1])}
    kinds = {
        "double": types.FloatTensorType,
        "float": types.FloatTensorType,
        "long": types.Int64TensorType,
        "integer": types.Int64TensorType,
        "boolean": types.BooleanTensorType,
        "string": types.StringTensorType,
    }
    by_name = schema.named and any(hasattr(part, "transformers_") for part in _parts(model, 0))
    found = {str(column.name): column.type for column in schema.columns or ()} if schema.named else {}
    if by_name:
        for name, kind in found.items():
            if kind not in kinds:
                what = "a type that nobody knows" if kind == ANY else f"the type {kind}"
                raise ModelError(f"column {show(name)} has {what}, for which ONNX has none that skl2onnx takes")
        return {name: kinds[kind]([None, 1]) for name, kind in found.items()}
    if schema.width is None:
        raise ModelError(
            "nobody knows how many columns the model takes: it has no signature, and does not say itself. Log it with "
            "its signature"
        )
    for name, kind in found.items():
        if kind in ("string", "binary", "datetime"):
            raise ModelError(f"column {show(name)} is of type {kind}, and the model takes one array of numbers in ONNX")
    return {INPUT: types.FloatTensorType([None, schema.width])}


def _parts(model: Any, depth: int) -> Iterator[Any]:
    """A model and the estimators in it."""
    if depth > _MAX_DEPTH:
        return
    yield model
    inner = [getattr(model, "best_estimator_", None), getattr(model, "estimator", None)]
    for listed in ("steps", "transformers_", "estimators", "transformer_list"):
        value = getattr(model, listed, None)
        if isinstance(value, list):
            inner += [part[1] for part in value if isinstance(part, tuple) and len(part) >= 2]
    for part in inner:
        if hasattr(part, "get_params") and not isinstance(part, type):
            yield from _parts(part, depth + 1)


def _make_rows(model: Any, schema: InputSchema, inputs: Mapping[str, Any]) -> Any:
    """Rows of many sizes of numbers, and of the categories that the model's encoders know."""
    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> Any:
        values = rng.normal(size=shape) * 10.0 ** rng.uniform(-2, 3, size=shape)
        return values.astype(np.float32).astype(np.float64)

    if schema.flat:
        words = _words(model)
        return np.array([" ".join(rng.choice(words, 6)) for _ in range(ROWS)], dtype=object)
    if schema.columns is None:
        return numbers(ROWS, schema.width or 1)
    categories = _categories(model)
    columns: dict[Any, Any] = {}
    for place, column in enumerate(schema.columns):
        label = place if column.name is None else column.name
        known = categories.get(str(column.name))
        if known is not None:
            columns[label] = rng.choice(known, ROWS)
        elif column.type == "string":
            columns[label] = rng.choice(np.array(["a", "b", "c d"], dtype=object), ROWS)
        elif column.type == "boolean":
            columns[label] = rng.random(ROWS) < 0.5
        elif column.type in ("long", "integer"):
            columns[label] = numbers(ROWS).astype(np.int64)
        else:
            columns[label] = numbers(ROWS)
    return pd.DataFrame(columns)


def _categories(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in _parts(model, 0):
        for entry in getattr(part, "transformers_", ()):
            names = [entry[2]] if isinstance(entry[2], str) else entry[2]
            for step in _parts(entry[1], 0):
                known = getattr(step, "categories_", None)
                if known is not None and not isinstance(names, slice) and len(known) == len(names):
                    found.update(
                        {
                            str(name): [value for value in values if value is not None and value == value]
                            for name, values in zip(names, known)
                        }
                    )
    return {name: np.array(values, dtype=object) for name, values in found.items() if values}


def _words(model: Any) -> Any:
    for part in _parts(model, 0):
        vocabulary = getattr(part, "vocabulary_", None)
        if vocabulary:
            return np.array([*sorted(vocabulary)[:200], "unheard-of"], dtype=object)
    return np.array(["a", "b"], dtype=object)


def _compare(model: Any, session: Any, inputs: Mapping[str, Any], rows: Any, is_made_up: bool) -> float:
    """The largest difference; raises where it is too large."""
    name = type(model).__name__
    way = "; give rows that it takes with --check FILE" if is_made_up else ""
    try:
        given = rows
        if isinstance(rows, pd.DataFrame):
            floats = [column for column in rows.columns if rows[column].dtype.kind == "f"]
            given = rows.astype(dict.fromkeys(floats, np.float32)).astype(dict.fromkeys(floats, np.float64))
        expected = {"predict": model.predict(given) if hasattr(model, "predict") else model.transform(given)}
        if hasattr(model, "predict_proba"):
            expected["predict_proba"] = model.predict_proba(given)
    except Exception as error:
        raise ModelError(
            f"the exported file cannot be compared with {name}, which refuses the rows: {str(error)[:300]}{way}"
        ) from error
    try:
        got = session.run(None, _feed(given, inputs))
    except Exception as error:
        raise ModelError(
            f"the exported file fails where {name} predicts: {' '.join(str(error).split())[:400]}"
        ) from error
    worst = 0.0
    proba = expected.get("predict_proba")
    is_close = np.zeros(len(rows), dtype=bool)
    if isinstance(proba, np.ndarray) and proba.ndim == 2 and proba.shape[1] > 1:
        ordered = np.sort(proba, axis=1)
        is_close = ordered[:, -1] - ordered[:, -2] < 10 * TOLERANCE  # which class it is hangs on the last bits
    for (method, wanted), found in zip(expected.items(), got):
        if hasattr(wanted, "toarray"):
            wanted = wanted.toarray()
        wanted, found = np.asarray(wanted), np.asarray(found)
        if wanted.size != found.size:
            raise ModelError(f"the exported file gives {found.shape} where {name}.{method} gives {wanted.shape}")
        found = found.reshape(wanted.shape)
        if wanted.dtype.kind in "fc":
            scale = max(float(np.nanmax(np.abs(wanted), initial=0.0)), 1e-12)
            apart = np.abs(wanted - found) / scale
            wrong = ~((apart <= TOLERANCE) | (np.isnan(wanted) & np.isnan(found)))
            worst = max(worst, float(np.nanmax(apart, initial=0.0)))
        else:
            wrong = (wanted != found) if wanted.dtype.kind in "iub" else (wanted.astype(str) != found.astype(str))
            wrong &= ~is_close if wanted.ndim == 1 else ~is_close[:, None]
        if wrong.any():
            place = tuple(int(spot) for spot in np.argwhere(wrong)[0])
            raise ModelError(
                f"the exported file predicts something else than {name}: {int(wrong.sum())} of {wrong.size} values of "
                f"{method}, such as {found[place]} for {wanted[place]} in row {place[0]}. It was not written"
            )
    return worst


def _feed(rows: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Rows as onnxruntime takes them."""
    dtypes = {"Float": np.float32, "Int64": np.int64, "Boolean": np.bool_, "String": object}

    def cast(values: Any, kind: Any) -> Any:
        return np.asarray(values).astype(dtypes[type(kind).__name__.removesuffix("TensorType")])

    if list(inputs) == [INPUT]:
        values = rows.to_numpy() if isinstance(rows, pd.DataFrame) else np.asarray(rows)
        return {INPUT: cast(values.reshape(len(values), -1), inputs[INPUT])}
    by_name = {str(name): rows[name] for name in rows.columns}
    return {name: cast(by_name[name], kind).reshape(-1, 1) for name, kind in inputs.items()}


def _write(target: Path, content: bytes) -> None:
    temporary = f"{target}.tmp-{os.urandom(4).hex()}"
    try:
        Path(temporary).write_bytes(content)
        os.replace(temporary, target)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise ModelError(f"{target} cannot be written: {error.strerror or error}") from error
