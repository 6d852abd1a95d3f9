"""The modules that travel with a model: MLflow imports what we packed, and we import what it packed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from autotrack import digests
from autotrack.models import load_model, packed, write_model

HELPERS = """
from sklearn.linear_model import LinearRegression
from folder_theirs.inner import FACTOR

class Doubled(LinearRegression):
    def predict(self, X):
        from folder_theirs import inner
        return super().predict(X) * FACTOR + (inner.FACTOR - FACTOR)
"""
X = np.arange(12.0).reshape(6, 2)


def _forget() -> None:
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != packed.__name__]
    for name in [name for name in sys.modules if name.startswith("folder_")]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module and a package beside a script; importable until the context of the test is left."""
    path = tmp_path / "project"
    (path / "folder_theirs").mkdir(parents=True)
    (path / "folder_doubling.py").write_text(HELPERS)
    (path / "folder_theirs" / "__init__.py").touch()
    (path / "folder_theirs" / "inner.py").write_text("FACTOR = 2.0\n")
    before = list(sys.path)
    yield path
    sys.path[:] = before
    _forget()


def test_mlflow_imports_what_we_packed(
    project: Path, mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.syspath_prepend(str(project))
        model = importlib.import_module("folder_doubling").Doubled().fit(X, X[:, 0])
        expected = model.predict(X)
        folder = tmp_path / "ours"
        logged = write_model(folder, model, run_id="", signature=None, created=0)
    _forget()

    for load in (mlflow.sklearn.load_model, mlflow.pyfunc.load_model):
        np.testing.assert_array_equal(load(str(folder)).predict(X), expected)
        assert str(folder) in str(sys.modules["folder_doubling"].__file__)
        _forget()
    assert logged.digest == digests.of_folder(folder)


@pytest.mark.parametrize("form", ["cloudpickle", "pickle"])
def test_we_import_what_mlflow_packed(
    form: str, project: Path, mlflow: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.syspath_prepend(str(project))
        model = importlib.import_module("folder_doubling").Doubled().fit(X, X[:, 0])
        expected = model.predict(X)
        folder = tmp_path / "theirs"
        mlflow.sklearn.save_model(
            model,
            str(folder),
            serialization_format=form,
            pip_requirements=["scikit-learn"],
            code_paths=[str(project / "folder_doubling.py"), str(project / "folder_theirs")],
        )
    _forget()

    np.testing.assert_array_equal(load_model(folder, trusted=True).predict(X), expected)
    assert str(project) not in sys.path
