"""MLflow finds what autotrack put into a bucket, under the names that it has."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.linear_model import LinearRegression

from autotrack.models import write_model
from autotrack.stores.artifacts import open_artifacts


def test_mlflow_loads_a_model_from_the_bucket(s3_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    import os

    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    run_id, model = "a" * 32, LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
    write_model(tmp_path / "model", model, run_id=run_id, signature=None, created=0)
    storage = open_artifacts(f"{s3_uri}/artifacts")
    storage.put(run_id, "model", tmp_path / "model")
    (tmp_path / "note #1.txt").write_text("a note")
    storage.put(run_id, "notes/note #1.txt", tmp_path / "note #1.txt")
    root = f"{s3_uri}/artifacts/{run_id}"
    assert mlflow.sklearn.load_model(f"{root}/model").predict([[2.0]]).tolist() == pytest.approx([5.0])
    found = mlflow.artifacts.download_artifacts(f"{root}/notes", dst_path=str(tmp_path / "fetched"))
    assert [(path.name, path.read_text()) for path in Path(found).iterdir()] == [("note #1.txt", "a note")]
