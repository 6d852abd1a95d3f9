"""The digest covers all of the data, whatever its layout, and nothing is copied or changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from autotrack.capture.fingerprint import describe

rng = np.random.default_rng(0)


def digest(X, y=None):
    return describe(X, y, name="X", context="train").digest


@settings(deadline=None, max_examples=60)
@given(rows=st.integers(1, 3000), columns=st.integers(1, 6), dtype=st.sampled_from(["f8", "f4", "i8", "i1", "bool"]))
def test_the_digest_does_not_depend_on_the_layout(rows, columns, dtype):
    values = (np.random.default_rng(rows).random((rows, columns)) * 100).astype(dtype)
    assert digest(values) == digest(np.asfortranarray(values)) == digest(np.repeat(values, 2, axis=0)[::2])
    names = [f"c{i}" for i in range(columns)]
    row_major = pd.DataFrame(values, columns=names)
    column_major = pd.DataFrame({name: values[:, i].copy() for i, name in enumerate(names)})
    assert digest(row_major) == digest(column_major) == digest(row_major.copy())


@settings(deadline=None, max_examples=60)
@given(place=st.integers(0, 49_999), dtype=st.sampled_from(["f8", "i4"]), frame=st.booleans())
def test_one_changed_value_anywhere_changes_the_digest(place, dtype, frame):
    values = np.zeros((5_000, 10), dtype=dtype)
    changed = values.copy()
    changed.flat[place] = 1
    make = pd.DataFrame if frame else np.asarray
    assert digest(make(values)) != digest(make(changed))


@pytest.mark.parametrize(
    "change",
    [
        lambda df: df.assign(s=["a", "b", "x"]),
        lambda df: df.assign(d=pd.to_datetime(["2020-01-01", "2020-01-02", "2021-01-01"])),
        lambda df: df.assign(c=pd.Categorical(["u", "v", "v"])),
        lambda df: df.assign(b=[True, False, False]),
        lambda df: df.assign(n=pd.array([1, None, 4], dtype="Int64")),
        lambda df: df.assign(o=[[1], {}, 5]),
        lambda df: df.rename(columns={"s": "t"}),
        lambda df: df.astype({"f": "float32"}),
        lambda df: df.iloc[:2],
        lambda df: df.iloc[::-1],
    ],
)
def test_every_column_type_name_dtype_and_order_counts(change):
    frame = pd.DataFrame(
        {
            "s": ["a", "b", "c"],
            "d": pd.to_datetime(["2020-01-01", "2020-01-02", None]),
            "c": pd.Categorical(["u", "v", "u"]),
            "b": [True, False, True],
            "n": pd.array([1, None, 3], dtype="Int64"),
            "o": [[1], {}, None],
            "f": [1.0, 2.0, 3.0],
        }
    )
    assert digest(frame) == digest(frame.copy())
    assert digest(frame) != digest(change(frame))


def test_columns_missing_counts_and_target():
    frame = pd.DataFrame({"a": [1.0, np.nan, np.inf], "b": ["x", None, "z"], 7: [1, 2, 3]})
    found = describe(frame, pd.Series(["no", "yes", "no"]), name="train", context="train")
    assert [column["name"] for column in found.columns] == ["a", "b", 7]
    assert [column["missing"] for column in found.columns] == [1, 1, 0]
    assert found.shape == (3, 3)
    assert found.target["classes"] == {"no": 2, "yes": 1}
    assert describe(frame, [1.5, np.nan], name="t", context="train").target["missing"] == 1
    assert describe(frame, np.array([3, 3, -1]), name="t", context="train").target["classes"] == {"-1": 1, "3": 2}


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
def test_sparse_data_stays_sparse(kind):
    matrix = sparse.random(50, 40, 0.1, random_state=0, format="csr")
    other = matrix.copy()
    other.data[3] += 1
    found = describe(matrix.asformat(kind), name="X", context="train")
    assert found.shape == (50, 40)
    assert found.digest != digest(other.asformat(kind))
    assert found.digest == digest(matrix.asformat(kind))


@pytest.mark.parametrize("data", [[[1, 2], [3]], "text", object(), iter([1]), None, 5, [["a"], [object()]]])
def test_data_of_no_known_type_is_described_as_far_as_it_goes(data):
    assert describe(data, None, name="X", context="train").kind


def test_strings_objects_and_dates_in_arrays():
    for values in (
        np.array([["a", "bc"]]),
        np.array([["a", 1]], dtype=object),
        np.array(["2020-01-01"], dtype="M8[D]"),
    ):
        assert digest(values) == digest(values.copy())
        assert digest(values) != digest(values[:, ::-1] if values.ndim == 2 else values + np.timedelta64(1, "D"))
    assert digest(np.array([[{}]], dtype=object))


def test_empty_data():
    for data in (
        np.empty((0, 3)),
        np.empty((3, 0)),
        pd.DataFrame(),
        pd.DataFrame({"a": []}),
        [],
        sparse.csr_matrix((0, 2)),
    ):
        assert describe(data, [], name="X", context="train").shape is not None
