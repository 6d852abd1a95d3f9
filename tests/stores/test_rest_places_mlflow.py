"""Tracking servers that go down, and that keep their artifacts elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from services import mlflow_tracking_server

from autotrack.digests import of_file, of_folder
from autotrack.entities import FINISHED, Artifact, LoggedModel, Metric
from autotrack.errors import StoreError
from autotrack.events import ArtifactLogged, MetricsLogged, ModelLogged, RunEnded
from autotrack.stores.mlflow.rest import files
from autotrack.stores.mlflow.rest.store import MlflowServerStore
from autotrack.testing.samples import Journal, started

ONE = "a" * 32


def test_a_server_that_is_killed_and_comes_back_has_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This one does not pass artifacts on: they go straight to the folder where it has them kept."""
    from mlflow import MlflowClient

    root = tmp_path / "root"
    with mlflow_tracking_server("--no-serve-artifacts", "--default-artifact-root", str(root)) as server:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        store, journal = MlflowServerStore(server.url), Journal()
        store.apply(journal.entries(started(ONE), MetricsLogged(ONE, (Metric("m", 1.0, 0),))))
        server.kill()
        more = journal.entries(MetricsLogged(ONE, (Metric("m", 2.0, 1),)), RunEnded(ONE, FINISHED, 9))
        for _ in range(2):
            with pytest.raises(StoreError, match="cannot reach the tracking server"):
                store.apply(more)
        server.start()
        store.apply(more)
        store.apply(more)
        run = store.get_run(ONE)
        assert (run.status, run.metrics) == (FINISHED, {"m": 2.0})
        (theirs,) = MlflowClient(server.url).search_runs(["0"])
        history = MlflowClient(server.url).get_metric_history(theirs.info.run_id, "m")
        assert [point.value for point in history] == [1.0, 2.0]
        (tmp_path / "f").write_text("content")
        store.put_artifact(ONE, "d/f", tmp_path / "f")
        assert next(root.rglob("d/f")).read_text() == "content"
        assert [artifact.path for artifact in store.artifacts(ONE)] == ["d"]
        assert store.artifact_path(ONE, "d/f").read_text() == "content"
        store.close()


def test_large_files_go_straight_to_s3_in_parts(s3_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    pytest.importorskip("boto3")
    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    environment = {name: os.environ[name] for name in names} | {"AWS_DEFAULT_REGION": "us-east-1"}
    environment["MLFLOW_S3_ENDPOINT_URL"] = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setattr(files, "LARGE", 1 << 20)
    monkeypatch.setattr(files, "PART", 5 << 20)
    with mlflow_tracking_server("--artifacts-destination", s3_uri, environment=environment) as server:
        store, journal = MlflowServerStore(server.url), Journal()
        parts: list[str] = []
        upload_part = store._client.transport.upload_part

        def noted(url: str, headers: object, data: bytes) -> str:
            parts.append(url)
            return upload_part(url, headers, data)  # type: ignore[arg-type]

        store._client.transport.upload_part = noted  # type: ignore[method-assign]
        large, model = tmp_path / "large.bin", tmp_path / "model"
        large.write_bytes(os.urandom(1000) * 12_000)
        model.mkdir()
        (model / "MLmodel").write_text("flavors: {}\n")
        (model / "model.pkl").write_bytes(b"1")
        store.apply(journal.entries(started(ONE)))
        store.put_artifact(ONE, "large.bin", large)
        store.put_artifact(ONE, "model", model)
        logged = Artifact("large.bin", 12_000_000, of_file(large))
        store.apply(journal.entries(ArtifactLogged(ONE, logged), ModelLogged(ONE, LoggedModel("model"))))
        assert len(parts) == 3
        assert {url.partition("?")[0] for url in parts} != {server.url}
        assert store.artifact_path(ONE, "large.bin").read_bytes() == large.read_bytes()
        assert (store.artifact_path(ONE, "model") / "model.pkl").read_bytes() == b"1"
        listed = [(artifact.path, artifact.size) for artifact in store.artifacts(ONE)]
        assert listed == [("large.bin", 12_000_000), ("model", None)]
        assert MlflowServerStore(server.url).get_run(ONE) == store.get_run(ONE)
        _gone(store)
        store.close()


def test_a_server_that_does_not_pass_artifacts_on_has_them_in_s3_all_the_same(s3_uri: str, tmp_path: Path) -> None:
    pytest.importorskip("obstore")
    with mlflow_tracking_server("--no-serve-artifacts", "--default-artifact-root", s3_uri) as server:
        store, journal = MlflowServerStore(server.url), Journal()
        store.apply(journal.entries(started(ONE)))
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "MLmodel").write_text("flavors: {}\n")
        (folder / "a#b%25").write_bytes(b"1")
        store.put_artifact(ONE, "model", folder)
        store.put_artifact(ONE, "large.bin", folder / "MLmodel")
        store.apply(journal.entries(ModelLogged(ONE, LoggedModel("model", digest=of_folder(folder)))))
        store = MlflowServerStore(server.url)
        assert [artifact.path for artifact in store.artifacts(ONE)] == ["large.bin", "model"]
        assert [artifact.path for artifact in store.artifacts(ONE, "model")] == ["model/MLmodel", "model/a#b%25"]
        assert (store.artifact_path(ONE, "model") / "a#b%25").read_bytes() == b"1"
        _gone(store)
        store.close()


def _gone(store: MlflowServerStore) -> None:
    from autotrack.errors import ArtifactNotFound

    for path in ("nothing", "nothing/below", "large.bin/below"):
        assert store.artifacts(ONE, path) == []
        with pytest.raises(ArtifactNotFound):
            store.artifact_path(ONE, path)
