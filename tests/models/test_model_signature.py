"""Signatures: what is inferred, and that nothing is copied, changed or warned about."""

from __future__ import annotations

import datetime as dt
import json
import tracemalloc
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from autotrack.models import ColumnSpec, Signature, TensorSpec, infer_signature


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def column(values: Any, **options: Any) -> tuple[Any, bool]:
    inferred = infer_signature(pd.DataFrame({"a": values}, **options))
    assert inferred.signature is not None
    (spec,) = inferred.signature.inputs
    assert isinstance(spec, ColumnSpec)
    return spec.type, spec.required


NAT = np.datetime64("NaT")
COLUMNS: list[tuple[Any, str, bool]] = [
    (np.array([1, 2], "i8"), "long", True),
    (np.array([1, 2], "i4"), "integer", True),
    (np.array([1, 2], "u1"), "integer", True),
    (np.array([1, 2], "u4"), "long", True),
    (np.array([1, 2], "u8"), "any", True),
    (np.array([1, 2], "f2"), "float", True),
    (np.array([1, 2], "f4"), "float", True),
    (np.array([1, np.inf]), "double", True),
    (np.array([1, np.nan]), "double", False),
    (np.array([1j, 2]), "any", True),
    ([True, False], "boolean", True),
    (["x", "y"], "string", True),
    (["x", None], "string", False),
    (pd.Series(["x", None], dtype=object), "string", False),
    (pd.Series(["x", "y"], dtype="string"), "string", True),
    (pd.Series([b"x", bytearray(b"y")], dtype=object), "binary", True),
    (pd.Series([1, None], dtype=object), "double", False),
    (pd.Series([1, np.nan], dtype=object), "double", False),
    (pd.Series([1, 2.5], dtype=object), "double", True),
    (pd.Series([True, None], dtype=object), "boolean", False),
    (pd.Series([True, 1], dtype=object), "any", True),
    (pd.Series(["x", 1], dtype=object), "any", True),
    (pd.Series([None, None], dtype=object), "any", False),
    (pd.Series([[1], [2]], dtype=object), "any", True),
    (pd.Series([dt.date(2026, 1, 1), None], dtype=object), "datetime", False),
    (pd.Series([np.float32(1), np.float32(2)], dtype=object), "float", True),
    (np.array(["2026-01-01", "2026-01-02"], "M8[ns]"), "datetime", True),
    (np.array(["2026-01-01", NAT], "M8[ns]"), "datetime", False),
    (pd.to_datetime(["2026-01-01", None]).tz_localize("UTC"), "datetime", False),
    (np.array([1, 2], "m8[s]"), "any", True),
    (pd.Series([1, None], dtype="Int64"), "long", False),
    (pd.Series([1, 2], dtype="Int64"), "long", True),
    (pd.Series([1, 2], dtype="Int8"), "integer", True),
    (pd.Series([1.5, None], dtype="Float64"), "double", False),
    (pd.Series([True, None], dtype="boolean"), "boolean", False),
    (pd.Categorical(["x", "y"]), "string", True),
    (pd.Categorical([1, 2]), "long", True),
    (pd.Categorical(["x", None]), "string", False),
    (pd.Categorical.from_codes([-1, -1], []), "any", False),
    (pd.period_range("2026", periods=2, freq="D"), "any", True),
    (pd.interval_range(0, 2), "any", True),
    (pd.arrays.SparseArray([0.0, 1.0]), "double", True),
]


@pytest.mark.parametrize(("values", "kind", "required"), COLUMNS)
def test_columns(values: Any, kind: str, required: bool) -> None:
    assert column(values) == (kind, required)


def test_an_empty_frame_has_columns() -> None:
    X = pd.DataFrame({"a": np.array([], "f8"), "b": np.array([], "M8[ns]"), "c": np.array([], object)})
    signature = infer_signature(X).signature
    assert signature is not None
    assert signature.inputs == (ColumnSpec("double", "a"), ColumnSpec("datetime", "b"), ColumnSpec("any", "c"))


def test_the_text_is_mlflows() -> None:
    X = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]})
    signature = infer_signature(X, np.array([0, 1])).signature
    assert signature is not None
    assert signature.inputs_json() == (
        '[{"type": "double", "name": "a", "required": true}, {"type": "string", "name": "b", "required": false}]'
    )
    assert signature.outputs_json() == '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
    assert Signature.from_json(signature.inputs_json(), signature.outputs_json()) == signature


def test_known_missing_counts_are_believed() -> None:
    X = pd.DataFrame({"a": [1.0, np.nan], "b": [1.0, 2.0], "c": [1, 2], "d": [1.0, np.nan]})
    signature = infer_signature(X, missing={"a": 0, "b": 3, "c": 0}).signature
    assert signature is not None
    assert [spec.required for spec in signature.inputs if isinstance(spec, ColumnSpec)] == [True, False, True, False]


@pytest.mark.parametrize(
    ("data", "spec"),
    [
        (np.zeros((3, 4)), TensorSpec("float64", (-1, 4))),
        (np.zeros(3, "i4"), TensorSpec("int32", (-1,))),
        (np.zeros((3, 4, 5), "f4"), TensorSpec("float32", (-1, 4, 5))),
        (np.array(["abc", "d"]), TensorSpec("str", (-1,))),
        (np.array([b"abc", b"d"]), TensorSpec("bytes", (-1,))),
        (np.array([None, 1]), TensorSpec("object", (-1,))),
        (sparse.csr_matrix(np.eye(3)), TensorSpec("float64", (-1, 3))),
        (sparse.csc_array(np.eye(3, dtype="f4")), TensorSpec("float32", (-1, 3))),
        ([[1, 2], [3, 4]], TensorSpec("int64", (-1, 2))),
        ([[1, 2], [3, 4.5]], TensorSpec("float64", (-1, 2))),
        ([[1, 2]] * 2000, TensorSpec("float64", (-1, 2))),
        (["a text", "another"], ColumnSpec("string")),
        ([1, 2], ColumnSpec("long")),
        (pd.Series([1.0, np.nan], name="y"), ColumnSpec("double", "y", False)),
        (pd.Series([1.0, np.nan]), ColumnSpec("double")),
    ],
)
def test_everything_else(data: Any, spec: Any) -> None:
    assert infer_signature(data, data) == (Signature((spec,), (spec,)), None)


@pytest.mark.parametrize(
    ("X", "reason"),
    [
        (iter([1]), "builtins.list_iterator is not a type that a signature describes"),
        ({"a": [1]}, "builtins.dict is not a type"),
        (None, "builtins.NoneType"),
        ([], "an empty list"),
        ([[1], [1, 2]], "a list of rows that are no array"),
        (pd.DataFrame(), "a DataFrame without columns"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "more than one column is named 'a'"),
        (pd.DataFrame([[1]], columns=[("a", "b")]), "neither text nor a whole number"),
        (pd.DataFrame([[1]], columns=[None]), "neither text nor a whole number"),
        (np.zeros(2, [("a", "f8")]), "a structured array"),
    ],
)
def test_a_reason_is_given(X: Any, reason: str) -> None:
    signature, why = infer_signature(X)
    assert signature is None
    assert why is not None
    assert why.startswith("inputs: ")
    assert reason in why


def test_types_that_misbehave() -> None:
    class Awkward:
        @property
        def dtype(self) -> Any:
            raise RuntimeError("not now")

    X = pd.DataFrame({"a": pd.Series([Awkward()], dtype=object)})
    assert infer_signature(X) == (None, "inputs: RuntimeError: not now")


def test_outputs_that_cannot_be_described_do_not_cost_the_inputs() -> None:
    signature, reason = infer_signature(np.eye(2), object())
    assert signature == Signature((TensorSpec("float64", (-1, 2)),))
    assert reason is not None
    assert reason.startswith("outputs: ")


def test_x_is_not_copied_and_not_changed() -> None:
    X = pd.DataFrame(
        {"a": np.ones(500_000), "b": np.arange(500_000), "c": pd.date_range("2000", periods=500_000, freq="s")}
    )
    before = X.copy()
    infer_signature(X.head())  # what is made once
    tracemalloc.start()
    try:
        infer_signature(X, X["a"].to_numpy())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000
    pd.testing.assert_frame_equal(X, before)


def test_polars_without_names_and_without_columns() -> None:
    polars = pytest.importorskip("polars")
    assert infer_signature(polars.Series([1.5])).signature == Signature((ColumnSpec("double"),))
    assert infer_signature(polars.DataFrame()).reason == "inputs: a DataFrame without columns"
    odd = polars.DataFrame({"u": polars.Series([1], dtype=polars.UInt64), "l": [[1]], "s": [{"a": 1}]})
    found = infer_signature(odd, missing={"u": 0, "l": 3, "s": 0}).signature
    assert found is not None
    assert [(spec.type, spec.required) for spec in found.inputs if isinstance(spec, ColumnSpec)] == [
        ("any", True),
        ("any", False),
        ("any", True),
    ]


def test_few_values_of_an_object_column_are_looked_at() -> None:
    class Counting(str):
        seen = 0

        @property
        def __class__(self) -> type:  # type: ignore[override]
            Counting.seen += 1
            return str

    infer_signature(pd.DataFrame({"a": pd.Series([Counting("x")] * 10_000, dtype=object)}), missing={"a": 0})
    assert Counting.seen <= 2_000


names = st.text(max_size=5) | st.integers(0, 5)
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates()


@given(st.dictionaries(names, st.lists(values, min_size=3, max_size=3), min_size=1, max_size=4))
def test_any_frame_has_a_signature_that_json_carries(data: dict[Any, list[Any]]) -> None:
    X = pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in data.items()})
    signature, reason = infer_signature(X)
    assert reason is None
    assert signature is not None
    assert [item["name"] for item in json.loads(signature.inputs_json())] == list(data)
    assert [spec.required for spec in signature.inputs if isinstance(spec, ColumnSpec)] == X.notna().all().tolist()
