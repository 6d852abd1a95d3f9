"""MLflow's own client against the API: models logged, registered, found, moved, loaded; artifacts sent and fetched."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pytest
import uvicorn
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature, set_signature
from sklearn.linear_model import LogisticRegression

import autotrack
from autotrack.server.app import App
from autotrack.server.site import Site
from autotrack.stores import open_store

X = np.array([[0.0], [1.0], [2.0], [3.0]])
Y = np.array([0, 0, 1, 1])


class Logged(NamedTuple):
    """What the client logged once for all tests."""

    store: Path
    client: MlflowClient
    run_id: str
    model: LogisticRegression
    model_id: str


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    folder = tmp_path_factory.mktemp("server") / "store"
    store = open_store(str(folder))
    site = Site(store)
    app: Any = App(site, rooms=("autotrack.server.rest",))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        mlflow.set_tracking_uri(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
        mlflow.set_experiment("models")
        model = LogisticRegression().fit(X, Y)
        with mlflow.start_run() as run:
            mlflow.log_metric("auc", 0.9)
            info = _log(model, "model", registered_model_name="churn")
        yield Logged(folder, MlflowClient(), run.info.run_id, model, info.model_id)
    mlflow.set_tracking_uri(before)
    server.should_exit = True
    thread.join()
    site.close()
    store.close()


def _log(model: LogisticRegression, name: str, **more: Any) -> Any:
    return mlflow.sklearn.log_model(
        model, name=name, pip_requirements=["scikit-learn"], serialization_format="cloudpickle", **more
    )


def _same(one: Any, other: Any) -> bool:
    return bool((one.predict_proba(X) == other.predict_proba(X)).all())


def test_the_model_is_loaded_by_every_name_it_has(logged: Logged) -> None:
    logged.client.set_registered_model_alias("churn", "best", "1")
    names = ["models:/churn/1", "models:/churn/latest", "models:/churn@best", f"models:/{logged.model_id}"]
    for uri in [*names, f"runs:/{logged.run_id}/model"]:
        assert _same(mlflow.sklearn.load_model(uri), logged.model), uri
    assert logged.client.get_model_version_by_alias("churn", "best").version == "1"


def test_autotrack_loads_what_mlflow_logged(logged: Logged) -> None:
    assert _same(autotrack.load_model(f"runs:/{logged.run_id}/model", store=logged.store, trusted=True), logged.model)
    assert _same(autotrack.load_model("models:/churn/1", store=logged.store, trusted=True), logged.model)
    (recorded,) = autotrack.get_run(logged.run_id, store=logged.store).models
    assert (recorded.path, recorded.serialization_format) == ("model", "cloudpickle")


def test_files_are_sent_listed_and_fetched(logged: Logged, tmp_path: Path) -> None:
    (tmp_path / "sent" / "sub").mkdir(parents=True)
    (tmp_path / "sent" / "a b.txt").write_text("A")
    (tmp_path / "sent" / "sub" / "50%.txt").write_text("B")
    logged.client.log_artifacts(logged.run_id, str(tmp_path / "sent"), "files")
    found = logged.client.list_artifacts(logged.run_id)
    assert [(file.path, file.is_dir) for file in found] == [("files", True)]
    assert [file.path for file in logged.client.list_artifacts(logged.run_id, "files")] == [
        "files/a b.txt",
        "files/sub",
    ]
    model_files = [file.path for file in logged.client.list_artifacts(logged.run_id, "model")]
    assert "model/MLmodel" in model_files
    assert len(model_files) == len(set(model_files))
    fetched = Path(mlflow.artifacts.download_artifacts(f"runs:/{logged.run_id}/files", dst_path=str(tmp_path)))
    assert (fetched / "sub" / "50%.txt").read_text() == "B"
    with pytest.raises(MlflowException):
        mlflow.artifacts.download_artifacts(f"runs:/{logged.run_id}/missing", dst_path=str(tmp_path))


def test_a_large_file_is_sent_whole_by_a_client_that_was_told_to_send_parts(
    logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1000")
    (tmp_path / "large.bin").write_bytes(b"x" * 5000)
    logged.client.log_artifact(logged.run_id, str(tmp_path / "large.bin"), "large")
    assert open_store(str(logged.store)).artifact_path(logged.run_id, "large/large.bin").stat().st_size == 5000


def test_logged_models_are_found(logged: Logged) -> None:
    found = mlflow.search_logged_models(
        filter_string="metrics.auc > 0.5 AND name = 'model'", output_format="list", max_results=5
    )
    assert [model.model_id for model in found] == [logged.model_id]
    assert found[0].status == "READY"
    assert {metric.key: metric.value for metric in found[0].metrics} == {"auc": 0.9}
    table = mlflow.search_logged_models()
    assert list(table["model_id"]) == [logged.model_id]


def test_a_logged_model_has_a_life_of_its_own(logged: Logged) -> None:
    mlflow.set_experiment("life")
    model = mlflow.initialize_logged_model(name="outside", tags={"a": "1"}, params={"p": "1"}, model_type="agent")
    mlflow.log_model_params({f"q{number}": "x" for number in range(150)}, model.model_id)
    mlflow.set_logged_model_tags(model.model_id, {"b": "2"})
    mlflow.delete_logged_model_tag(model.model_id, "a")
    assert mlflow.finalize_logged_model(model.model_id, "READY").status == "READY"
    told = mlflow.get_logged_model(model.model_id)
    assert told.tags["b"] == "2"
    assert "a" not in told.tags
    assert len(told.params) == 151
    assert (told.name, told.model_type, told.source_run_id) == ("outside", "agent", "")
    with mlflow.start_run() as run:
        mlflow.log_metric("f1", 0.5, model_id=model.model_id)
    assert [(one.key, one.run_id) for one in mlflow.get_logged_model(model.model_id).metrics] == [
        ("f1", run.info.run_id)
    ]
    logged.client.delete_logged_model(model.model_id)
    with pytest.raises(MlflowException, match="not found"):
        mlflow.get_logged_model(model.model_id)
    mlflow.set_experiment("models")


def test_the_registry_as_a_client_uses_it(logged: Logged) -> None:
    client = logged.client
    client.create_registered_model("team", tags={"a": "b"}, description="d")
    with pytest.raises(MlflowException) as raised:
        client.create_registered_model("team")
    assert raised.value.error_code == "RESOURCE_ALREADY_EXISTS"
    client.rename_registered_model("team", "crew")
    client.update_registered_model("crew", "text")
    first = mlflow.register_model(f"runs:/{logged.run_id}/model", "crew", tags={"x": "y"})
    assert (first.version, first.run_id) == ("1", logged.run_id)
    assert client.copy_model_version("models:/churn/1", "crew").version == "2"
    client.update_model_version("crew", "1", "words")
    client.set_model_version_tag("crew", "1", "k", "v")
    told = client.get_model_version("crew", "1")
    assert (told.description, told.tags) == ("words", {"x": "y", "k": "v"})
    assert [one.version for one in client.search_model_versions("name = 'crew'", order_by=["version_number ASC"])] == [
        "1",
        "2",
    ]
    assert [model.name for model in client.search_registered_models("name LIKE 'c%'")] == ["churn", "crew"]
    client.delete_model_version("crew", "2")
    client.delete_registered_model("crew")
    with pytest.raises(MlflowException, match="not found"):
        client.get_registered_model("crew")


@pytest.mark.filterwarnings("ignore")
def test_stages(logged: Logged) -> None:
    client = logged.client
    client.create_registered_model("staged")
    for _ in range(2):
        client.create_model_version("staged", f"models:/{logged.model_id}", logged.run_id)
    client.transition_model_version_stage("staged", "1", "Production")
    client.transition_model_version_stage("staged", "2", "Production", archive_existing_versions=True)
    assert [one.version for one in client.get_latest_versions("staged", ["Production"])] == ["2"]
    assert _same(mlflow.sklearn.load_model("models:/staged/Production"), logged.model)


def test_a_signature_is_put_into_a_model_that_is_ready(logged: Logged) -> None:
    with mlflow.start_run():
        info = _log(logged.model, "model")
    set_signature(info.model_uri, infer_signature(X, Y))
    assert mlflow.models.get_model_info(info.model_uri).signature is not None
    assert _same(autotrack.load_model(f"runs:/{info.run_id}/model", store=logged.store, trusted=True), logged.model)


@pytest.mark.parametrize("source", ["file:///etc", "/etc", "s3://bucket/x", "runs:/RUN/../x", "models:/m-0"])
def test_a_source_from_elsewhere_is_refused(logged: Logged, source: str) -> None:
    with pytest.raises(MlflowException):
        logged.client.create_model_version("churn", source.replace("RUN", logged.run_id), logged.run_id)
    assert len(logged.client.search_model_versions("name = 'churn'")) == 1
