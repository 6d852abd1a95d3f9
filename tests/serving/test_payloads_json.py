"""JSON requests: the forms, the columns, the types, and how strict the reader is."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from serving_tools import read, refusal, schema_of

from autotrack.models import TensorSpec
from autotrack.serving import strict_json
from autotrack.serving.schema import Column, InputSchema

FRAME = pd.DataFrame({"age": [31.5, 40.0], "rooms": [3, 4], "city": ["Rome", "Oslo"], "new": [True, False]})
ROWS = FRAME.astype(object).to_numpy().tolist()
NAMES = list(FRAME.columns)
RECORDS = [dict(zip(NAMES, row)) for row in ROWS]
SCHEMA = schema_of(FRAME)
NUMBERS = schema_of(pd.DataFrame({"a": [1.0], "b": [2.0], "c": [3.0]}))


def spoiled(place: int, value: Any, row: int = 1) -> dict[str, Any]:
    rows = [list(values) for values in ROWS]
    rows[row][place] = value
    return {"columns": NAMES, "data": rows}


@pytest.mark.parametrize(
    "request_",
    [
        {"columns": NAMES, "data": ROWS},
        {"columns": NAMES, "data": ROWS, "index": [5, 6]},
        {"columns": NAMES[::-1], "data": [row[::-1] for row in ROWS]},
        {"data": ROWS},
        {"dataframe_split": {"columns": NAMES, "data": ROWS}},
        {"dataframe_split": {"index": [0, 1], "columns": NAMES, "data": ROWS}},
        {"dataframe_records": RECORDS},
        {"dataframe_records": [dict(reversed(record.items())) for record in RECORDS]},
        {"dataframe_records": [RECORDS[0], dict(reversed(RECORDS[1].items()))]},
        RECORDS,
        ROWS,
        {"instances": RECORDS},
        {"instances": ROWS},
        {"instances": ROWS, "signature_name": "serving_default"},
        {"inputs": {name: FRAME[name].tolist() for name in NAMES}},
        {"inputs": ROWS},
        {"inputs": RECORDS},
    ],
)
def test_every_form_gives_the_same_frame(request_: Any) -> None:
    payload = read(request_, SCHEMA)
    pd.testing.assert_frame_equal(payload.data, FRAME, check_column_type=False)
    assert payload.n_rows == 2
    assert payload.params == {}


def test_one_row_may_be_a_mapping_of_columns_to_values() -> None:
    payload = read({"inputs": RECORDS[1]}, SCHEMA)
    pd.testing.assert_frame_equal(payload.data, FRAME.iloc[1:].reset_index(drop=True))


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "instances", "inputs"])
def test_parameters_stand_beside_every_form(form: str) -> None:
    content = {"columns": NAMES, "data": ROWS} if form == "dataframe_split" else RECORDS
    payload = read({form: content, "params": {"predict_method": "predict_proba"}}, SCHEMA)
    assert (payload.form, payload.params) == (form, {"predict_method": "predict_proba"})


def test_columns_of_numbers_are_one_block_in_the_models_order() -> None:
    payload = read({"columns": ["c", "a", "b"], "data": [[3, 1, 2.5]]}, NUMBERS)
    assert payload.data.columns.tolist() == ["a", "b", "c"]
    assert payload.data.to_numpy().tolist() == [[1.0, 2.5, 3.0]]
    assert set(payload.data.dtypes) == {np.dtype("float64")}


@pytest.mark.parametrize(
    ("request_", "columns"),
    [
        ({"columns": ["a", "c"], "data": [[1, 2]]}, ("b",)),
        ({"columns": ["c"], "data": [[1]]}, ("a", "b")),
        ({"dataframe_records": [{"a": 1, "c": 2}]}, ("b",)),
        ({"instances": [{"a": 1, "c": 2}]}, ("b",)),
        ({"inputs": {"a": [1], "c": [2]}}, ("b",)),
        ([{"a": 1, "b": 1, "c": 1}, {"a": 1, "c": 2}], ("b",)),
        ([{}], ("a", "b", "c")),
    ],
)
def test_missing_columns_are_named(request_: Any, columns: tuple[str, ...]) -> None:
    problem = refusal(request_, NUMBERS)
    assert (problem.status, problem.code, problem.columns) == (400, "missing_column", columns)
    assert all(repr(name) in problem.message for name in columns)


def test_a_record_that_lacks_a_column_is_named() -> None:
    problem = refusal([{"a": 1, "b": 1, "c": 1}, {"a": 1, "c": 2}], NUMBERS)
    assert problem.row == 1


@pytest.mark.parametrize(
    "request_",
    [
        {"columns": ["a", "b", "z", "c"], "data": [[1, 2, 3, 4]]},
        {"dataframe_records": [{"a": 1, "b": 2, "c": 2, "z": 0}]},
        {"dataframe_records": [{"a": 1, "b": 2, "c": 2}, {"a": 1, "b": 2, "c": 2, "z": 0}]},
        {"inputs": {"a": [1], "b": [1], "c": [2], "z": [3]}},
    ],
)
def test_unexpected_columns_are_named(request_: Any) -> None:
    problem = refusal(request_, NUMBERS)
    assert (problem.status, problem.code, problem.columns) == (400, "unexpected_column", ("z",))


def test_a_missing_column_is_told_together_with_the_unexpected_one() -> None:
    problem = refusal({"columns": ["a", "b", "C"], "data": [[1, 2, 3]]}, NUMBERS)
    assert problem.code == "missing_column"
    assert problem.columns == ("c",)
    assert "'C'" in problem.message


def test_a_column_named_twice_is_refused() -> None:
    problem = refusal({"columns": ["a", "b", "b"], "data": [[1, 2, 3]]}, NUMBERS)
    assert (problem.code, problem.columns) == ("duplicate_column", ("b",))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, "31.5"),
        (0, True),
        (0, [1]),
        (0, {"x": 1}),
        (0, 10**400),
        (1, 3.5),
        (1, "3"),
        (1, False),
        (1, 2**63),
        (1, float("inf")),
        (2, 5),
        (2, 1.5),
        (2, ["Rome"]),
        (3, "true"),
        (3, 2),
        (3, 0.5),
    ],
)
def test_a_value_of_another_type_is_named_with_its_place(place: int, value: Any) -> None:
    problem = refusal(spoiled(place, value), SCHEMA)
    assert (problem.status, problem.code, problem.columns, problem.row) == (400, "wrong_type", (NAMES[place],), 1)
    assert NAMES[place] in problem.message


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_missing_value_where_none_was_seen_is_named(place: int, value: Any) -> None:
    problem = refusal(spoiled(place, value), SCHEMA)
    assert (problem.code, problem.columns, problem.row) == ("missing_value", (NAMES[place],), 1)


def test_the_first_missing_value_of_a_block_is_named() -> None:
    problem = refusal({"columns": ["c", "a", "b"], "data": [[1, 2, 3], [1, 2, None], [1, 2, None]]}, NUMBERS)
    assert (problem.code, problem.columns, problem.row) == ("missing_value", ("b",), 1)


def test_whole_numbers_do_for_numbers_and_numbers_without_fraction_for_whole_ones() -> None:
    payload = read(spoiled(0, 7), SCHEMA)
    assert payload.data["age"].tolist() == [31.5, 7.0]
    payload = read(spoiled(1, 5.0), SCHEMA)
    assert payload.data["rooms"].tolist() == [3, 5]
    assert payload.data["rooms"].dtype == "int64"


def test_zero_and_one_do_for_flags() -> None:
    assert read(spoiled(3, 1), SCHEMA).data["new"].tolist() == [True, True]


def test_missing_values_and_columns_that_are_optional_become_nan() -> None:
    seen = pd.DataFrame(
        {"x": [1.0, None], "t": ["a", None], "d": pd.to_datetime(["2024-01-01", None]), "y": [1.0, 2.0]}
    )
    schema = schema_of(seen)
    payload = read([{"y": 1}, {"y": 2, "t": "b"}], schema)
    assert payload.data["x"].isna().all()
    assert payload.data["x"].dtype == "float64"
    assert payload.data["d"].isna().all()
    assert payload.data["d"].dtype == "datetime64[ns]"
    assert payload.data["t"].tolist()[1] == "b"
    assert np.isnan(payload.data["t"].tolist()[0])
    assert payload.data["t"].dtype == seen["t"].dtype
    assert refusal([{"x": 1}], schema).columns == ("y",)


def test_times_are_iso_texts_and_bytes_are_base64() -> None:
    seen = pd.DataFrame({"at": pd.to_datetime(["2024-01-01"]), "raw": [b"x"]})
    schema = schema_of(seen)
    payload = read({"columns": ["at", "raw"], "data": [["2024-02-03T04:05:06.789", "aGk="]]}, schema)
    assert payload.data["at"].tolist() == [pd.Timestamp("2024-02-03 04:05:06.789")]
    assert payload.data["raw"].tolist() == [b"hi"]


@pytest.mark.parametrize(
    "value", ["yesterday", "now", "2024-13-01", "2024-01-01T00:00:00Z", 1_700_000_000, "0001-01-01"]
)
def test_what_is_no_time_without_zone_is_refused(value: Any) -> None:
    schema = schema_of(pd.DataFrame({"at": pd.to_datetime(["2024-01-01"])}))
    problem = refusal({"columns": ["at"], "data": [["2024-01-01"], [value]]}, schema)
    assert (problem.code, problem.columns, problem.row) == ("wrong_type", ("at",), 1)


@pytest.mark.parametrize("value", ["aGk", "a b", "äöü=", 3])
def test_what_is_no_base64_is_refused(value: Any) -> None:
    problem = refusal([{"raw": value}], schema_of(pd.DataFrame({"raw": [b"x"]})))
    assert (problem.code, problem.columns, problem.row) == ("wrong_type", ("raw",), 0)


def test_numbers_beyond_32_bits_are_refused_where_the_column_has_no_more() -> None:
    seen = pd.DataFrame({"f": np.array([1], "float32"), "i": np.array([1], "int32")})
    schema = schema_of(seen)
    assert read([{"f": 0.5, "i": 7}], schema).data.dtypes.tolist() == ["float32", "int32"]
    assert refusal([{"f": 1e300, "i": 7}], schema).columns == ("f",)
    assert refusal([{"f": 1, "i": 2**31}], schema).columns == ("i",)


@pytest.mark.parametrize(
    ("request_", "code", "row"),
    [
        ({"columns": ["a", "b", "c"], "data": [[1, 2, 3], [1, 2]]}, "ragged_rows", 1),
        ({"data": [[1, 2, 3], [1, 2, 3, 4]]}, "ragged_rows", 1),
        ({"instances": [[1, 2, 3], [1, 2]]}, "ragged_rows", 1),
        ({"instances": [[1, 2, 3], 4]}, "ragged_rows", 1),
        ({"instances": [{"a": 1, "b": 1, "c": 1}, [1, 2, 3]]}, "ragged_rows", 1),
        ({"dataframe_records": [{"a": 1, "b": 2, "c": 3}, 5]}, "ragged_rows", 1),
        ({"columns": ["a", "b", "c"], "data": [[1, 2, 3], None]}, "ragged_rows", 1),
        ({"inputs": {"a": [1, 2], "b": [1], "c": [1, 2]}}, "ragged_rows", None),
        ({"inputs": {"a": [1, 2], "b": 1, "c": [1, 2]}}, "ragged_rows", None),
        ({"data": [[1, 2]]}, "wrong_length", 0),
        ({"columns": ["a", "b", "c"], "data": [[1, 2]]}, "wrong_length", 0),
        ({"instances": [[1, 2, 3, 4]]}, "wrong_length", 0),
        ({"instances": [1, 2, 3]}, "wrong_length", None),
        ({"inputs": 1}, "wrong_length", None),
        ({"columns": ["a", "b", "c"], "data": [[1, 2, 3]], "index": [1, 2]}, "wrong_length", None),
    ],
)
def test_rows_of_other_lengths_are_refused(request_: Any, code: str, row: int | None) -> None:
    problem = refusal(request_, NUMBERS)
    assert (problem.status, problem.code, problem.row) == (400, code, row)


@pytest.mark.parametrize(
    "request_",
    [
        {"columns": ["a", "b", "c"], "data": []},
        {"dataframe_records": []},
        {"instances": []},
        {"inputs": []},
        {"inputs": {}},
        {"inputs": {"a": [], "b": [], "c": []}},
        [],
    ],
)
def test_no_rows_are_refused(request_: Any) -> None:
    assert refusal(request_, NUMBERS).code == "empty"


@pytest.mark.parametrize(
    "request_",
    [
        {},
        5,
        "text",
        None,
        {"columns": ["a"]},
        {"rows": [[1]]},
        {"params": {}},
        {"instances": [[1, 2, 3]], "inputs": [[1, 2, 3]]},
        {"dataframe_split": [[1, 2, 3]]},
        {"dataframe_split": {"columns": ["a", "b", "c"]}},
        {"dataframe_records": {"a": 1}},
        {"columns": ["a", "b", None], "data": [[1, 2, 3]]},
        {"columns": "abc", "data": [[1, 2, 3]]},
        {"data": 5},
        {"instances": 5},
    ],
)
def test_a_request_without_a_known_form_is_told_of_them(request_: Any) -> None:
    assert refusal(request_, NUMBERS).code == "unknown_form"


@pytest.mark.parametrize(
    "request_",
    [
        {"instances": [[1, 2, 3]], "parms": {}},
        {"dataframe_split": {"data": [[1, 2, 3]], "dtype": "float"}},
        {"data": [[1, 2, 3]], "colums": ["a", "b", "c"]},
    ],
)
def test_a_field_that_means_nothing_is_refused(request_: Any) -> None:
    assert refusal(request_, NUMBERS).code == "unexpected_field"


def test_parameters_that_are_no_object_are_refused() -> None:
    assert refusal({"instances": [[1, 2, 3]], "params": [1]}, NUMBERS).code == "unknown_parameter"


def test_more_rows_than_are_taken_are_refused_with_413() -> None:
    problem = refusal({"instances": [[1, 2, 3]] * 4}, NUMBERS, max_rows=3)
    assert (problem.status, problem.code) == (413, "too_large")
    assert read({"instances": [[1, 2, 3]] * 3}, NUMBERS, max_rows=3).n_rows == 3


@pytest.mark.parametrize("orjson", [True, False])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b"  ", "not_json"),
        (b"{", "not_json"),
        (b'{"data": [[1, 2, 3]]} x', "not_json"),
        (b"{'data': [[1, 2, 3]]}", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"data": [["\xff", 2, 3]]}', "not_json"),
        (b'{"data": [["\\ud800", 2, 3]]}', "not_json"),
        (b'{"\\udfff": 1}', "not_json"),
        (b'{"data": [[' + b"9" * 5000 + b", 2, 3]]}", "not_json"),
        (b"[" * 100_000, "too_deep"),
        (b"[" * 2000 + b"]" * 2000, "too_deep"),
        (b'{"a":' * 100_000, "too_deep"),
        (b'{"data": [[1, 2, 3]], "data": [[4, 5, 6]]}', "duplicate_key"),
        (b'{"dataframe_split": {"data": [[1, 2, 3]], "data": [[4, 5, 6]]}}', "duplicate_key"),
        (b'[{"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "c": 3, "a": 4}]', "duplicate_key"),
        (b'{"inputs": {"a": [1], "b": [2], "c": [3], "c": [4]}}', "duplicate_key"),
        (b'{"data": [[1, 2, 3]], "params": {"x": 1, "x": 2}}', "duplicate_key"),
        (b'{"data": [[{"x": 1, "x": 2}, 2, 3]]}', "duplicate_key"),
    ],
)
def test_json_is_read_strictly(body: bytes, code: str, orjson: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not orjson:
        monkeypatch.setattr(strict_json, "orjson", None)
    assert refusal(body, NUMBERS).code == code


def test_brackets_in_texts_do_not_nest() -> None:
    schema = schema_of(pd.DataFrame({"t": ["a"]}))
    text = '[{"' * 10_000 + "\\"
    assert read([{"t": text}], schema).data["t"].tolist() == [text]


def test_colons_in_texts_are_no_keys() -> None:
    schema = schema_of(pd.DataFrame({"t": ["a"], "x:y": ["b"]}))
    payload = read([{"t": "12:30:00", "x:y": "a:b"}], schema)
    assert payload.data.iloc[0].tolist() == ["12:30:00", "a:b"]


def test_a_byte_order_mark_is_skipped() -> None:
    assert read(b"\xef\xbb\xbf" + json.dumps({"data": [[1, 2, 3]]}).encode(), NUMBERS).n_rows == 1


def test_infinite_numbers_are_left_to_the_model() -> None:
    assert read(b'{"data": [[Infinity, -Infinity, 1e999]]}', NUMBERS).data.to_numpy().tolist() == [
        [np.inf, -np.inf, np.inf]
    ]


@pytest.mark.parametrize("content_type", [None, "", "application/json", "Application/JSON; charset=UTF-8"])
def test_json_is_what_is_read_where_nothing_is_said(content_type: str | None) -> None:
    assert read({"data": [[1, 2, 3]]}, NUMBERS, content_type).n_rows == 1


@pytest.mark.parametrize("content_type", ["image/png", "application/json; charset=utf-16", "text", ";", "a/b; c"])
def test_another_content_type_is_refused_with_415(content_type: str) -> None:
    problem = refusal({"data": [[1, 2, 3]]}, NUMBERS, content_type)
    assert (problem.status, problem.code) == (415, "unknown_format")


def test_a_problem_is_said_in_our_words_and_in_mlflows() -> None:
    data = refusal({"columns": ["a", "c"], "data": [[1, 2]]}, NUMBERS).to_json()
    assert data["error"]["code"] == "missing_column"
    assert data["error"]["columns"] == ["b"]
    assert data["error_code"] == "BAD_REQUEST"
    assert data["message"] == data["error"]["message"]


def test_a_long_value_is_not_repeated_whole() -> None:
    problem = refusal([{"a": "x" * 1_000_000, "b": 1, "c": 1}], NUMBERS)
    assert len(problem.message) < 400


def test_a_tensor_is_taken_by_position_whatever_the_columns_are_called() -> None:
    schema = schema_of(np.ones((3, 2)))
    for request in (
        {"inputs": [[1, 2.5]]},
        {"instances": [[1, 2.5]]},
        {"columns": ["x", "y"], "data": [[1, 2.5]]},
        {"inputs": {"x": [1], "y": [2.5]}},
        [{"x": 1, "y": 2.5}],
    ):
        data = read(request, schema).data
        assert isinstance(data, np.ndarray)
        assert data.tolist() == [[1.0, 2.5]]
        assert data.dtype == "float64"
    problem = refusal({"inputs": [[1, 2], [3, "x"]]}, schema)
    assert (problem.code, problem.columns, problem.row) == ("wrong_type", ("1",), 1)
    assert refusal({"inputs": [[1, 2, 3]]}, schema).code == "wrong_length"


def test_a_tensor_of_whole_numbers_takes_no_fraction() -> None:
    schema = schema_of(np.ones((3, 2), dtype="uint8"))
    assert read({"inputs": [[1, 2.0]]}, schema).data.dtype == "uint8"
    assert refusal({"inputs": [[1, 2.5]]}, schema).code == "wrong_type"
    assert refusal({"inputs": [[1, 256]]}, schema).code == "wrong_type"
    assert refusal({"inputs": [[1, -1]]}, schema).code == "wrong_type"


def test_a_tensor_of_more_dimensions_is_checked_in_all() -> None:
    schema = InputSchema(tensor=TensorSpec("float32", (-1, 2, 2)))
    data = read({"inputs": [[[1, 2], [3, 4]]]}, schema).data
    assert (data.dtype, data.shape) == ("float32", (1, 2, 2))
    assert refusal({"inputs": [[[1, 2], [3]]]}, schema).code == "ragged_rows"
    assert refusal({"inputs": [[1, 2]]}, schema).code == "wrong_length"
    problem = refusal({"inputs": [[[1, 2], [3, 4]], [[1, 2], [3, "4"]]]}, schema)
    assert (problem.code, problem.row) == ("wrong_type", 1)


def test_where_nothing_is_known_named_rows_are_a_frame_and_others_an_array() -> None:
    schema = InputSchema()
    frame = read({"columns": ["x", "y"], "data": [[1, "a"], [None, "b"]]}, schema).data
    assert frame["x"].tolist()[0] == 1.0
    assert frame["y"].tolist() == ["a", "b"]
    assert read({"instances": [[1, 2], [3, 4.5]]}, schema).data.tolist() == [[1, 2], [3, 4.5]]
    assert read({"instances": [1, 2]}, schema).data.tolist() == [1, 2]


def test_names_known_from_the_model_alone_are_matched_and_missing_values_are_left_to_it() -> None:
    schema = InputSchema((Column("a", nullable=True), Column("b", nullable=True)), source="model")
    frame = read({"columns": ["b", "a"], "data": [["x", 1], [None, None]]}, schema).data
    assert frame.columns.tolist() == ["a", "b"]
    assert frame["a"].tolist()[0] == 1.0
    assert frame["a"].isna().tolist() == [False, True]
    assert refusal([{"a": 1}], schema).columns == ("b",)


def test_frames_with_numbers_for_names_are_matched_by_their_text() -> None:
    seen = pd.DataFrame(np.ones((2, 2)))
    frame = read([{"1": 2, "0": 1}], schema_of(seen)).data
    assert frame.columns.tolist() == [0, 1]
    assert frame.to_numpy().tolist() == [[1.0, 2.0]]


def test_reading_json_imports_no_pyarrow(script: Any) -> None:
    done = script("""
        import sys
        import sys
        from autotrack.models import TensorSpec
        from autotrack.serving.payloads import read_payload
        from autotrack.serving.schema import InputSchema
        import autotrack.serving.answers
        read_payload(b'{"inputs": [[1, 2]]}', None, InputSchema(tensor=TensorSpec("float64", (-1, 2))))
        print([name for name in sys.modules if name.startswith("pyarrow.parquet") or name == "pyarrow.csv"])
    """)
    assert done.stdout.strip() == "[]"
