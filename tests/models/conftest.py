"""Fixtures for the model folder's tests."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from autotrack.models import Signature, infer_signature, write_model

RUN_ID = "0123456789abcdef0123456789abcdef"


def require(name: str) -> ModuleType:
    """The module, else skip; fail instead where AUTOTRACK_REQUIRE_SERVICES=1 says that it has to be there."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if os.environ.get("AUTOTRACK_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{name} is required by AUTOTRACK_REQUIRE_SERVICES=1: {error}")
        pytest.skip(f"{name} is not installed here: {error}")


@pytest.fixture(name="require")
def _require() -> Callable[[str], ModuleType]:
    return require


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The real MLflow, which keeps its files below ``tmp_path``."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)
    module = require("mlflow")
    for name in ("mlflow.pyfunc", "mlflow.sklearn", "mlflow.models"):
        importlib.import_module(name)
    return module


@pytest.fixture(scope="session")
def iris() -> tuple[pd.DataFrame, pd.Series]:
    X, y = load_iris(return_X_y=True, as_frame=True)
    return X, y


@pytest.fixture(scope="session")
def classifier(iris: tuple[pd.DataFrame, pd.Series]) -> LogisticRegression:
    return LogisticRegression(max_iter=500).fit(*iris)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a model and give its folder."""

    def write_it(model: Any, X: Any = None, *, name: str = "model", **options: Any) -> Path:
        signature: Signature | None = None
        if X is not None:
            predictions = model.predict(X) if hasattr(model, "predict") else None
            signature = infer_signature(X, predictions).signature
        folder = tmp_path / "artifacts" / name
        options = {"run_id": RUN_ID, "signature": signature, "created": 1_780_000_000_000} | options
        write_model(folder, model, **options)
        return folder

    return write_it
