"""CSV, Arrow and Parquet requests."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from serving_tools import ARROW, ARROW_FILE, PARQUET, arrow_bytes, parquet_bytes, read, refusal, schema_of

from autotrack.serving import delimited
from autotrack.serving.schema import InputSchema

FRAME = pd.DataFrame(
    {
        "age": [31.5, 40.0],
        "rooms": [3, 4],
        "city": ["Rome", "Oslo, N"],
        "new": [True, False],
        "at": pd.to_datetime(["2024-01-01 00:00:00", "2024-02-03 04:05:06"]).as_unit("ns"),
    }
)
SCHEMA = schema_of(FRAME)
NUMBERS = schema_of(pd.DataFrame({"a": [1.0], "b": [2.0], "c": [3.0]}))


def csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


WRITERS: list[tuple[str, Callable[[pd.DataFrame], bytes]]] = [
    ("text/csv", csv),
    (ARROW, arrow_bytes),
    (ARROW_FILE, lambda frame: arrow_bytes(frame, is_file=True)),
    (PARQUET, parquet_bytes),
    ("application/x-parquet", parquet_bytes),
]
every_format = pytest.mark.parametrize(("content_type", "write"), WRITERS, ids=[kind for kind, _ in WRITERS])


@every_format
def test_every_format_gives_the_frame_in_the_models_order(content_type: str, write: Any) -> None:
    payload = read(write(FRAME[FRAME.columns[::-1]]), SCHEMA, content_type)
    pd.testing.assert_frame_equal(payload.data, FRAME)
    assert payload.n_rows == 2


@every_format
def test_columns_are_matched_in_every_format(content_type: str, write: Any) -> None:
    frame = pd.DataFrame({"c": [1.0], "a": [2.0], "b": [3.0]})
    assert read(write(frame), NUMBERS, content_type).data.to_numpy().tolist() == [[2.0, 3.0, 1.0]]
    problem = refusal(write(frame.drop(columns="b")), NUMBERS, content_type)
    assert (problem.code, problem.columns) == ("missing_column", ("b",))
    problem = refusal(write(frame.assign(z=1)), NUMBERS, content_type)
    assert (problem.code, problem.columns) == ("unexpected_column", ("z",))


@every_format
def test_wrong_types_and_missing_values_are_named_in_every_format(content_type: str, write: Any) -> None:
    problem = refusal(write(FRAME.assign(age=["x", "y"])), SCHEMA, content_type)
    assert (problem.code, problem.columns) == ("wrong_type", ("age",))
    problem = refusal(write(FRAME.assign(rooms=[3, 3.5])), SCHEMA, content_type)
    assert (problem.code, problem.columns, problem.row) == ("wrong_type", ("rooms",), 1)
    for name, values in {"age": [1.5, None], "rooms": [1, None], "city": ["x", None], "new": [True, None]}.items():
        problem = refusal(write(FRAME.assign(**{name: values})), SCHEMA, content_type)
        assert (problem.code, problem.columns, problem.row) == ("missing_value", (name,), 1)


@every_format
def test_no_rows_and_too_many_are_refused_in_every_format(content_type: str, write: Any) -> None:
    assert refusal(write(FRAME.iloc[:0]), SCHEMA, content_type).code == "empty"
    problem = refusal(write(FRAME), SCHEMA, content_type, max_rows=1)
    assert (problem.status, problem.code) == (413, "too_large")


@every_format
def test_a_tensor_is_made_of_columns_by_position(content_type: str, write: Any) -> None:
    schema = schema_of(np.ones((3, 2)))
    data = read(write(pd.DataFrame({"x": [1.5, 2.0], "y": [3, 4]})), schema, content_type).data
    assert isinstance(data, np.ndarray)
    assert data.tolist() == [[1.5, 3.0], [2.0, 4.0]]
    assert refusal(write(pd.DataFrame({"x": [1.5]})), schema, content_type).code == "wrong_length"
    problem = refusal(write(pd.DataFrame({"x": [1.5], "y": ["a"]})), schema, content_type)
    assert (problem.code, problem.columns) == ("wrong_type", ("y",))


@every_format
def test_where_nothing_is_known_the_frame_is_taken_as_it_is(content_type: str, write: Any) -> None:
    frame = pd.DataFrame({"x": [1.5, None], "y": ["a", "b"], "n": [1, 2], "f": [True, False]})
    data = read(write(frame), InputSchema(), content_type).data
    pd.testing.assert_frame_equal(data, frame)


@pytest.mark.parametrize("content_type", [ARROW, ARROW_FILE, PARQUET])
@pytest.mark.parametrize("body", [b"", b"x", b"PAR1", b"ARROW1\0\0", b"\xff" * 64, b"\0" * 4096])
def test_bytes_of_another_kind_are_refused(content_type: str, body: bytes) -> None:
    code = "not_parquet" if content_type == PARQUET else "not_arrow"
    assert refusal(body, NUMBERS, content_type).code == code


@pytest.mark.parametrize(("content_type", "write"), WRITERS[1:], ids=[kind for kind, _ in WRITERS[1:]])
def test_bytes_cut_off_are_refused(content_type: str, write: Any) -> None:
    body = write(FRAME)
    for length in range(0, len(body) - 16, 97):
        assert refusal(body[:length], SCHEMA, content_type).code in ("not_arrow", "not_parquet", "empty")


def test_offsets_that_point_elsewhere_are_refused() -> None:
    table = pa.table({"t": pa.array(["abc", "def"])})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body = bytearray(sink.getvalue().to_pybytes())
    offsets = np.array([0, 3, 6], "int32").tobytes()
    at = bytes(body).index(offsets)
    body[at : at + 12] = np.array([0, 3, 2_000_000_000], "int32").tobytes()
    schema = schema_of(pd.DataFrame({"t": ["a"]}))
    assert refusal(bytes(body), schema, ARROW).code == "not_arrow"


def test_the_index_that_pandas_keeps_in_the_file_is_no_column() -> None:
    frame = pd.DataFrame({"a": [1.0], "b": [2.0], "c": [3.0]}, index=pd.Index([7], name="key"))
    for content_type, write in WRITERS[1:]:
        assert read(write(frame), NUMBERS, content_type).data.columns.tolist() == ["a", "b", "c"]


def test_narrow_and_whole_numbers_and_decimals_do_for_numbers() -> None:
    table = pa.table(
        {
            "a": pa.array([1], pa.int8()),
            "b": pa.array([0.5], pa.float32()),
            "c": pa.array([2**40], pa.uint64()),
        }
    )
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    data = read(sink.getvalue(), NUMBERS, PARQUET).data
    assert data.to_numpy().tolist() == [[1.0, 0.5, 2.0**40]]
    table = table.set_column(2, "c", pa.array([1.25]).cast(pa.decimal128(10, 2)))
    sink = io.BytesIO()
    parquet.write_table(table, sink)
    assert read(sink.getvalue(), NUMBERS, PARQUET).data["c"].tolist() == [1.25]


def test_a_dictionary_stays_a_category() -> None:
    frame = FRAME.assign(city=FRAME["city"].astype("category"))
    data = read(arrow_bytes(frame), SCHEMA, ARROW).data
    assert data["city"].dtype == "category"
    assert data["city"].tolist() == ["Rome", "Oslo, N"]


def test_times_with_a_zone_are_refused() -> None:
    frame = FRAME.assign(at=FRAME["at"].dt.tz_localize("UTC"))
    problem = refusal(arrow_bytes(frame), SCHEMA, ARROW)
    assert (problem.code, problem.columns) == ("wrong_type", ("at",))
    assert "UTC" in problem.message


def test_whole_numbers_beyond_the_column_are_refused() -> None:
    schema = schema_of(pd.DataFrame({"n": np.array([1], "int32")}))
    problem = refusal(arrow_bytes(pd.DataFrame({"n": [1, 2**31]})), schema, ARROW)
    assert (problem.code, problem.columns, problem.row) == ("wrong_type", ("n",), 1)
    schema = schema_of(pd.DataFrame({"n": [1]}))
    problem = refusal(arrow_bytes(pd.DataFrame({"n": np.array([1, 2**63], "uint64")})), schema, ARROW)
    assert (problem.code, problem.row) == ("wrong_type", 1)


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_csv_is_read_in_the_charset_that_it_names(charset: str) -> None:
    schema = schema_of(pd.DataFrame({"stadt": ["a"]}))
    body = "stadt\nKöln\n".encode(charset)
    assert read(body, schema, f'text/csv; charset="{charset}"').data["stadt"].tolist() == ["Köln"]


@pytest.mark.parametrize("charset", ["punycode", "unicode_escape", "rot13", "zlib", "utf-7", "nothing"])
def test_csv_in_a_charset_that_is_none_is_refused(charset: str) -> None:
    problem = refusal(b"a\n1", NUMBERS, f"text/csv; charset={charset}")
    assert (problem.status, problem.code) == (415, "unknown_format")


def test_a_mark_at_the_beginning_is_no_part_of_the_first_name() -> None:
    assert read(b"\xef\xbb\xbfa,b,c\r\n1,2,3\r\n", NUMBERS, "text/csv").n_rows == 1


def test_csv_without_a_header_is_taken_by_position_when_it_says_so() -> None:
    assert read(b"1,2,3\n4,5,6\n", NUMBERS, "text/csv; header=absent").data.to_numpy().tolist() == [
        [1, 2, 3],
        [4, 5, 6],
    ]


@pytest.mark.parametrize(
    ("body", "code", "row"),
    [
        (b"", "empty", None),
        (b"\n\n", "empty", None),
        (b"a,b,c\n", "empty", None),
        (b"a,b,c\n1,2\n", "ragged_rows", 0),
        (b"a,b,c\n1,2,3\n1,2,3,4\n", "ragged_rows", 1),
        (b'a,b,c\n1,2,"3', "not_csv", None),
        (b"a,b,c\n1,2,\xff\n", "not_csv", None),
        (b"a,a,c\n1,2,3\n", "duplicate_column", None),
        (b"a,b,c\n1,2,1_000\n", "wrong_type", 0),
        (b"a,b,c\n1,2,3\n1,true,3\n", "wrong_type", 1),
        (b"a,b,c\n1,2,3\n1,,3\n", "missing_value", 1),
        (b"a,b,c\n1,2,3\n1,NaN,3\n", "missing_value", 1),
    ],
)
@pytest.mark.parametrize("fast", [True, False])
def test_csv_that_does_not_fit_is_refused(
    body: bytes, code: str, row: int | None, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "LARGE", 0 if fast else 1_000_000)
    problem = refusal(body, NUMBERS, "text/csv")
    assert (problem.code, problem.row) == (code, row)


def test_large_csv_is_read_to_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "n": rng.integers(0, 9, 200), "t": ["NA", "a,b"] * 100})
    schema = schema_of(frame)
    body = csv(frame)
    assert len(body) > delimited.LARGE
    fast = read(body, schema, "text/csv").data
    monkeypatch.setattr(delimited, "LARGE", len(body) + 1)
    slow = read(body, schema, "text/csv").data
    pd.testing.assert_frame_equal(fast, frame, check_exact=True)
    pd.testing.assert_frame_equal(slow, frame, check_exact=True)


def test_words_for_missing_are_texts_where_the_model_has_seen_none_missing() -> None:
    never = schema_of(pd.DataFrame({"t": ["a"], "x": [1.0]}))
    assert read(b"t,x\nNA,1\nnull,2\n", never, "text/csv").data["t"].tolist() == ["NA", "null"]
    problem = refusal(b"t,x\n,1\n", never, "text/csv")
    assert (problem.code, problem.columns) == ("missing_value", ("t",))
    some = schema_of(pd.DataFrame({"t": ["a", None], "x": [1.0, 2.0]}))
    assert read(b"t,x\nNA,1\nb,2\n", some, "text/csv").data["t"].isna().tolist() == [True, False]
