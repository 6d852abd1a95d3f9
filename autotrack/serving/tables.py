"""Rows and columns of a request, matched with what the model takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import numpy as np
import pandas as pd

from autotrack.serving import tensors
from autotrack.serving.columns import column_values, missing_value, number_block, objects
from autotrack.serving.problems import BadInput, name_list, place, show
from autotrack.serving.schema import ANY, Column, InputSchema

_ANYTHING: Final = Column(None, nullable=True)
Row = Sequence[Any]


def from_rows(names: Sequence[str] | None, rows: Sequence[Row], schema: InputSchema) -> Any:
    """What the model is to see of rows.

    Parameters
    ----------
    names : what the request calls the columns, in the order of the rows' values; ``None`` for taking them by position.
    rows : lists or tuples.

    Raises
    ------
    BadInput
        With the column and the row that do not fit.
    """
    order = None if names is None else match(names, schema)
    _check_widths(names, rows, schema)
    if not any(rows):
        raise BadInput("empty", "the rows of the request have no values")
    if schema.tensor is not None:
        return tensors.from_rows(rows, schema.tensor, names)
    if schema.flat:
        return column_values([row[0] for row in rows], (schema.columns or (_ANYTHING,))[0], None)
    if schema.columns is None:
        if names is None:
            return _unknown_array(rows)
        labels = pd.Index(names)
        specs: Sequence[Column] = [_ANYTHING] * len(names)
    else:
        labels, specs = schema.index, schema.columns
    kind = schema.one_type if schema.columns is not None else ANY
    if kind in ("double", ANY) and (order is None or -1 not in order):
        block = number_block(rows, keep_whole=kind == ANY)
        if block is not None:
            if order is not None:
                block = block[:, order]
            refuse_missing_in(block, specs)
            return pd.DataFrame(block, columns=labels, copy=False)
    return _by_columns(list(zip(*rows)), order, len(rows), specs, labels)


def from_columns(data: Mapping[str, Sequence[Any]], schema: InputSchema) -> Any:
    """What the model is to see of columns by name, all of one length.

    Raises
    ------
    BadInput
        As `from_rows`.
    """
    names = list(data)
    lengths = {name: len(values) for name, values in data.items()}
    length = next(iter(lengths.values()), 0)
    for name, count in lengths.items():
        if count != length:
            message = (
                f"{place(name, None)} holds {count} values, column {show(names[0])} holds {length}: all need as many"
            )
            raise BadInput("ragged_rows", message, columns=(name,))
    if schema.columns is None or schema.flat or not schema.named:
        return from_rows(names, list(zip(*data.values())), schema)
    return _by_columns(list(data.values()), match(names, schema), length, schema.columns, schema.index)


def from_records(records: Sequence[Mapping[str, Any]], schema: InputSchema) -> Any:
    """What the model is to see of one mapping of names to values for each row.

    Raises
    ------
    BadInput
        As `from_rows`.
    """
    names = list(records[0])
    if names and set(map(len, records)) == {len(names)}:
        try:
            pick = itemgetter(*names)
            rows = list(map(pick, records))
        except KeyError:
            pass
        else:
            return from_rows(names, rows if len(names) > 1 else [(value,) for value in rows], schema)
    # Records of different names: an optional column may be left out of some.
    names = list(dict.fromkeys(chain.from_iterable(records)))
    match(names, schema)
    optional = {str(column.name) for column in schema.columns or () if not column.required}
    for name in names:
        if name in optional:
            continue
        for row, record in enumerate(records):
            if name not in record:
                raise BadInput(
                    "missing_column", f"{place(name, row)}: the record does not have it", columns=(name,), row=row
                )
    if not names:
        raise BadInput("missing_column" if schema.width else "empty", "the records are empty", columns=_known(schema))
    return from_rows(names, [tuple(map(record.get, names)) for record in records], schema)


def from_values(values: Sequence[Any], schema: InputSchema) -> Any:
    """What the model is to see of single values, one for each row.

    Raises
    ------
    BadInput
        ``wrong_length`` when its rows have more than one value.
    """
    if schema.tensor is not None and len(schema.tensor.shape) == 1:
        return tensors.from_nested(values, schema.tensor)
    if schema.flat:
        return column_values(values, (schema.columns or (_ANYTHING,))[0], None)
    if schema.width not in (1, None):
        raise BadInput(
            "wrong_length",
            f"each row is one value, the model takes {schema.width}: send a list of rows, each a list of values",
            columns=_known(schema),
        )
    if schema.width is None:
        return column_values(values, _ANYTHING, None) if schema.tensor is None else _nested(values, schema)
    return from_rows(None, [(value,) for value in values], schema)


def _nested(values: Sequence[Any], schema: InputSchema) -> Any:
    assert schema.tensor is not None
    return tensors.from_nested(values, schema.tensor)


def match(names: Sequence[str], schema: InputSchema) -> list[int] | None:
    """For each column of the model, the place of the request's; -1 for an optional one that it has not.

    ``None`` when they stand in the model's order, or have to be taken by position since the model knows no names.

    Raises
    ------
    BadInput
        ``duplicate_column``, ``missing_column`` or ``unexpected_column``, naming all that are.
    """
    if len(set(names)) < len(names):
        twice = [name for name, count in Counter(names).items() if count > 1]
        raise BadInput("duplicate_column", f"columns are named twice: {name_list(twice)}", columns=twice)
    if not schema.named or schema.flat:
        return None
    places = schema.places
    if list(names) == list(places):
        return None
    given = {name: place_ for place_, name in enumerate(names)}
    missing = [column.name for column in schema.columns or () if column.required and str(column.name) not in given]
    unexpected = [name for name in names if name not in places]
    if missing:
        also = f"; it has columns that the model does not know: {name_list(unexpected)}" if unexpected else ""
        message = f"the request lacks {_count(missing)} that the model needs: {name_list(missing)}{also}"
        raise BadInput("missing_column", message, columns=missing)
    if unexpected:
        message = (
            f"the request has {_count(unexpected)} that the model does not know: {name_list(unexpected)}. Leave them "
            f"out; it takes {name_list(places)}"
        )
        raise BadInput("unexpected_column", message, columns=unexpected)
    return [given.get(name, -1) for name in places]


def _count(names: Sequence[Any]) -> str:
    return "a column" if len(names) == 1 else f"{len(names)} columns"


def _known(schema: InputSchema) -> tuple[Any, ...]:
    return schema.names if schema.named else ()


def _check_widths(names: Sequence[str] | None, rows: Sequence[Row], schema: InputSchema) -> None:
    widths = set(map(len, rows))
    if names is not None and widths <= {len(names)} and (schema.width in (None, len(names)) or schema.named):
        return
    wanted = len(names) if names is not None else schema.width
    if wanted is None:
        wanted = len(rows[0])
    if len(widths) > 1:
        first = len(rows[0])
        row, found = next((row, len(values)) for row, values in enumerate(rows) if len(values) != first)
        if first != wanted:
            row, found = 0, first
        message = f"{place(None, row)} holds {_values(found)}, others hold {wanted if found != wanted else first}"
        raise BadInput("ragged_rows", f"{message}: all rows need {wanted}", row=row)
    found = next(iter(widths))
    if names is not None and found != wanted:
        message = f"the rows hold {_values(found)}, and the request names {_count(names)}: {name_list(names)}"
        raise BadInput("wrong_length", message, columns=names, row=0)
    if schema.width is not None and found != schema.width and not (schema.named and names is not None):
        takes = f": {name_list(schema.names)}" if schema.named else ""
        message = f"the rows hold {_values(found)}, the model takes {_values(schema.width)}{takes}"
        raise BadInput("wrong_length", message, columns=_known(schema), row=0)


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"


def refuse_missing_in(block: Any, specs: Sequence[Column]) -> None:
    """Raise for the first missing number of an array where its column may have none."""
    if block.dtype.kind != "f":
        return
    missing = np.isnan(block)
    if not missing.any():
        return
    for place_ in np.flatnonzero(missing.any(axis=0)).tolist():
        if not specs[place_].nullable:
            raise missing_value(_label(specs, place_), int(missing[:, place_].argmax()))


def _label(specs: Sequence[Column], place_: int) -> Any:
    name = specs[place_].name
    return place_ if name is None else name


def _by_columns(
    columns: Sequence[Sequence[Any]], order: list[int] | None, length: int, specs: Sequence[Column], labels: Any
) -> Any:
    nothing = [None] * length
    arrays = {}
    for place_, spec in enumerate(specs):
        source = place_ if order is None else order[place_]
        name = _label(specs, place_) if spec is not _ANYTHING else labels[place_]
        arrays[place_] = column_values(columns[source] if source >= 0 else nothing, spec, name)
    frame = pd.DataFrame(arrays, copy=False)
    frame.columns = labels
    return frame


def _unknown_array(rows: Sequence[Row]) -> Any:
    block = number_block(rows, keep_whole=True)
    if block is not None:
        return block
    flat = _any_values(chain.from_iterable(rows))
    return flat.reshape(len(rows), -1)


def _any_values(values: Iterable[Any]) -> Any:
    listed = list(values)
    kinds = set(map(type, listed))
    if kinds == {bool}:
        return np.array(listed, dtype=np.bool_)
    return objects([np.nan if value is None else value for value in listed])
