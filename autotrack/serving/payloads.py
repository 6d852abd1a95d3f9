"""The body of a request as what the model takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from autotrack.serving import forms
from autotrack.serving.media import JSON
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
    raise BadInput("unknown_format", f"the content type {show(content_type)} is not read", status=415)


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


Reader = Callable[[bytes, dict[str, str], InputSchema, int | None], Payload]
