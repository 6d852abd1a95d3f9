"""Whatever is sent in whatever format is read as the same frame, and nothing but BadInput comes of anything else."""

from __future__ import annotations

import base64
import json
import string
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_tools import ARROW, ARROW_FILE, PARQUET, arrow_bytes, parquet_bytes, schema_of

from autotrack.models import TensorSpec
from autotrack.serving import delimited
from autotrack.serving.answers import write_answer
from autotrack.serving.payloads import read_payload
from autotrack.serving.problems import BadInput
from autotrack.serving.schema import Column, InputSchema

quick = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=12).filter(
    lambda text: text not in delimited.MISSING
)
INTS = st.integers(-(2**53), 2**53)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.datetimes(min_value=pd.Timestamp("1700-01-01"), max_value=pd.Timestamp("2200-01-01"))
KINDS: dict[str, Any] = {
    "double": (FLOATS, "float64"),
    "long": (INTS, "int64"),
    "boolean": (st.booleans(), "bool"),
    "string": (TEXTS, None),
    "datetime": (TIMES, "datetime64[ns]"),
}


@st.composite
def frames(draw: Any) -> pd.DataFrame:
    """A few columns of any type and name; floats, texts and times may be missing, but not all of a column."""
    names = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    rows = draw(st.integers(1, 6))
    columns = {}
    for name in names:
        kind = draw(st.sampled_from(sorted(KINDS)))
        strategy, dtype = KINDS[kind]
        values = draw(st.lists(strategy, min_size=rows, max_size=rows))
        if rows > 1 and kind in ("double", "string", "datetime") and draw(st.booleans()):
            values[draw(st.integers(0, rows - 1))] = None
        columns[name] = pd.Series(values, dtype=dtype or pd.Series(["a"]).dtype)
    return pd.DataFrame(columns)


def cells(frame: pd.DataFrame) -> list[list[Any]]:
    """The rows as JSON has them."""
    rows = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
    return [[value.isoformat() if hasattr(value, "isoformat") else value for value in row] for row in rows]


def same(body: bytes, content_type: str | None, frame: pd.DataFrame, schema: InputSchema) -> None:
    payload = read_payload(body, content_type, schema)
    assert payload.n_rows == len(frame)
    pd.testing.assert_frame_equal(payload.data, frame, check_exact=True, check_column_type=False)


@quick
@given(frame=frames(), data=st.data())
def test_a_frame_is_read_back_from_every_format(frame: pd.DataFrame, data: st.DataObject) -> None:
    schema = schema_of(frame)
    sent = frame[data.draw(st.permutations(list(frame.columns)))]
    names, rows = list(sent.columns), cells(sent)
    records = [dict(zip(names, row)) for row in rows]
    for request in (
        {"columns": names, "data": rows},
        {"dataframe_split": {"columns": names, "data": rows, "index": list(range(len(rows)))}},
        {"dataframe_records": records},
        {"instances": records},
        {"instances": cells(frame)},
        {"inputs": {name: [row[place] for row in rows] for place, name in enumerate(names)}},
        records,
    ):
        same(json.dumps(request, ensure_ascii=data.draw(st.booleans())).encode(), None, frame, schema)
    same(arrow_bytes(sent), ARROW, frame, schema)
    same(arrow_bytes(sent, is_file=True), ARROW_FILE, frame, schema)
    same(parquet_bytes(sent), PARQUET, frame, schema)
    same(sent.to_csv(index=False).encode(), "text/csv", frame, schema)


@quick
@given(values=st.lists(st.lists(FLOATS, min_size=3, max_size=3), min_size=1, max_size=5))
def test_an_array_is_read_back_from_every_format(values: list[list[float]]) -> None:
    array = np.array(values)
    schema = schema_of(array)
    frame = pd.DataFrame(array, columns=["x", "y", "z"])
    for body, content_type in (
        (json.dumps({"inputs": values}).encode(), None),
        (json.dumps({"instances": values}).encode(), None),
        (json.dumps({"columns": ["x", "y", "z"], "data": values}).encode(), None),
        (arrow_bytes(frame), ARROW),
        (parquet_bytes(frame), PARQUET),
        (frame.to_csv(index=False).encode(), "text/csv"),
    ):
        np.testing.assert_array_equal(read_payload(body, content_type, schema).data, array)


@quick
@given(raw=st.lists(st.binary(max_size=20), min_size=1, max_size=4))
def test_bytes_are_read_back(raw: list[bytes]) -> None:
    frame = pd.DataFrame({"raw": pd.Series(raw, dtype=object), "n": range(len(raw))})
    schema = schema_of(frame)
    encoded = [{"raw": base64.encodebytes(value).decode(), "n": place} for place, value in enumerate(raw)]
    same(json.dumps(encoded).encode(), None, frame, schema)
    same(arrow_bytes(frame), ARROW, frame, schema)


@quick
@given(
    predictions=st.one_of(
        st.lists(FLOATS, min_size=1, max_size=5).map(np.array),
        st.lists(INTS, min_size=1, max_size=5).map(np.array),
        st.lists(TEXTS, min_size=1, max_size=5).map(np.array),
        st.lists(st.lists(FLOATS, min_size=2, max_size=2), min_size=1, max_size=4).map(np.array),
    )
)
def test_predictions_are_read_back_from_the_answer(predictions: Any) -> None:
    answer = write_answer(predictions, None, InputSchema())
    assert json.loads(answer.body) == {"predictions": predictions.tolist()}


PLAIN = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
SCHEMAS = [
    InputSchema(),
    InputSchema(tuple(Column(name, "double") for name in "abc")),
    InputSchema(
        tuple(
            Column(f"{required}{kind}", kind, required, nullable=not required)
            for required in (True, False)
            for kind in (*PLAIN, "any", "array", "object", "map")
        )
    ),
    InputSchema((Column("a", nullable=True),), source="model"),
    InputSchema((Column(None, "double"), Column(None, "string"))),
    InputSchema((Column(None, "string"),), flat=True),
    *(InputSchema(tensor=TensorSpec(dtype, (-1, 2))) for dtype in ("float64", "int8", "bool", "str", "bytes", "any")),
    InputSchema(tensor=TensorSpec("datetime64[ns]", (-1,))),
    InputSchema(tensor=TensorSpec("complex128", (-1, 2))),
    InputSchema(tensor=TensorSpec("float32", (-1, -1, 2))),
    InputSchema(tensor=TensorSpec("object", (-1, 2))),
]
KEYS = st.sampled_from(
    ["a", "b", "c", "Truedouble", "Truestring", "Falsedatetime", "Falsebinary", "Trueany", "columns", "data", "index"]
    + ["inputs", "instances", "dataframe_split", "dataframe_records", "params", ""]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.just(10**400),
    st.text(max_size=5),
    st.sampled_from(["1", "2024-01-01", "2024-01-01T00:00:00Z", "now", "aGk=", "NaN", "\0"]),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=20,
)
FORMS = st.one_of(
    JSON,
    st.fixed_dictionaries({"data": st.lists(st.lists(JSON, max_size=3), max_size=3)}),
    st.fixed_dictionaries(
        {"columns": st.lists(KEYS, max_size=3), "data": st.lists(st.lists(JSON, max_size=3), max_size=3)}
    ),
    st.dictionaries(st.sampled_from(["inputs", "instances", "dataframe_records", "dataframe_split"]), JSON, max_size=1),
    st.fixed_dictionaries({"inputs": st.dictionaries(KEYS, st.lists(JSON, max_size=3), max_size=4)}),
    st.fixed_dictionaries({"instances": st.lists(st.dictionaries(KEYS, JSON, max_size=4), max_size=3)}),
    st.fixed_dictionaries({"instances": st.lists(st.lists(LEAVES, min_size=2, max_size=3), max_size=3)}),
)


def only_bad_input(body: bytes, content_type: str | None) -> None:
    for schema in SCHEMAS:
        try:
            payload = read_payload(body, content_type, schema)
        except BadInput as problem:
            json.dumps(problem.to_json(), ensure_ascii=False).encode()
        else:
            assert payload.n_rows == len(payload.data) >= 1


@settings(quick, max_examples=60)
@given(request=FORMS)
def test_any_json_is_taken_or_refused(request: Any) -> None:
    only_bad_input(json.dumps(request).encode(), "application/json")


@settings(quick, max_examples=60)
@given(
    body=st.one_of(
        st.binary(max_size=60), st.text(st.sampled_from('{}[]",:0123eE.+-\\ntfu'), max_size=40).map(str.encode)
    )
)
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    for content_type in (None, "text/csv", "text/csv; charset=utf-16", ARROW, ARROW_FILE, PARQUET):
        only_bad_input(body, content_type)


@settings(quick, max_examples=60)
@given(text=st.text(st.sampled_from('abc,";\n\r 01.-eN' + "é"), max_size=60), fast=st.booleans())
def test_any_csv_is_taken_or_refused(text: str, fast: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "LARGE", 0 if fast else 10**9)
        only_bad_input(("a,b,c\n" + text).encode(), "text/csv")
        only_bad_input(text.encode(), "text/csv; header=absent")


@quick
@given(data=st.data(), text=st.sampled_from([ARROW, ARROW_FILE, PARQUET]))
def test_any_damage_to_a_file_is_taken_or_refused(data: st.DataObject, text: str) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None], "c": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    write = {ARROW: arrow_bytes, ARROW_FILE: lambda frame: arrow_bytes(frame, is_file=True), PARQUET: parquet_bytes}[
        text
    ]
    body = bytearray(write(frame))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    only_bad_input(bytes(body), text)


@quick
@given(content_type=st.text(st.sampled_from(string.printable), max_size=30))
def test_any_content_type_is_taken_or_refused(content_type: str) -> None:
    only_bad_input(b'{"data": [[1, 2, 3]]}', content_type)
