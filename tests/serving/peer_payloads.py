"""The bodies that both servers are sent: rows 0 and 77 of the data in every format, and what people get wrong."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.stream"

ROWS = (0, 77)
COLUMNS = ["sepal", "petal", "width", "visits", "leaves", "in bloom", "site", "soil"]
FIRST = [5.1, 1.4, 0.2, 0, 0, True, "north", "clay"]
SECOND = [6.7, 5.0, 1.7, 19, 5, False, "east", None]
DATA = [FIRST, SECOND]

Body = tuple[bytes, str | None]


def row(values: Sequence[Any] = FIRST, without: str = "", **changes: Any) -> dict[str, Any]:
    """A record, less a column, with changes."""
    return {name: value for name, value in {**dict(zip(COLUMNS, values)), **changes}.items() if name != without}


def split(columns: Any = COLUMNS, data: Any = DATA, **more: Any) -> dict[str, Any]:
    """A body in the split format."""
    return {"dataframe_split": {"columns": columns, "data": data, **more}}


def records(*rows: Any) -> dict[str, Any]:
    """A body of records."""
    return {"dataframe_records": list(rows)}


def one(**changes: Any) -> dict[str, Any]:
    """The first row with changes, in the split format."""
    changed = row(**changes)
    return split(list(changed), [list(changed.values())])


def columns(*rows: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Rows as a mapping of columns."""
    return {name: [each[name] for each in rows] for name in rows[0]}


def csv(*lines: str) -> Body:
    """Lines of CSV."""
    return "\n".join([*lines, ""]).encode(), CSV


def parquet(rows: Sequence[Mapping[str, Any]]) -> Body:
    """Rows as Parquet."""
    import pandas as pd

    frame = pd.DataFrame(list(rows)).astype({"width": "float32", "leaves": "int32"})
    sink = io.BytesIO()
    frame.to_parquet(sink, index=False)
    return sink.getvalue(), PARQUET


def text(body: str | bytes, content_type: str | None = JSON) -> Body:
    """A body as it is."""
    return body.encode() if isinstance(body, str) else body, content_type


def as_body(given: Any) -> Body:
    """What is sent: a body with its content type, or something to be written as JSON."""
    if isinstance(given, tuple):
        return given
    return json.dumps(given).encode(), JSON


SHUFFLED = [COLUMNS[at] for at in (3, 0, 6, 5, 7, 1, 4, 2)]
SHUFFLED_DATA = [[values[COLUMNS.index(name)] for name in SHUFFLED] for values in DATA]
HEADER = ",".join(COLUMNS)
CSV_FIRST = "5.1,1.4,0.2,0,0,True,north,clay"
CSV_SECOND = "6.7,5.0,1.7,19,5,False,east,"


def _as_text(payload: Any, old: str, new: str) -> Body:
    """A body with a part of its JSON replaced, for what no library would write."""
    written = json.dumps(payload)
    assert old in written
    return text(written.replace(old, new, 1))


FRAME: dict[str, Any] = {
    # The formats.
    "split": split(),
    "split, one row": split(data=[FIRST]),
    "split with an index": split(index=[7, 3]),
    "split, columns in another order": split(SHUFFLED, SHUFFLED_DATA),
    "records": records(row(), row(SECOND)),
    "records, one row": records(row()),
    "records, keys in another order": records(row(), dict(reversed(row(SECOND).items()))),
    "inputs, columns": {"inputs": columns(row(), row(SECOND))},
    "inputs, records": {"inputs": [row(), row(SECOND)]},
    "inputs, one record": {"inputs": row()},
    "instances, records": {"instances": [row(), row(SECOND)]},
    "instances, columns": {"instances": columns(row(), row(SECOND))},
    "instances, lists": {"instances": DATA},
    "csv": csv(HEADER, CSV_FIRST, CSV_SECOND),
    "csv, columns in another order": csv(
        "soil,sepal,petal,width,visits,leaves,in bloom,site",
        "clay,5.1,1.4,0.2,0,0,True,north",
        ",6.7,5.0,1.7,19,5,False,east",
    ),
    "an optional string column as csv": csv(HEADER, CSV_FIRST.replace("clay", "")),
    "csv with a charset": text(csv(HEADER, CSV_FIRST)[0], "text/csv; charset=utf-8"),
    "csv, quoted": csv(HEADER, '"5.1","1.4","0.2","0","0","True","north","clay"'),
    "parquet": parquet([row(), row(SECOND)]),
    "parquet, an unexpected column": parquet([row(more=1.5)]),
    # What the 1.x protocol took, and everyday tutorials still show.
    "split without its key": split()["dataframe_split"],
    "split without its key, format in the content type": text(
        json.dumps(split()["dataframe_split"]), "application/json; format=pandas-split"
    ),
    "records without their key": [row(), row(SECOND)],
    # Content types.
    "no content type": text(json.dumps(split()), None),
    "text/plain": text(json.dumps(split()), "text/plain"),
    "a form": text(json.dumps(split()), "application/x-www-form-urlencoded"),
    "json with a charset": text(json.dumps(split()), "application/json; charset=utf-8"),
    "json with a charset in capitals": text(json.dumps(split()), "application/json; charset=UTF-8"),
    "json with a quoted charset": text(json.dumps(split()), 'application/json; charset="utf-8"'),
    "json in Latin-1": text(json.dumps(split()), "application/json; charset=latin-1"),
    "content type in capitals": text(json.dumps(split()), "Application/JSON"),
    "content type with an unknown parameter": text(json.dumps(split()), "application/json; version=2"),
    "json said to be csv": text(json.dumps(split()), CSV),
    "csv said to be json": text(csv(HEADER, CSV_FIRST)[0], JSON),
    # Params.
    "params null": {**split(), "params": None},
    "params empty": {**split(), "params": {}},
    "params unknown": {**split(), "params": {"temperature": 0.5}},
    "params not an object": {**split(), "params": [1]},
    "params ask for another method": {**split(), "params": {"predict_method": "predict_proba"}},
    # Bodies that are no rows.
    "empty body": text(""),
    "blank body": text("  \n"),
    "not json": text("sepal=5.1"),
    "cut off": text(json.dumps(split())[:-9]),
    "json and more": text(json.dumps(split()) + "}"),
    "not utf-8": text(b'{"dataframe_split": {"columns": ["\xff"]}}'),
    "byte order mark": text(b"\xef\xbb\xbf" + json.dumps(split()).encode()),
    "nested too deep": text("[" * 100_000),
    "null": text("null"),
    "a number": text("5.1"),
    "a string": text('"north"'),
    "an empty object": {},
    "an empty list": [],
    "an unknown key alone": {"rows": DATA},
    "an unknown key beside": {**split(), "request_id": "a-1"},
    "two formats": {**split(), **records(row())},
    "a key twice": _as_text(records(row()), '"sepal": 5.1', '"sepal": 9.9, "sepal": 5.1'),
    # Formats with a part missing or of the wrong kind.
    "split null": {"dataframe_split": None},
    "split empty": {"dataframe_split": {}},
    "split a list": {"dataframe_split": DATA},
    "split without columns": {"dataframe_split": {"data": DATA}},
    "split without data": {"dataframe_split": {"columns": COLUMNS}},
    "split, columns a string": split(columns="sepal"),
    "split, data an object": split(data={"sepal": 5.1}),
    "split, data null": split(data=None),
    "split, rows are objects": split(data=[row()]),
    "split, rows are numbers": split(data=FIRST[:1]),
    "split with an unknown part": split(dtypes=["double"]),
    "split, index too short": split(index=[1]),
    "records a string": {"dataframe_records": "north"},
    "records an object": {"dataframe_records": row()},
    "records of numbers": {"dataframe_records": [1, 2]},
    "records of lists": {"dataframe_records": DATA},
    "inputs null": {"inputs": None},
    "inputs a number": {"inputs": 5.1},
    "inputs, lengths differ": {"inputs": {**columns(row(), row(SECOND)), "sepal": [5.1]}},
    "instances empty": {"instances": []},
    # No rows.
    "split, no rows": split(data=[]),
    "records, no rows": records(),
    "csv, no rows": csv(HEADER),
    "csv, nothing": text("", CSV),
    # Columns.
    "split, a column missing": split(COLUMNS[1:], [values[1:] for values in DATA]),
    "records, a column missing": records(row(without="site")),
    "records, a value missing in one row": records(row(), row(SECOND, without="sepal")),
    "csv, a column missing": csv(HEADER.removeprefix("sepal,"), CSV_FIRST.removeprefix("5.1,")),
    "inputs, a column missing": {"inputs": columns(row(without="visits"))},
    "two columns missing": records(row(without="site") | {}, row(without="site")),
    "an optional column missing": records(row(without="petal")),
    "an optional string column missing": records(row(without="soil")),
    "an optional value missing in one row": records(row(), row(SECOND, without="petal")),
    "an unexpected column": one(more=1.5),
    "an unexpected column in one row": records(row(), row(SECOND, more=1.5)),
    "a column misspelt": records({("Sepal" if name == "sepal" else name): value for name, value in row().items()}),
    "a column twice": split([*COLUMNS, "sepal"], [[*FIRST, 5.1]]),
    "columns numbered": split(list(range(8)), DATA),
    "fewer columns than names": split(data=[FIRST[:-1]]),
    "more columns than names": split(data=[[*FIRST, 1]]),
    "ragged, short": split(data=[FIRST, SECOND[:-1]]),
    "ragged, long": split(data=[FIRST, [*SECOND, 1]]),
    "csv, ragged": csv(HEADER, CSV_FIRST, "1.0,2.0"),
    "csv, a long row": csv(HEADER, CSV_FIRST, CSV_SECOND + ",7,8"),
    "csv by semicolons": text(csv(HEADER, CSV_FIRST)[0].replace(b",", b";"), CSV),
    "csv, text for a number": csv(HEADER, CSV_FIRST.replace("5.1", "tall")),
    "csv, nothing for a required number": csv(HEADER, CSV_FIRST.replace("5.1", "")),
    "csv not utf-8": text(csv(HEADER, CSV_FIRST)[0].replace(b"north", b"\xff"), CSV),
    "csv, nul bytes": text(b"\x00\x01\x02", CSV),
    "not parquet": text(b"PAR1 no", PARQUET),
    "parquet, a column missing": parquet([row(without="sepal")]),
    # Values.
    "double: whole number": one(sepal=5),
    "double: string": one(sepal="tall"),
    "double: number as a string": one(sepal="5.1"),
    "double: boolean": one(sepal=True),
    "double: null": one(sepal=None),
    "double: NaN": _as_text(one(), '"data": [[5.1', '"data": [[NaN'),
    "double: Infinity": _as_text(one(), '"data": [[5.1', '"data": [[Infinity'),
    "double: too large": _as_text(one(), '"data": [[5.1', '"data": [[1e999'),
    "double: large": one(sepal=1e300),
    "double: large whole number": one(sepal=10**30),
    "double: list": one(sepal=[5.1]),
    "double: object": one(sepal={"cm": 5.1}),
    "optional double: null": one(petal=None),
    "optional double: all null": split(data=[[*FIRST[:1], None, *FIRST[2:]], [*SECOND[:1], None, *SECOND[2:]]]),
    "optional double: NaN": _as_text(one(), "5.1, 1.4", "5.1, NaN"),
    "optional double: string": one(petal="long"),
    "float: more digits": one(width=0.123456789),
    "float: too large": one(width=1e300),
    "long: fraction": one(visits=1.5),
    "long: whole number as a double": one(visits=3.0),
    "long: null": one(visits=None),
    "long: string": one(visits="three"),
    "long: boolean": one(visits=True),
    "long: too large": one(visits=2**70),
    "integer: beyond 32 bits": one(leaves=2**40),
    "integer: negative": one(leaves=-3),
    "boolean: number": one(**{"in bloom": 1}),
    "boolean: string": one(**{"in bloom": "yes"}),
    "boolean: null": one(**{"in bloom": None}),
    "string: number": one(site=3),
    "string: boolean": one(site=True),
    "string: null": one(site=None),
    "string: empty": one(site=""),
    "string: not seen in training": one(site="west"),
    "string: not ASCII": one(site="Nørd ✓"),
    "string: list": one(site=["north"]),
    "optional string: null": one(soil=None),
}

VECTOR = [0.038, 0.051, 0.062, 0.022, -0.044, -0.035, -0.043, -0.003, 0.02, -0.018]
OTHER = [-0.002, -0.045, -0.051, -0.026, -0.008, -0.019, 0.074, -0.039, -0.068, -0.092]

TENSOR: dict[str, Any] = {
    "inputs": {"inputs": [VECTOR, OTHER]},
    "instances": {"instances": [VECTOR, OTHER]},
    "inputs, one row in a list": {"inputs": [VECTOR]},
    "inputs, a bare row": {"inputs": VECTOR},
    "instances, a bare row": {"instances": VECTOR},
    "inputs, whole numbers": {"inputs": [[1, 0, 0, 0, 0, 0, 0, 0, 0, 2]]},
    "inputs, nine columns": {"inputs": [VECTOR[:9]]},
    "inputs, eleven columns": {"inputs": [[*VECTOR, 1.0]]},
    "inputs, ragged": {"inputs": [VECTOR, OTHER[:9]]},
    "inputs, one level too deep": {"inputs": [[VECTOR, OTHER]]},
    "inputs, no rows": {"inputs": []},
    "inputs, a row of nothing": {"inputs": [[]]},
    "inputs, a scalar": {"inputs": 1.0},
    "inputs, null": {"inputs": None},
    "inputs, a string": {"inputs": [["a", *VECTOR[1:]]]},
    "inputs, a number as a string": {"inputs": [["0.038", *VECTOR[1:]]]},
    "inputs, a null in a row": {"inputs": [[None, *VECTOR[1:]]]},
    "inputs, NaN in a row": _as_text({"inputs": [VECTOR]}, "0.038", "NaN"),
    "inputs, a boolean": {"inputs": [[True, *VECTOR[1:]]]},
    "inputs, too large": _as_text({"inputs": [VECTOR]}, "0.038", "1e999"),
    "inputs, a large whole number": {"inputs": [[10**30, *VECTOR[1:]]]},
    "inputs, an object in a row": {"inputs": [[{"a": 1}, *VECTOR[1:]]]},
    "inputs, named": {"inputs": {"x": [VECTOR]}},
    "instances, named": {"instances": [{"x": VECTOR}]},
    "split, columns numbered": split(list(range(10)), [VECTOR, OTHER]),
    "split, columns named": split([f"x{at}" for at in range(10)], [VECTOR, OTHER]),
    "split, without columns": {"dataframe_split": {"data": [VECTOR, OTHER]}},
    "split, nine columns": split(list(range(9)), [VECTOR[:9]]),
    "split, a string": split(list(range(10)), [["a", *VECTOR[1:]]]),
    "records": records({str(at): value for at, value in enumerate(VECTOR)}),
    "a list alone": [VECTOR, OTHER],
    "csv": csv(",".join(map(str, range(10))), ",".join(map(str, VECTOR))),
    "csv, nine columns": csv(",".join(map(str, range(9))), ",".join(map(str, VECTOR[:9]))),
    "two formats": {"inputs": [VECTOR], "instances": [VECTOR]},
    "an unknown key": {"input": [VECTOR]},
    "params unknown": {"inputs": [VECTOR], "params": {"a": 1}},
}


def dated(seen: Any) -> dict[str, Any]:
    """A row with a time."""
    return split(["x", "seen"], [[1.5, seen]])


DATED: dict[str, Any] = {
    "a time": dated("2024-03-01T12:30:00"),
    "a date only": dated("2024-03-01"),
    "a time with a zone": dated("2024-03-01T12:30:00+02:00"),
    "a time in UTC": dated("2024-03-01T12:30:00Z"),
    "milliseconds": dated(1709251200000),
    "no time": dated("yesterday"),
    "a time that is null": dated(None),
    "a month that is none": dated("2024-13-01T00:00:00"),
    "a boolean": dated(True),
    "csv": csv("x,seen", "1.5,2024-03-01T12:30:00"),
    "records": records({"seen": "2024-03-01T12:30:00", "x": 1.5}),
    "inputs": {"inputs": {"seen": ["2024-03-01T12:30:00"], "x": [1.5]}},
    "instances": {"instances": [{"seen": "2024-03-01T12:30:00", "x": 1.5}]},
}
