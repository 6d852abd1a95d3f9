"""The rows of a file in chunks, read and checked as the server reads and checks requests."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from autotrack.errors import ModelError
from autotrack.serving import forms, strict_json
from autotrack.serving.choosing import Choice
from autotrack.serving.media import CSV, JSON
from autotrack.serving.payloads import read_payload
from autotrack.serving.problems import BadInput, show
from autotrack.serving.schema import InputSchema

STDIN: Final = "-"
FORMATS: Final = ("csv", "jsonl", "json", "parquet", "arrow")
ENDINGS: Final = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
MAX_JSON: Final = 256 * 2**20
"""Bytes of a JSON document, which has to be read whole."""

MAX_RECORD: Final = 64 * 2**20
"""Bytes of one row of CSV or JSON lines."""

MOST_BYTES: Final = 32 * 2**20
"""Bytes of a chunk, whatever number of rows was asked for."""

_ARROW_FILE: Final = b"ARROW1"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of the file.

    Parameters
    ----------
    data : what the model's method is to be called with.
    n_rows : rows in it.
    first_row : the number in the file of its first row, counted from 0.
    done : how much of the file has been read with it, in the source's unit.
    kept : columns that are to stand beside the predictions: lists of values, or arrays of pyarrow.
    params : of a JSON document that brings its own.
    line_of : from the number of a row in the chunk to that of its line in the file; ``None`` where there are no lines.
    """

    data: Any
    n_rows: int
    first_row: int
    done: int
    kept: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    line_of: Callable[[int], int | None] | None = None


class Source:
    """A file of rows; to be used in a ``with`` block.

    Parameters
    ----------
    place : its path, or ``-`` for stdin.
    form : one of `FORMATS`; ``None`` to go by the ending of its name.

    Raises
    ------
    ModelError
        For an ending that says nothing, and where reading it needs a library that is not installed.
    OSError
        When it cannot be opened.
    """

    def __init__(self, place: str, form: str | None = None) -> None:
        self.place = place
        self.form = form or form_of(place, "input", FORMATS)
        self.unit = "rows" if self.form in ("parquet", "arrow") else "B"
        self.total: int | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Source:
        try:
            if self.place == STDIN:
                self._file: BinaryIO = sys.stdin.buffer
                if self.form == "parquet":  # its table of contents stands at the end
                    self._file = self._seekable(sys.stdin.buffer)
            else:
                self._file = self._stack.enter_context(Path(self.place).open("rb"))
                size = os.fstat(self._file.fileno()).st_size
                self.total = size if size and self.unit == "B" else None
            if self.form == "parquet":
                self._open_parquet()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _seekable(self, stream: BinaryIO) -> BinaryIO:
        """What comes through a pipe, in a file without a name."""
        file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed with all others
        self._stack.callback(file.close)
        shutil.copyfileobj(stream, file)
        file.seek(0)
        return file

    def chunks(self, schema: InputSchema, choice: Choice, n_rows: int) -> Iterator[Chunk]:
        """The file's rows in order, so many at once, or fewer where rows are large.

        Raises
        ------
        BadInput
            With the column that does not fit, and the row and line of the file.
        """
        reader = {
            "csv": self._csv,
            "jsonl": self._json_lines,
            "json": self._json,
            "parquet": self._parquet,
            "arrow": self._arrow,
        }[self.form]
        return reader(schema, choice, n_rows)

    def _csv(self, schema: InputSchema, choice: Choice, n_rows: int) -> Iterator[Chunk]:
        header, line = _record(self._file, 1, self.place)
        done, first, is_first = len(header), 0, True
        names: list[str] = []
        if choice:
            with located(0):
                names = next(iter(_split(header)), [])
            choice.check(names)
        while True:
            body, next_line = _records(self._file, line, n_rows, self.place)
            done += len(body)
            start, line = line, next_line
            if not body and not is_first:
                return
            if not body.strip() and body and not _is_one_column(header, schema):
                continue  # blank lines
            locate = _csv_locator(body, start)
            kept: dict[str, Any] = {}
            try:
                with located(first, locate, f"lines {start} to {line - 1}"):
                    content = _ended(header) + body
                    if choice:
                        content, kept = _choose(header, body, names, schema, choice)
                    payload = read_payload(content, CSV, schema)
            except BadInput as problem:
                if problem.code == "empty" and not is_first:
                    continue
                raise
            yield Chunk(payload.data, payload.n_rows, first, done, kept, line_of=locate)
            first, is_first = first + payload.n_rows, False

    def _json_lines(self, schema: InputSchema, choice: Choice, n_rows: int) -> Iterator[Chunk]:
        done, first, line = 0, 0, 0
        values: list[Any] = []
        lines: list[int] = []
        size = 0

        def chunk() -> Chunk:
            locate = lines.copy().__getitem__
            with located(first, locate):
                rows, kept = choice.split_records(values, schema, is_first=not first) if choice else (values, {})
                data, count = forms.from_list(rows, schema)
            return Chunk(data, count, first, done, kept, line_of=locate)

        while True:
            text = self._file.readline(MAX_RECORD + 1)
            line += 1
            if len(text) > MAX_RECORD:
                raise BadInput(
                    "too_large", f"line {line} is longer than {MAX_RECORD >> 20} MiB: these are no JSON lines"
                )
            done += len(text)
            if text.strip():
                with located(first + len(values), [line].__getitem__):
                    values.append(_loaded(text))
                lines.append(line)
                size += len(text)
            if values and (not text or len(values) == n_rows or size >= MOST_BYTES):
                yield chunk()
                first += len(values)
                values, lines, size = [], [], 0
            if not text:
                break
        if not first:
            raise BadInput("empty", "the input has no rows")

    def _json(self, schema: InputSchema, choice: Choice, n_rows: int) -> Iterator[Chunk]:
        body = self._file.read(MAX_JSON + 1)
        if len(body) > MAX_JSON:
            raise BadInput(
                "too_large",
                f"a JSON document has to be read whole, and this one is larger than {MAX_JSON >> 20} MiB: write it as "
                "JSON lines (one object for each row), CSV or Parquet",
            )
        with located(0):
            if not choice:
                payload = read_payload(body, JSON, schema)
                yield Chunk(payload.data, payload.n_rows, 0, len(body), params=payload.params)
                return
            records, params = choice.records_of(strict_json.loads(body, forms.count_keys))
        for start in range(0, len(records), n_rows):
            part = records[start : start + n_rows]
            with located(start):
                rows, kept = choice.split_records(part, schema, is_first=not start)
                data, count = forms.from_list(rows, schema)
            done = len(body) * (start + count) // len(records)
            yield Chunk(data, count, start, done, kept, params)

    def _open_parquet(self) -> None:
        from autotrack.serving.arrow import read_problem

        pa = _pyarrow()
        from pyarrow import parquet

        try:
            self._parquet_file = parquet.ParquetFile(self._file)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise read_problem("not_parquet", "a Parquet file", error) from None
        self.total = self._parquet_file.metadata.num_rows

    def _parquet(self, schema: InputSchema, choice: Choice, n_rows: int) -> Iterator[Chunk]:
        meta = self._parquet_file.metadata
        size = sum(meta.row_group(place).total_byte_size for place in range(meta.num_row_groups))
        per_row = max(size // max(meta.num_rows, 1), 1)
        batches = self._parquet_file.iter_batches(
            batch_size=max(min(n_rows, MOST_BYTES // per_row), 1), use_threads=False
        )
        return self._tables(batches, self._parquet_file.schema_arrow, schema, choice, "not_parquet")

    def _arrow(self, schema: InputSchema, choice: Choice, n_rows: int) -> Iterator[Chunk]:
        from autotrack.serving.arrow import read_problem

        pa = _pyarrow()
        try:
            file: Any = self._file if hasattr(self._file, "peek") else io.BufferedReader(self._file)
            head = file.peek(len(_ARROW_FILE))[: len(_ARROW_FILE)]
            if head == _ARROW_FILE:
                if self.place == STDIN:
                    file = self._seekable(file)
                reader = pa.ipc.open_file(file)
                found = map(reader.get_batch, range(reader.num_record_batches))
            else:
                reader = pa.ipc.open_stream(file)
                found = iter(reader)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise read_problem("not_arrow", "an Arrow file or stream", error) from None

        def parts() -> Iterator[Any]:
            for batch in found:
                batch.validate(full=True)
                per_row = max(batch.nbytes // max(batch.num_rows, 1), 1)
                step = max(min(n_rows, MOST_BYTES // per_row), 1)
                for start in range(0, batch.num_rows, step):
                    yield batch.slice(start, step)

        return self._tables(parts(), reader.schema, schema, choice, "not_arrow")

    def _tables(
        self, batches: Iterator[Any], arrow_schema: Any, schema: InputSchema, choice: Choice, code: str
    ) -> Iterator[Chunk]:
        from autotrack.serving.arrow import from_table, index_names, read_problem

        pa = _pyarrow()
        first = 0
        places: tuple[list[int], list[int]] | None = None
        if choice:
            index = set(index_names(pa.Table.from_batches([], arrow_schema))) - set(schema.places)
            names = [name for name in arrow_schema.names if name not in index]
            choice.check(names)
            split = choice.places(names, schema)
            where = [arrow_schema.names.index(name) for name in names]
            places = [where[place] for place in split.model], [where[place] for place in split.kept]
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise read_problem(code, "readable", error) from None
            if batch is None:
                break
            if not batch.num_rows:
                continue
            table = pa.Table.from_batches([batch], arrow_schema)
            kept = {}
            if places is not None:
                kept = {arrow_schema.names[place]: table.column(place) for place in places[1]}
                table = table.select(places[0])
            with located(first):
                data, count = from_table(table, schema)
            first += count
            yield Chunk(data, count, first - count, first, kept)
        if not first:
            with located(0):
                from_table(pa.Table.from_batches([], arrow_schema), schema)


@contextmanager
def located(first_row: int, line_of: Callable[[int], int | None] | None = None, span: str = "") -> Iterator[None]:
    """A block in which a problem's row becomes that of the file.

    Parameters
    ----------
    first_row : the number in the file of the chunk's first row.
    line_of : from a row of the chunk to its line in the file.
    span : where the chunk stands, for problems that name no row.
    """
    try:
        yield
    except BadInput as problem:
        message = re.sub(r"^the request\b", "the input", problem.message)
        row = problem.row
        if row is not None:
            line = line_of(row) if line_of is not None else None
            whole = f"row {first_row + row} (counted from 0{'' if line is None else f'; line {line}'})"
            place = rf"row {row} \(counted from 0(, without the header)?\)"
            message, count = re.subn(place, whole, message, count=1)
            if not count:
                message = f"{whole}: {message}"
            row += first_row
        elif span and problem.code in ("not_csv", "model_refused"):
            message = f"{message} (in {span})"
        raise BadInput(problem.code, message, status=problem.status, columns=problem.columns, row=row) from problem


def form_of(place: str, what: str, forms_: Sequence[str]) -> str:
    """The format that the ending of a file's name says.

    Raises
    ------
    ModelError
        When it says none of these.
    """
    if place == STDIN:
        raise ModelError(f"--{what} - needs --{what}-format: one of {', '.join(forms_)}")
    form = ENDINGS.get(Path(place).suffix.lower(), "")
    if form not in forms_:
        raise ModelError(
            f"--{what} {show(place)}: the name does not end in one of "
            f"{', '.join(ending for ending, name in ENDINGS.items() if name in forms_)}; say what it is with "
            f"--{what}-format"
        )
    return form


def _record(file: BinaryIO, line: int, place: str) -> tuple[bytes, int]:
    """One record of CSV, and the number of the line behind it: quoted values may hold line ends."""
    return _records(file, line, 1, place)


def _records(file: BinaryIO, line: int, count: int, place: str) -> tuple[bytes, int]:
    parts: list[bytes] = []
    is_open = False
    size = opened = found = 0
    while found < count and (size < MOST_BYTES or is_open):
        text = file.readline(MAX_RECORD + 1)
        if not text:
            break
        if text.count(b'"') % 2:
            is_open = not is_open
            opened = line
        if len(text) > MAX_RECORD or (is_open and size > 2 * MAX_RECORD):
            why = f"a quote in line {opened} is not closed" if is_open else f"line {line} is longer"
            raise BadInput("not_csv", f"the input is not CSV: {why} within {MAX_RECORD >> 20} MiB")
        parts.append(text)
        size += len(text)
        line += 1
        found += not is_open
    return b"".join(parts), line


def _ended(header: bytes) -> bytes:
    return header if not header or header.endswith(b"\n") else header + b"\n"


def _is_one_column(header: bytes, schema: InputSchema) -> bool:
    """Whether an empty line is a row, of one missing value."""
    return len(schema.columns or ()) == 1 or len(next(iter(_split(header)), [])) == 1


def _split(content: bytes) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except UnicodeDecodeError:
        raise BadInput("not_csv", "the request is not text in UTF-8") from None
    except csv.Error as error:
        raise BadInput("not_csv", f"the request is not CSV: {error}") from None


def _choose(
    header: bytes, body: bytes, names: Sequence[str], schema: InputSchema, choice: Choice
) -> tuple[bytes, dict[str, list[str]]]:
    """The CSV that the model is to get, and the columns that are kept, as the texts that they are."""
    rows = _split(body)
    rows = [row or [""] for row in rows] if len(names) == 1 else [row for row in rows if row]
    for number, row in enumerate(rows):
        if len(row) != len(names):
            message = f"row {number} (counted from 0) holds {len(row)} values, the header names {len(names)}"
            raise BadInput("ragged_rows", message, row=number)
    split = choice.places(names, schema)
    kept = {names[place]: [row[place] for row in rows] for place in split.kept}
    if len(split.model) == len(names):
        return _ended(header) + body, kept
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([names[place] for place in split.model])
    writer.writerows([row[place] for place in split.model] for row in rows)
    return buffer.getvalue().encode(), kept


def _csv_locator(body: bytes, start: int) -> Callable[[int], int | None]:
    def line_of(row: int) -> int | None:
        reader = csv.reader(io.StringIO(body.decode("utf-8", "replace"), newline=""))
        number, line = -1, start
        try:
            for values in reader:
                number += bool(values)
                if number == row:
                    return line
                line = start + reader.line_num
        except csv.Error:
            pass
        return None

    return line_of


def _loaded(text: bytes) -> Any:
    try:
        return strict_json.loads(text, lambda value: len(value) if type(value) is dict else 0)
    except BadInput as problem:
        raise BadInput(problem.code, problem.message, columns=problem.columns, row=0) from None


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise ModelError("Arrow and Parquet files need pyarrow: pip install 'autotrack[parquet]'") from None
    return pa
