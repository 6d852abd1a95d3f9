"""The pickler: the bytes are cloudpickle's own, and the modules are those that the bytes name."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import io
import logging
import os
import pickle
import pickletools
import re
import sys
import types
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import scipy.special
import wrapt
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from autotrack.models.pickling import PROTOCOL, RecordingPickler, Sink


class Color(enum.Enum):
    RED = 1


class Meta(type):
    pass


class WithMeta(metaclass=Meta):
    pass


class Named:
    """Pickles as a bare name."""

    def __reduce__(self) -> str:
        return "NAMED"


NAMED = Named()


def a_function(x: int) -> int:
    return x


def make_local() -> Any:
    class Local:
        def method(self) -> Any:
            return np.sum([1]), re.compile("x")

    return Local


OBJECTS: dict[str, Any] = {
    "constants": [None, True, ..., NotImplemented, 1, 1.5, "x", b"x", bytearray(b"x"), type(None), type(...)],
    "containers": [(1, 2), {1: 2}, {3}, frozenset({4}), OrderedDict(a=1), defaultdict(list), {1: 2}.keys()],
    "arrays": [np.arange(3.0), np.asfortranarray(np.ones((3, 2))), np.array(["a"]), np.array([None, 1]), np.ones(0)],
    "big arrays": [
        np.ones(50_000),
        np.ones((300, 300), order="F"),
        np.ones((300, 300))[::2],
        np.broadcast_to(1, 10_000),
    ],
    "numpy": [np.float64(1), np.dtype("f4"), np.float32, np.log1p, np.sum, np.ndarray.mean, np.linalg.norm, np.nan],
    "random": [np.random.RandomState(0), np.random.default_rng(0)],
    "ufunc": scipy.special.expit,
    "sparse": sparse.csr_matrix(np.eye(3)),
    "frame": pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": pd.Categorical(["p", "q"])}),
    "pandas": [pd.NA, pd.NaT, pd.Timestamp("2026-01-01"), pd.Index([1])],
    "classes": [int, WithMeta, Color, Meta, RandomForestClassifier, decimal.Decimal, types.FunctionType],
    "instances": [Color.RED, WithMeta(), NAMED, decimal.Decimal("1"), datetime.timedelta(1), Path("x")],
    "functions": [a_function, len, os.path.join, "x".join, str.upper, functools.partial(a_function, 1), [].append],
    "modules": [np, os.path, pd],
    "lambdas": [lambda x: np.sum(x), lambda: re.sub],
    "by value": [make_local(), make_local()(), make_local()().method],
    "logger": logging.getLogger("x"),
    "scorer": make_scorer(accuracy_score),
    "unfitted": make_pipeline(FunctionTransformer(np.log1p), FunctionTransformer(lambda x: x), TfidfVectorizer()),
    "forest": RandomForestClassifier(3, random_state=0).fit(np.arange(20).reshape(-1, 2), [0, 1] * 5),
    "boosting": GradientBoostingClassifier(n_estimators=3).fit(np.arange(20).reshape(-1, 2), [0, 1] * 5),
}


def record(obj: Any, folder: Path) -> tuple[bytes, set[str]]:
    path = folder / "x.pkl"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        sink = Sink(fd)
        pickler = RecordingPickler(sink)
        pickler.dump(obj)
    finally:
        os.close(fd)
    assert sink.size == path.stat().st_size
    return path.read_bytes(), pickler.modules


def named_by(data: bytes) -> set[str]:
    """The modules that the bytes name: what an unpickler is asked for."""
    asked = set()

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found = super().find_class(module, name)
            asked.add(module)
            if name == "subimport":

                def subimport(imported: str) -> Any:
                    asked.add(imported)
                    return found(imported)

                return subimport
            return found

    Unpickler(io.BytesIO(data)).load()
    return {name.partition(".")[0] for name in asked}


@pytest.mark.parametrize("obj", OBJECTS.values(), ids=OBJECTS.keys())
def test_bytes_and_modules(obj: Any, tmp_path: Path) -> None:
    data, modules = record(obj, tmp_path)

    assert data == cloudpickle.dumps(obj, protocol=PROTOCOL)
    found = {name.partition(".")[0] for name in modules}
    assert found - sys.stdlib_module_names == named_by(data) - sys.stdlib_module_names


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.binary() | st.sampled_from(list(OBJECTS.values())),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3) | st.tuples(inner),
        max_leaves=8,
    )
)
def test_bytes_of_anything(tmp_path_factory: pytest.TempPathFactory, obj: Any) -> None:
    data, _ = record(obj, tmp_path_factory.getbasetemp())
    assert data == cloudpickle.dumps(obj, protocol=PROTOCOL)


def test_the_protocol_is_one_that_python_3_11_reads(tmp_path: Path) -> None:
    data, _ = record(OBJECTS["forest"], tmp_path)
    assert max(opcode.proto for opcode, _, _ in pickletools.genops(data)) <= 5


def test_imports_in_the_body_of_a_function_count(tmp_path: Path) -> None:
    def outer() -> Any:
        def inner() -> Any:
            import yaml.nodes

            return yaml

        return inner

    outer.__module__ = "__main__"
    outer.__qualname__ = "outer"

    assert "yaml.nodes" in record(outer, tmp_path)[1]


def test_a_proxy_is_treated_as_cloudpickle_treats_it(tmp_path: Path) -> None:
    @wrapt.decorator
    def passing(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    @passing
    def decorated(x: int) -> int:
        return x

    assert record(decorated, tmp_path)[0] == cloudpickle.dumps(decorated, protocol=PROTOCOL)
    proxy = wrapt.ObjectProxy([1])
    with pytest.raises(NotImplementedError):
        cloudpickle.dumps(proxy)
    with pytest.raises(NotImplementedError):
        record(proxy, tmp_path)
