"""Registered models in a folder that we and the real MLflow write to in turn."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from autotrack.digests import of_folder
from autotrack.entities import LoggedModel
from autotrack.errors import ModelError, ModelNotFound
from autotrack.events import ModelLogged
from autotrack.models.folder import write_model
from autotrack.stores.mlflow.folder import MlrunsStore
from autotrack.testing.samples import Journal, started

Client = Callable[[], Any]
ONE = "a" * 32


def log_model(store: MlrunsStore, folder: Path, name: str | None, run_id: str = ONE) -> str:
    """A run whose model is logged under a name; the model's digest."""
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    write_model(folder, model, run_id=run_id, signature=None, created=1000)
    journal, digest = Journal(), of_folder(folder)
    store.apply(journal.entries(started(run_id)))
    store.put_artifact(run_id, "model", folder)
    store.apply(journal.entries(ModelLogged(run_id, LoggedModel("model", "k", "cloudpickle", 1, name, digest))))
    return digest


def test_mlflow_sees_a_model_that_was_made_and_renamed_here(
    tmp_path: Path, store: MlrunsStore, client: Client, mlflow: ModuleType
) -> None:
    log_model(store, tmp_path / "model", "old")
    store.set_alias("old", "champion", 1)
    store.create_registered_model("empty", description="nothing yet", tags={"owner": "me"})
    store.rename_registered_model("old", "new")
    there = client()
    made = there.get_registered_model("empty")
    assert (made.description, made.tags, made.aliases) == ("nothing yet", {"owner": "me"}, {})
    renamed = there.get_registered_model("new")
    assert (renamed.name, renamed.aliases) == ("new", {"champion": "1"})
    (version,) = there.search_model_versions("name = 'new'")
    assert (version.name, str(version.version), version.run_id) == ("new", "1", ONE)
    assert list(mlflow.sklearn.load_model("models:/new@champion").predict([[0.0], [1.0]])) == [0, 1]
    assert there.search_model_versions("name = 'old'") == []
    # A number of the old name is not given again, by MLflow neither.
    assert str(there.create_model_version("old", f"runs:/{ONE}/model", ONE).version) == "2"
    assert [version.version for version in store.model_versions("old")] == [2]


def test_mlflow_opens_what_we_registered(
    tmp_path: Path, store: MlrunsStore, client: Client, mlflow: ModuleType
) -> None:
    digest = log_model(store, tmp_path / "model", "churn")
    there = client()
    (version,) = there.search_model_versions("name = 'churn'")  # before anyone has asked us
    assert (str(version.version), version.run_id, version.status) == ("1", ONE, "READY")
    store.update_registered_model("churn", description="two\nlines: of text", tags={"owner": "me", "a/b": ""})
    store.update_model_version("churn", 1, description="é # first", tags={"checked": "yes"})
    store.set_alias("churn", "champion", 1)
    model = there.get_registered_model("churn")
    assert (model.description, model.tags) == ("two\nlines: of text", {"owner": "me", "a/b": ""})
    assert model.aliases == {"champion": "1"}
    assert [found.name for found in there.search_registered_models()] == ["churn"]
    version = there.get_model_version_by_alias("churn", "champion")
    assert (version.description, version.tags["checked"]) == ("é # first", "yes")
    assert store.model_version("churn", 1).tags == {"checked": "yes"}
    assert store.model_version("churn", 1).digest == digest
    moved = shutil.move(store.folder, tmp_path / "moved")
    mlflow.set_tracking_uri(Path(moved).as_uri())
    store = MlrunsStore(moved)
    store.update_registered_model("churn", description="moved")
    for uri in ("models:/churn/1", "models:/churn@champion"):
        assert list(mlflow.sklearn.load_model(uri).predict([[0.0], [1.0]])) == [0, 1]
        assert list(mlflow.pyfunc.load_model(uri).predict([[1.0]])) == [1]
    assert [found.name for found in mlflow.MlflowClient().search_experiments()] == ["Default"]


def test_mlflow_and_we_number_versions_in_turn(tmp_path: Path, store: MlrunsStore, client: Client) -> None:
    log_model(store, tmp_path / "model", "churn")
    there = client()
    assert str(there.create_model_version("churn", f"runs:/{ONE}/model", ONE).version) == "2"
    assert store.create_model_version("churn", ONE, "model", description="ours").version == 3
    there.delete_model_version("churn", "3")
    store.delete_model_version("churn", 2)
    assert [version.version for version in store.model_versions("churn")] == [1]
    assert str(there.create_model_version("churn", f"runs:/{ONE}/model", ONE).version) == "4"
    (_, theirs) = store.model_versions("churn")
    assert (theirs.version, theirs.run_id, theirs.path, theirs.digest) == (4, ONE, "model", "")
    with pytest.raises(Exception, match="not found"):
        there.get_model_version("churn", "2")


def test_a_model_that_was_deleted_here_keeps_its_numbers_in_mlflow(
    tmp_path: Path, store: MlrunsStore, client: Client
) -> None:
    log_model(store, tmp_path / "model", "churn")
    store.update_registered_model("churn", description="old", tags={"owner": "me"})
    store.delete_registered_model("churn")
    there = client()
    assert there.get_latest_versions("churn") == []
    assert str(there.create_model_version("churn", f"runs:/{ONE}/model", ONE).version) == "2"
    model = store.registered_model("churn")
    assert (model.latest_version, model.description, model.tags) == (2, "", {})
    store.delete_model_version("churn", 2)
    assert store.registered_model("churn").latest_version is None, "it came back, and stays without versions"


def test_a_logged_model_does_not_come_back_when_mlflow_deletes_the_registered_one(
    tmp_path: Path, store: MlrunsStore, client: Client
) -> None:
    log_model(store, tmp_path / "model", "churn")
    client().delete_registered_model("churn")
    for opened in (store, MlrunsStore(store.folder)):
        assert opened.registered_models() == []
    assert store.problems() == []


def test_we_read_what_mlflow_registered(tmp_path: Path, store: MlrunsStore, client: Client, mlflow: ModuleType) -> None:
    there = client()
    with mlflow.start_run(experiment_id="0") as run:
        model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
        mlflow.sklearn.log_model(model, name="forest", registered_model_name="churn", pip_requirements=["scikit-learn"])
    run_id = run.info.run_id
    there.create_model_version("churn", f"file://{tmp_path}/elsewhere", tags={"k": "v"}, description="an import")
    there.set_registered_model_alias("churn", "champion", "1")
    there.set_registered_model_tag("churn", "owner", "me")
    there.transition_model_version_stage("churn", "1", "Production")
    (first, second) = store.model_versions("churn")
    assert (first.run_id, first.path, first.stage, first.aliases) == (run_id, "forest", "Production", ("champion",))
    assert (second.run_id, second.path, second.tags) == ("", f"file://{tmp_path}/elsewhere", {"k": "v"})
    assert (second.description, second.stage) == ("an import", "")
    found = store.registered_model("churn")
    assert (found.aliases, found.tags, found.latest_version) == ({"champion": 1}, {"owner": "me"}, 2)
    assert (store.artifact_path(run_id, "forest") / "MLmodel").is_file()
    with pytest.raises(ModelError, match="has the alias champion"):
        store.delete_model_version("churn", 1)
    # And register the same model once more: MLflow loads it.
    assert store.create_model_version("churn", run_id, "forest").version == 3
    assert list(mlflow.sklearn.load_model("models:/churn/3").predict([[0.0], [1.0]])) == [0, 1]
    with pytest.raises(ModelError, match="takes no '.'"):
        store.set_alias("churn", "a.b", 3)
    with pytest.raises(ModelError, match="takes no '%'"):
        store.create_model_version("100%", run_id, "forest")


def test_a_damaged_entry_hides_no_other(tmp_path: Path, store: MlrunsStore) -> None:
    log_model(store, tmp_path / "model", "churn")
    store.create_model_version("churn", ONE, "model")
    (store.folder / "models/churn/version-1/meta.yaml").write_text("!!python/object:os.system {}")
    store.create_model_version("other", ONE, "model")
    (store.folder / "models/other/meta.yaml").unlink()
    opened = MlrunsStore(store.folder)
    assert [version.version for version in opened.model_versions("churn")] == [2]
    assert [model.name for model in opened.registered_models()] == ["churn"]
    with pytest.raises(ModelNotFound):
        opened.model_versions("other")
    assert ["meta.yaml cannot be read" in problem for problem in opened.problems()] == [True, True]
    assert opened.create_model_version("churn", ONE, "model").version == 3
