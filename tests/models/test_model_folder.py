"""Writing a model folder: round trips, what its files say, and that a failure leaves nothing."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_regression
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor

from autotrack.digests import of_folder
from autotrack.entities import LoggedModel
from autotrack.errors import ModelError
from autotrack.models import infer_signature, load_model, read_mlmodel, write_model

Write = Callable[..., Path]
ESTIMATORS = [
    LogisticRegression(max_iter=500),
    RandomForestClassifier(10, random_state=0),
    HistGradientBoostingClassifier(max_iter=5),
    KNeighborsClassifier(),
    SVC(probability=False),
    SGDClassifier(random_state=0),
    DecisionTreeRegressor(),
    KMeans(3, n_init=1, random_state=0),
    make_pipeline(StandardScaler(), FunctionTransformer(np.log1p), SimpleImputer(), LogisticRegression()),
    make_pipeline(FunctionTransformer(lambda X: X * 2), LinearRegression()),
    GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1.0]}, cv=2),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_what_is_loaded_predicts_what_was_written(
    estimator: Any, iris: tuple[pd.DataFrame, pd.Series], write: Write
) -> None:
    X, y = iris
    model = estimator.fit(X, y)

    loaded = load_model(write(model, X), trusted=True)

    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.get_params().keys() == model.get_params().keys()


def test_a_pipeline_over_mixed_columns(write: Write) -> None:
    X = pd.DataFrame(
        {
            "age": [20, 30, 40, 50] * 10,
            "income": [1.5, None, 3.5, 4.5] * 10,
            "city": ["Bern", "Lima", "Bern", None] * 10,
            "ok": [True, False, True, True] * 10,
        }
    )
    y = np.arange(40) % 2
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = ColumnTransformer(
        [("numbers", numbers, ["age", "income"]), ("city", OneHotEncoder(handle_unknown="ignore"), ["city"])],
        remainder="passthrough",
    )
    model = Pipeline([("columns", columns), ("model", LogisticRegression())]).fit(X, y)

    folder = write(model, X)

    np.testing.assert_array_equal(load_model(folder, trusted=True).predict_proba(X), model.predict_proba(X))
    info = read_mlmodel(folder)
    assert info.signature is not None
    assert [(spec.name, spec.type, spec.required) for spec in info.signature.inputs] == [
        ("age", "long", True),
        ("income", "double", False),
        ("city", "string", False),
        ("ok", "boolean", True),
    ]
    assert any(line.startswith("pandas==") for line in (folder / "requirements.txt").read_text().splitlines())


def test_sparse_text_model(write: Write) -> None:
    texts = ["red apple", "green pear", "red plum", "green kiwi"] * 5
    X = TfidfVectorizer().fit_transform(texts)
    model = SGDClassifier(random_state=0).fit(X, [0, 1] * 10)

    folder = write(model, X)

    assert (load_model(folder, trusted=True).predict(X) == model.predict(X)).all()
    signature = read_mlmodel(folder).signature
    assert signature is not None
    assert signature.inputs_json() == '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 6]}}]'
    assert "scipy==" in (folder / "requirements.txt").read_text()


def test_what_the_folder_says(classifier: LogisticRegression, iris: Any, write: Write, tmp_path: Path) -> None:
    X, _ = iris
    signature = infer_signature(X, classifier.predict(X)).signature
    folder = tmp_path / "m"

    model = write_model(
        folder,
        classifier,
        run_id="ab" * 16,
        signature=signature,
        created=datetime(2026, 5, 4, 3, 2, 1, 500, UTC),
        artifact_path="nested/model",
    )

    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert files.keys() == {"MLmodel", "model.pkl", "requirements.txt", "python_env.yaml", "conda.yaml"}
    assert model == LoggedModel(
        "nested/model",
        "sklearn.linear_model._logistic.LogisticRegression",
        "cloudpickle",
        sum(files.values()),
        digest=of_folder(folder),
    )
    data = yaml.safe_load((folder / "MLmodel").read_text())
    python = ".".join(map(str, sys.version_info[:3]))
    assert data["flavors"] == {
        "python_function": {
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": "mlflow.sklearn",
            "model_path": "model.pkl",
            "predict_fn": "predict",
            "python_version": python,
        },
        "sklearn": {
            "code": None,
            "pickled_model": "model.pkl",
            "serialization_format": "cloudpickle",
            "sklearn_version": importlib.metadata.version("scikit-learn"),
        },
    }
    assert data["artifact_path"] == "nested/model"
    assert data["run_id"] == "ab" * 16
    assert data["utc_time_created"] == "2026-05-04 03:02:01.000500"
    assert data["model_size_bytes"] == files["model.pkl"]
    assert re.fullmatch("[0-9a-f]{32}", data["model_uuid"])
    info = read_mlmodel(folder)
    assert (info.run_id, info.artifact_path, info.estimator_class, info.python_version, info.size) == (
        "ab" * 16,
        "nested/model",
        model.estimator_class,
        python,
        files["model.pkl"],
    )
    assert info.local_modules == ()


def test_the_environment_files_agree(classifier: LogisticRegression, write: Write) -> None:
    folder = write(classifier)

    pins = (folder / "requirements.txt").read_text().splitlines()
    conda = yaml.safe_load((folder / "conda.yaml").read_text())
    python_env = yaml.safe_load((folder / "python_env.yaml").read_text())

    python = ".".join(map(str, sys.version_info[:3]))
    assert conda["dependencies"] == [f"python={python}", "pip", {"pip": pins}]
    assert python_env["python"] == python
    assert python_env["dependencies"] == ["-r requirements.txt"]
    assert pins == sorted(pins, key=str.lower)
    for pin in pins:
        name, version = pin.split("==")
        assert importlib.metadata.version(name).partition("+")[0] == version


def test_an_estimator_without_predict_has_no_python_function(write: Write) -> None:
    X = np.arange(12.0).reshape(-1, 2)
    for index, model in enumerate((StandardScaler().fit(X), DBSCAN().fit(X))):
        assert set(read_mlmodel(write(model, X, name=f"m{index}")).flavors) == {"sklearn"}


@pytest.mark.parametrize("text", ["ünï\u2028\x85 \x7f\ufffe\U0001f600", "a: b # c\n\t'\"{%\\", "\x00\x1b", "- x", ""])
def test_any_text_survives_the_file(text: str, classifier: Any, iris: Any, write: Write) -> None:
    X = iris[0].set_axis(["a", "b", "c", text], axis=1)

    folder = write(classifier, artifact_path=text, signature=infer_signature(X).signature)

    info = read_mlmodel(folder)
    assert info.artifact_path == text
    assert info.signature is not None
    assert [spec.name for spec in info.signature.inputs] == ["a", "b", "c", text]


class Holder(BaseEstimator):
    """An estimator that keeps whatever it is given."""

    def __init__(self, kept: Any = None) -> None:
        self.kept = kept


def test_what_cannot_be_pickled_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with open(os.devnull, "rb") as file, pytest.raises(ModelError) as raised:
        write_model(tmp_path / "m", Holder(file), run_id="", signature=None, created=0)
    assert "Holder cannot be pickled" in str(raised.value)
    assert "BufferedReader" in str(raised.value)
    assert "Holder.kept" in str(raised.value)

    model = Pipeline([("first", StandardScaler()), ("second", Holder({"a": [threading.Lock()]}))])
    with pytest.raises(ModelError, match="Pipeline cannot be pickled: cannot pickle '_thread") as raised:
        write_model(tmp_path / "m", model, run_id="", signature=None, created=0)
    assert "Pipeline.steps[1][1].kept['a'][0]" in str(raised.value)

    assert list(tmp_path.iterdir()) == []


class Picky(BaseEstimator):
    def __getstate__(self) -> Any:
        raise RuntimeError("I stay here")


class Stops(BaseEstimator):
    def __getstate__(self) -> Any:
        raise KeyboardInterrupt


def test_an_estimator_that_refuses(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Picky cannot be pickled: I stay here"):
        write_model(tmp_path / "m", Picky(), run_id="", signature=None, created=0)
    deep: Any = None
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ModelError, match="deep recursion"):
        write_model(tmp_path / "m", Holder(deep), run_id="", signature=None, created=0)
    with pytest.raises(KeyboardInterrupt):
        write_model(tmp_path / "m", Stops(), run_id="", signature=None, created=0)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    # The limit on a file's size stands for the disk's; EFBIG comes from the same call as ENOSPC.
    script = f"""
import resource, signal, numpy, pathlib
from autotrack.errors import ModelError
from autotrack.models import write_model
from sklearn.linear_model import LinearRegression
model = LinearRegression()
model.coef_ = numpy.zeros(1_000_000)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
folder = pathlib.Path({str(tmp_path)!r})
try:
    write_model(folder / "m", model, run_id="", signature=None, created=0)
except ModelError as error:
    print(error)
print(list(folder.iterdir()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [f"LinearRegression cannot be written to {tmp_path}/m: File too large", "[]"]


def test_a_taken_place_is_refused(classifier: Any, write: Write, tmp_path: Path) -> None:
    folder = write(classifier)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ModelError, match="exists already"):
        write(classifier)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="exists already"):
        write_model(tmp_path / "file", classifier, run_id="", signature=None, created=0)
    with pytest.raises(ModelError, match="cannot be written"):
        write_model(tmp_path / "file" / "m", classifier, run_id="", signature=None, created=0)

    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert {path.name for path in tmp_path.rglob("*") if "tmp-" in path.name} == set()


def test_a_large_model_is_never_whole_in_memory(tmp_path: Path) -> None:
    script = f"""
import resource, numpy, pathlib
from autotrack.models import write_model
from sklearn.linear_model import LinearRegression
model = LinearRegression()
write_model(pathlib.Path({str(tmp_path)!r}) / "warm", model, run_id="", signature=None, created=0)
model.coef_ = numpy.ones(20_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_model(pathlib.Path({str(tmp_path)!r}) / "m", model, run_id="", signature=None, created=0)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert int(done.stdout) < 40  # MiB, of a model of 160


def test_importing_the_package_is_cheap() -> None:
    script = """
import sys, autotrack.models
print([name for name in ("yaml", "cloudpickle", "numpy", "pandas", "sklearn", "wrapt") if name in sys.modules])
from autotrack.models import write_model, infer_signature
print([name for name in ("yaml", "cloudpickle", "numpy", "pandas", "sklearn", "wrapt") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n[]\n"


def test_writing_loads_no_library_that_the_user_has_not_loaded(tmp_path: Path) -> None:
    script = f"""
import sys, pathlib
import numpy as np
from sklearn.linear_model import LogisticRegression
model = LogisticRegression().fit(np.eye(4), [0, 1, 0, 1])
before = set(sys.modules)
from autotrack.models import infer_signature, write_model
signature = infer_signature(np.eye(4), model.predict(np.eye(4))).signature
write_model(pathlib.Path({str(tmp_path)!r}) / "m", model, run_id="", signature=signature, created=0)
ours = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(sorted(ours - sys.stdlib_module_names - {{"autotrack", "cloudpickle"}}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_the_model_is_not_touched(classifier: LogisticRegression, write: Write) -> None:
    before = dict(vars(classifier))
    write(classifier)
    assert vars(classifier).keys() == before.keys()
    assert all(vars(classifier)[name] is value for name, value in before.items())


EXAMPLES = {
    "frame": pd.DataFrame({"a": [1.5, None], "b": ["x", None], "d": pd.to_datetime(["2026-01-02", None])}),
    "unnamed frame": pd.DataFrame([[1, 2], [3, 4]]),
    "array": np.array([[1.5, np.nan], [2.5, 3.0]]),
    "integers": np.array([[1, 2], [3, 4]]),
    "csr": sparse.csr_matrix(np.eye(2)),
    "list": [[1, 2], [3, 4]],
}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_an_input_example_is_written(example: Any, classifier: Any, write: Write) -> None:
    folder = write(classifier, input_example=example)

    data = yaml.safe_load((folder / "MLmodel").read_text())
    sizes = [
        (folder / name).stat().st_size for name in ("model.pkl", "input_example.json", "serving_input_example.json")
    ]
    assert data["model_size_bytes"] == sum(sizes)
    assert data["saved_input_example_info"]["artifact_path"] == "input_example.json"


def test_an_input_example_that_cannot_be_written_is_left_out(
    classifier: Any, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(classifier, input_example=object())

    assert not list(folder.glob("*.json"))
    assert "the input example is left out" in caplog.text
    assert load_model(folder, trusted=True).coef_.shape == classifier.coef_.shape


def test_regression_targets_of_two_columns(write: Write) -> None:
    X, y = make_regression(50, 5, n_targets=2, random_state=0)
    model = LinearRegression().fit(X, y)
    info = read_mlmodel(write(model, X))
    assert info.signature is not None
    assert (
        info.signature.outputs_json() == '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]'
    )
