"""Every column type of every library counts in the digest, wherever the value stands, however it is stored."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from autotrack.capture.contents import digest_of_objects
from autotrack.capture.fingerprint import describe

ROWS = 12_000  # more than the 10,000 that MLflow looks at

# Two values of each type, as Python objects; the type as each library calls it.
DAY, OTHER_DAY = dt.date(2020, 1, 1), dt.date(2021, 2, 3)
TIME, OTHER_TIME = dt.datetime(2020, 1, 1, 12), dt.datetime(2020, 1, 1, 12, 0, 1)


def described(X, y=None):
    return describe(X, y, name="X", context="train")


def digest(X):
    found = described(X).digest
    assert found.startswith("sha256:")
    return found


def column(first, second, n=ROWS):
    values = [first, second] * (n // 2)
    changed = list(values)
    changed[-1] = first
    return values, changed


PANDAS = {
    "bool": (True, False, "bool"),
    "nullable bool": (True, None, "boolean"),
    "nullable int": (1, None, "Int64"),
    "nullable int, zero or nothing": (0, None, "Int64"),
    "nullable float": (1.5, None, "Float64"),
    "str": ("a", "b", "str"),
    "string": ("a", None, "string"),
    "category": ("u", "v", "category"),
    "category of numbers": (1, 2, "category"),
    "datetime": (TIME, OTHER_TIME, "datetime64[ns]"),
    "datetime with zone": (TIME, OTHER_TIME, "datetime64[ns, UTC]"),
    "timedelta": (dt.timedelta(1), dt.timedelta(2), "timedelta64[ns]"),
    "period": (pd.Period("2020-01", "M"), pd.Period("2020-02", "M"), "period[M]"),
    "interval": (pd.Interval(0, 1), pd.Interval(1, 2), "interval[int64, right]"),
    "sparse": (0.0, 1.0, "Sparse[float]"),
    "complex": (1j, 2j, "complex128"),
    "dates": (DAY, OTHER_DAY, object),
    "lists": ([1, 2], [1, 3], object),
    "arrays": (np.arange(2_000), np.arange(2_000) + (np.arange(2_000) == 1_000), object),
    "mappings": ({"a": 1}, {"a": 2}, object),
    "numbers and texts": (1, "1", object),
    "one and true": (1, True, object),
    "bytes": (b"a", b"b", object),
    "decimals": (Decimal("1.0"), Decimal("1.00"), object),
    "arrow int": (1, None, "int64[pyarrow]"),
    "arrow str": ("a", "b", "string[pyarrow]"),
    "arrow timestamp": (TIME, OTHER_TIME, "timestamp[us][pyarrow]"),
}


@pytest.mark.parametrize("name", PANDAS)
def test_the_last_value_of_a_pandas_column_counts(name):
    first, second, dtype = PANDAS[name]
    if "arrow" in name:
        pytest.importorskip("pyarrow")
    n = ROWS if name != "arrays" else 20
    values, changed = column(first, second, n)

    def frame(content, cut=None):
        series = pd.Series(content, dtype=dtype)
        return pd.DataFrame({"n": np.arange(n), "c": series})

    bare = frame(values)
    assert digest(bare) == digest(frame(values)) == digest(bare.copy())
    assert digest(bare) != digest(frame(changed))
    assert described(bare).columns[1]["dtype"] == str(bare["c"].dtype)
    assert described(bare).columns[1]["missing"] == bare["c"].isna().sum()


def test_pandas_columns_of_nested_arrow_data():
    pa = pytest.importorskip("pyarrow")
    for kind, first, second in (
        (pa.list_(pa.int64()), [1], [2]),
        (pa.struct([("a", pa.int64())]), {"a": 1}, {"a": 2}),
    ):
        values, changed = column(first, second, 100)
        one, other = (pd.DataFrame({"c": pd.Series(v, dtype=pd.ArrowDtype(kind))}) for v in (values, changed))
        assert digest(one) == digest(one.copy())
        assert digest(one) != digest(other)


POLARS = {
    "Int8": (1, 2), "UInt64": (2**63, 2**63 + 1), "Float32": (0.5, 1.5), "Float64": (1.0, None),
    "Boolean": (True, None),
    "Boolean or nothing": (False, None), "Int64": (0, None), "String": ("a", None), "Binary": (b"a", b"b"),
    "Date": (DAY, OTHER_DAY), "Datetime": (TIME, OTHER_TIME), "Duration": (dt.timedelta(1), dt.timedelta(2)),
    "Time": (dt.time(1), dt.time(2)), "Categorical": ("u", "v"), "Decimal": (Decimal("1.5"), Decimal("1.6")),
    "List": ([1], [2]), "Struct": ({"a": 1}, {"a": 2}), "Null": (None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", POLARS)
def test_the_last_value_of_a_polars_column_counts(name):
    pl = pytest.importorskip("polars")
    kinds = {
        "List": pl.List(pl.Int64),
        "Struct": pl.Struct({"a": pl.Int64}),
        "Decimal": pl.Decimal(10, 2),
        "Boolean or nothing": pl.Boolean,
        "Datetime": pl.Datetime("us"),
    }
    kind = kinds.get(name) or getattr(pl, name)
    values, changed = column(*POLARS[name])

    def frame(content):
        return pl.DataFrame({"c": pl.Series(content, dtype=kind), "n": np.arange(ROWS)})

    one = frame(values)
    in_pieces = pl.concat([one[:5], one[5:7_000], one[7_000:]], rechunk=False)
    assert digest(one) == digest(frame(values)) == digest(in_pieces)
    if name != "Null":
        assert digest(one) != digest(frame(changed))
    found = described(one)
    assert found.kind == "polars.DataFrame"
    assert found.shape == (ROWS, 2)
    assert found.columns[0] == {"name": "c", "dtype": str(one["c"].dtype), "missing": one["c"].null_count()}


@pytest.mark.parametrize("name", [*POLARS, "Dictionary"])
def test_the_last_value_of_an_arrow_column_counts(name):
    pa = pytest.importorskip("pyarrow")
    kinds = {
        "Int8": pa.int8(), "UInt64": pa.uint64(), "Float32": pa.float32(), "Float64": pa.float64(), "Int64": pa.int64(),
        "Boolean": pa.bool_(), "Boolean or nothing": pa.bool_(), "String": pa.string(), "Binary": pa.binary(),
        "Date": pa.date32(), "Datetime": pa.timestamp("us", "UTC"), "Duration": pa.duration("us"), "Null": pa.null(),
        "Time": pa.time64("us"), "Categorical": pa.large_string(), "Decimal": pa.decimal128(10, 2),
        "List": pa.list_(pa.int64()), "Struct": pa.struct([("a", pa.int64())]),
    }  # fmt: skip
    values, changed = column(*POLARS.get(name, ("u", "v")))

    def table(content):
        array = pa.array(content, type=kinds.get(name))
        return pa.table({"c": array.dictionary_encode() if name == "Dictionary" else array, "n": np.arange(ROWS)})

    one = table(values)
    in_pieces = pa.concat_tables([one.slice(0, 5), one.slice(5, 6_995), one.slice(7_000)])
    assert digest(one) == digest(table(values)) == digest(in_pieces)
    assert digest(one.to_batches()[0]) == digest(one)
    if name != "Null":
        assert digest(one) != digest(table(changed))
    assert described(one).columns[0]["missing"] == one["c"].null_count
    assert digest(one["c"]) == digest(in_pieces["c"])


def test_holes_are_told_from_zeros_and_from_nan_and_columns_count_by_name_and_type():
    pl = pytest.importorskip("polars")
    frames = [
        pl.DataFrame({"c": [0.0, None]}),
        pl.DataFrame({"c": [0.0, 0.0]}),
        pl.DataFrame({"c": [0.0, float("nan")]}),
        pl.DataFrame({"c": [None, 0.0]}),
        pl.DataFrame({"d": [0.0, None]}),
        pl.DataFrame({"c": [0, None]}),
        pl.DataFrame({"c": [0.0, None], "d": [0.0, None]}),
        pl.Series("c", [0.0, None]),
    ]
    assert len({digest(frame) for frame in frames}) == len(frames)
    assert [column["missing"] for column in described(frames[2]).columns] == [1]


def test_targets_of_every_kind_are_summarised():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    X = np.zeros((4, 1))
    classes = {"no": 3, "yes": 1}
    texts = ["no", "yes", "no", "no"]
    kinds = [
        texts,
        np.array(texts),
        np.array(texts, object),
        pd.Series(texts, index=[9, 8, 7, 6]),
        pd.Series(texts, dtype="category"),
        pd.DataFrame(texts),
        pl.Series(texts),
        pa.array(texts),
        pa.chunked_array([texts]),
    ]
    for y in kinds:
        assert described(X, y).target["classes"] == classes
    assert described(X, [True, False, True, True]).target["classes"] == {"False": 1, "True": 3}
    assert described(X, ["a", None, 1, "a"]).target["classes"] == {"1": 1, "None": 1, "a": 2}
    matrix = np.array([[0, 1], [1, 1], [0, 1], [0, 0]])
    assert described(X, matrix).target["positives"] == [1, 3]
    assert described(X, sparse.csr_matrix(matrix)).target["nonzero"] == 4
    assert described(X, [[1, 2], [3]]).target["kind"] == "list"


def test_lists_of_texts_mappings_and_tokens_have_a_digest_without_an_array_of_them():
    texts = ["a"] * 5_000 + ["x" * 1_000_000]  # as an array of texts: 20 GB
    assert digest(texts) == digest(list(texts))
    assert digest(texts) != digest([*texts[:-1], texts[-1][:-1] + "y"])
    assert described(texts).shape == (5_001,)
    for one, other in (
        ([{"a": 1}], [{"a": 2}]),
        ([["a", "b"], ["c"]], [["a", "b"], ["d"]]),
        ([[1, "1"]], [["1", 1]]),
        ([[1, 2], [3]], [[1, 2], [4]]),
        ([b"a"], [b"b"]),
    ):
        assert digest(one) == digest(list(one))
        assert digest(one) != digest(other)


def test_object_arrays_count_missing_values_and_types():
    one, other = np.array([[1, "a", None]], object), np.array([["1", "a", None]], object)
    assert digest(one) != digest(other)
    assert described(one).columns[0]["missing"] == 1


def test_an_array_of_another_library_is_read_where_it_can_be():
    strict = pytest.importorskip("array_api_strict")
    values = np.arange(6.0).reshape(3, 2)
    assert digest(strict.asarray(values)) == digest(values)


class Plain:
    def __init__(self, a):
        self.a = a


def test_objects_count_by_their_state_and_not_by_their_address():
    assert digest_of_objects([Plain(1)]) == digest_of_objects([Plain(1)])
    assert digest_of_objects([Plain(1)]) != digest_of_objects([Plain(2)])
    generators = [(i for i in ()), (i for i in ())]
    assert digest_of_objects(generators[:1]) == digest_of_objects(generators[1:])
    shared = "".join(["ab", "cd"])
    assert digest_of_objects([shared, shared]) == digest_of_objects(["abcd", "".join(["a", "bcd"])])
    circle: list = []
    circle.append(circle)
    assert digest_of_objects([circle])


def test_the_digest_is_the_same_in_every_process():
    code = (
        "import pandas as pd, numpy as np, datetime as dt; from autotrack.capture.fingerprint import describe;"
        "d = pd.DataFrame({'s': ['a', 'b'], 'o': [[1], {'k': np.arange(3)}], 'd': [dt.date(2020, 1, 1), None]});"
        "print(describe(d, name='X', context='train').digest)"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                       capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(runs) == 1
