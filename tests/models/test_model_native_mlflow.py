"""The real MLflow opens a library's own file that we wrote, and we open those that it writes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from autotrack.models import infer_signature, load_model, read_mlmodel

Write = Callable[..., Path]
Require = Callable[[str], Any]

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.random((90, 3)), columns=["a", "b", "c"])
TWO = (X["a"] > 0.5).astype(int)
THREE = np.array(["u", "v", "w"] * 30)


def _models(require: Require, form: str) -> dict[str, Any]:
    library = require(form)
    if form == "xgboost":
        booster = library.train({"max_depth": 2, "nthread": 1}, library.DMatrix(X, TWO), 3)
        return {"estimator": library.XGBClassifier(n_estimators=3, n_jobs=1).fit(X, TWO), "booster": booster}
    if form == "lightgbm":
        return {"booster": library.train({"verbose": -1, "num_threads": 1}, library.Dataset(X, TWO), 3)}
    options = {"iterations": 3, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    return {
        "classifier": library.CatBoostClassifier(**options).fit(X, THREE),
        "regressor": library.CatBoostRegressor(**options).fit(X, TWO),
    }


def _predict(model: Any, form: str) -> Any:
    if type(model).__module__ == "xgboost.core":
        xgboost = importlib.import_module("xgboost")
        return model.predict(xgboost.DMatrix(X))
    return model.predict(X)


@pytest.mark.parametrize("form", ["xgboost", "lightgbm", "catboost"])
def test_mlflow_opens_ours_and_we_open_theirs_key_for_key(
    form: str, mlflow: ModuleType, require: Require, write: Write, tmp_path: Path
) -> None:
    flavor = importlib.import_module(f"mlflow.{form}")
    for name, model in _models(require, form).items():
        expected = _predict(model, form)
        signature = infer_signature(X, expected).signature
        ours = write(model, name=name, signature=signature, serialization_format=form, input_example=X.head(2))
        theirs = tmp_path / f"theirs-{name}"
        flavor.save_model(
            model,
            str(theirs),
            signature=mlflow.models.infer_signature(X, expected),
            input_example=X.head(2),
            pip_requirements=["numpy"],
        )

        np.testing.assert_array_equal(mlflow.pyfunc.load_model(str(ours)).predict(X), expected)
        np.testing.assert_array_equal(_predict(flavor.load_model(str(ours)), form), expected)
        loaded = load_model(theirs, trusted=True)
        assert type(loaded) is type(model)
        np.testing.assert_array_equal(_predict(loaded, form), expected)
        assert read_mlmodel(theirs).serialization_format == form
        assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}
        mine, other = (yaml.safe_load((folder / "MLmodel").read_text()) for folder in (ours, theirs))
        for key in ("serialization_format", "skops_trusted_types"):  # of a pickle that a booster is not
            if form == "lightgbm":
                other["flavors"]["lightgbm"].pop(key)
        assert mine["flavors"] == other["flavors"]


@pytest.mark.parametrize("form", ["cloudpickle", "skops"])
def test_we_open_the_pickle_that_mlflow_makes_of_a_lightgbm_estimator(
    form: str, mlflow: ModuleType, require: Require, tmp_path: Path
) -> None:
    lightgbm = require("lightgbm")
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1).fit(X, THREE)
    theirs = tmp_path / "theirs"
    types = ["collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier"]
    importlib.import_module("mlflow.lightgbm").save_model(
        model, str(theirs), serialization_format=form, pip_requirements=["numpy"], skops_trusted_types=types
    )

    loaded = load_model(theirs, trusted=form != "skops", trusted_types=types if form == "skops" else None)

    assert read_mlmodel(theirs).serialization_format == form
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
