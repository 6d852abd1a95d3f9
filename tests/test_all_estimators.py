"""Each estimator of scikit-learn leaves behind the same, bare, observed, and where all of ours fails."""

from __future__ import annotations

import hashlib
import logging
import pickle
import random
import traceback
import warnings
from typing import Any

import numpy as np
import pytest
from estimator_instances import NAMES, data, make

import autotrack
from autotrack.capture.sinks import FolderSink
from autotrack.integrations.sklearn import Sklearn

USED_AFTER = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples", "transform")
METHODS = ("fit", "fit_predict", "fit_transform")
OBSERVERS = {
    name
    for target in Sklearn.targets
    for name in (target.observers.values() if hasattr(target, "observers") else (target.observer,))
}


def _content(value: Any) -> bytes:
    """Bytes that tell two results apart."""
    return hashlib.sha256(pickle.dumps(value, protocol=5)).digest()


def _raised(error: BaseException) -> tuple[Any, ...]:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return type(error), str(error), last.filename, last.lineno, last.name


def _call(function: Any, *args: Any) -> Any:
    """The one line that all observed calls of this test come from."""
    return function(*args)


def _used(estimator: Any, method: str, *args: Any) -> Any:
    """A method's result, or what it raised."""
    try:
        return "returned", _call(getattr(estimator, method), *args)
    except Exception as error:
        return "raised", _raised(error)


def _leave_behind(name: str, methods: tuple[str, ...] = METHODS) -> dict[str, Any]:
    """Everything that fits and predictions of one class leave behind."""
    X, y = data(name)
    given = () if y is None else (y,)
    data_before = _content((X, y))
    left: dict[str, Any] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        for method in methods:
            estimator = make(name)
            if not hasattr(estimator, method) or (method == "fit_transform" and hasattr(estimator, "fit_predict")):
                continue
            caught.clear()
            random.seed(1)
            np.random.seed(1)
            how, result = _used(estimator, method, X, *given)
            left[method] = how if result is estimator else (how, _content(result))
            left[f"attributes after {method}"] = list(vars(estimator))
            left[f"pickle after {method}"] = _content(estimator)
            left[f"state after {method}"] = {key: _content(value) for key, value in vars(estimator).items()}
            left[f"drawn after {method}"] = (random.random(), np.random.rand())
            if method == "fit":
                for used in USED_AFTER:
                    if hasattr(estimator, used):
                        left[used] = _content(_used(estimator, used, X))
                if hasattr(estimator, "score"):
                    left["score"] = _content(_used(estimator, "score", X, *given))
                left["attributes at last"] = list(vars(estimator))
            left[f"warnings of {method}"] = [(w.category, str(w.message), w.filename, w.lineno) for w in caught]
        assert list(warnings.filters) == filters
    assert _content((X, y)) == data_before
    return left


def _same(found: dict[str, Any], bare: dict[str, Any], again: dict[str, Any]) -> None:
    """Equal in all that two bare fits agree in; where they differ (times, ids), the rest of the state still counts."""
    assert [key for key in bare if key in found] == list(found)
    for key in found:
        value = bare[key]
        if key.startswith("state"):
            for name, content in value.items():
                if again[key][name] == content:
                    assert found[key][name] == content, f"{key}: {name}"
        elif again[key] == value:
            assert found[key] == value, key


def _raises_before(self: Any, call: Any) -> Any:
    raise RuntimeError("an observer that raises before")
    yield None


def _raises_after(self: Any, call: Any) -> Any:
    yield None
    raise RuntimeError("an observer that raises after")


def _refuses(self: Any, *args: Any) -> None:
    raise RuntimeError("a store that raises")


@pytest.mark.allow_swallowed
@pytest.mark.parametrize("name", NAMES)
def test_an_estimator_leaves_behind_the_same(name, tmp_path, monkeypatch, capfd):
    bare, again = _leave_behind(name), _leave_behind(name)
    capfd.readouterr()
    logging.getLogger("autotrack").setLevel(logging.CRITICAL)
    try:
        autotrack.autolog(store=tmp_path / "store")
        _same(_leave_behind(name), bare, again)
        autotrack.autolog(disable=True)
        with monkeypatch.context() as broken:
            for method in ("append", "artifact_folder"):
                broken.setattr(FolderSink, method, _refuses)
            for raising in (_raises_before, _raises_after):
                for observer in OBSERVERS:
                    broken.setattr(Sklearn, observer, raising)
                autotrack.autolog(store=tmp_path / "broken")
                _same(_leave_behind(name, ("fit",)), bare, again)
                autotrack.autolog(disable=True)
        with monkeypatch.context() as broken:
            for method in ("append", "artifact_folder"):
                broken.setattr(FolderSink, method, _refuses)
            autotrack.autolog(store=tmp_path / "refusing")
            _same(_leave_behind(name, ("fit",)), bare, again)
            autotrack.autolog(disable=True)
    finally:
        logging.getLogger("autotrack").setLevel(logging.NOTSET)
    printed = capfd.readouterr()
    assert printed.out == ""
