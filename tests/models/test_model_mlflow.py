"""The real MLflow opens what we write, and says of data what we say."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from autotrack.models import infer_signature, load_model, read_mlmodel

Write = Callable[..., Path]


def test_it_predicts_the_same_from_a_frame(
    mlflow: ModuleType, iris: tuple[pd.DataFrame, pd.Series], classifier: LogisticRegression, write: Write
) -> None:
    X, _ = iris
    folder = write(classifier, X, input_example=X.head(3))

    function = mlflow.pyfunc.load_model(str(folder))
    model = mlflow.sklearn.load_model(str(folder))

    np.testing.assert_array_equal(function.predict(X), classifier.predict(X))
    np.testing.assert_array_equal(model.predict_proba(X), classifier.predict_proba(X))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = mlflow.models.infer_signature(X, classifier.predict(X))
    assert function.metadata.signature == expected
    assert function.metadata.run_id == "0123456789abcdef0123456789abcdef"
    assert function.metadata.utc_time_created == "2026-05-28 20:26:40.000000"
    pd.testing.assert_frame_equal(function.input_example, X.head(3))
    with pytest.raises(mlflow.exceptions.MlflowException, match="missing inputs"):
        function.predict(X.iloc[:, :3])


@pytest.mark.parametrize("form", ["cloudpickle", "pickle", "skops"])
def test_it_opens_every_format(form: str, mlflow: ModuleType, write: Write, iris: Any) -> None:
    X, y = iris
    forest = RandomForestClassifier(5, random_state=0).fit(X, y)
    search = GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.1, 1.0]}, cv=3).fit(X, y)
    for name, model in (("forest", forest), ("search", search)):
        folder = write(model, X, name=name, serialization_format=form)
        np.testing.assert_array_equal(mlflow.sklearn.load_model(str(folder)).predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(mlflow.pyfunc.load_model(str(folder)).predict(X), model.predict(X))


@pytest.mark.parametrize("kind", ["array", "sparse", "int32"])
def test_it_predicts_the_same_from_tensors(kind: str, mlflow: ModuleType, write: Write) -> None:
    rng = np.random.default_rng(0)
    X: Any = rng.random((30, 3))
    y = np.arange(30) % 3
    if kind == "sparse":
        X = sparse.csr_matrix(X)
    elif kind == "int32":
        X = (X * 10).astype("int32")
    fitted = SGDClassifier(random_state=0).fit(X, y)

    function = mlflow.pyfunc.load_model(str(write(fitted, X, input_example=X[:2])))

    np.testing.assert_array_equal(function.predict(X), fitted.predict(X))
    assert function.metadata.signature == mlflow.models.infer_signature(X, fitted.predict(X))
    example = function.input_example
    assert (example != X[:2]).nnz == 0 if kind == "sparse" else (example == X[:2]).all()


def test_mixed_columns_and_any_names(mlflow: ModuleType, write: Write) -> None:
    X = pd.DataFrame(
        {
            "naïve \U0001f600": [1.0, None, 3.0, 4.0],
            'quo"te\\ \n': [1, 2, 3, 4],
            "s": ["x", "y", None, "x"],
            "d": pd.to_datetime(["2026-01-01"] * 4),
            "odd": pd.Series([1, "x", None, b"y"], dtype=object),
        }
    )
    model = make_pipeline(FunctionTransformer(lambda X: X.iloc[:, [1]]), LinearRegression()).fit(X, [1, 2, 3, 4])

    folder = write(model, X, input_example=X)
    function = mlflow.pyfunc.load_model(str(folder))

    np.testing.assert_allclose(function.predict(X), model.predict(X))
    assert function.metadata.get_input_schema().input_names() == list(X.columns)
    assert function.metadata.get_input_schema().optional_input_names() == ["naïve \U0001f600", "s", "odd"]


def test_a_model_without_predict(mlflow: ModuleType, write: Write, iris: Any) -> None:
    scaler = StandardScaler().fit(iris[0])
    folder = write(scaler, iris[0])

    assert mlflow.sklearn.load_model(str(folder)).transform(iris[0])[0] == pytest.approx(scaler.transform(iris[0])[0])
    with pytest.raises(mlflow.exceptions.MlflowException, match="python_function"):
        mlflow.pyfunc.load_model(str(folder))


@pytest.mark.parametrize("form", ["cloudpickle", "pickle", "skops"])
def test_we_open_what_mlflow_writes(form: str, mlflow: ModuleType, classifier: Any, iris: Any, tmp_path: Path) -> None:
    X, _ = iris
    theirs = tmp_path / "theirs"
    signature = mlflow.models.infer_signature(X, classifier.predict(X))
    mlflow.sklearn.save_model(
        classifier, str(theirs), serialization_format=form, signature=signature, pip_requirements=["scikit-learn"]
    )

    info = read_mlmodel(theirs)

    np.testing.assert_array_equal(load_model(theirs, trusted=True).predict(X), classifier.predict(X))
    assert info.serialization_format == form
    assert info.signature is not None
    assert info.signature.inputs_json() == signature.to_dict()["inputs"]
    assert info.signature.outputs_json() == signature.to_dict()["outputs"]


@pytest.mark.parametrize("form", ["cloudpickle", "pickle", "skops"])
def test_the_folder_is_theirs_key_for_key(
    form: str, mlflow: ModuleType, classifier: Any, iris: Any, write: Write, tmp_path: Path
) -> None:
    import yaml

    X, _ = iris
    theirs = tmp_path / "theirs"
    mlflow.sklearn.save_model(
        classifier,
        str(theirs),
        serialization_format=form,
        signature=mlflow.models.infer_signature(X, classifier.predict(X)),
        input_example=X.head(2),
        pip_requirements=["numpy"],
    )
    ours = write(classifier, X, input_example=X.head(2), serialization_format=form)

    assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}
    for name in ("input_example.json", "serving_input_example.json"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    mine, other = (yaml.safe_load((folder / "MLmodel").read_text()) for folder in (ours, theirs))
    other["flavors"]["sklearn"].pop("skops_trusted_types")
    for key in ("flavors", "signature", "saved_input_example_info", "mlflow_version", "model_id"):
        assert mine[key] == other[key], key
    assert mine.keys() - other.keys() == {"artifact_path", "run_id", "metadata"}


SAME = {
    "numbers": pd.DataFrame({"a": [1.0, 2.0], "b": [1, 2], "c": [True, False]}),
    "sizes": pd.DataFrame(
        {kind: np.zeros(2, kind) for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "f2", "f4", "f8")}
    ),
    "missing": pd.DataFrame({"a": [1.0, None], "b": ["x", None], "d": pd.to_datetime(["2026-01-01", None])}),
    "text": pd.DataFrame({"a": ["x", "y"]}),
    "object text": pd.DataFrame({"a": pd.Series(["x", "y"], dtype=object)}),
    "object numbers": pd.DataFrame({"a": pd.Series([1, 2], dtype=object), "b": pd.Series([1, 2.5], dtype=object)}),
    "object and None": pd.DataFrame(
        {"a": pd.Series([1, None], dtype=object), "b": pd.Series([True, None], dtype=object)}
    ),
    "bytes": pd.DataFrame({"a": [b"x", b"y"]}),
    "dates": pd.DataFrame({"a": pd.to_datetime(["2026-01-01", "2026-01-02"])}),
    "nothing but None": pd.DataFrame({"a": pd.Series([None, None], dtype=object)}),
    "nullable": pd.DataFrame({"a": pd.Series([1, None], dtype="Int64"), "b": pd.Series([True, None], dtype="boolean")}),
    "nullable string": pd.DataFrame({"a": pd.Series(["x", None], dtype="string")}),
    "category": pd.DataFrame({"a": pd.Categorical(["x", "y"]), "b": pd.Categorical([1, 2])}),
    "integer names": pd.DataFrame([[1, 2.5]]),
    "text names": pd.DataFrame({"": [1], "ä \n": [2]}),
    "series": pd.Series([1, 2], name="y"),
    "unnamed series": pd.Series([1.5, 2.5]),
    "array": np.zeros((3, 4)),
    "integers": np.zeros((3, 4), "i4"),
    "one dimension": np.zeros(3, bool),
    "images": np.zeros((3, 4, 5), "u1"),
    "strings": np.array(["abc", "d"]),
    "byte strings": np.array([b"abc", b"d"]),
    "objects": np.array([None, 1, "x"], dtype=object),
    "dates array": np.array(["2026-01-01"], "M8[ns]"),
    "csr": sparse.csr_matrix(np.eye(3)),
    "csc": sparse.csc_matrix(np.eye(3, dtype="f4")),
    "texts": ["a", "b"],
    "list of integers": [1, 2],
    "list of floats": [1.0, 2.0],
}


@pytest.mark.parametrize("data", SAME.values(), ids=SAME.keys())
def test_the_signature_is_what_mlflow_infers(data: Any, mlflow: ModuleType) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = mlflow.models.infer_signature(data, data)
    ours = infer_signature(data, data).signature

    assert ours is not None
    assert ours.inputs_json() == expected.to_dict()["inputs"]
    assert ours.outputs_json() == expected.to_dict()["outputs"]


ONLY_OURS = {
    "one odd column": pd.DataFrame({"a": [1.0], "odd": pd.Series([1 + 2j])}),
    "uint64": pd.DataFrame({"a": np.zeros(1, "u8"), "b": [1.0]}),
    "timedelta": pd.DataFrame({"a": pd.to_timedelta([1]), "b": [1.0]}),
    "mixed": pd.DataFrame({"a": pd.Series([1, "x"], dtype=object), "b": [1.0, 2.0]}),
    "sparse array": sparse.csr_array(np.eye(2)),
    "rows": [[1.0, 2.0]],
}


@pytest.mark.parametrize("data", ONLY_OURS.values(), ids=ONLY_OURS.keys())
def test_where_mlflow_gives_up_it_still_reads_ours(
    data: Any, mlflow: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    ours = infer_signature(data).signature
    assert ours is not None

    schema = mlflow.types.Schema.from_json(ours.inputs_json())

    assert schema.to_json() == ours.inputs_json()
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    assert schema != mlflow.models.infer_signature(data).inputs
