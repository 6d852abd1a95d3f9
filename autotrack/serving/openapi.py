"""The interface in OpenAPI 3.1, made from what the model takes.

What it says can be sent is accepted, as far as JSON Schema can say it: that lists are of one length, or that columns
may come in any order, stands in words beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from autotrack.serving.media import ARROW_FILE, ARROW_STREAM, CSV, PARQUET
from autotrack.serving.schema import Column, InputSchema

_TOO_LARGE: Final = float(2**128 - 2**103)
"""The least number that becomes infinite in 32 bits."""
_TYPES: Final[dict[str, dict[str, Any]]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    # The largest double below 2**63: many clients have no other numbers, and 2**63 - 1 becomes 2**63 in them.
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1024},
    "float": {"type": "number", "exclusiveMinimum": -_TOO_LARGE, "exclusiveMaximum": _TOO_LARGE},
    "double": {"type": "number"},
    "string": {"type": "string"},
    "datetime": {
        "type": "string",
        "pattern": "^(19[0-9]{2}|20[0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
        "(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?$",
    },
    "binary": {
        "type": "string",
        "contentEncoding": "base64",
        "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    },
    "array": {"type": "array"},
    "object": {"type": "object"},
    "map": {"type": "object"},
}
_CELLS: Final = {
    "boolean": "(true|false)",
    "integer": "-?[1-9][0-9]{0,8}",
    "long": "-?[1-9][0-9]{0,15}",
    "float": r"-?[0-9]{1,9}(\.[0-9]{1,6})?",
    "double": r"-?[0-9]{1,12}(\.[0-9]{1,9})?",
    "string": "[A-Za-z][A-Za-z0-9 ]{0,20}[a-z]",
    "datetime": "20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])",
}
_WORDS: Final = {
    400: "What was sent is not what the model takes; the message names the column.",
    401: "No token, or another one.",
    405: "Another method than those described here.",
    408: "The request did not arrive in time.",
    413: "The body is larger than this server reads.",
    415: "A content type or content encoding that is not read.",
    500: "The model failed.",
    503: "Too many requests wait; send it again later.",
}


def describe(
    name: str,
    about: str,
    schema: InputSchema,
    *,
    methods: Sequence[str] = ("predict",),
    has_token: bool = False,
    example: Any = None,
) -> dict[str, Any]:
    """The document.

    Parameters
    ----------
    name, about : title and description of the model.
    methods : of the model, those that can be asked for by ``params``.
    has_token : whether the server asks for one.
    example : a request, as JSON gives it.
    """
    from autotrack import __version__

    request = _request_body(schema, methods, example)
    errors = [400, *([401] if has_token else []), 408, 413, 415, 500, 503]
    answered = {
        "description": "The predictions, one for each row, in the order of the rows.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Predictions"}},
            CSV: {},
            ARROW_STREAM: {},
            PARQUET: {},
        },
    }
    components: dict[str, Any] = {"schemas": {"Predictions": _PREDICTIONS, "Error": _ERROR}}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "summary": "A model served by autotrack.",
            "description": about,
            "version": __version__,
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/invocations": {
                "post": {
                    "operationId": "predict",
                    "summary": "Predict for rows",
                    "requestBody": request,
                    "responses": {"200": answered} | {str(status): _error(status) for status in errors},
                }
            },
            "/ping": {"get": _read("ping", "Whether the server answers", "application/json")},
            "/health": {"get": _read("health", "Whether the server answers", "application/json")},
            "/version": {
                "get": _read("version", "Release of MLflow whose protocol this is", "application/json", has_token)
            },
            "/metrics": {"get": _read("metrics", "Counters, in Prometheus' text format", "text/plain", has_token)},
            "/openapi.json": {"get": _read("openapi", "This document", "application/json", has_token)},
            "/": {"get": _read("page", "A page on which to try a row", "text/html", has_token)},
        },
        "components": components,
    }
    if has_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, item in document["paths"].items():
            for operation in item.values():
                operation["security"] = [] if path in ("/ping", "/health") else [{"token": []}]
    return document


_PREDICTIONS: Final = {
    "type": "object",
    "required": ["predictions"],
    "properties": {"predictions": {"type": "array", "minItems": 1}},
}
_ERROR: Final = {
    "type": "object",
    "required": ["error", "error_code", "message"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "columns": {"type": "array", "items": {"type": "string"}},
                "row": {"type": ["integer", "null"], "description": "Number of the row, from 0."},
            },
        },
        "error_code": {"type": "string", "description": "As MLflow's scoring server has it."},
        "message": {"type": "string"},
    },
}


def _error(status: int) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": _WORDS[status], "content": content}


def _read(operation: str, summary: str, media_type: str, has_token: bool = False) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": summary, "content": {media_type: {}}}}
    if has_token:
        responses["401"] = _error(401)
    return {"operationId": operation, "summary": summary, "responses": responses}


def _request_body(schema: InputSchema, methods: Sequence[str], example: Any) -> dict[str, Any]:
    forms, extra = _forms(schema)
    properties: dict[str, Any] = {}
    if len(methods) > 1:
        chosen = {"type": "object", "properties": {"predict_method": {"enum": list(methods)}}}
        properties = {"params": chosen | {"additionalProperties": False}}
    schemas: list[dict[str, Any]] = [
        {
            "title": title,
            "description": words,
            **_object(own, properties),
        }
        for title, words, own in forms
    ]
    content: dict[str, Any] = {"application/json": {"schema": {"anyOf": [*schemas, *extra]}}}
    if isinstance(example, dict):
        content["application/json"]["example"] = example
    if (csv := _csv(schema)) is not None:
        content[CSV] = {"schema": csv}
    if schema.columns is not None and not schema.flat:
        content |= {ARROW_STREAM: {}, ARROW_FILE: {}, PARQUET: {}}
    return {"required": True, "content": content}


_Form = tuple[str, str, dict[str, Any]]


def _forms(schema: InputSchema) -> tuple[list[_Form], list[dict[str, Any]]]:
    """The forms in which JSON carries rows: title, description and what each has to have; and bare lists."""
    if schema.flat:
        values = _list(_value((schema.columns or (Column(None, "string"),))[0]))
        return [("inputs", "Texts.", {"inputs": values}), ("instances", "Texts.", {"instances": values})], [
            values | {"title": "list"}
        ]
    if schema.columns is not None and schema.named:
        return _named_forms(schema.columns)
    row = _row_of(schema)
    rows = _list(row) if row is not None else {"type": "array", "minItems": 1}
    split = _object({"data": rows})
    return [
        ("inputs", "Rows.", {"inputs": rows}),
        ("instances", "Rows.", {"instances": rows}),
        *([("dataframe_split", "Rows.", {"dataframe_split": split})] if row is not None else []),
    ], [rows | {"title": "list"}]


def _named_forms(columns: Sequence[Column]) -> tuple[list[_Form], list[dict[str, Any]]]:
    names = [str(column.name) for column in columns]
    rows = _list(_row(columns))
    record = {
        "type": "object",
        "required": [str(column.name) for column in columns if column.required],
        "properties": {str(column.name): _value(column) for column in columns},
        "additionalProperties": False,
    }
    if not record["required"]:
        record["minProperties"] = 1
    order = (
        "The columns may come in any order, the values of each row in the same; without their names the order is the "
        "model's. pandas' index is allowed beside."
    )
    split = {"columns": {"const": names}, "data": rows}
    records = _list(record)
    one = record | {"description": "One row; with a list of values for each column, all of one length, several."}
    return [
        ("columns", order, split),
        ("dataframe_split", order, {"dataframe_split": _object(split)}),
        ("dataframe_records", "A row is an object.", {"dataframe_records": records}),
        ("instances", "A row is an object, or a list in the model's order.", {"instances": {"anyOf": [records, rows]}}),
        ("inputs", "Rows, or columns.", {"inputs": {"anyOf": [one, records, rows]}}),
    ], [records | {"title": "list"}]


def _row_of(schema: InputSchema) -> dict[str, Any] | None:
    if schema.columns is not None:
        return _row(schema.columns)
    if schema.tensor is None or any(size < 0 for size in schema.tensor.shape[1:]):
        return None
    value = _value(_tensor_column(schema.tensor.dtype, schema.missing))
    for size in reversed(schema.tensor.shape[1:]):
        value = {"type": "array", "items": value, "minItems": size, "maxItems": size}
    return value


def _tensor_column(dtype: str, missing: bool) -> Column:
    if dtype in ("float64", "float32", "float16"):
        return Column(None, "double" if dtype == "float64" else "float", nullable=missing)
    if dtype == "bool":
        return Column(None, "boolean")
    if found := re.fullmatch("(u?)int([0-9]+)", dtype):
        return Column(None, "long" if found[2] == "64" else "integer")
    return Column(None, "string" if dtype == "str" else "any", nullable=True)


def _row(columns: Sequence[Column]) -> dict[str, Any]:
    values = [_value(column) for column in columns]
    size = {"minItems": len(values), "maxItems": len(values)}
    if all(value == values[0] for value in values):
        return {"type": "array", "items": values[0], **size}
    return {"type": "array", "prefixItems": values, "items": False, **size}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


def _object(properties: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name for name in properties if name != "columns"],
        "properties": properties | (optional or {}),
        "additionalProperties": False,
    }


def _value(column: Column) -> dict[str, Any]:
    value = _TYPES.get(column.type)
    if value is None:
        return {"description": "A number or a text."}
    return {**value, "type": [value["type"], "null"]} if column.nullable else dict(value)


def _csv(schema: InputSchema) -> dict[str, Any] | None:
    """A CSV file, as a pattern: a line of names, then rows."""
    if schema.columns is None or schema.flat or not schema.named:
        return None
    if not all(column.type in _CELLS for column in schema.columns):
        return None
    head = ",".join(_escaped(str(column.name)) for column in schema.columns)
    row = ",".join(_CELLS[column.type] for column in schema.columns)
    return {
        "type": "string",
        "description": "A line with the columns' names, in any order, then a line for each row; RFC 4180.",
        "pattern": f"^{head}(\\n{row})+$",
    }


def _escaped(name: str) -> str:
    if any(character in name for character in ',"\r\n'):
        name = '"' + name.replace('"', '""') + '"'
    return re.sub(r"([\\^$.|?*+()\[\]{}/])", r"\\\1", name)
