"""Arrow and Parquet: columns that bring types of their own."""

from __future__ import annotations

import json
from typing import Any

from autotrack.serving import frames
from autotrack.serving.forms import check_rows
from autotrack.serving.problems import BadInput
from autotrack.serving.schema import InputSchema


def read_arrow(
    body: bytes | memoryview, schema: InputSchema, max_rows: int | None, *, is_file: bool
) -> tuple[Any, int]:
    """Read an Arrow IPC stream, or an Arrow file.

    Raises
    ------
    BadInput
        ``not_arrow``, or with the column and the row that do not fit.
    """
    pa = _pyarrow()
    words = "an Arrow file" if is_file else "an Arrow IPC stream"
    try:
        source = pa.py_buffer(body)
        reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
        batches, count = [], 0
        for batch in map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader:
            count += batch.num_rows
            if max_rows is not None and count > max_rows:
                check_rows(count, max_rows)
            batch.validate(full=True)  # whoever wrote it may have written offsets that point elsewhere
            batches.append(batch)
        table = pa.Table.from_batches(batches, reader.schema)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise BadInput("not_arrow", f"the request is not {words}: {_text(error)}") from None
    return from_table(table, schema, max_rows)


def read_parquet(body: bytes | memoryview, schema: InputSchema, max_rows: int | None) -> tuple[Any, int]:
    """Read a Parquet file.

    Raises
    ------
    BadInput
        ``not_parquet``, or with the column and the row that do not fit.
    """
    pa = _pyarrow()
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(pa.py_buffer(body)))
        check_rows(file.metadata.num_rows, max_rows)
        table = file.read(use_threads=False)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise BadInput("not_parquet", f"the request is not a Parquet file: {_text(error)}") from None
    return from_table(table, schema, max_rows)


def from_table(table: Any, schema: InputSchema, max_rows: int | None = None) -> tuple[Any, int]:
    """What the model is to see of a table of pyarrow, and its number of rows.

    Raises
    ------
    BadInput
        With the column and the row that do not fit.
    """
    pa = _pyarrow()
    n_rows = check_rows(table.num_rows, max_rows)
    known = schema.places if schema.named else {}
    if index := [name for name in index_names(table) if name not in known]:
        kept = [place for place, name in enumerate(table.column_names) if name not in index]
        table = table.select(kept)
    if not table.num_columns:
        raise BadInput("empty", "the request has no columns")
    names = table.column_names
    arrow_types = {name: str(kind) for name, kind in zip(names, table.schema.types)}
    try:
        frame = table.rename_columns([str(place) for place in range(len(names))]).to_pandas(
            ignore_metadata=True, date_as_object=False, use_threads=False, timestamp_as_object=False
        )
    except (pa.ArrowException, ValueError, OverflowError, TypeError, NotImplementedError) as error:
        raise BadInput("wrong_type", f"the request holds a type that is not read: {_text(error)}") from None
    frame.columns = names
    return frames.from_frame(frame, schema, arrow_types), n_rows


def read_problem(code: str, words: str, error: BaseException) -> BadInput:
    """The problem of a file that pyarrow cannot read; ``words`` say what it should be."""
    return BadInput(code, f"the input is not {words}: {_text(error)}")


def index_names(table: Any) -> list[str]:
    """Columns in which pandas keeps an index: no part of the data."""
    try:
        index = json.loads((table.schema.metadata or {})[b"pandas"])["index_columns"]
        return [name for name in index if isinstance(name, str)]
    except (KeyError, ValueError, TypeError, RecursionError):
        return []


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise BadInput(
            "unknown_format",
            "Arrow and Parquet are not read by this server: pyarrow is not installed there (pip install "
            "'autotrack[serving]')",
            status=415,
        ) from None
    return pa


def _text(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
