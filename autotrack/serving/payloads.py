"""The body of a request as what the model takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from autotrack.serving import forms
from autotrack.serving.media import ARROW_FILE, ARROW_STREAM, CSV, JSON, PARQUET_TYPES, READ
from autotrack.serving.problems import BadInput, show
from autotrack.serving.schema import InputSchema


@dataclass(frozen=True, slots=True)
class Payload:
    """What a request asks for.

    Parameters
    ----------
    data : what the model's method is called with: a DataFrame where the model has columns, else an array.
    n_rows : rows in it, at least one.
    params : the request's ``params``, not looked into.
    form : what it came as: ``columns``, ``dataframe_split``, ``dataframe_records``, ``list``, ``instances``,
        ``inputs``, ``csv``, ``arrow`` or ``parquet``.
    """

    data: Any
    n_rows: int
    params: dict[str, Any] = field(default_factory=dict)
    form: str = ""


def read_payload(
    body: bytes | memoryview, content_type: str | None, schema: InputSchema, *, max_rows: int | None = None
) -> Payload:
    """Read a request's body and check it against what the model takes.

    Parameters
    ----------
    body : as it came, decompressed.
    content_type : the header's value; ``None`` or empty for JSON.
    max_rows : more are refused; ``None`` for no limit.

    Raises
    ------
    BadInput
        For whatever cannot be read or does not fit, and for nothing else.
    """
    kind, parameters = parse_content_type(content_type)
    if kind == JSON or kind.endswith("+json"):
        charset = parameters.get("charset", "utf-8").lower()
        if charset not in ("utf-8", "utf8", "us-ascii", "ascii"):
            raise BadInput("unknown_format", f"JSON is read in UTF-8, not in {show(charset)}", status=415)
        return Payload(*forms.read_json(body, schema, max_rows))
    data: Any
    if kind == CSV:
        from autotrack.serving.delimited import read_csv

        data, n_rows = read_csv(body, parameters, schema, max_rows)
        return Payload(data, n_rows, form="csv")
    if kind in (ARROW_STREAM, ARROW_FILE):
        from autotrack.serving.arrow import read_arrow

        data, n_rows = read_arrow(body, schema, max_rows, is_file=kind == ARROW_FILE)
        return Payload(data, n_rows, form="arrow")
    if kind in PARQUET_TYPES:
        from autotrack.serving.arrow import read_parquet

        data, n_rows = read_parquet(body, schema, max_rows)
        return Payload(data, n_rows, form="parquet")
    raise BadInput(
        "unknown_format", f"the content type {show(content_type)} is not read; send {', '.join(READ)}", status=415
    )


def parse_content_type(text: str | None) -> tuple[str, dict[str, str]]:
    """A content type in lower case, and its parameters; JSON where there is none."""
    if not text:
        return JSON, {}
    if text == JSON:
        return text, {}
    kind, _, rest = text.partition(";")
    parameters = {}
    if rest:
        message = Message()
        message["Content-Type"] = text
        parameters = {str(key).lower(): str(value) for key, value in message.get_params(failobj=[])[1:]}
    return kind.strip().lower(), parameters
