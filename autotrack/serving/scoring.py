"""Calling the model: which method, for one request or several at once, and whose mistake it is when it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
import pandas as pd

from autotrack.errors import AutotrackError, ModelError
from autotrack.models import ModelInfo
from autotrack.serving.payloads import Payload
from autotrack.serving.problems import BadInput, name_list, place, show
from autotrack.serving.rowwise import is_row_wise, without_names
from autotrack.serving.schema import InputSchema

PREDICT_METHOD: Final = "predict_method"
"""The parameter of a request that names the method to call."""

METHODS: Final = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score_samples",
    "transform",
)

_logger = logging.getLogger(__name__)

__all__ = ["METHODS", "PREDICT_METHOD", "Scorer", "ScoringFailed", "is_row_wise"]


class ScoringFailed(AutotrackError):
    """The model failed, and not by the client's mistake; its own error is the cause."""


class Scorer:
    """One loaded model, ready for requests from any thread.

    Parameters
    ----------
    model : as `autotrack.load_model` gives it.
    info : what its folder says; names the method to call where that is not ``predict``.
    schema : what the model takes.

    Raises
    ------
    ModelError
        When the model has none of `METHODS`.
    """

    def __init__(self, model: Any, info: ModelInfo, schema: InputSchema) -> None:
        self.model = model
        self.info = info
        self.schema = schema
        self.methods: tuple[str, ...] = tuple(name for name in METHODS if _has(model, name))
        if not self.methods:
            raise ModelError(
                f"{type(model).__name__} has none of the methods that can be served ({', '.join(METHODS)}): it finds "
                "its answers while it is fitted, and has none for other rows"
            )
        wanted = info.flavors.get("python_function", {}).get("predict_fn")
        self.default_method: str = wanted if wanted in self.methods else self.methods[0]
        self.row_wise: bool = is_row_wise(model)
        self._takes_block = schema.columns is not None and not schema.flat and schema.one_type == "double"
        self._bare = without_names(model, schema.names) if self._takes_block and schema.named else None
        self._calls: dict[str, Callable[[Any], Any]] = {}

    def predict(self, payload: Payload) -> Any:
        """Call the method that the request asks for.

        Raises
        ------
        BadInput
            For an unknown parameter, and for rows that the model refuses.
        ScoringFailed
            When the model fails otherwise.
        """
        method = self.method(payload.params)
        try:
            return self._call(method)(payload.data)
        except Exception as error:
            raise self._judge(error, method, payload.data) from error

    def predict_many(self, payloads: Sequence[Payload]) -> list[Any]:
        """Predict requests of one `batch_key` in one call; where that fails, one by one.

        Returns
        -------
        list
            For each request its predictions, or the `BadInput` or `ScoringFailed` that it has to be answered with.
        """
        if len(payloads) > 1:
            try:
                together = self.predict(self.combine(payloads))
                return self.split(together, [payload.n_rows for payload in payloads])
            except (BadInput, ScoringFailed, ValueError):
                pass  # one of them is at fault, and the others are not to suffer
        answers: list[Any] = []
        for payload in payloads:
            try:
                answers.append(self.predict(payload))
            except (BadInput, ScoringFailed) as problem:
                answers.append(problem)
        return answers

    def method(self, params: dict[str, Any]) -> str:
        """The method that a request's parameters ask for.

        Raises
        ------
        BadInput
            ``unknown_parameter``.
        """
        if not params:
            return self.default_method
        if unknown := [name for name in params if name != PREDICT_METHOD]:
            raise BadInput(
                "unknown_parameter",
                f"the model takes no parameter {name_list(unknown)}, only {show(PREDICT_METHOD)}: one of "
                f"{name_list(self.methods)}",
            )
        wanted = params[PREDICT_METHOD]
        if type(wanted) is not str or wanted not in self.methods:
            raise BadInput(
                "unknown_parameter",
                f"{show(PREDICT_METHOD)} is {show(wanted)}, the model has {name_list(self.methods)}",
            )
        return wanted

    def batch_key(self, payload: Payload) -> Hashable | None:
        """Requests with equal keys can be predicted together; ``None`` for one that has to be alone.

        Raises
        ------
        BadInput
            ``unknown_parameter``.
        """
        if not self.row_wise:
            return None
        method = self.method(payload.params)
        if self._takes_block:
            return method
        data = payload.data
        if isinstance(data, pd.DataFrame):
            return (method, *data.columns, *data.dtypes)
        return (method, str(data.dtype), *data.shape[1:])

    def combine(self, payloads: Sequence[Payload]) -> Payload:
        """Requests of one `batch_key` as one, in their order."""
        first = payloads[0]
        parts = [payload.data for payload in payloads]
        data: Any
        if self._takes_block:
            block = np.concatenate([part.to_numpy() for part in parts])
            data = pd.DataFrame(block, columns=self.schema.index, copy=False)
        elif isinstance(first.data, pd.DataFrame):
            data = pd.concat(parts, ignore_index=True)
        elif isinstance(first.data, np.ndarray):
            data = np.concatenate(parts)
        else:
            data = pd.concat([pd.Series(part) for part in parts], ignore_index=True).array
        return Payload(data, sum(payload.n_rows for payload in payloads), first.params, first.form)

    @staticmethod
    def split(predictions: Any, lengths: Sequence[int]) -> list[Any]:
        """The predictions of each request.

        Raises
        ------
        ValueError
            When there are not as many predictions as rows.
        """
        ends = list(accumulate(lengths))
        slices = [slice(end - length, end) for end, length in zip(ends, lengths)]
        total = ends[-1]
        if isinstance(predictions, list) and predictions and all(_length(part) == total for part in predictions):
            return [[part[rows] for part in predictions] for rows in slices]  # one array for each output
        if _length(predictions) != total and not (isinstance(predictions, list) and len(predictions) == total):
            raise ValueError(f"{_length(predictions)} predictions for {total} rows")
        if isinstance(predictions, (pd.DataFrame, pd.Series)):
            return [predictions.iloc[rows] for rows in slices]
        return [predictions[rows] for rows in slices]

    def _call(self, method: str) -> Callable[[Any], Any]:
        """The method, made once: looking up one of a pipeline costs as much as a small prediction."""
        call = self._calls.get(method)
        if call is None:
            if self._bare is not None and method != "transform":
                bare = getattr(self._bare, method)

                def call_bare(frame: Any) -> Any:
                    return bare(frame.to_numpy())

                call = call_bare
            else:
                call = getattr(self.model, method)
            self._calls[method] = call
        return call

    def _judge(self, error: Exception, method: str, data: Any) -> AutotrackError:
        """Whose mistake it is: a ValueError is the rows', as scikit-learn has it, most others are not."""
        if isinstance(error, BadInput):
            return error
        name = type(self.model).__name__
        if _is_the_rows(error, data, self.schema):
            text = " ".join(str(error).split()) or type(error).__name__
            if found := _find_missing(data, text):
                row, column, value = found
                is_missing = value != value
                return BadInput(
                    "missing_value" if is_missing else "wrong_type",
                    f"{place(column, row)}: the value is {'missing' if is_missing else 'infinite'}, which {name} does "
                    "not take",
                    columns=(column,),
                    row=row,
                )
            return BadInput("model_refused", f"{name}.{method} refuses the rows: {text[:500]}")
        _logger.exception("%s.%s failed", name, method, exc_info=error)
        return ScoringFailed(f"{name}.{method} failed: {type(error).__name__}")


def _has(model: Any, name: str) -> bool:
    try:
        return callable(getattr(model, name, None))
    except Exception:  # noqa: BLE001 - a property of the user's may raise anything
        return False


def _length(values: Any) -> int:
    shape = getattr(values, "shape", None)
    return int(shape[0]) if shape else -1


def _is_the_rows(error: Exception, data: Any, schema: InputSchema) -> bool:
    from sklearn.exceptions import NotFittedError

    if isinstance(error, (NotFittedError, np.linalg.LinAlgError)):
        return False
    if isinstance(error, ValueError):
        return True
    if isinstance(error, (KeyError, IndexError)) and schema.columns is None and schema.tensor is None:
        return True  # nothing was known to check them against
    if isinstance(error, (TypeError, OverflowError, AttributeError)):
        kinds = data.dtypes.tolist() if isinstance(data, pd.DataFrame) else [data.dtype]
        return any(kind.kind == "O" for kind in kinds)
    return False


def _find_missing(data: Any, text: str) -> tuple[int, Any, float] | None:
    """The first value that is missing or infinite, whichever of them the model complains of."""
    lower = text.lower()
    infinite = "infinity" in lower
    if "nan" not in lower and not infinite:
        return None
    frame = data if isinstance(data, pd.DataFrame) else None
    if frame is None and getattr(data, "ndim", 0) != 2:
        return None
    columns = frame.columns.tolist() if frame is not None else range(data.shape[1])
    first: tuple[int, Any, float] | None = None
    for spot, name in enumerate(columns):
        values = pd.Series(frame.iloc[:, spot] if frame is not None else data[:, spot])
        wrong = values.isna()
        if infinite:
            # One that overflowed inside the model is not to be found here, and a missing one is not to blame for it.
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan) if values.dtype.kind == "f" else None
            wrong = pd.Series(np.isinf(numbers)) if numbers is not None else wrong & False
        rows = np.flatnonzero(wrong.to_numpy())
        if len(rows) and (first is None or rows[0] < first[0]):
            value = values.iloc[rows[0]]
            first = (int(rows[0]), name, float("nan") if pd.isna(value) else float(value))
    return first
