"""What MLflow's own client makes of our runs on a server, and we of its."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from services import Mlflow
from sklearn.linear_model import LogisticRegression

from autotrack.digests import of_bytes, of_folder
from autotrack.entities import FINISHED, Artifact, Dataset, LoggedModel, Metric, Note
from autotrack.errors import ArtifactNotFound, StoreError
from autotrack.events import (
    ArtifactLogged,
    DatasetLogged,
    Event,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    TagsSet,
)
from autotrack.models.folder import write_model
from autotrack.stores.mlflow.rest.store import MlflowServerStore
from autotrack.testing.samples import Journal, started

ONE, TWO = "a" * 32, "b" * 32
FACTS = {"user": "me", "script": "/home/me/train.py", "git": {"commit": "c0ffee", "branch": "main"}}


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


def put_model(store: MlflowServerStore, folder: Path, run_id: str = ONE, name: str | None = None) -> LoggedModel:
    """Fit a model, put its folder on the server, and give what its event says of it."""
    model = LogisticRegression().fit(np.array([[0.0], [1.0]]), [0, 1])
    write_model(folder, model, run_id=run_id, signature=None, created=1000)
    store.put_artifact(run_id, "model", folder)
    return LoggedModel("model", "sklearn.linear_model.LogisticRegression", "cloudpickle", 9, name, of_folder(folder))


def test_mlflow_sees_a_whole_run(store: MlflowServerStore, client: MlflowClient, tmp_path: Path) -> None:
    journal = Journal()
    store.apply(
        journal.entries(
            ProcessDescribed("p", FACTS),
            started(ONE, name="search", start_time=1_700_000_000_000, experiment="e", process_id="p"),
            started(TWO, name="candidate", start_time=1_700_000_000_500, experiment="e", parent_run_id=ONE),
        )
    )
    model = put_model(store, tmp_path / "model")
    (tmp_path / "roc.png").write_bytes(b"\x89PNG")
    store.put_artifact(ONE, "training_roc_curve.png", tmp_path / "roc.png")
    columns = ({"name": "age", "dtype": "float64"},)
    store.apply(
        journal.entries(
            ParamsLogged(ONE, {"C": "1.0", "solver": "lbfgs"}),
            MetricsLogged(ONE, (Metric("training_score", 0.5, 0, 10), Metric("training_score", 0.75, 1, 20))),
            TagsSet(ONE, {"estimator_name": "LogisticRegression"}),
            DatasetLogged(ONE, Dataset("X_train", "train", "pandas.DataFrame", "sha256:" + "1" * 64, (3, 1), columns)),
            ModelLogged(ONE, model),
            ArtifactLogged(ONE, Artifact("training_roc_curve.png", 4, of_bytes(b"\x89PNG"))),
            NoteLogged(ONE, Note("warning", "ConvergenceWarning", "did not converge")),
            RunEnded(ONE, FINISHED, 1_700_000_009_000),
        )
    )
    experiment = client.get_experiment_by_name("e")
    candidate, search = client.search_runs([experiment.experiment_id])
    assert candidate.data.tags["mlflow.parentRunId"] == search.info.run_id
    info, data = search.info, search.data
    assert (info.run_name, info.status, info.start_time) == ("search", "FINISHED", 1_700_000_000_000)
    assert info.end_time == 1_700_000_009_000
    assert data.params == {"C": "1.0", "solver": "lbfgs"}
    assert data.metrics == {"training_score": 0.75}
    tags = {"estimator_name": "LogisticRegression", "mlflow.user": "me", "mlflow.source.name": "/home/me/train.py"}
    assert tags.items() <= data.tags.items()
    assert data.tags["mlflow.source.git.commit"] == "c0ffee"
    assert "did not converge" in data.tags["mlflow.note.content"]
    (used,) = search.inputs.dataset_inputs
    assert used.dataset.name == "X_train"
    assert {tag.key: tag.value for tag in used.tags}["mlflow.data.context"] == "train"
    assert [file.path for file in client.list_artifacts(info.run_id) if file.path != "autotrack"] == [
        "training_roc_curve.png"
    ]
    frame = mlflow.search_runs(experiment_names=["e"], filter_string="metrics.training_score > 0.7")
    assert list(frame["tags.mlflow.runName"]) == ["search"]
    (logged,) = client.search_logged_models([experiment.experiment_id])
    assert (logged.name, logged.source_run_id, str(logged.status)) == ("model", info.run_id, "READY")
    for uri in (f"runs:/{info.run_id}/model", f"models:/{logged.model_id}"):
        assert list(mlflow.sklearn.load_model(uri).predict([[0.0], [1.0]])) == [0, 1]


def test_mlflows_pages_open_an_experiment_of_ours_on_its_runs(store: MlflowServerStore, client: MlflowClient) -> None:
    mlflow.create_experiment("theirs")
    mlflow.create_experiment("traces", tags={"mlflow.experimentKind": "genai_development"})
    names = ["ours", "theirs", "traces", "Default"]
    events = [started(f"{number:032x}", experiment=name) for number, name in enumerate(names)]
    store.apply(Journal().entries(*events))
    kinds = {name: client.get_experiment_by_name(name).tags.get("mlflow.experimentKind") for name in names}
    assert kinds == {"ours": "custom_model_development", "theirs": None, "traces": "genai_development", "Default": None}


def test_plots_are_drawn_for_mlflows_pages(store: MlflowServerStore, client: MlflowClient, tmp_path: Path) -> None:
    from autotrack.plots.data import confusion_matrix
    from autotrack.plots.files import path_of, to_json

    plot = confusion_matrix([[3, 1], [0, 4]], ["a", "b"])
    path = path_of("training_confusion_matrix")
    (tmp_path / "plots").write_bytes(to_json({"training_confusion_matrix": plot}))
    store.apply(Journal().entries(started(ONE)))
    store.put_artifact(ONE, path, tmp_path / "plots")
    (run,) = client.search_runs(["0"])
    assert "training_confusion_matrix.png" in [file.path for file in client.list_artifacts(run.info.run_id)]
    assert store.artifact_path(ONE, "training_confusion_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_a_model_is_registered_once(store: MlflowServerStore, client: MlflowClient, tmp_path: Path) -> None:
    journal = Journal()
    store.apply(journal.entries(started(ONE)))
    model = put_model(store, tmp_path / "model", name="churn")
    entries = journal.entries(ModelLogged(ONE, model))
    store.apply(entries)
    again = MlflowServerStore(store.uri)
    again.put_artifact(ONE, "model", tmp_path / "model")
    again.apply([*entries, *journal.entries(ModelLogged(ONE, model))])
    again.close()
    (version,) = client.search_model_versions("name = 'churn'")
    assert (version.version, version.run_id) == ("1", client.search_runs(["0"])[0].info.run_id)
    assert list(mlflow.sklearn.load_model("models:/churn/1").predict([[1.0]])) == [1]
    assert len(client.search_logged_models(["0"])) == 1


def test_what_mlflow_cannot_hold_comes_back_whole(store: MlflowServerStore, client: MlflowClient) -> None:
    text, error = "x" * 7000, "Traceback\n" * 5000
    events: list[Event] = [started(ONE), ParamsLogged(ONE, {"long": text, "C": "1"}), ParamsLogged(ONE, {"C": "2"})]
    events += [TagsSet(ONE, {"t" * 300: "long key", "tag": text * 2})]
    events += [DatasetLogged(ONE, Dataset(f"d{i}", "train", "k", of_bytes(b"%d" % i))) for i in range(900)]
    events += [RunEnded(ONE, "FAILED", 5, error)]
    store.apply(Journal().entries(*events))
    run = MlflowServerStore(store.uri).get_run(ONE)
    assert run.params == {"long": text, "C": "2"}
    assert run.tags == {"t" * 300: "long key", "tag": text * 2}
    assert (run.error, len(run.datasets)) == (error, 900)
    (seen,) = client.search_runs(["0"])
    assert seen.data.params["long"].startswith("xxx")
    assert [found.run_id for found in store.search_runs("params.C = '2'")] == [ONE]
    assert store.search_runs("params.C = '1'") == []


def test_ten_thousand_points_arrive_once(store: MlflowServerStore, client: MlflowClient) -> None:
    points = tuple(Metric("loss", 1 / (i + 1), i, 1000 + i) for i in range(10_000))
    odd = (Metric("nan", math.nan, 0, 1), Metric("inf", math.inf, 0, 1), Metric("twice", 1.0), Metric("twice", 1.0))
    entries = Journal().entries(started(ONE), MetricsLogged(ONE, points), MetricsLogged(ONE, odd))
    store.apply(entries)
    MlflowServerStore(store.uri).apply(entries)
    assert store.metric_history(ONE, "loss") == list(points)
    assert store.metric_history(ONE, "twice") == [Metric("twice", 1.0)] * 2
    (run,) = client.search_runs(["0"])
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 10_000
    assert run.data.metrics["loss"] == 1 / 10_000


def test_runs_of_mlflows_own_clients_are_read(store: MlflowServerStore, client: MlflowClient) -> None:
    mlflow.set_experiment("theirs")
    with mlflow.start_run(run_name="outer") as outer:
        mlflow.log_param("alpha", 0.5)
        for step in range(3):
            mlflow.log_metric("m", step / 2, step=step)
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_input(mlflow.data.from_numpy(np.zeros((3, 2)), name="X"), context="training")
        mlflow.sklearn.log_model(LogisticRegression(), name="model", skops_trusted_types=None, pip_requirements=[])
        with mlflow.start_run(nested=True) as inner:
            pass
    run = store.get_run(outer.info.run_id)
    assert (run.name, run.experiment, run.status) == ("outer", "theirs", FINISHED)
    assert (run.params, run.metrics) == ({"alpha": "0.5"}, {"m": 1.0})
    assert [(data.name, data.context) for data in run.datasets] == [("X", "training")]
    assert [model.path for model in run.models] == ["model"]
    assert [point.value for point in store.metric_history(run.run_id, "m")] == [0.0, 0.5, 1.0]
    assert [artifact.path for artifact in store.artifacts(run.run_id)] == ["model", "notes"]
    assert store.artifact_path(run.run_id, "notes/hello.txt").read_text() == "hello"
    assert (store.artifact_path(run.run_id, "model") / "MLmodel").is_file()
    assert store.get_run(inner.info.run_id).parent_run_id == run.run_id
    assert store.search_runs("params.alpha = '0.5' and metrics.m > 0.9", experiment="theirs") == [run]
    assert store.find_runs("outer") == [run]
    store.apply(Journal().entries(TagsSet(run.run_id, {"seen": "yes"}), LifecycleSet(run.run_id, "deleted", 5)))
    assert store.get_run(run.run_id).lifecycle_stage == "deleted"
    assert client.get_run(run.run_id).data.tags["seen"] == "yes"
    with pytest.raises(StoreError, match="made by MLflow's own client"):
        store.apply(Journal().entries(ParamsLogged(run.run_id, {"a": "1"})))


def test_what_people_do_on_mlflows_pages_is_seen(store: MlflowServerStore, client: MlflowClient) -> None:
    store.apply(Journal().entries(started(ONE, name="ours"), TagsSet(ONE, {"t": "1"})))
    (theirs,) = client.search_runs(["0"])
    client.update_run(theirs.info.run_id, name="renamed")
    client.set_tag(theirs.info.run_id, "favourite", "yes")
    run = store.get_run(ONE)
    assert (run.name, run.tags) == ("renamed", {"t": "1", "favourite": "yes"})
    assert store.search_runs("tags.favourite = 'yes' and name = 'renamed'") == [run]
    client.delete_run(theirs.info.run_id)
    assert store.search_runs() == []
    assert store.get_run(ONE).lifecycle_stage == "deleted"
    client.restore_run(theirs.info.run_id)
    assert store.search_runs() == [run]


def test_a_child_that_comes_before_its_parent_is_nested_when_the_parent_comes(
    store: MlflowServerStore, client: MlflowClient
) -> None:
    store.apply(Journal("20260102T000000-b").entries(started(TWO, name="child", parent_run_id=ONE)))
    (child,) = client.search_runs(["0"])
    assert "mlflow.parentRunId" not in child.data.tags
    MlflowServerStore(store.uri).apply(Journal("20260101T000000-a").entries(started(ONE, name="parent")))
    ids = {run.info.run_name: run for run in client.search_runs(["0"])}
    assert ids["child"].data.tags["mlflow.parentRunId"] == ids["parent"].info.run_id
    assert store.get_run(TWO).parent_run_id == ONE


def test_a_run_that_two_writers_made_at_once_becomes_one(
    store: MlflowServerStore, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other writer makes the run between our look for it and our making it."""
    other, create = MlflowServerStore(store.uri), store._client.create_run

    def late(*args: Any) -> Any:
        other.apply(Journal("20260102T000000-b").entries(started(ONE), TagsSet(ONE, {"from": "other"})))
        return create(*args)

    monkeypatch.setattr(store._client, "create_run", late)
    store.apply(Journal("20260101T000000-a").entries(started(ONE, name="n"), ParamsLogged(ONE, {"p": "1"})))
    monkeypatch.undo()
    other.apply(Journal("20260103T000000-c").entries(RunEnded(ONE, FINISHED, 9)))
    (run,) = store.search_runs()
    assert (run.params, run.tags, run.status) == ({"p": "1"}, {"from": "other"}, FINISHED)
    assert len(client.search_runs(["0"])) == 1
    assert MlflowServerStore(store.uri).get_run(ONE) == run


def test_an_upload_that_broke_off_is_not_seen(store: MlflowServerStore, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    journal = Journal()
    store.apply(journal.entries(started(ONE)))
    upload = store._client.transport.upload

    def broken(path: str, source: Any) -> None:
        if path.endswith("/c"):
            raise StoreError("the connection broke")
        upload(path, source)

    store._client.transport.upload = broken  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="broke"):
        store.put_artifact(ONE, "report", folder)
    other = MlflowServerStore(store.uri)
    assert other.artifacts(ONE) == other.artifacts(ONE, "report") == []
    with pytest.raises(ArtifactNotFound):
        other.artifact_path(ONE, "report")
    other.put_artifact(ONE, "report", folder)
    assert [artifact.path for artifact in other.artifacts(ONE, "report")] == ["report/a", "report/b", "report/c"]


def test_a_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file(
    store: MlflowServerStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    store = MlflowServerStore(store.uri)
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    (folder / "f").write_text("in a folder")
    file.write_text("a file")
    store.apply(Journal().entries(started(ONE)))
    for source in (folder, file, folder):
        store.put_artifact(ONE, "x", source)
        found = store.artifact_path(ONE, "x")
        text = (found / "f").read_text() if source is folder else found.read_text()
        assert text == ("in a folder" if source is folder else "a file")
    store.close()


def test_many_small_batches_are_joined_into_one_file(store: MlflowServerStore) -> None:
    journal = Journal()
    store.apply(journal.entries(started(ONE)))
    entries = journal.entries(*(MetricsLogged(ONE, (Metric("m", float(i), i, 1),)) for i in range(60)))
    for entry in entries:
        store.apply([entry])
    native = store._catalog.native(ONE)
    assert len(store._catalog.files(native).listing("autotrack")) < 20
    fresh = MlflowServerStore(store.uri)
    fresh.apply(entries)
    fresh.apply(journal.entries(RunEnded(ONE, FINISHED, 9)))
    assert [point.value for point in fresh.metric_history(ONE, "m")] == [float(i) for i in range(60)]
    fresh.close()


def test_a_file_that_is_not_what_was_logged_is_refused(store: MlflowServerStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one")
    journal = Journal()
    store.apply(journal.entries(started(ONE)))
    store.put_artifact(ONE, "f", tmp_path / "f")
    store.apply(journal.entries(ArtifactLogged(ONE, Artifact("f", 3, of_bytes(b"another")))))
    with pytest.raises(StoreError, match="not what was logged"):
        store.artifact_path(ONE, "f")


def test_names_of_files_may_hold_what_a_servers_path_may_not(store: MlflowServerStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("content")
    store.apply(Journal().entries(started(ONE)))
    names = ["100%25.txt", "a#b?c=d&e+f", "naïve 漢字", "two\nlines", "x=41"]
    for name in names:
        store.put_artifact(ONE, f"d/{name}", tmp_path / "f")
    assert [artifact.path for artifact in store.artifacts(ONE, "d")] == sorted(f"d/{name}" for name in names)
    assert all(store.artifact_path(ONE, f"d/{name}").read_text() == "content" for name in names)


def test_an_experiment_that_was_deleted_is_restored_for_a_new_run(
    store: MlflowServerStore, client: MlflowClient
) -> None:
    journal = Journal()
    store.apply(journal.entries(started(ONE, experiment="e")))
    client.delete_experiment(client.get_experiment_by_name("e").experiment_id)
    store.apply(journal.entries(started(TWO, experiment="e")))
    assert {run.run_id for run in store.search_runs(experiment="e")} == {ONE, TWO}


def test_a_name_that_leads_out_of_its_folder_is_not_fetched(
    store: MlflowServerStore, mlflow_server: Mlflow, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("content")
    store.apply(Journal().entries(started(ONE)))
    store.put_artifact(ONE, "d/f", tmp_path / "f")
    (folder,) = mlflow_server.artifacts.rglob("d")
    (folder / "=2E=2E=2F=2E=2E=2Fevil").write_text("not here")
    assert [artifact.path for artifact in store.artifacts(ONE, "d")] == ["d/f"]
    fetched = store.artifact_path(ONE, "d")
    assert [path.name for path in fetched.rglob("*")] == ["f"]
    assert not (fetched.parent.parent / "evil").exists()


def test_facts_of_a_process_are_asked_for_when_they_are_looked_at(store: MlflowServerStore) -> None:
    store.apply(Journal().entries(ProcessDescribed("p", FACTS), started(ONE, process_id="p")))
    fresh = MlflowServerStore(store.uri)
    (run,) = fresh.search_runs()
    before = fresh.requests
    assert run.process["user"] == "me"
    assert fresh.requests > before
    assert run.process == FACTS
    assert type(deepcopy(run.process)) is type(pickle.loads(pickle.dumps(run.process))) is dict


def test_a_search_asks_the_server_for_no_more_than_it_needs(store: MlflowServerStore) -> None:
    journal = Journal()
    store.apply(journal.entries(*(started(f"{i:032x}", name=f"r{i}", start_time=1000 + i) for i in range(45))))
    store.apply(journal.entries(MetricsLogged(f"{7:032x}", (Metric("m", 5.0),))))
    asked: list[dict[str, Any]] = []
    post = store._client._post

    def noted(path: str, body: Any, repeatable: bool = True) -> Any:
        asked.append({"path": path, **body})
        return post(path, body, repeatable)

    store._client._post = noted  # type: ignore[method-assign]
    assert [run.name for run in store.search_runs(limit=3)] == ["r44", "r43", "r42"]
    assert [body["max_results"] for body in asked if body["path"] == "runs/search"] == [20, 20]
    asked.clear()
    assert [run.name for run in store.search_runs("metrics.m >= 4.5 and name != 'x'")] == ["r7"]
    assert "metrics.`m` >= 4.5" in [body.get("filter") for body in asked]


def test_a_run_costs_few_requests(store: MlflowServerStore, tmp_path: Path) -> None:
    """Of a fit like others: 5 to begin, 7 per batch, 2 for the model and one for each file."""
    journal = Journal()
    store.apply(journal.entries(ProcessDescribed("p", FACTS), started(TWO, process_id="p")))
    before = store.requests
    store.apply(journal.entries(started(ONE, process_id="p")))
    model = put_model(store, tmp_path / "model")
    files = len(list((tmp_path / "model").iterdir()))
    store.apply(
        journal.entries(
            ParamsLogged(ONE, {f"p{i}": str(i) for i in range(15)}),
            MetricsLogged(ONE, tuple(Metric(f"m{i}", i / 10) for i in range(10))),
            TagsSet(ONE, {"a": "1"}),
            DatasetLogged(ONE, Dataset("X", "train", "k", "sha256:1")),
            ModelLogged(ONE, model),
            RunEnded(ONE, FINISHED, 9),
        )
    )
    assert store.requests - before <= 5 + (2 + files) + 7


def test_one_store_serves_a_forked_child(store: MlflowServerStore) -> None:
    import multiprocessing

    store.apply(Journal("20260101T000000-a").entries(started(ONE)))
    child = multiprocessing.get_context("fork").Process(
        target=store.apply, args=(Journal("20260102T000000-b").entries(started(TWO)),)
    )
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert len(store.search_runs()) == 2
