"""What a file holds, as far as it can be shown without running or unpickling anything: bounded in every direction."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from autotrack.digests import open_file

IMAGES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
PAGES: Final = (".html", ".htm")
TEXT: Final = 256 * 1024
"""Bytes of a text that are shown."""

_JSON: Final = 2**20
_ROWS: Final = 200
_COLUMNS: Final = 60
_CELL: Final = 200
_PARQUET_GROUP: Final = 512 * 2**20
_TABLES: Final = {".csv": ",", ".tsv": "\t"}

Preview = dict[str, Any]


def preview(path: Path) -> Preview:
    """What to show of a file.

    Returns
    -------
    ``kind``: ``"image"``, ``"page"`` (to be shown in a sandbox), ``"text"`` with ``text``, ``"table"`` with ``columns``
    and ``rows``, or ``"none"`` with ``reason``. ``note`` says what was left out.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    ending = path.suffix.lower()
    if ending in IMAGES:
        return {"kind": "image"}
    if ending in PAGES:
        return {"kind": "page"}
    if ending == ".parquet":
        return _parquet(path)
    with open_file(path) as file:
        content = file.read((_JSON if ending == ".json" else TEXT) + 1)
    if b"\0" in content[:8192]:
        return _none("it is no text")
    reader: Callable[[bytes], Preview] = _text
    if ending in _TABLES:
        delimiter = _TABLES[ending]
        return _table(content, delimiter)
    if ending == ".json":
        reader = _json
    return reader(content)


def _none(reason: str) -> Preview:
    return {"kind": "none", "reason": reason}


def _text(content: bytes) -> Preview:
    note = f"the first {TEXT // 1024} kB" if len(content) > TEXT else ""
    text = content[:TEXT].decode("utf-8", "replace")
    if text.count("\ufffd") > len(text) / 10:
        return _none("it is no text")
    return {"kind": "text", "text": text, "note": note}


def _json(content: bytes) -> Preview:
    if len(content) > _JSON:
        return _text(content)
    try:
        pretty = json.dumps(json.loads(content), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return _text(content)
    return _text(pretty.encode("utf-8", "replace"))


def _table(content: bytes, delimiter: str) -> Preview:
    text = content[:TEXT].decode("utf-8", "replace")
    is_cut = len(content) > TEXT
    if is_cut:
        text = text[: text.rfind("\n") + 1]
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            rows.append(row)
            if len(rows) > _ROWS:
                break
    except csv.Error:
        return _text(content)
    if not rows:
        return {"kind": "text", "text": text, "note": ""}
    head, body = rows[0], rows[1 : _ROWS + 1]
    more = is_cut or len(rows) > _ROWS
    return _shown(head, body, f"the first {len(body):,} rows" if more else "")


def _shown(columns: list[str], rows: list[list[str]], note: str) -> Preview:
    width = max([len(columns), *(len(row) for row in rows)])
    if width > _COLUMNS:
        note = "; ".join(part for part in (note, f"{_COLUMNS} of {width:,} columns") if part)
    return {
        "kind": "table",
        "columns": [name[:_CELL] for name in columns[:_COLUMNS]],
        "rows": [[cell[:_CELL] for cell in row[:_COLUMNS]] for row in rows],
        "note": note,
    }


def _parquet(path: Path) -> Preview:
    """The first rows. pyarrow is imported here only: most servers are never asked for it."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        return _none("pyarrow is not installed beside the server, which could show its first rows")
    try:
        with parquet.ParquetFile(path) as file:
            about = file.metadata
            names = list(file.schema_arrow.names)[:_COLUMNS]
            if about.num_row_groups and about.row_group(0).total_byte_size > _PARQUET_GROUP:
                return _none(f"its first group of rows is too large to be looked into ({about.num_rows:,} rows in all)")
            batch = next(file.iter_batches(batch_size=_ROWS, columns=names), None)
            rows = [] if batch is None else [[_cell(value) for value in row.values()] for row in batch.to_pylist()]
            kinds = [str(field.type) for field in file.schema_arrow][:_COLUMNS]
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        return _none(f"it cannot be read as Parquet: {str(error)[:300]}")
    total = about.num_rows
    shown = _shown(names, rows, f"{len(rows):,} of {total:,} rows" if total > len(rows) else "")
    if about.num_columns > _COLUMNS:
        shown["note"] = f"{shown['note']}; {_COLUMNS} of {about.num_columns:,} columns".removeprefix("; ")
    return {**shown, "types": kinds}


def _cell(value: Any) -> str:
    return "" if value is None else str(value)[:_CELL]
