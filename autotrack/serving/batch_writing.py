"""Predictions as the rows of a file, which is there whole or not at all."""

from __future__ import annotations

import json
import math
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pandas as pd

from autotrack.errors import AutotrackError, ModelError
from autotrack.serving.answers import json_default, to_frame
from autotrack.serving.problems import BadInput, name_list
from autotrack.serving.scoring import Scorer, ScoringFailed

STDOUT: Final = "-"
FORMATS: Final = ("csv", "jsonl", "parquet", "arrow")
PREDICTION: Final = "prediction"
_WORDS: Final = {
    "predict": PREDICTION,
    "predict_proba": "probability",
    "predict_log_proba": "log_probability",
    "decision_function": "decision",
    "score_samples": "score",
    "transform": "transformed",
}


class NotWritten(AutotrackError):
    """The output cannot be written."""


def prediction_frame(predictions: Any, method: str, scorer: Scorer, n_rows: int) -> pd.DataFrame:
    """Predictions as columns with names: ``prediction``, ``probability_<class>``, ``prediction_<output>`` …

    Raises
    ------
    ScoringFailed
        When they are no table of as many rows.
    """
    word = _WORDS.get(method, method)
    frame = to_frame(predictions, scorer.schema)
    if frame is None:
        raise ScoringFailed(f"what {type(scorer.model).__name__}.{method} gives cannot be written as rows and columns")
    if len(frame) != n_rows:
        raise ScoringFailed(f"{type(scorer.model).__name__}.{method} gave {len(frame)} predictions for {n_rows} rows")
    if not isinstance(predictions, (pd.DataFrame, pd.Series)):
        if getattr(predictions, "ndim", 0) == 1 or frame.columns.tolist() == ["predictions"]:
            names: Sequence[str] = [word]
        else:
            names = _names(word, frame, predictions, method, scorer)
        frame = frame.set_axis(list(names), axis=1)
    elif isinstance(predictions, pd.Series):
        frame = frame.set_axis([word], axis=1)
    frame.columns = [str(name) for name in frame.columns]
    return frame.reset_index(drop=True)


def _names(word: str, frame: pd.DataFrame, predictions: Any, method: str, scorer: Scorer) -> list[str]:
    width = frame.shape[1]
    if method == "transform":
        try:
            found = [str(name) for name in scorer.model.get_feature_names_out()]
        except Exception:  # noqa: BLE001 - many transformers know no names, and one of the user's may raise anything
            found = []
        if len(found) == width == len(set(found)):
            return found
    if method != "predict":
        labels = _classes(scorer.model, predictions)
        if len(labels) == width == len(set(labels)):
            return [f"{word}_{label}" for label in labels]
    return [f"{word}_{name}" for name in frame.columns]


def _classes(model: Any, predictions: Any) -> list[str]:
    try:
        classes = model.classes_
        if isinstance(predictions, list):  # several outputs: for each its classes
            return [f"{output}_{label}" for output, labels in enumerate(classes) for label in labels]
        return [str(label) for label in classes]
    except Exception:  # noqa: BLE001 - a property of the user's may raise anything
        return []


class Sink:
    """A file that predictions are written to; to be used in a ``with`` block.

    It is written beside its place and renamed when the block ends well. A place that is no ordinary file (a pipe,
    ``/dev/stdout``) is written to as it comes.

    Parameters
    ----------
    place : path, or ``-`` for stdout.
    form : one of `FORMATS`.

    Raises
    ------
    NotWritten
        When it cannot be written.
    """

    def __init__(self, place: str, form: str) -> None:
        self.place, self.form = place, form
        self._target = "" if place == STDOUT else os.path.realpath(place)
        self._temporary = ""
        self._names: list[str] = []
        self._kept: list[str] = []
        self._writer: Any = None
        self._schema: Any = None
        self._file: BinaryIO

    def __enter__(self) -> Sink:
        if self.form in ("parquet", "arrow"):
            try:
                import pyarrow  # noqa: F401
            except ImportError:
                raise ModelError("Arrow and Parquet files need pyarrow: pip install 'autotrack[parquet]'") from None
        if self.place == STDOUT:
            self._file = sys.stdout.buffer
            return self
        try:
            path = self._target
            if os.path.isdir(path):
                raise NotWritten(f"{self.place} is a folder; name a file")
            is_there = os.path.exists(self.place)  # a pipe has no real path
            is_device = os.path.abspath(self.place).startswith(("/dev/", "/proc/"))
            if is_there and (is_device or not stat.S_ISREG(os.stat(self.place).st_mode)):
                self._file = Path(self.place).open("wb")
            else:
                self._temporary = f"{path}.tmp-{os.urandom(4).hex()}"
                self._file = Path(self._temporary).open("xb")
        except OSError as error:
            raise NotWritten(f"{self.place} cannot be written: {error.strerror or error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failed:
            raise NotWritten(f"{self.place} cannot be written: {failed.strerror or failed}") from failed
        finally:
            if kind is not None and self._writer is not None:
                with suppress(OSError, ValueError):  # else it writes its end when it is collected, to a closed file
                    self._writer.close()
            if self.place != STDOUT and not self._file.closed:
                self._file.close()
            if self._temporary and os.path.lexists(self._temporary):
                os.unlink(self._temporary)

    def write(self, frame: pd.DataFrame, kept: dict[str, Any]) -> None:
        """Append rows.

        Parameters
        ----------
        kept : columns to stand before the predictions: lists of values, or arrays of pyarrow.

        Raises
        ------
        BadInput
            When a column is kept that the rows before did not have, or that is called like a prediction.
        ScoringFailed
            When a column changes its type, and the format cannot have that.
        """
        is_first = not self._names
        if is_first:
            self._kept, self._names = list(kept), list(frame.columns)
            if twice := [name for name in self._names if name in kept]:
                raise BadInput(
                    "duplicate_column",
                    f"the kept columns and the predictions have names in common: {name_list(twice)}",
                    columns=twice,
                )
        if more := [name for name in kept if name not in self._kept]:
            raise BadInput(
                "unexpected_column",
                f"columns are to be kept that the first rows do not have: {name_list(more)}; name them with --keep",
                columns=more,
            )
        if self._names != list(frame.columns):
            raise ScoringFailed(f"the predictions change their columns to {name_list(frame.columns)}")
        kept = {name: kept.get(name, [None] * len(frame)) for name in self._kept}
        if self.form in ("parquet", "arrow"):
            self._write_table(frame, kept)
            return
        columns = {name: _values(values) for name, values in kept.items()}
        text = _csv(frame, columns, is_first) if self.form == "csv" else _json_lines(frame, columns)
        self._file.write(text.encode("utf-8", "backslashreplace"))

    def _write_table(self, frame: pd.DataFrame, kept: dict[str, Any]) -> None:
        import pyarrow as pa

        try:
            arrays = {name: pa.array(v) if isinstance(v, list) else v for name, v in kept.items()}
            table = pa.table({**arrays, **{name: pa.array(frame[name], from_pandas=False) for name in frame.columns}})
            if self._schema is None:
                fields = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in table.schema]
                self._schema = pa.schema([field.with_nullable(True) for field in fields])
            table = table.cast(self._schema)
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise ScoringFailed(
                f"a column cannot be written to {self.form}, where it has one type from the first row to the last: "
                f"{' '.join(str(error).split())[:300]}. CSV and JSON lines take it"
            ) from error
        if self._writer is None:
            self._writer = self._table_writer()
        self._writer.write_table(table)

    def _table_writer(self) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        if self.form == "parquet":
            return parquet.ParquetWriter(self._file, self._schema)
        make = pa.ipc.new_stream if self.place == STDOUT else pa.ipc.new_file
        return make(self._file, self._schema)

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self.place == STDOUT:
            self._file.flush()
            return
        self._file.close()
        if self._temporary:
            os.replace(self._temporary, self._target)


def _values(values: Any) -> list[Any]:
    found: list[Any] = values if isinstance(values, list) else values.to_pylist()
    return found


def _csv(frame: pd.DataFrame, kept: dict[str, list[Any]], has_header: bool) -> str:
    columns = {name: pd.Series(values, dtype=object) for name, values in kept.items()}
    whole = pd.concat([pd.DataFrame(columns, index=frame.index), frame], axis=1) if columns else frame
    text: str = whole.to_csv(index=False, header=has_header, lineterminator="\n")
    return text


def _json_lines(frame: pd.DataFrame, kept: dict[str, list[Any]]) -> str:
    columns = {**kept, **{name: frame[name].tolist() for name in frame.columns}}
    names = list(columns)
    return "".join(
        json.dumps(dict(zip(names, map(_finite, row))), default=_plain, ensure_ascii=False) + "\n"
        for row in zip(*columns.values())
    )


def _plain(value: Any) -> Any:
    return _finite(json_default(value))


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinite numbers: they are null, as in the server's answers."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, np.ndarray):
        return [_finite(item) for item in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    return value
