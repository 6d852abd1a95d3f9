"""Content types that are read and written."""

from __future__ import annotations

from typing import Final

JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"
ARROW_FILE: Final = "application/vnd.apache.arrow.file"
PARQUET: Final = "application/vnd.apache.parquet"
PARQUET_TYPES: Final = (PARQUET, "application/x-parquet")
READ: Final = (JSON, CSV, ARROW_STREAM, ARROW_FILE, *PARQUET_TYPES)
