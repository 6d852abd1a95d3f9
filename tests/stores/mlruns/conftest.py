"""Folders that we wrote, and the real MLflow on them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from autotrack import journal
from autotrack.events import ArtifactLogged, ModelLogged
from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.stores.mlflow.folder import MlrunsStore


@pytest.fixture
def store(tmp_path: Path) -> MlrunsStore:
    """An MLflow folder that is not there yet."""
    return MlrunsStore(tmp_path / "mlruns")


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """MLflow, with its file store allowed."""
    module = pytest.importorskip("mlflow", reason="MLflow is not installed")
    for name in ("mlflow.pyfunc", "mlflow.sklearn", "mlflow.data"):
        importlib.import_module(name)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    before = module.get_tracking_uri()
    yield module
    module.set_tracking_uri(before)


@pytest.fixture
def client(mlflow: ModuleType, store: MlrunsStore) -> Callable[[], Any]:
    """Opens MLflow's client on the folder, which is its tracking folder from then on."""

    def opened() -> Any:
        mlflow.set_tracking_uri(store.folder.as_uri())
        return mlflow.MlflowClient()

    return opened


@pytest.fixture
def ship() -> Callable[[Path, Store], None]:
    """Ships the journals of a local store, artifacts before their events, as the shipper does."""

    def shipped(folder: Path, to: Store) -> None:
        source = open_store(folder)
        for path in journal.journal_paths(folder):
            for entry in journal.read(path).entries:
                match entry.event:
                    case ArtifactLogged(run_id, artifact):
                        to.put_artifact(run_id, artifact.path, source.artifact_path(run_id, artifact.path))
                    case ModelLogged(run_id, model):
                        to.put_artifact(run_id, model.path, source.artifact_path(run_id, model.path))
                to.apply([entry])
        source.close()

    return shipped
