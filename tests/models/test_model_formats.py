"""Models as a plain pickle and as a skops file, beside cloudpickle."""

from __future__ import annotations

import builtins
import functools
import importlib
import json
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import autotrack
from autotrack.errors import ModelError, SettingsError
from autotrack.models import load_model, read_mlmodel, write_model
from autotrack.models.trusted import TRUSTED

Write = Callable[..., Path]
Require = Callable[[str], Any]
FORMATS = ("cloudpickle", "pickle", "skops")


class Scaler(TransformerMixin, BaseEstimator):
    """An estimator that skops does not know."""

    def fit(self, X: Any, y: Any = None) -> Scaler:
        self.scale_ = np.asarray(X).max()
        return self

    def transform(self, X: Any) -> Any:
        return X / self.scale_


class Trap:
    """A pickle of this says that it was loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def forest(iris: Any) -> RandomForestClassifier:
    return RandomForestClassifier(5, random_state=0).fit(*iris)


@pytest.fixture
def custom(iris: Any) -> Any:
    return make_pipeline(Scaler(), LogisticRegression(max_iter=300)).fit(*iris)


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_loaded_predicts_what_was_written(
    require: Require, form: str, classifier: Any, iris: Any, write: Write
) -> None:
    require("skops") if form == "skops" else None
    folder = write(classifier, iris[0], serialization_format=form)
    info = read_mlmodel(folder)

    np.testing.assert_array_equal(
        load_model(folder, trusted=True).predict_proba(iris[0]), classifier.predict_proba(iris[0])
    )
    assert info.serialization_format == form
    assert info.pickled_model == ("model.skops" if form == "skops" else "model.pkl")
    needed = {"cloudpickle": ["cloudpickle"], "pickle": [], "skops": ["skops"]}[form]
    pins = {f"{name}=={version(name)}" for name in (*needed, "numpy", "pandas", "scikit-learn")}
    assert set((folder / "requirements.txt").read_text().splitlines()) == pins


def test_another_format_is_refused_before_anything_is_written(classifier: Any, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="serialization_format='joblib': expected one of cloudpickle, pickle, skops"
    ):
        write_model(tmp_path / "m", classifier, run_id="", signature=None, created=0, serialization_format="joblib")
    assert list(tmp_path.iterdir()) == []


# Plain pickle


def test_a_plain_pickle_is_what_pickle_writes(classifier: Any, forest: Any, write: Write) -> None:
    for name, model in (("a", classifier), ("b", forest)):
        folder = write(model, name=name, serialization_format="pickle")
        assert (folder / "model.pkl").read_bytes() == pickle.dumps(model, protocol=5)


def test_a_plain_pickle_names_the_modules_it_needs(tmp_path: Path, write: Write) -> None:
    (tmp_path / "features.py").write_text("def double(X):\n    return X * 2\n")
    sys.path.insert(0, str(tmp_path))
    try:
        import features  # type: ignore[import-not-found]

        assert read_mlmodel(
            write(FunctionTransformer(features.double), serialization_format="pickle")
        ).local_modules == ("features",)
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("features", None)


def test_what_the_script_defines_is_said_to_load_nowhere_else(tmp_path: Path) -> None:
    script = """
import pathlib
from sklearn.preprocessing import FunctionTransformer
from autotrack.models import write_model, load_model
def double(X): return X * 2
class Mine(FunctionTransformer): pass
said = []
options = dict(run_id="", signature=None, created=0, remark=said.append)
write_model(pathlib.Path("m"), Mine(double), serialization_format="pickle", **options)
write_model(pathlib.Path("c"), Mine(double), **options)
assert load_model(pathlib.Path("m"), trusted=True).transform(2) == 4
(text,) = said
assert "(Mine, double): no other program can load it" in text, text
assert "'cloudpickle'" in text
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    with pytest.raises(ModelError, match="cannot be unpickled: AttributeError"):
        load_model(tmp_path / "m", trusted=True)
    assert load_model(tmp_path / "c", trusted=True).transform(2) == 4


def test_what_plain_pickle_cannot_take_is_named_with_the_way_out(tmp_path: Path, write: Write) -> None:
    model = make_pipeline(FunctionTransformer(lambda X: X))
    with pytest.raises(ModelError, match=r"Pipeline cannot be pickled.*steps.*serialization_format='cloudpickle'"):
        write(model, serialization_format="pickle")
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_remarks_go_to_logging_where_nobody_listens(caplog: pytest.LogCaptureFixture, write: Write) -> None:
    with caplog.at_level(logging.WARNING, logger="autotrack"):
        write(StandardScaler(), input_example=object())
    assert "the input example is left out" in caplog.text


# skops


def test_a_skops_file_with_unknown_types_is_loaded_once_they_are_trusted(
    require: Require, custom: Any, iris: Any, write: Write
) -> None:
    require("skops")
    said: list[str] = []
    folder = write(custom, serialization_format="skops", remark=said.append)
    name = f"{Scaler.__module__}.Scaler"

    assert [name in text and "trusted_types=" in text for text in said] == [True]
    with pytest.raises(ModelError, match=rf"not trusted: {name}.*load_model\(…, trusted_types=\['{name}'\]\)"):
        load_model(folder, trusted=True)
    for trusted in ([name], (Scaler,), {name, "other"}):
        np.testing.assert_array_equal(
            load_model(folder, trusted_types=trusted).predict(iris[0]), custom.predict(iris[0])
        )


def test_the_folder_does_not_say_what_to_trust(require: Require, custom: Any, write: Write) -> None:
    require("skops")
    folder = write(custom, serialization_format="skops", remark=print)
    flavor = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["sklearn"]

    assert f"{Scaler.__module__}.Scaler" in flavor["skops_trusted_types"]
    with pytest.raises(ModelError, match="not trusted"):
        load_model(folder, trusted=True)


def test_a_crafted_skops_file_that_trusts_itself_runs_nothing(
    require: Require, classifier: Any, write: Write, tmp_path: Path
) -> None:
    skops_io = require("skops.io")
    folder = write(classifier, serialization_format="skops")
    trap = functools.partial(os.makedirs, str(tmp_path / "was run"))
    skops_io.dump(trap, folder / "model.skops")
    types = skops_io.get_untrusted_types(file=folder / "model.skops")
    text = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(
        text.replace("    sklearn_version", f"    skops_trusted_types: {json.dumps(types)}\n    sklearn_version")
    )

    assert "os.makedirs" in types
    with pytest.raises(ModelError, match=r"not trusted: .*os\.makedirs"):
        load_model(folder, trusted=True)
    assert not (tmp_path / "was run").exists()


@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x05\x06" + 18 * b"\0"])
def test_a_damaged_skops_file(require: Require, data: bytes, classifier: Any, write: Write) -> None:
    require("skops")
    folder = write(classifier, serialization_format="skops")
    (folder / "model.skops").write_bytes(data)
    with pytest.raises(ModelError, match=r"cannot be loaded: .*written by Python"):
        load_model(folder, trusted=True)


def test_a_search_is_loaded_without_a_word_about_trust(require: Require, iris: Any, write: Write) -> None:
    require("skops")
    search = GridSearchCV(
        LogisticRegression(max_iter=300), {"C": [0.1, 1.0]}, cv=3, scoring=["accuracy", "f1_macro"], refit="accuracy"
    ).fit(*iris)
    folder = write(search, serialization_format="skops", remark=lambda text: pytest.fail(text))
    assert load_model(folder, trusted=True).best_params_ == search.best_params_


def test_without_skops_the_way_to_get_it_is_said(
    classifier: Any, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(classifier)
    edited = (
        (folder / "MLmodel").read_text().replace("serialization_format: cloudpickle", "serialization_format: skops")
    )
    (folder / "MLmodel").write_text(edited)
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "skops":
            raise ModuleNotFoundError("No module named 'skops'", name="skops")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ModelError, match=r"pip install 'autotrack\[skops\]'"):
        write(classifier, name="other", serialization_format="skops")
    with pytest.raises(ModelError, match=r"pip install 'autotrack\[skops\]'"):
        load_model(folder, trusted=True)


def test_a_release_of_skops_with_known_holes_is_not_used(
    require: Require, classifier: Any, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    skops = require("skops")
    folder = write(classifier, serialization_format="skops")
    monkeypatch.setattr(skops, "__version__", "0.11.0")
    with pytest.raises(ModelError, match=r"skops 0\.11\.0 is too old to be safe"):
        load_model(folder, trusted=True)


def test_what_skops_cannot_write_is_said_with_the_way_out(require: Require, write: Write, tmp_path: Path) -> None:
    require("skops")
    with pytest.raises(ModelError, match=r"cannot be written with skops.*serialization_format='cloudpickle'"):
        write(FunctionTransformer(i for i in ()), serialization_format="skops")
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_no_skops_file_needs_autotrack(require: Require, logged: Path, iris: Any) -> None:
    """Functions that are observed go into it as themselves, by whichever hand it is written."""
    require("skops")
    import sklearn.metrics
    import skops.io

    with autotrack.disabled():
        search = GridSearchCV(
            LogisticRegression(max_iter=300), {"C": [1.0]}, scoring=make_scorer(sklearn.metrics.accuracy_score), cv=3
        ).fit(*iris)
    types = skops.io.get_untrusted_types(data=skops.io.dumps(search))
    assert "sklearn.metrics._classification.accuracy_score" in types
    assert [name for name in types if "autotrack" in name] == []


def test_what_is_trusted_beyond_skops_is_plain_python_of_scikit_learn_and_numpy() -> None:
    missing = set()
    for name in TRUSTED:
        module, _, attribute = name.rpartition(".")
        loaded = importlib.import_module(module)
        assert str(loaded.__file__).endswith(".py"), f"{module} is compiled"
        assert module == "numpy" or module.startswith("sklearn."), name
        if not hasattr(loaded, attribute):
            missing.add(attribute)
    if tuple(map(int, version("scikit-learn").split(".")[:2])) >= (1, 9):
        assert missing == set()


@pytest.mark.parametrize("form", ["cloudpickle", "pickle"])
def test_whoever_names_types_to_trust_is_handed_no_pickle(form: str, write: Write, tmp_path: Path) -> None:
    """A folder that claims another format than was expected does not get round the check."""
    folder = write(StandardScaler(), serialization_format=form)
    mark = tmp_path / "was run"
    (folder / "model.pkl").write_bytes(pickle.dumps(Trap(mark)))
    for trusted in ([], ["a.B"]):
        with pytest.raises(ModelError, match="holds a pickle, which runs whatever stands in it"):
            load_model(folder, trusted_types=trusted)
    assert not mark.exists()


@pytest.mark.parametrize("types", ["a.B", Scaler, 3, [3]])
def test_types_to_trust_come_as_a_list(types: Any, classifier: Any, write: Write) -> None:
    with pytest.raises(SettingsError, match="trusted_types"):
        load_model(write(classifier), trusted_types=types)
