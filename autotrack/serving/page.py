"""The page at ``/``: a row to type, its prediction, and the line that asks for the same from a terminal.

It is one file without anything from elsewhere, and its policy lets a browser run nothing but its own script. What comes
from the model, which others may have made, is escaped wherever it stands.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Final, NamedTuple

from autotrack.serving.schema import Column, InputSchema

MOST_FIELDS: Final = 200
"""A model with more columns gets one field, for the whole row in JSON."""

_KINDS: Final = {
    "boolean": ("boolean", "true or false"),
    "integer": ("number", "whole number"),
    "long": ("number", "whole number"),
    "float": ("number", "number"),
    "double": ("number", "number"),
    "string": ("string", "text"),
    "datetime": ("string", "date and time"),
    "binary": ("string", "base64"),
    "any": ("any", "number or text"),
}
_NESTED: Final = ("json", "JSON")


class Page(NamedTuple):
    """The page's bytes, and its Content-Security-Policy."""

    body: bytes
    policy: str


def render_page(
    name: str,
    about: str,
    schema: InputSchema,
    *,
    methods: Sequence[str] = ("predict",),
    classes: Sequence[Any] | None = None,
    example: Any = None,
    has_token: bool = False,
) -> Page:
    """Make the page.

    Parameters
    ----------
    name, about : its title and the line below.
    methods : of the model, those that can be asked for; the first is what is called without asking.
    classes : labels of a classifier's probabilities, in their order.
    example : the serving input example as JSON gives it, from which the fields are filled; ``None`` for none.
    has_token : whether the curl line has to send one.
    """
    form, columns = _fields_of(schema)
    values = _first_row(example, schema)
    fields = [_field(place, column, values) for place, column in enumerate(columns)]
    spec: dict[str, Any] = {"form": form, "token": has_token}
    if form == "split":
        spec["columns"] = [column.name for column in columns]
    if classes is not None:
        spec["classes"] = [str(label) for label in classes]
    folder = files("autotrack.serving") / "static"
    style, script = ((folder / f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    body = Template((folder / "page.html").read_text("utf-8")).substitute(
        title=escape(f"{name}: predict"),
        name=escape(name),
        about=escape(about),
        style=style,
        script=script,
        fields="\n".join(fields),
        methods=_methods(methods),
        curl=escape("curl …/invocations -H 'Content-Type: application/json' -d '{…}'"),
        spec=_in_script(spec),
    )
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(body.encode("utf-8", "replace"), policy)


def _fields_of(schema: InputSchema) -> tuple[str, list[Column]]:
    """How the request is built (``split``, ``rows``, ``values``, ``whole``), and the fields."""
    if schema.flat:
        column = (schema.columns or (Column(None, "string"),))[0]
        return "values", [Column("text" if column.name is None else column.name, column.type, nullable=column.nullable)]
    if schema.columns is not None and len(schema.columns) <= MOST_FIELDS:
        if schema.named:
            return "split", list(schema.columns)
        return "rows", [
            Column(place, column.type, nullable=column.nullable) for place, column in enumerate(schema.columns)
        ]
    if schema.tensor is not None and schema.width is not None and schema.width <= MOST_FIELDS:
        dtype = schema.tensor.dtype
        kind = "double" if dtype.startswith("float") else "long" if dtype.startswith(("int", "uint")) else "any"
        return "rows", [Column(place, "boolean" if dtype == "bool" else kind) for place in range(schema.width)]
    return "whole", [Column("rows", "array")]


def _field(place: int, column: Column, values: Sequence[Any] | None) -> str:
    kind, words = _KINDS.get(column.type, _NESTED)
    value = values[place] if values is not None and place < len(values) else None
    name = escape(str(column.name), quote=True)
    attributes = f'id="field-{place}" data-place="{place}" data-name="{name}" data-kind="{kind}"'
    if column.nullable:
        attributes += ' data-optional="1"'
        words += ", may be left out"
    text = _as_typed(value, kind)
    wide = ""
    if kind == "boolean":
        chosen = [("true", "true"), ("false", "false")] + ([("", "(missing)")] if column.nullable else [])
        options = "".join(
            f'<option value="{one}"{" selected" if one == text else ""}>{shown}</option>' for one, shown in chosen
        )
        control = f"<select {attributes}>{options}</select>"
    elif kind == "json":
        wide = ' class="wide"'
        control = f'<textarea {attributes} spellcheck="false">{escape(text) or "[[]]"}</textarea>'
    else:
        mode = ' inputmode="decimal"' if kind == "number" else ""
        control = f'<input type="text" {attributes}{mode} value="{escape(text, quote=True)}" spellcheck="false">'
    label = f'<span class="name">{name}</span> <span class="kind">{escape(words)}</span>'
    return f'<label for="field-{place}"{wide}>{label}{control}</label>'


def _methods(methods: Sequence[str]) -> str:
    if len(methods) < 2:
        return ""
    options = "".join(f"<option>{escape(method)}</option>" for method in methods)
    return f'<label for="method"><span class="name">Method</span><select id="method">{options}</select></label>'


def _as_typed(value: Any, kind: str) -> str:
    if value is None:
        return ""
    if kind == "json":
        return json.dumps(value)
    return value if isinstance(value, str) else json.dumps(value)


def _first_row(example: Any, schema: InputSchema) -> list[Any] | None:
    """The first row of an input example, in the order of the fields; ``None`` where there is none to be found."""
    if not isinstance(example, Mapping):
        return None
    split = example.get("dataframe_split")
    if isinstance(split, Mapping) and isinstance(split.get("data"), list) and split["data"]:
        row = split["data"][0]
        if not isinstance(row, list):
            return None
        names = split.get("columns")
        if schema.named and isinstance(names, list) and len(names) == len(row):
            by_name = {str(name): value for name, value in zip(names, row)}
            return [by_name.get(str(name)) for name in schema.names]
        return row
    inputs = example.get("inputs")
    if isinstance(inputs, list) and inputs:
        if schema.width is not None and not schema.flat and isinstance(inputs[0], list):
            return inputs[0]
        return [inputs[0] if schema.flat else inputs[:1]]
    return None


def _in_script(data: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
