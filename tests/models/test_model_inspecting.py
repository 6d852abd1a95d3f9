"""Looking into a model without loading it: what is found is what loading would do."""

from __future__ import annotations

import ast
import io
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import autotrack
from autotrack.cli.app import app
from autotrack.models.defaults import NO_DEFAULT, NoDefault, _class, defaults_of
from autotrack.models.estimators import Estimator, estimator_of
from autotrack.models.inspecting import inspect_model
from autotrack.models.inspecting_pickle import read_pickle
from autotrack.models.symbols import attributes, class_of, shown

X = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0) % 7, "c": ["x", "y"] * 20})
y = np.arange(40) % 3


class Own(BaseEstimator):
    """An estimator of the user's, which travels in the file when cloudpickle writes it."""

    def __init__(self, depth: int = 3, inner: Any = None) -> None:
        self.depth = depth
        self.inner = inner

    def fit(self, X: Any, y: Any = None) -> Own:
        self.seen_ = len(X)
        return self


def everyday() -> Pipeline:
    columns = ColumnTransformer(
        [("num", make_pipeline(SimpleImputer(), StandardScaler(with_mean=False)), ["a", "b"])]
        + [("cat", OneHotEncoder(handle_unknown="ignore"), ["c"]), ("off", "drop", ["c"])]
    )
    return Pipeline([("prep", columns), ("nothing", "passthrough"), ("rf", RandomForestClassifier(5, max_depth=2))])


MODELS = {
    "pipeline": everyday().fit(X, y),
    "search": GridSearchCV(everyday(), {"rf__max_depth": [1, 2]}, cv=2).fit(X, y),
    "voting": VotingClassifier([("a", LogisticRegression(C=0.5)), ("b", LogisticRegression())]).fit(X[["a", "b"]], y),
    "union": FeatureUnion([("s", StandardScaler()), ("f", FunctionTransformer(np.log1p))]).fit(X[["a", "b"]]),
    "words": CountVectorizer().fit(["a few words", "some more words"]),
    "kernel": GaussianProcessRegressor(RBF(2.0) + WhiteKernel(), alpha=0.1).fit(X[["a"]], y),
    "own": Own(4, Ridge(alpha=3.0)).fit(X),
}


class Recording(pickle.Unpickler):
    """The real thing, which says what it imports."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.names: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.names.add((module, name))
        return super().find_class(module, name)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", MODELS)
def test_the_names_are_those_that_loading_imports(name: str, protocol: int) -> None:
    for module in (pickle, cloudpickle):
        data = module.dumps(MODELS[name], protocol)
        real = Recording(io.BytesIO(data))
        real.load()
        reading = read_pickle(io.BytesIO(data))
        assert reading.trouble == ""
        if protocol >= 3:
            assert set(reading.names) == real.names
        else:  # names of Python 2 are read as those of today, which find_class is given before that
            assert len(reading.names) <= len(real.names)
        assert class_of(reading.root)[1] == type(MODELS[name]).__name__


def outline(estimator: Estimator) -> Any:
    return [f"{estimator.label}:{estimator.name}", *map(outline, estimator.parts)]


@pytest.mark.parametrize("form", ["pickle", "skops"])
def test_the_estimators_are_those_of_the_model(form: str, tmp_path: Path) -> None:
    if form == "skops":
        pytest.importorskip("skops")
    from autotrack.models import write_model

    write_model(
        tmp_path / "m", MODELS["pipeline"], run_id="", signature=None, created=0, serialization_format=form, remark=len
    )
    found = inspect_model(tmp_path / "m")
    assert found.problems == []
    assert found.estimator is not None
    assert outline(found.estimator) == [
        ":Pipeline",
        [
            "prep:ColumnTransformer",
            ["num:Pipeline", ["simpleimputer:SimpleImputer"], ["standardscaler:StandardScaler"]],
            ["cat:OneHotEncoder"],
            ["off:drop"],
        ],
        ["nothing:passthrough"],
        ["rf:RandomForestClassifier"],
    ]
    columns, _, forest = found.estimator.parts
    assert [part.detail for part in columns.parts] == ["['a', 'b']", "['c']", "['c']"]
    assert {param.name: param.value for param in forest.params if param.changed} == {
        "n_estimators": "5", "max_depth": "2"
    }  # fmt: skip
    scaler, encoder = columns.parts[0].parts[1], columns.parts[1]
    assert [param.name for param in scaler.params if param.changed] == ["with_mean"]
    assert [param.name for param in encoder.params if param.changed] == ["handle_unknown"]
    assert {param.name for param in forest.params} == set(RandomForestClassifier().get_params())


def test_every_parameter_of_a_new_estimator_is_at_its_default() -> None:
    from sklearn.utils import all_estimators

    checked = 0
    for name, kind in all_estimators():
        try:
            model = kind()
        except TypeError:
            continue
        found = estimator_of(read_pickle(io.BytesIO(pickle.dumps(model))).root)
        assert found is not None
        changed = [param.name for param in found.params if param.changed]
        assert [key for key in changed if not hasattr(model.get_params()[key], "get_params")] == [], name
        checked += len(found.params)
    assert checked > 1500


def test_a_class_that_travels_in_the_file_is_shown_by_its_name() -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        data = cloudpickle.dumps(MODELS["own"])
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    reading = read_pickle(io.BytesIO(data))
    found = estimator_of(reading.root)
    assert found is not None
    assert (found.module, found.name) == ("", "Own")
    assert (found.params[0].name, found.params[0].value, found.params[0].changed) == ("depth", "4", None)
    assert outline(found) == [":Own", ["inner:Ridge"]]
    assert "tests" not in {module.partition(".")[0] for module, _ in reading.names}


def test_values_are_shown_as_python_writes_them() -> None:
    values = {
        "none": None, "true": True, "number": 1.5, "integer": -7, "text": "a\nb", "data": b"x", "list": [1, [2]],
        "tuple": (1,), "mapping": {"a": 1}, "set": {1}, "scalar": np.float64(0.25), "array": np.zeros((2, 3)),
        "name": np.mean,
    }  # fmt: skip
    model = Ridge()
    model.__dict__ |= values
    found = attributes(read_pickle(io.BytesIO(pickle.dumps(model))).root)
    texts = {key: shown(found[key]) for key in values}
    same = set(values) - {"scalar", "array", "name"}
    assert {key: texts[key] for key in same} == {key: repr(values[key]) for key in same}
    assert (texts["scalar"], texts["array"], texts["name"]) == ("0.25", "array of shape (2, 3)", "mean")


def test_defaults_are_read_without_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys\nfrom autotrack.models.defaults import defaults_of\n"
        "print(defaults_of('sklearn.linear_model._ridge', 'Ridge')['alpha'], 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1.0", "False"]
    assert isinstance((defaults_of("sklearn.impute._base", "SimpleImputer") or {})["missing_values"], NoDefault)
    assert (defaults_of("sklearn.pipeline", "Pipeline") or {})["steps"] is NO_DEFAULT
    monkeypatch.syspath_prepend(str(tmp_path))
    for module, name in [
        ("os", "X"),
        ("sklearn.../x", "X"),
        ("sklearn.gone", "X"),
        ("sklearn.pipeline", "a b"),
        ("", ""),
    ]:
        assert defaults_of(module, name) is None


def test_a_class_is_found_among_texts_that_look_like_statements() -> None:
    source = (
        "class First:\n    def __init__(self, a=1): ...\n\n"
        'class Second(\n    First\n):  # bases: one\n    """Told of\nclass First and others.\n    """\n\n'
        "    def __init__(self, b=2): ...\n\nvalue = 3\n"
    )
    found = _class(source, "Second")
    assert found is not None
    assert isinstance(found.body[1], ast.FunctionDef)
    assert found.body[1].args.args[1].arg == "b"
    assert _class(source, "Third") is None


@pytest.fixture
def call(logged: Path) -> Callable[..., Any]:
    everyday().fit(X, y)
    autotrack.flush()
    return lambda *arguments: CliRunner().invoke(app, ["models", "inspect", *arguments], catch_exceptions=False)


def test_the_command_shows_a_model(call: Callable[..., Any], tmp_path: Path) -> None:
    result = call("runs:/latest/model", "--html", str(tmp_path / "page.html"))
    assert result.exit_code == 0, result.output
    for line in (
        "Pipeline  runs:/latest/model", "(it is what was logged)", "loading  allowed", "Inputs (3)", "c  string",
        "num: Pipeline", "rf: RandomForestClassifier", "n_estimators=5, max_depth=2", "model.pkl", "scikit-learn==",
        "sklearn.tree._tree.Tree",
    ):  # fmt: skip
        assert line in result.output
    page = (tmp_path / "page.html").read_text()
    assert page.count("<details class=e") == 9
    assert page.count("<details") == page.count("</details>")
    assert "default-src 'none'" in page


def test_the_command_tells_it_as_json(call: Callable[..., Any], logged: Path) -> None:
    run = autotrack.get_run("latest")
    facts = json.loads(call("runs:/latest/model", "--format", "json").output)
    assert facts["digest"] == {"value": run.models[0].digest, "state": "verified"}
    assert (facts["trusted"], facts["loads"], facts["runs_code"], facts["problems"]) == (True, True, True, [])
    assert facts["estimator"]["parts"][2]["params"]["max_depth"] == {"value": "2", "changed": True}
    assert facts["dangerous_types"] == {}
    assert facts["size"] == sum(file["size"] for file in facts["files"])
    (run.artifact_path("model") / "requirements.txt").write_text("other\n")
    facts = json.loads(call("runs:/latest/model", "--format", "json").output)
    assert (facts["digest"]["state"], facts["loads"]) == ("different", False)
    assert "NOT what was logged" in call("runs:/latest/model").output


def test_the_command_imports_neither_numpy_nor_the_models_modules(logged: Path, tmp_path: Path) -> None:
    Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
    autotrack.flush()
    code = (
        "import sys\nfrom autotrack.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "models", "inspect", "runs:/latest/model", "--html", "x.html"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "Ridge" in done.stdout
    assert set(done.stderr.split()).isdisjoint({"numpy", "sklearn", "pandas", "cloudpickle", "autotrack.capture"})


def test_a_model_that_is_not_there_is_said(call: Callable[..., Any]) -> None:
    result = call("no/such/folder")
    assert result.exit_code == 1
    assert "there is no such folder" in result.output
