"""The forms in which JSON carries rows: those of MLflow's scoring server, of pandas and of TensorFlow Serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from autotrack.serving import strict_json, tables, tensors
from autotrack.serving.problems import BadInput, name_list, show
from autotrack.serving.schema import InputSchema

SPLIT: Final = "dataframe_split"
RECORDS: Final = "dataframe_records"
INSTANCES: Final = "instances"
INPUTS: Final = "inputs"
PANDAS: Final = "columns"
"""The bare form ``{"columns": […], "data": [[…]]}`` that pandas writes and MLflow took before its release 2."""

LIST: Final = "list"
"""A bare list of records or rows."""

FORMS: Final = (SPLIT, RECORDS, INSTANCES, INPUTS)
_SPLIT_KEYS: Final = frozenset({"columns", "data", "index"})
_IGNORED: Final = frozenset({"signature_name"})  # TensorFlow Serving's name of the function; a model here has no others
_HOW: Final = (
    'send {"columns": [names], "data": [[values of a row], …]}, or one of dataframe_split, dataframe_records, '
    "instances and inputs"
)


class Rows(NamedTuple):
    """What the model is to see, the number of rows, the parameters, and the form that it came in."""

    data: Any
    n_rows: int
    params: dict[str, Any]
    form: str


def read_json(body: bytes | memoryview, schema: InputSchema, max_rows: int | None) -> Rows:
    """Read a JSON text in any of the forms.

    Raises
    ------
    BadInput
        With the column and the row that do not fit.
    """
    request = strict_json.loads(body, count_keys)
    if type(request) is list:
        form, content, params = _bare_list(request)
    elif type(request) is dict:
        form, content, params = _parts(request)
    else:
        raise BadInput("unknown_form", f"the request is {_kind(request)}: {_HOW}")
    reader = _READERS[form]
    data, n_rows = reader(content, schema, max_rows)
    return Rows(data, n_rows, params, form)


def count_keys(request: Any) -> int:
    """The number of keys where the forms have them: in the request, in its form, in its records and parameters."""
    if type(request) is list:
        return _count_in_list(request)
    if type(request) is not dict:
        return 0
    count = len(request)
    for key, value in request.items():
        if type(value) is dict:
            count += len(value)
        elif type(value) is list and key in (RECORDS, INSTANCES, INPUTS):
            count += _count_in_list(value)
    return count


def _count_in_list(values: list[Any]) -> int:
    return sum(map(len, values)) if values and set(map(type, values)) == {dict} else 0


def check_rows(count: int, max_rows: int | None) -> int:
    """The number of rows, neither none nor too many.

    Raises
    ------
    BadInput
        ``empty``, or ``too_large`` with status 413.
    """
    if count == 0:
        raise BadInput("empty", "the request has no rows: send at least one")
    if max_rows is not None and count > max_rows:
        raise BadInput(
            "too_large",
            f"the request has {count} rows, and {max_rows} are taken at once: send them in parts",
            status=413,
        )
    return count


def _parts(request: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    params = request.get("params")
    if params is None:
        params = {}
    elif type(params) is not dict:
        raise BadInput("unknown_parameter", f'"params" is {_kind(params)}, it has to be an object of names and values')
    found = [form for form in FORMS if form in request]
    keys = request.keys() - {"params", *_IGNORED}
    if len(found) > 1:
        raise BadInput("unknown_form", f"the request has {name_list(found)}: send one of them")
    if found:
        form = found[0]
        if extra := sorted(keys - {form}):
            raise BadInput(
                "unexpected_field", f"the request has {name_list(extra)} beside {show(form)}, which means nothing there"
            )
        return form, request[form], params
    if "data" in keys:
        if extra := sorted(keys - _SPLIT_KEYS):
            raise BadInput("unexpected_field", f"the request has {name_list(extra)} beside 'data', which means nothing")
        return PANDAS, {key: request[key] for key in keys}, params
    if "columns" in keys:
        raise BadInput(
            "unknown_form", 'the request has "columns" but no "data": {"columns": [names], "data": [[…], …]}'
        )
    has = f"the request has the keys {name_list(sorted(keys))}" if keys else "the request has no rows"
    raise BadInput("unknown_form", f"{has}: {_HOW}")


def _bare_list(request: list[Any]) -> tuple[str, Any, dict[str, Any]]:
    return LIST, request, {}


def _split(content: Any, schema: InputSchema, max_rows: int | None) -> tuple[Any, int]:
    if type(content) is not dict:
        raise BadInput(
            "unknown_form", f"{show(SPLIT)} is {_kind(content)}, it has to be an object with columns and data"
        )
    if extra := sorted(content.keys() - _SPLIT_KEYS):
        raise BadInput("unexpected_field", f"{show(SPLIT)} has {name_list(extra)}, it takes columns, data and index")
    if "data" not in content:
        raise BadInput("unknown_form", f'{show(SPLIT)} has no "data", the rows')
    rows, names, index = content["data"], content.get("columns"), content.get("index")
    if type(rows) is not list:
        raise BadInput("unknown_form", f'"data" is {_kind(rows)}, it has to be a list of rows, each a list of values')
    n_rows = check_rows(len(rows), max_rows)
    if index is not None and (type(index) is not list or len(index) != n_rows):
        raise BadInput("wrong_length", f'"index" is {_kind(index)}, for {n_rows} rows: it has to be a list of as many')
    if names is not None:
        names = _names(names)
    kinds = set(map(type, rows))
    if kinds != {list}:
        if list not in kinds and names is not None and len(names) == 1 and dict not in kinds:
            return tables.from_rows(names, [(value,) for value in rows], schema), n_rows  # pandas takes that as well
        raise _no_row(rows, list, "a list of values")
    if names is None and schema.tensor is not None and len(schema.tensor.shape) != 2:
        return tensors.from_nested(rows, schema.tensor), n_rows
    return tables.from_rows(names, rows, schema), n_rows


def _names(names: Any) -> list[str]:
    if type(names) is not list:
        raise BadInput("unknown_form", f'"columns" is {_kind(names)}, it has to be a list of names')
    kinds = set(map(type, names))
    if kinds <= {str}:
        return names
    if kinds <= {str, int}:  # a frame whose columns have numbers
        return [str(name) for name in names]
    wrong = next(name for name in names if type(name) not in (str, int))
    raise BadInput("unknown_form", f'"columns" holds {show(wrong)}, it has to be a list of names')


def _records(content: Any, schema: InputSchema, max_rows: int | None) -> tuple[Any, int]:
    if type(content) is not list:
        raise BadInput("unknown_form", f"{show(RECORDS)} is {_kind(content)}, it has to be a list of objects")
    n_rows = check_rows(len(content), max_rows)
    if set(map(type, content)) != {dict}:
        raise _no_row(content, dict, "an object of columns and values")
    return tables.from_records(content, schema), n_rows


def from_list(content: Any, schema: InputSchema, max_rows: int | None = None) -> tuple[Any, int]:
    """What the model is to see of rows as objects, as lists, as nested lists or as single values; and their number.

    Raises
    ------
    BadInput
        With the column and the row that do not fit.
    """
    if type(content) is not list:
        raise BadInput("unknown_form", f"the instances are {_kind(content)}, they have to be a list")
    n_rows = check_rows(len(content), max_rows)
    kinds = set(map(type, content))
    if kinds == {dict}:
        return tables.from_records(content, schema), n_rows
    if kinds == {list}:
        if schema.tensor is not None and len(schema.tensor.shape) != 2:
            return tensors.from_nested(content, schema.tensor), n_rows
        return tables.from_rows(None, content, schema), n_rows
    if kinds & {dict, list}:
        wanted = type(content[0]) if type(content[0]) in (dict, list) else list
        raise _no_row(content, wanted, "an object" if wanted is dict else "a list of values")
    return tables.from_values(content, schema), n_rows


def _instances(content: Any, schema: InputSchema, max_rows: int | None) -> tuple[Any, int]:
    """Rows, or an object of columns, which MLflow reads under this key too."""
    return (_inputs if type(content) is dict else from_list)(content, schema, max_rows)


def _inputs(content: Any, schema: InputSchema, max_rows: int | None) -> tuple[Any, int]:
    if type(content) is not dict:
        return from_list(content if type(content) is list else [content], schema, max_rows)
    if not content:
        raise BadInput("empty", f"{show(INPUTS)} has no columns")
    kinds = set(map(type, content.values()))
    if kinds == {list}:
        columns: Mapping[str, Sequence[Any]] = content
    elif list not in kinds and dict not in kinds:
        columns = {name: [value] for name, value in content.items()}  # one row
    else:
        wrong = next(name for name, value in content.items() if type(value) is not list)
        raise BadInput(
            "ragged_rows",
            f"column {show(wrong)} is {_kind(content[wrong])}, others are lists of values",
            columns=(wrong,),
        )
    n_rows = check_rows(len(next(iter(columns.values()))), max_rows)
    return tables.from_columns(columns, schema), n_rows


def _no_row(rows: list[Any], wanted: type, words: str) -> BadInput:
    row = next(row for row, value in enumerate(rows) if type(value) is not wanted)
    return BadInput("ragged_rows", f"row {row} (counted from 0) is {_kind(rows[row])}, it has to be {words}", row=row)


def _kind(value: Any) -> str:
    """What a value is, in JSON's words."""
    if type(value) in (list, dict) or value is None or type(value) is bool:
        return show(value)
    return f"{'a text' if type(value) is str else 'a number'} ({show(value)})"


_READERS: Final = {
    SPLIT: _split,
    PANDAS: _split,
    RECORDS: _records,
    INSTANCES: _instances,
    LIST: from_list,
    INPUTS: _inputs,
}
