"""What is wrong with a request, in words and in a form that programs read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from autotrack.errors import AutotrackError

MAX_SHOWN: Final = 80
"""Characters of a client's value that a message repeats."""

_NAMED: Final = 20
"""Columns that a message names; all of them stand in ``columns``."""


class BadInput(AutotrackError):
    """A request that cannot be answered, by the client's mistake.

    Parameters
    ----------
    code : machine-readable: ``missing_column``, ``unexpected_column``, ``duplicate_column``, ``wrong_type``,
        ``wrong_length``, ``missing_value``, ``ragged_rows``, ``empty``, ``not_json``, ``not_csv``, ``not_arrow``,
        ``not_parquet``, ``too_deep``, ``too_large``, ``unknown_format``, ``unknown_form``, ``unexpected_field``,
        ``unknown_parameter``, ``model_refused``.
    message : names the column, the row, the value and the way out.
    status : 400, 413 (too large) or 415 (a content type that is not read).
    columns : names of the columns that it is about.
    row : number of the row that it is about, counted from 0.
    """

    def __init__(
        self, code: str, message: str, *, status: int = 400, columns: Iterable[Any] = (), row: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.columns = tuple(str(column) for column in columns)
        self.row = row

    def to_json(self) -> dict[str, Any]:
        """The answer's JSON: ours under ``error``, beside it the two keys that clients of MLflow look for."""
        return {
            "error": {"code": self.code, "message": self.message, "columns": list(self.columns), "row": self.row},
            "error_code": "BAD_REQUEST",
            "message": self.message,
        }


def show(value: Any) -> str:
    """A client's value for a message: short, in one line, and safe to encode."""
    kind = type(value)
    if kind is dict or kind is list or kind is tuple:
        return f"{'an object' if kind is dict else 'a list'} of {len(value)}"
    if kind is bool or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python prints
        text = "a number of more digits than are read"
    if len(text) > MAX_SHOWN:
        text = f"{text[:MAX_SHOWN]}…"
    return text.encode("utf-8", "replace").decode()


def name_list(names: Iterable[Any]) -> str:
    """Names for a message: quoted, the first twenty."""
    listed = list(names)
    text = ", ".join(show(str(name)) for name in listed[:_NAMED])
    return text if len(listed) <= _NAMED else f"{text} and {len(listed) - _NAMED} more"


def place(column: Any, row: int | None) -> str:
    """Where a value stands, for a message."""
    where = [] if column is None else [f"column {show(str(column))}"]
    if row is not None:
        where.append(f"row {row} (counted from 0)")
    return ", ".join(where) or "the request"
