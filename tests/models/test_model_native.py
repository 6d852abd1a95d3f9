"""Models in their library's own file, and those that are pickled all the same."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autotrack
from autotrack import digests
from autotrack.errors import ModelError, SettingsError
from autotrack.models import load_model, read_mlmodel, write_model

Write = Callable[..., Path]
Require = Callable[[str], Any]

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.random((120, 3)), columns=["a", "b", "c"]).assign(k=pd.Categorical(["u", "v", "w"] * 40))
NUMBERS = X[["a", "b", "c"]]
TWO = (X["a"] > 0.5).astype(int)
THREE = np.array(["u", "v", "w"] * 40)


@pytest.fixture
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpickling anything fails the test; what the libraries unpickle while they are imported does not."""
    for name in ("xgboost", "lightgbm", "catboost"):
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)

    def refuse(*args: Any, **options: Any) -> Any:
        pytest.fail("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)


def _is_in(folder: Path, form: str, file: str) -> bool:
    assert digests.of_folder(folder)
    assert {"MLmodel", file} <= {path.name for path in folder.iterdir()}
    return read_mlmodel(folder).serialization_format == form and not list(folder.glob("*.pkl"))


@pytest.mark.parametrize("kind", ["XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor", "XGBRanker"])
@pytest.mark.usefixtures("no_pickle")
def test_an_xgboost_estimator_comes_back_with_its_params(kind: str, require: Require, write: Write) -> None:
    xgboost = require("xgboost")
    options = {"qid": np.arange(120) // 10} if kind == "XGBRanker" else {}
    model = getattr(xgboost, kind)(n_estimators=4, max_depth=2, learning_rate=1e-05, gamma=0.5, n_jobs=1)
    model.fit(NUMBERS, TWO, **options)

    folder = write(model, NUMBERS, serialization_format="xgboost")
    loaded = load_model(folder)

    assert _is_in(folder, "xgboost", "model.ubj")
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.predict(NUMBERS), model.predict(NUMBERS))
    given = ("n_estimators", "max_depth", "learning_rate", "gamma", "n_jobs", "objective")
    assert {name: loaded.get_params()[name] for name in given} == {name: model.get_params()[name] for name in given}
    with pytest.raises(ValueError, match="feature_names mismatch"):
        loaded.predict(NUMBERS[["c", "b", "a"]])


@pytest.mark.usefixtures("no_pickle")
def test_categories_early_stopping_and_probabilities_of_xgboost(require: Require, write: Write) -> None:
    xgboost = require("xgboost")
    model = xgboost.XGBClassifier(n_estimators=40, early_stopping_rounds=2, enable_categorical=True, n_jobs=1)
    model.fit(X, TWO, eval_set=[(X[:40], 1 - TWO[:40])], verbose=False)
    assert model.best_iteration < 30

    loaded = load_model(write(model, X, serialization_format="xgboost"))

    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.best_iteration == model.best_iteration


@pytest.mark.usefixtures("no_pickle")
def test_boosters(require: Require, write: Write) -> None:
    xgboost, lightgbm = require("xgboost"), require("lightgbm")
    data = xgboost.DMatrix(NUMBERS, TWO)
    theirs = xgboost.train({"max_depth": 2, "nthread": 1}, data, 4)
    light = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(X, TWO), 4)

    folder = write(theirs, name="xgb", serialization_format="xgboost")
    assert _is_in(folder, "xgboost", "model.ubj")
    np.testing.assert_array_equal(load_model(folder).predict(data), theirs.predict(data))
    folder = write(light, name="lgb", serialization_format="lightgbm")
    assert _is_in(folder, "lightgbm", "model.lgb")
    np.testing.assert_array_equal(load_model(folder).predict(X), light.predict(X))
    requirements = (folder / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in requirements] == ["lightgbm", "numpy"]


@pytest.mark.usefixtures("no_pickle")
@pytest.mark.parametrize("kind", ["CatBoostClassifier", "CatBoostRegressor", "CatBoost"])
def test_a_catboost_model(kind: str, require: Require, write: Write) -> None:
    catboost = require("catboost")
    params = {"iterations": 4, "depth": 2, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    model = getattr(catboost, kind)(params) if kind == "CatBoost" else getattr(catboost, kind)(**params)
    model.fit(X, THREE if kind == "CatBoostClassifier" else TWO, cat_features=["k"])

    folder = write(model, X, serialization_format="catboost")
    loaded = load_model(folder)

    assert _is_in(folder, "catboost", "model.cb")
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert params.items() <= loaded.get_params().items()


def test_what_the_librarys_file_cannot_hold_is_pickled_and_said(require: Require, write: Write) -> None:
    xgboost, lightgbm = require("xgboost"), require("lightgbm")

    class Mine(xgboost.XGBRegressor):
        """A class that XGBoost does not know."""

    odd = NUMBERS.where(NUMBERS > 0.1, -1.0)
    models = {
        "missing": (xgboost.XGBRegressor(n_estimators=2, missing=-1.0).fit(odd, TWO), "xgboost", "-1.0 stands for"),
        "wrapper": (lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(X, THREE), "lightgbm", "names of classes"),
        "subclass": (Mine(n_estimators=2).fit(NUMBERS, TWO), "xgboost", "Mine is not one of xgboost's own classes"),
    }
    for name, (model, form, reason) in models.items():
        said: list[str] = []
        folder = write(model, name=name, serialization_format=form, remark=said.append)
        data = X if name == "wrapper" else odd

        assert read_mlmodel(folder).serialization_format == "cloudpickle"
        np.testing.assert_array_equal(load_model(folder, trusted=True).predict(data), model.predict(data))
        assert [reason in text and "pickled" in text for text in said] == [True], said


def test_a_pipeline_that_holds_one_stays_a_pickle(require: Require, write: Write) -> None:
    model = make_pipeline(StandardScaler(), require("xgboost").XGBClassifier(n_estimators=2)).fit(NUMBERS, TWO)
    said: list[str] = []
    folder = write(model, NUMBERS, serialization_format="xgboost", remark=said.append)

    assert read_mlmodel(folder).serialization_format == "cloudpickle"
    assert said == []
    np.testing.assert_array_equal(load_model(folder, trusted=True).predict(NUMBERS), model.predict(NUMBERS))
    assert "xgboost==" in (folder / "requirements.txt").read_text()


def test_a_model_that_is_not_fitted(require: Require, tmp_path: Path) -> None:
    model = require("xgboost").XGBClassifier()
    with pytest.raises(ModelError, match="XGBClassifier cannot be saved: NotFittedError"):
        write_model(tmp_path / "model", model, run_id="", signature=None, created=0, serialization_format="xgboost")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["os.system", "xgboost.sklearn.XGBModelBase", "builtins.eval", 3])
def test_no_class_is_looked_up_but_the_librarys_own(name: Any, require: Require, write: Write) -> None:
    model = require("xgboost").XGBRegressor(n_estimators=2).fit(NUMBERS, TWO)
    folder = write(model, serialization_format="xgboost")
    text = yaml.safe_load((folder / "MLmodel").read_text())
    text["flavors"]["xgboost"]["model_class"] = name
    (folder / "MLmodel").write_text(yaml.safe_dump(text))

    with pytest.raises(ModelError, match=f"holds a {name}; of the library xgboost can be loaded: xgboost.core.Booster"):
        load_model(folder)


@pytest.mark.parametrize("params", ["[1]", '{"predict": {"a": 1}}', "{", '{"n_estimators": [1]}'])
def test_params_that_are_none_do_not_reach_the_model(params: str, require: Require, write: Write) -> None:
    model = require("xgboost").XGBRegressor(n_estimators=2).fit(NUMBERS, TWO)
    folder = write(model, serialization_format="xgboost")
    text = yaml.safe_load((folder / "MLmodel").read_text())
    text["metadata"]["autotrack"]["params"] = params
    (folder / "MLmodel").write_text(yaml.safe_dump(text))
    if params == "{":
        with pytest.raises(ModelError, match="JSONDecodeError"):
            load_model(folder)
        return
    loaded = load_model(folder)
    np.testing.assert_array_equal(loaded.predict(NUMBERS), model.predict(NUMBERS))
    assert loaded.get_params()["n_estimators"] is None


def test_a_damaged_file_and_a_missing_library(require: Require, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    model = require("lightgbm").train({"verbose": -1}, require("lightgbm").Dataset(NUMBERS, TWO), 2)
    folder = write(model, serialization_format="lightgbm")

    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "lightgbm", None)
        with pytest.raises(ModelError, match=r"needs the package lightgbm.*pip install -r .*requirements\.txt"):
            load_model(folder)
    (folder / "model.lgb").write_text("tree\nnothing")
    with pytest.raises(ModelError, match="cannot be loaded: LightGBMError"):
        load_model(folder)


def test_trusted_types_are_no_reason_to_refuse_a_native_file(require: Require, write: Write) -> None:
    model = require("xgboost").XGBRegressor(n_estimators=2).fit(NUMBERS, TWO)
    loaded = load_model(write(model, serialization_format="xgboost"), trusted_types=[])
    np.testing.assert_array_equal(loaded.predict(NUMBERS), model.predict(NUMBERS))


def test_autolog_takes_the_librarys_file_where_the_model_is_its_own(require: Require, store: Path) -> None:
    xgboost = require("xgboost")
    autotrack.autolog(store=store, serialization_format="xgboost")
    with autotrack.start_run() as run:
        xgboost.XGBClassifier(n_estimators=2).fit(NUMBERS, TWO)
    with autotrack.start_run() as other:
        LogisticRegression().fit(NUMBERS, TWO)
        with pytest.raises(ModelError, match="LogisticRegression is no model of xgboost's own.*cloudpickle"):
            other.log_model(LogisticRegression().fit(NUMBERS, TWO), "second", serialization_format="xgboost")

    found = autotrack.get_run(run.run_id)
    assert found.models[0].serialization_format == "xgboost"
    assert found.models[0].digest == digests.of_folder(found.artifact_path("model"))
    assert isinstance(autotrack.load_model(f"runs:/{run.run_id}/model"), xgboost.XGBClassifier)
    assert autotrack.get_run(other.run_id).models[0].serialization_format == "cloudpickle"


def test_a_library_that_is_not_there_is_said_at_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="the package catboost is not installed: pip install catboost"):
        autotrack.autolog(store=store, serialization_format="catboost")
