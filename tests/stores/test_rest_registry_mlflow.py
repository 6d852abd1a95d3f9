"""Registered models on a real MLflow tracking server, held against the contract of every registry, and MLflow's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from services import Mlflow
from sklearn.linear_model import LogisticRegression

from autotrack.digests import of_folder
from autotrack.entities import LoggedModel
from autotrack.errors import ModelError, RunNotFound
from autotrack.events import ModelLogged
from autotrack.models.folder import write_model
from autotrack.stores.base import Store
from autotrack.stores.mlflow.rest.store import MlflowServerStore
from autotrack.stores.registry import RegistryStore
from autotrack.testing import RegistryContract
from autotrack.testing.samples import Journal, started

ONE = "a" * 32


class TestMlflowServerStore(RegistryContract):
    @pytest.fixture
    def store(self, mlflow_uri: str) -> Iterator[Store]:
        self.opened: list[MlflowServerStore] = [MlflowServerStore(mlflow_uri)]
        yield self.opened[0]
        for store in self.opened:
            store.close()

    def reopen(self, store: RegistryStore) -> RegistryStore:
        self.opened.append(MlflowServerStore(store.uri))
        return self.opened[-1]


@pytest.fixture
def store(mlflow_uri: str) -> Iterator[MlflowServerStore]:
    store = MlflowServerStore(mlflow_uri)
    yield store
    store.close()


@pytest.fixture
def client(mlflow_server: Mlflow) -> Iterator[MlflowClient]:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(mlflow_server.url)
    yield MlflowClient(mlflow_server.url)
    mlflow.set_tracking_uri(before)


def test_mlflow_opens_what_we_registered(store: MlflowServerStore, client: MlflowClient, tmp_path: Path) -> None:
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    write_model(tmp_path / "model", model, run_id=ONE, signature=None, created=1000)
    journal, digest = Journal(), of_folder(tmp_path / "model")
    store.apply(journal.entries(started(ONE)))
    store.put_artifact(ONE, "model", tmp_path / "model")
    store.apply(journal.entries(ModelLogged(ONE, LoggedModel("model", "k", "cloudpickle", 1, "churn", digest))))
    made = store.create_model_version("churn", ONE, "model", digest=digest, description="d", tags={"k": "v"})
    assert (made.version, made.run_id, made.path, made.digest) == (2, ONE, "model", digest)
    store.set_alias("churn", "champion", 2)
    store.update_registered_model("churn", description="ours", tags={"owner": "me"})
    found = client.get_registered_model("churn")
    assert (found.description, found.tags, found.aliases) == ("ours", {"owner": "me"}, {"champion": "2"})
    version = client.get_model_version_by_alias("churn", "champion")
    assert (version.description, version.tags["k"]) == ("d", "v")
    for uri in ("models:/churn/1", "models:/churn@champion"):
        assert list(mlflow.sklearn.load_model(uri).predict([[0.0], [1.0]])) == [0, 1]
    assert [version.digest for version in store.model_versions("churn")] == [digest, digest]


def test_a_version_that_was_made_before_it_was_written_down_is_made_once(
    store: MlflowServerStore, client: MlflowClient
) -> None:
    """By a process that was killed in between, or by an earlier release, which marked versions otherwise."""
    digest, journal = "sha256:" + "1" * 64, Journal()
    models = [LoggedModel(path, "k", "", 1, "m", digest) for path in ("model", "other")]
    store.apply(journal.entries(started(ONE), ModelLogged(ONE, models[0])))
    (native,) = client.search_runs(["0"])
    (mark,) = [key for key in native.data.tags if key.startswith("autotrack.registered.")]
    client.delete_tag(native.info.run_id, mark)
    place = f"{native.info.artifact_uri}/other"
    client.create_model_version("m", place, native.info.run_id, tags={"autotrack.source": f"{ONE}/other@{digest}"})
    opened = MlflowServerStore(store.uri)
    opened.apply(journal.entries(*(ModelLogged(ONE, model) for model in models)))
    opened.close()
    found = [(version.version, version.path, version.digest) for version in store.model_versions("m")]
    assert found == [(1, "model", digest), (2, "other", digest)]
    assert [version.tags for version in store.model_versions("m")] == [{}, {}]


def test_we_read_what_mlflow_registered(store: MlflowServerStore, client: MlflowClient) -> None:
    with mlflow.start_run(experiment_id="0") as run:
        model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
        mlflow.sklearn.log_model(model, name="forest", registered_model_name="churn", pip_requirements=["scikit-learn"])
    run_id = run.info.run_id
    client.create_model_version("churn", "s3://elsewhere/model", tags={"k": "v"}, description="an import")
    client.set_registered_model_alias("churn", "champion", "1")
    client.transition_model_version_stage("churn", "1", "Production")
    store.apply(Journal().entries(started(ONE, name="ours")))
    native = client.search_runs(["0"], filter_string="attributes.run_name = 'ours'")[0].info
    client.create_model_version("churn", f"{native.artifact_uri}/a/model", native.run_id)
    first, second, third = store.model_versions("churn")
    assert (first.run_id, first.path, first.stage, first.aliases) == (run_id, "forest", "Production", ("champion",))
    assert (second.run_id, second.path, second.tags) == ("", "s3://elsewhere/model", {"k": "v"})
    assert (second.description, second.stage) == ("an import", "")
    assert (third.run_id, third.path) == (ONE, "a/model")
    assert store.create_model_version("churn", run_id, "forest").version == 4
    assert list(mlflow.sklearn.load_model("models:/churn/4").predict([[0.0], [1.0]])) == [0, 1]


def test_what_the_server_does_not_take_is_said(store: MlflowServerStore, client: MlflowClient) -> None:
    store.apply(Journal().entries(started(ONE)))
    store.create_model_version("m", ONE, "model")
    with pytest.raises(ModelError, match="alias"):
        store.set_alias("m", "a.b", 1)
    with pytest.raises(ModelError, match="begin with 'autotrack.'"):
        store.update_model_version("m", 1, tags={"autotrack.version": "x"})
    with pytest.raises(RunNotFound):
        store.create_model_version("m", "none", "model")
    with pytest.raises(ModelError, match="path of 6,000 characters"):
        store.create_model_version("m", ONE, "x" * 6000)
    store.delete_registered_model("m")
    assert client.get_latest_versions("m") == []
    client.create_model_version("m", "s3://elsewhere/model")
    assert [version.version for version in store.model_versions("m")] == [2]
    store.delete_model_version("m", 2)
    assert store.registered_model("m").latest_version is None, "it came back, and stays without versions"
