"""What the real MLflow reads in a folder that we wrote, and what of its changes we see."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

import autotrack
from autotrack.entities import FINISHED, Dataset, LoggedModel, Metric, Note, experiment_id
from autotrack.events import (
    DatasetLogged,
    Entry,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    ProcessDescribed,
    RunEnded,
    TagsSet,
)
from autotrack.stores.base import Store
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.folder import MlrunsStore
from autotrack.testing.samples import ODD_STRINGS, Journal, started

sys.path.insert(0, str(Path(__file__).parents[1]))
from agreement import batches

Client = Callable[[], Any]
RUN = "a" * 32


def test_mlflow_sees_whole_fits_and_loads_their_models(
    tmp_path: Path, store: MlrunsStore, client: Client, mlflow: ModuleType, ship: Callable[[Path, Store], None]
) -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    autotrack.autolog(store=tmp_path / "local", experiment="flowers", max_tuning_runs=2)
    search = GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1.0, 10.0]}, cv=2).fit(X, y)
    autotrack.flush()
    autotrack.autolog(disable=True)
    ship(tmp_path / "local", store)

    there = client()
    (experiment,) = [found for found in there.search_experiments() if found.name == "flowers"]
    assert experiment.experiment_id == experiment_id("flowers")
    runs = there.search_runs([experiment.experiment_id])
    ours = {run.run_id: run for run in store.search_runs()}
    assert {run.info.run_id for run in runs} == ours.keys()
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    parent_id = parent.info.run_id
    assert len(runs) == 3
    assert {run.data.tags.get("mlflow.parentRunId") for run in runs} == {None, parent_id}
    for run in runs:
        mine = ours[run.info.run_id]
        assert run.data.params == mine.params
        assert run.data.metrics == mine.metrics
        assert mine.tags.items() <= run.data.tags.items()
        assert (run.info.run_name, run.info.status) == (mine.name, FINISHED)
        assert (run.info.start_time, run.info.end_time) == (mine.start_time, mine.end_time)
    (used,) = parent.inputs.dataset_inputs
    assert (used.dataset.name, used.tags[-1].key, used.tags[-1].value) == ("X", "mlflow.data.context", "train")
    model = mlflow.sklearn.load_model(f"runs:/{parent_id}/model")
    function = mlflow.pyfunc.load_model(f"runs:/{parent_id}/model")
    np.testing.assert_array_equal(model.predict(X), search.predict(X))
    np.testing.assert_array_equal(function.predict(X), search.predict(X))
    for output in parent.outputs.model_outputs:
        mlflow.sklearn.load_model(f"models:/{output.model_id}")
    names = {model.name for model in there.search_logged_models([experiment.experiment_id])}
    assert "GridSearchCV" in names
    files = [file.path for file in there.list_artifacts(parent_id)]
    assert {"training_confusion_matrix.png", "training_roc_curve.png", "cv_results.csv", "model"} <= set(files)
    picture = Path(there.download_artifacts(parent_id, "training_roc_curve.png")).read_bytes()
    assert picture.startswith(b"\x89PNG")
    below = [file.path for file in there.list_artifacts(parent_id, "model")]
    assert sorted(set(below)) == sorted(below)
    assert "model/MLmodel" in below
    found = mlflow.search_runs([experiment.experiment_id], "metrics.training_score > 0.5 and params.cv = '2'")
    assert list(found["run_id"]) == [parent_id]
    assert store.problems() == []


def test_the_history_of_a_metric_is_there_once(store: MlrunsStore, client: Client) -> None:
    journal = Journal()
    values = (0.5, math.nan, math.inf, -math.inf, 1e-300)
    entries = journal.entries(
        started(RUN),
        *(MetricsLogged(RUN, (Metric("loss/a b", v, step, 1000 + step),)) for step, v in enumerate(values)),
    )
    store.apply(entries[:3])
    store.apply(entries)
    MlrunsStore(store.folder).apply(entries)
    points = client().get_metric_history(RUN, "loss/a b")
    assert [(p.step, p.timestamp, repr(p.value)) for p in points] == [
        (step, 1000 + step, repr(value)) for step, value in enumerate(values)
    ]


def test_mlflow_reads_runs_with_anything_in_them(store: MlrunsStore, client: Client, mlflow: ModuleType) -> None:
    for number, odd in enumerate(ODD_STRINGS):
        run_id, key = f"{number:032x}", odd or "k"
        store.apply(
            Journal().entries(
                ProcessDescribed(odd, {"user": odd, "script": odd, "git": {"commit": odd}}),
                started(run_id, name=odd, experiment=key, process_id=odd, start_time=2**70, parent_run_id=odd),
                ParamsLogged(run_id, {key: odd, "a": "1", "a/b": "2", "a/b/c": "3", "..": "4"}),
                TagsSet(run_id, {key: odd}),
                MetricsLogged(run_id, (Metric(key, 1.0), Metric("m", 1.0, 2**70, -5), Metric("m/n", math.nan))),
                DatasetLogged(run_id, Dataset(odd, odd, odd, odd, (1,), ({"name": odd},), {key: odd})),
                DatasetLogged(run_id, Dataset(odd, odd + "x", odd, odd, (1,), ({"name": odd},), {key: odd})),
                ModelLogged(run_id, LoggedModel(key, odd, odd)),
                NoteLogged(run_id, Note(odd, odd, odd)),
                RunEnded(run_id, "FAILED", 1_700_000_000_001, odd),
            )
        )
    store.apply(Journal().entries(ParamsLogged("b" * 32, {"started": "not yet"})))
    there = client()
    experiments = there.search_experiments()
    assert len(experiments) == len(ODD_STRINGS) + 1
    found = there.search_runs([experiment.experiment_id for experiment in experiments])
    assert len(found) == len(ODD_STRINGS)
    for run in found:
        assert sorted(run.data.params.values())[-4:] != []
        assert len(run.data.params) == 5
        assert len(run.data.metrics) == 3
        assert len(run.inputs.dataset_inputs) == 2
        assert len(there.search_logged_models([run.info.experiment_id])) == 1
    assert len(mlflow.search_runs([experiment.experiment_id for experiment in experiments])) == len(ODD_STRINGS)
    assert store.problems() == []


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches())
def test_mlflow_reads_whatever_happened_in_any_order(mlflow: ModuleType, sent: list[list[Entry]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, at_once = MlrunsStore(Path(folder) / "mlruns"), MlrunsStore(Path(folder) / "at once")
        for batch in sent:
            store.apply(batch)
        at_once.apply([entry for batch in sent for entry in batch])
        assert told(mlflow, store) == told(mlflow, at_once)
        for run in store.search_runs(view="all"):
            if run.broken is None and run.run_id == "a" * 32:
                (there,) = [found for found in told(mlflow, store) if found["run_id"] == run.run_id]
                assert there["params"] == {
                    limits.key_for(key): limits.cut(text, 6000) for key, text in run.params.items()
                }
                assert there["metrics"].keys() == {limits.key_for(key) for key in run.metrics}
                assert there["stage"] == run.lifecycle_stage


def told(mlflow: ModuleType, store: MlrunsStore) -> list[dict[str, Any]]:
    """All that MLflow says of the runs in a folder but where it stands and when it was made."""
    there = mlflow.MlflowClient(store.folder.as_uri())
    experiments = there.search_experiments()
    names = {experiment.experiment_id: experiment.name for experiment in experiments}
    runs = there.search_runs(list(names), run_view_type=3) if names else []
    return sorted(
        (
            {
                "run_id": run.info.run_id,
                "experiment": names[run.info.experiment_id],
                "about": (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time, run.info.user_id),
                "stage": run.info.lifecycle_stage,
                "params": run.data.params,
                "metrics": {key: repr(value) for key, value in run.data.metrics.items()},
                "histories": {
                    key: [(p.step, p.timestamp, repr(p.value)) for p in there.get_metric_history(run.info.run_id, key)]
                    for key in run.data.metrics
                },
                "tags": run.data.tags,
                "datasets": sorted((repr(d.dataset.to_dictionary()), repr(d.tags)) for d in run.inputs.dataset_inputs),
                "models": sorted(output.model_id for output in run.outputs.model_outputs),
                "logged": sorted(
                    (model.model_id, model.name, repr(sorted(model.params.items())), repr(sorted(model.tags.items())))
                    for model in there.search_logged_models([run.info.experiment_id])
                    if model.source_run_id == run.info.run_id
                ),
            }
            for run in runs
        ),
        key=lambda run: str(run["run_id"]),
    )


def test_a_run_deleted_on_one_side_is_deleted_on_the_other(store: MlrunsStore, client: Client) -> None:
    journal = Journal("20260101T000000-a")
    store.apply(journal.entries(started(RUN, experiment="e"), RunEnded(RUN, FINISHED, 1_700_000_001_000)))
    there, where = client(), [experiment_id("e")]
    whole = store.get_run(RUN)

    there.delete_run(RUN)
    assert store.search_runs() == []
    assert store.get_run(RUN).deleted_time
    store.apply(journal.entries(LifecycleSet(RUN, "active", 5)))
    # MLflow's deletion is later than what was told before, and our restoring of an active run says nothing new to it.
    there.restore_run(RUN)
    assert store.get_run(RUN) == whole

    store.apply(journal.entries(LifecycleSet(RUN, "deleted", 7000)))
    assert there.search_runs(where) == []
    (deleted,) = there.search_runs(where, run_view_type=2)
    assert (deleted.info.run_id, deleted.info.lifecycle_stage) == (RUN, "deleted")
    there.restore_run(RUN)
    assert MlrunsStore(store.folder).get_run(RUN) == whole
    assert len(there.search_runs(where)) == 1


def test_what_mlflow_changes_of_our_runs_is_seen_and_stays(store: MlrunsStore, client: Client) -> None:
    journal = Journal("20260101T000000-a")
    events = (
        started(RUN, name="ours"),
        TagsSet(RUN, {"mine": "1", "gone": "1", "again": "1"}),
        MetricsLogged(RUN, (Metric("m", 1.0, 0, 10),)),
        ParamsLogged(RUN, {"p": "x" * 9000}),
    )
    store.apply(journal.entries(*events))
    there = client()
    there.update_run(RUN, name="theirs")
    there.set_tag(RUN, "mlflow.note.content", "a note")
    there.set_tag(RUN, "mine", "2")
    there.set_tag(RUN, "again", "2")
    there.set_tag(RUN, "new", "3")
    there.delete_tag(RUN, "gone")
    there.log_metric(RUN, "m", 2.0, timestamp=20, step=1)
    there.log_metric(RUN, "n", 5.0)
    there.log_param(RUN, "q", "1")
    there.set_terminated(RUN, "KILLED", 1_700_000_009_000)

    def check() -> None:
        run = store.get_run(RUN)
        assert run == MlrunsStore(store.folder).get_run(RUN)
        assert (run.name, run.status, run.end_time) == ("theirs", "KILLED", 1_700_000_009_000)
        assert run.tags == {"mine": "2", "again": run.tags["again"], "new": "3", "mlflow.note.content": "a note"}
        assert run.params == {"p": "x" * 9000, "q": "1"}
        assert (run.metrics["m"], run.metrics["n"]) == (2.0, 5.0)
        assert store.search_runs("tags.new = '3' and params.q = 1 and metrics.n > 4") == [run]

    check()
    assert store.get_run(RUN).tags["again"] == "2"
    assert [point.value for point in store.metric_history(RUN, "m")] == [1.0, 2.0]
    store.apply(
        journal.entries(TagsSet(RUN, {"again": "3"}), MetricsLogged(RUN, (Metric("m", 0.5, 0, 15), Metric("o", 1.0))))
    )
    check()
    assert store.get_run(RUN).tags["again"] == "3"
    assert [point.value for point in store.metric_history(RUN, "m")] == [1.0, 0.5, 2.0]
    assert sorted(point.value for point in there.get_metric_history(RUN, "m")) == [0.5, 1.0, 2.0]
    assert there.get_run(RUN).data.tags["new"] == "3"
    assert there.get_run(RUN).info.run_name == "theirs"
    assert store.problems() == []


def test_entries_of_ours_about_a_run_of_mlflows_join_it(store: MlrunsStore, client: Client) -> None:
    there = client()
    run_id = there.create_run("0", run_name="theirs", start_time=1000).info.run_id
    there.log_param(run_id, "p", "1")
    there.log_metric(run_id, "m", 1.0, timestamp=5, step=0)
    there.set_terminated(run_id, end_time=2000)
    journal = Journal("20260101T000000-a")
    store.apply(
        journal.entries(
            TagsSet(run_id, {"reviewed": "yes", "odd\n": "\ud800"}),
            MetricsLogged(run_id, (Metric("m", 2.0, 1, 6),)),
            NoteLogged(run_id, Note("check", "data", "look")),
        )
    )
    run = store.get_run(run_id)
    assert (run.name, run.status, run.start_time, run.broken) == ("theirs", FINISHED, 1000, None)
    assert (run.params, run.metrics, run.notes) == ({"p": "1"}, {"m": 2.0}, (Note("check", "data", "look"),))
    assert (run.tags["reviewed"], run.tags["odd\n"]) == ("yes", "\ud800")
    assert [point.value for point in store.metric_history(run_id, "m")] == [1.0, 2.0]
    assert there.get_run(run_id).data.tags["reviewed"] == "yes"
    assert [point.value for point in there.get_metric_history(run_id, "m")] == [1.0, 2.0]
    store.apply(journal.entries(LifecycleSet(run_id, "deleted", 7000)))
    assert there.get_run(run_id).info.lifecycle_stage == "deleted"
    assert store.search_runs() == []
    assert MlrunsStore(store.folder).get_run(run_id).deleted_time == 7000
    there.restore_run(run_id)
    there.set_tag(run_id, "reviewed", "no")
    assert MlrunsStore(store.folder).get_run(run_id).deleted_time is None
    assert store.get_run(run_id).tags["reviewed"] == "no"


def test_runs_go_into_the_experiment_that_mlflow_has_under_that_name(store: MlrunsStore, client: Client) -> None:
    there = client()
    theirs = there.create_experiment("shared")
    journal = Journal("20260101T000000-a")
    store.apply(journal.entries(started(RUN, experiment="shared")))
    assert [run.info.run_id for run in there.search_runs([theirs])] == [RUN]
    there.rename_experiment(theirs, "renamed")
    assert store.get_run(RUN).experiment == "renamed"
    store.apply(journal.entries(started("b" * 32, experiment="shared"), TagsSet(RUN, {"t": "1"})))
    assert {(e.name, e.run_count) for e in store.experiments()} == {("renamed", 1), ("shared", 1)}
    assert there.get_experiment_by_name("shared").experiment_id != theirs
    there.rename_experiment(experiment_id("shared"), "other")
    store.apply(journal.entries(started("c" * 32, experiment="shared")))
    assert sorted(e.name for e in store.experiments()) == ["other", "renamed", "shared"]


def test_the_runs_of_an_experiment_in_the_trash_are_deleted_and_come_back(store: MlrunsStore, client: Client) -> None:
    journal = Journal("20260101T000000-a")
    store.apply(journal.entries(started(RUN, experiment="e"), ParamsLogged(RUN, {"p": "1"})))
    whole = store.get_run(RUN)
    there = client()
    there.delete_experiment(experiment_id("e"))
    assert store.search_runs() == []
    (run,) = store.search_runs(view="deleted")
    assert (run.run_id, run.params) == (RUN, {"p": "1"})
    store.apply(journal.entries(ParamsLogged(RUN, {"q": "2"})))
    assert store.get_run(RUN).params == {"p": "1", "q": "2"}
    there.restore_experiment(experiment_id("e"))
    assert store.get_run(RUN).deleted_time is None
    assert there.get_run(RUN).data.params == {"p": "1", "q": "2"}
    assert store.get_run(RUN).experiment == whole.experiment
    there.delete_experiment(experiment_id("e"))
    store.apply(journal.entries(started("b" * 32, experiment="e")))
    assert [run.run_id for run in store.search_runs()] == ["b" * 32]
    assert any("'e' is in MLflow's trash" in problem for problem in store.problems())
    there.restore_experiment(experiment_id("e"))
    assert {run.info.run_id for run in there.search_runs([experiment_id("e")])} == {RUN, "b" * 32}
    assert store.problems() == []


def test_a_run_whose_start_comes_late_moves_into_its_experiment(store: MlrunsStore, client: Client) -> None:
    late, early = Journal("20260102T000000-b"), Journal("20260101T000000-a")
    store.apply(late.entries(ParamsLogged(RUN, {"p": "1"}), ModelLogged(RUN, LoggedModel("model", "k.E"))))
    there = client()
    assert there.search_runs(["0"]) == []
    store.apply(early.entries(started(RUN, experiment="e")))
    assert there.search_runs([experiment_id("e")])[0].data.params == {"p": "1"}
    store.apply(late.entries(started(RUN, experiment="f")))
    assert there.search_runs([experiment_id("e")]) == []
    assert there.search_logged_models([experiment_id("e")]) == []
    assert there.search_runs([experiment_id("f")])[0].info.run_id == RUN
    assert there.search_logged_models([experiment_id("f")])[0].source_run_id == RUN
    assert len(there.get_run(RUN).outputs.model_outputs) == 1


def test_mlflow_finds_artifacts_in_a_moved_folder_once_we_wrote_to_it(
    store: MlrunsStore, client: Client, tmp_path: Path, mlflow: ModuleType
) -> None:
    journal = Journal("20260101T000000-a")
    store.apply(journal.entries(started(RUN, experiment="e"), started("b" * 32)))
    (tmp_path / "f.txt").write_text("hello")
    store.put_artifact(RUN, "f.txt", tmp_path / "f.txt")
    whole = store.get_run(RUN)
    elsewhere = tmp_path / "else where"
    store.folder.rename(elsewhere)

    moved = MlrunsStore(elsewhere)
    assert moved.get_run(RUN) == whole
    assert moved.artifact_path(RUN, "f.txt").read_text() == "hello"
    moved.apply(journal.entries(started("c" * 32)))
    mlflow.set_tracking_uri(elsewhere.as_uri())
    there = mlflow.MlflowClient()
    assert [file.path for file in there.list_artifacts(RUN)] == ["f.txt"]
    new = there.create_run(experiment_id("e"))
    assert new.info.artifact_uri.startswith(elsewhere.as_uri() + "/")


@pytest.mark.parametrize("kind", ["a run", "a model"])
def test_what_mlflow_logs_with_its_own_functions_is_read(
    kind: str, store: MlrunsStore, client: Client, mlflow: ModuleType
) -> None:
    there = client()
    X, y = load_iris(return_X_y=True, as_frame=True)
    mlflow.set_experiment("theirs")
    with mlflow.start_run(run_name="outer", description="words") as outer:
        mlflow.log_input(mlflow.data.from_pandas(X, name="iris"), context="training")
        with mlflow.start_run(run_name="inner", nested=True) as inner:
            mlflow.log_params({"C": 1.0, "name": "é"})
            for step in range(3):
                mlflow.log_metric("loss/train", 1 / (step + 1), step=step)
            mlflow.log_text("hello", "notes/a.txt")
            if kind == "a model":
                mlflow.sklearn.log_model(
                    LogisticRegression(max_iter=500).fit(X, y), name="model", serialization_format="cloudpickle"
                )
    outside, run = store.get_run(outer.info.run_id), store.get_run(inner.info.run_id)
    assert run.parent_run_id == outside.run_id
    assert (run.name, run.experiment, run.status, run.broken) == ("inner", "theirs", FINISHED, None)
    assert run.params == {"C": "1.0", "name": "é"}
    assert run.metrics == {"loss/train": 1 / 3}
    theirs = there.get_metric_history(run.run_id, "loss/train")
    ours = store.metric_history(run.run_id, "loss/train")
    assert {point.step for point in ours} == {0, 1, 2}
    assert [(p.step, p.timestamp, p.value) for p in ours] == sorted((p.step, p.timestamp, p.value) for p in theirs)
    assert run.process["user"]
    (dataset,) = outside.datasets
    assert (dataset.name, dataset.context, dataset.shape) == ("iris", "training", (150, 4))
    assert dataset.columns[0] == {"name": "sepal length (cm)", "dtype": "float64"}
    assert outside.tags["mlflow.note.content"] == "words"
    listed = [artifact.path for artifact in store.artifacts(run.run_id)]
    assert store.artifact_path(run.run_id, "notes/a.txt").read_text() == "hello"
    if kind == "a model":
        assert listed == ["model", "notes"]
        assert [model.path for model in run.models] == ["model"]
        assert "model/MLmodel" in [artifact.path for artifact in store.artifacts(run.run_id, "model")]
        model = autotrack.load_model(f"runs:/{run.run_id}/model", store=store.uri, trusted=True)
        assert model.predict(X).shape == (150,)
    there.delete_run(run.run_id)
    assert [found.run_id for found in store.search_runs(view="deleted")] == [run.run_id]
    assert [found.name for found in store.search_runs()] == ["outer"]
    assert store.problems() == []
