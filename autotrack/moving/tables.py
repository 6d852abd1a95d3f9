"""Tables on disk: their columns, and a writer for each format that holds a bounded number of rows in memory."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from autotrack.errors import StoreError
from autotrack.events import number_to_json
from autotrack.stores.state import clamp

Kind = Literal["text", "number", "integer", "time"]
KINDS: Final = ("params", "metrics", "tags")

_CELLS: Final = 500_000
_CHARACTERS: Final = 32_000_000
"""So much of a table is in memory at the most, but for one row."""

_EARLIEST: Final = -62_135_596_800_000
_LATEST: Final = 253_402_300_799_999
"""The years 1 to 9999 in milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: a ``time`` is in milliseconds since the epoch."""

    name: str
    kind: Kind = "text"


def _named(texts: str, **others: Kind) -> list[Column]:
    return [Column(name, others.get(name, "text")) for name in texts.split()]


ATTRIBUTES: Final = _named(
    "run_id run_name experiment experiment_id status start_time end_time duration parent_run_id error broken "
    "deleted_time process_id process",
    start_time="time",
    end_time="time",
    deleted_time="time",
    duration="number",
)
"""Of the table of runs, before params, metrics and tags. ``process`` is JSON; ``duration`` is in seconds."""

TABLES: Final[dict[str, list[Column]]] = {
    "runs": ATTRIBUTES,
    "metrics": _named("run_id key step timestamp value", step="integer", timestamp="integer", value="number"),
    "params": _named("run_id key value"),
    "tags": _named("run_id key value"),
    "datasets": _named(
        "run_id name context kind digest rows columns shape described target source", rows="integer", columns="integer"
    ),
    "models": _named(
        "run_id path estimator_class serialization_format size registered_model_name digest model_id details",
        size="integer",
    ),
    "notes": _named("run_id kind subject message count", count="integer"),
}
"""Table → columns. Of a dataset ``shape``, ``described`` (its columns), ``target`` and ``source`` are JSON, of a model
``details``."""


class Writer(Protocol):
    """Takes rows, as columns of values, and writes them behind those before."""

    escapes: bool
    """Whether lone surrogates have to be escaped."""

    def write(self, columns: Sequence[Sequence[Any]]) -> None:
        """Write rows; the values of each are of the column's kind or ``None``."""
        ...


class Table:
    """Rows on their way into one file. ``rows`` counts them, ``escaped`` tells whether a text was changed."""

    def __init__(self, writer: Writer, columns: Sequence[Column]) -> None:
        self.rows = 0
        self.escaped = False
        self._writer = writer
        self._columns = columns
        self._values: list[list[Any]] = [[] for _ in columns]
        self._characters = 0

    def add(self, row: Sequence[Any]) -> None:
        """Add a row."""
        for column, values, value in zip(self._columns, self._values, row):
            values.append(None if value is None else self._fit(column, value))
        self.rows += 1
        if len(self._values[0]) * len(self._columns) >= _CELLS or self._characters >= _CHARACTERS:
            self.flush()

    def add_mapping(self, row: Mapping[str, Any]) -> None:
        """Add a row of named values; what is not named is missing."""
        self.add([row.get(column.name) for column in self._columns])

    def flush(self) -> None:
        """Write what was added: one row group of a Parquet file."""
        if self._values[0]:
            self._writer.write(self._values)
            self._values, self._characters = [[] for _ in self._columns], 0

    def _fit(self, column: Column, value: Any) -> Any:
        match column.kind:
            case "text":
                self._characters += len(value)
                if self._writer.escapes and not value.isascii():
                    fitting = escaped(value)
                    self.escaped = self.escaped or fitting != value
                    return fitting
                return value
            case "integer":
                return clamp(value)
            case "time":
                return value if _EARLIEST <= value <= _LATEST else None
            case _:
                return float(value)


def escaped(text: str) -> str:
    """The text as UTF-8 can carry it."""
    return text.encode("utf-8", "backslashreplace").decode()


@contextmanager
def writer(format: str, path: Path, columns: Sequence[Column]) -> Iterator[Writer]:
    """A writer of a new file; ``path`` is without the ending.

    Raises
    ------
    StoreError
        For an unknown format, or one whose library is not installed.
    """
    match format:
        case "parquet":
            with _parquet(path.with_name(f"{path.name}.parquet"), columns) as parquet:
                yield parquet
        case "csv":
            with path.with_name(f"{path.name}.csv").open("x", encoding="utf-8", newline="") as file:
                yield _Csv(file, columns)
        case "json":
            with path.with_name(f"{path.name}.jsonl").open("x", encoding="utf-8") as file:
                yield _Json(file, columns)
        case _:
            raise StoreError(f"no format {format!r}; there are parquet, csv and json")


@contextmanager
def _parquet(path: Path, columns: Sequence[Column]) -> Iterator[Writer]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise StoreError("Parquet files need the package pyarrow: pip install 'autotrack[parquet]'") from error
    types = {"text": pa.string(), "number": pa.float64(), "integer": pa.int64(), "time": pa.timestamp("ms", tz="UTC")}
    schema = pa.schema([(escaped(column.name), types[column.kind]) for column in columns])

    class Parquet:
        escapes = True

        def write(self, values: Sequence[Sequence[Any]]) -> None:
            # pa.array keeps NaN apart from None unless it is told that they come from pandas.
            arrays = [pa.array(part, type=kind.type) for part, kind in zip(values, schema)]
            file.write_table(pa.Table.from_arrays(arrays, schema=schema))

    with pq.ParquetWriter(path, schema) as file:
        yield Parquet()


class _Csv:
    """CSV with a header. A missing value is an empty field; an empty text cannot be told from it."""

    escapes = True

    def __init__(self, file: Any, columns: Sequence[Column]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow([escaped(column.name) for column in columns])

    def write(self, columns: Sequence[Sequence[Any]]) -> None:
        self._writer.writerows(
            ["NaN" if isinstance(value, float) and math.isnan(value) else value for value in row]
            for row in zip(*columns)
        )


class _Json:
    """One JSON object a line, without the keys of missing values."""

    escapes = False

    def __init__(self, file: Any, columns: Sequence[Column]) -> None:
        self._file = file
        self._names = [column.name for column in columns]

    def write(self, columns: Sequence[Sequence[Any]]) -> None:
        for row in zip(*columns):
            told = {name: _plain(value) for name, value in zip(self._names, row) if value is not None}
            self._file.write(json.dumps(told) + "\n")


def _plain(value: Any) -> Any:
    return number_to_json(value) if isinstance(value, float) else value
