"""CSV, as pandas and spreadsheets write it: texts that become values by the model's types."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from autotrack.serving import frames, tables
from autotrack.serving.forms import check_rows
from autotrack.serving.problems import BadInput, show
from autotrack.serving.schema import ANY, Column, InputSchema

MISSING: Final = frozenset(
    {
        "",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
    }
)
"""What pandas reads as missing. In a text column that is never missing, only an empty cell is."""

LARGE: Final = 4096
"""Bytes from which on pyarrow reads faster than Python, by twenty times; its import costs more than a small request."""

_EMPTY: Final = frozenset({""})
_FLAGS: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("1", "1.0"), True),
    **dict.fromkeys(("0", "0.0"), False),
}
_UTF8: Final = ("utf-8", "utf8")
_UNICODE: Final = ("utf-8", "utf8", "utf-8-sig", "utf-16", "utf-16le", "utf-16be", "utf-32", "ascii", "us-ascii")
_REGIONAL: Final = ("latin-1", "latin1", "shift_jis", "euc-jp", "euc-kr", "gb18030", "big5", "koi8-r")
_CHARSETS: Final = frozenset(
    {
        *_UNICODE,
        *_REGIONAL,
        *(f"iso-8859-{part}" for part in range(1, 17) if part != 12),
        *(f"windows-125{part}" for part in range(9)),
    }
)
"""Named here one by one: Python has decoders that run for a very long time, and some that decode no text."""


def read_csv(
    body: bytes | memoryview, parameters: dict[str, str], schema: InputSchema, max_rows: int | None
) -> tuple[Any, int]:
    """Read CSV with a header line, as RFC 4180 has it.

    Parameters
    ----------
    parameters : of the content type: ``charset``, and ``header=absent`` for data without a header line, which is
        taken by position.

    Raises
    ------
    BadInput
        With the column and the row that do not fit; rows are counted from 0, without the header.
    """
    charset = parameters.get("charset", "utf-8").lower()
    has_header = parameters.get("header", "present").lower() != "absent"
    if has_header and charset in _UTF8 and len(body) >= LARGE:
        frame = _read_fast(bytes(body), schema)
        if frame is not None:
            return frames.from_frame(frame, schema), check_rows(len(frame), max_rows)
    lines = _lines(_decode(body, charset))
    names: list[str] | None = None
    if has_header and lines:
        names, *lines = lines
        if not names:
            raise BadInput("empty", "the request has no header line: the first line has to name the columns")
    if len(schema.columns or ()) == 1 or (names is not None and len(names) == 1):
        lines = [line or [""] for line in lines]
    lines = [line for line in lines if line]
    n_rows = check_rows(len(lines), max_rows)
    width = len(names) if names is not None else len(lines[0])
    if set(map(len, lines)) != {width}:
        row = next(row for row, line in enumerate(lines) if len(line) != width)
        raise BadInput(
            "ragged_rows",
            f"row {row} (counted from 0, without the header) holds {len(lines[row])} values, "
            f"{'the header names' if names is not None else 'others hold'} {width}",
            row=row,
        )
    specs = _specs(names, width, schema)
    columns = [_values(texts, spec) for texts, spec in zip(zip(*lines), specs)]
    if names is not None and schema.named and not schema.flat:
        tables.match(names, schema)
        return tables.from_columns(dict(zip(names, columns)), schema), n_rows
    return tables.from_rows(names, list(zip(*columns)), schema), n_rows


def _read_fast(body: bytes, schema: InputSchema) -> pd.DataFrame | None:
    """CSV of numbers and texts by pyarrow; ``None`` for what it does not read, so that the slow way says why."""
    kinds = {"double": "float64", "float": "float64", "long": "int64", "integer": "int64", "string": "string"}
    tensor = schema.tensor is not None and schema.tensor.dtype == "float64" and schema.width is not None
    known = (
        schema.named
        and not schema.flat
        and all(
            column.type in kinds and not (column.type == "string" and column.nullable)
            for column in schema.columns or ()
        )
    )
    if not (tensor or known) or body.count(b'"') % 2:  # pyarrow takes a text that is cut off for a whole one
        return None
    try:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv
    except ImportError:
        return None
    if tensor:
        end = body[:65536].find(b"\n")
        names = next(iter(_lines(_decode(body[: max(end, 0)], "utf-8"))), [])
        types = {name: pa.float64() for name in names}
    else:
        types = {str(column.name): getattr(pa, kinds[column.type])() for column in schema.columns or ()}
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(pa.py_buffer(body)),
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(column_types=types, null_values=sorted(MISSING)),
        )
        frame: pd.DataFrame = table.rename_columns(list(map(str, range(table.num_columns)))).to_pandas(
            use_threads=False
        )
    except (pa.ArrowException, ValueError):
        return None
    frame.columns = table.column_names
    texts = [place for place, kind in enumerate(table.schema.types) if kind == pa.string()]
    if len(frame.columns) == 1 or any(frame.iloc[:, place].eq("").any() for place in texts):
        return None
    return frame


def _decode(body: bytes | memoryview, charset: str) -> str:
    if charset not in _CHARSETS:
        raise BadInput(
            "unknown_format", f"CSV in {show(charset)} is not read, only in UTF-8 and the usual others", status=415
        )
    if charset in _UTF8:
        charset = "utf-8-sig"  # spreadsheets begin with a mark
    try:
        return str(body, charset)
    except UnicodeDecodeError as error:
        raise BadInput("not_csv", f"the request is not text in {charset}: byte {error.start} is not") from None


def _lines(text: str) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise BadInput("not_csv", f"the request is not CSV: {error}") from None


def _specs(names: Sequence[str] | None, width: int, schema: InputSchema) -> Sequence[Column]:
    """What each column of the text is to be; the checks against the model come later."""
    unknown = Column(None, ANY, nullable=True)
    if schema.columns is not None:
        if names is None or not schema.named or schema.flat:
            return (*schema.columns, *[unknown] * width)[:width]
        places = schema.places
        return [schema.columns[places[name]] if name in places else unknown for name in names]
    if schema.tensor is not None:
        dtype = schema.tensor.dtype
        kinds = {"str": "string", "bool": "boolean", "bytes": "binary", "object": ANY, ANY: ANY}
        kind = kinds.get(dtype, "datetime" if dtype.startswith("datetime64") else "double")
        return [Column(None, kind, nullable=True)] * width
    return [unknown] * width


def _values(texts: Sequence[str], spec: Column) -> Sequence[Any]:
    kind = spec.type
    if kind in ("double", "float", "long", "integer"):
        return _numbers(texts, whole=kind in ("long", "integer"))
    if kind == "boolean":
        return [None if text in MISSING else _FLAGS.get(text, text) for text in texts]
    if kind == ANY:
        return _guessed(texts)
    missing = MISSING if spec.nullable or kind in ("datetime", "binary") else _EMPTY
    if missing.isdisjoint(texts):
        return texts
    return [None if text in missing else text for text in texts]


def _numbers(texts: Sequence[str], *, whole: bool) -> Sequence[Any]:
    """Numbers where they are, the text where it is none: what is wrong with it is said by those who check types."""
    try:
        if "_" in "".join(texts):  # Python's own digit groups
            raise ValueError
        return list(map(int if whole else float, texts))
    except ValueError:
        return [_number(text) for text in texts]


def _number(text: str) -> Any:
    if text in MISSING:
        return None
    if "_" in text:
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _guessed(texts: Sequence[str]) -> Sequence[Any]:
    """Whole numbers, numbers, flags or texts, as pandas would guess."""
    values = [_number(text) for text in texts]
    kinds = set(map(type, values))
    if str not in kinds:
        return values
    if kinds <= {str, type(None)} and all(value is None or value in _BOOLEANS for value in values):
        return [None if value is None else _FLAGS[value] for value in values]
    return [None if text in MISSING else text for text in texts]


_BOOLEANS: Final = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
