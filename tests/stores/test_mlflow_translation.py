"""What runs look like in MLflow's terms, and MLflow's in ours; without MLflow."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrack.entities import DEFAULT_EXPERIMENT, FAILED, FINISHED, Dataset, LoggedModel, Metric, Note
from autotrack.events import (
    Event,
    LifecycleSet,
    MetricsLogged,
    ModelLogged,
    NoteLogged,
    ParamsLogged,
    RunEnded,
    TagsSet,
)
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.data import CONTEXT_TAG, DIGEST_TAG, dataset_for, dataset_from
from autotrack.stores.mlflow.recognition import facts_from, models_from, run_from, status_from
from autotrack.stores.mlflow.translation import MODEL_HISTORY, NOTE, MlflowRun, translate
from autotrack.stores.state import Place, RunState
from autotrack.testing.samples import ODD_STRINGS, started

RUN = "a" * 32
FACTS = {"user": "me", "script": "/home/me/train.py", "git": {"commit": "c0ffee", "branch": "main", "dirty": True}}


def translated(*events: Event, facts: dict[str, object] | None = None) -> MlflowRun:
    state = RunState(RUN)
    for number, event in enumerate(events, 1):
        state.fold(Place("j", number), event)
    return translate(state, FACTS if facts is None else facts)


def test_a_run_is_told_in_mlflows_terms() -> None:
    run = translated(
        started(RUN, name="fit", experiment="e", parent_run_id="b" * 32),
        ParamsLogged(RUN, {"C": "1.0"}),
        TagsSet(RUN, {"estimator_name": "SVC", "owner": "me"}),
        MetricsLogged(RUN, (Metric("m", 2.0, 1, 5), Metric("m", 1.0, 0, 4), Metric("n", math.nan))),
        RunEnded(RUN, FINISHED, 1_700_000_001_000),
    )
    assert (run.run_name, run.experiment, run.status, run.lifecycle_stage) == ("fit", "e", "FINISHED", "active")
    assert (run.start_time, run.end_time, run.user) == (1_700_000_000_000, 1_700_000_001_000, "me")
    assert run.params == {"C": "1.0"}
    assert [point.value for point in run.metrics["m"]] == [1.0, 2.0]
    assert run.tags == {
        "mlflow.runName": "fit",
        "mlflow.parentRunId": "b" * 32,
        "mlflow.user": "me",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "/home/me/train.py",
        "mlflow.source.git.commit": "c0ffee",
        "mlflow.source.git.branch": "main",
        "mlflow.source.git.dirty": "True",
        "mlflow.autologging": "sklearn",
        "estimator_name": "SVC",
        "owner": "me",
    }
    assert (run.keys, run.shortened) == ({"params": {}, "metrics": {}, "tags": {}}, ())


def test_an_error_and_notes_are_the_runs_description() -> None:
    run = translated(
        started(RUN),
        NoteLogged(RUN, Note("warning", "ConvergenceWarning", "did not\nconverge", 2)),
        RunEnded(RUN, FAILED, 5, "Traceback …\nValueError: no"),
    )
    assert run.status == "FAILED"
    assert "    ValueError: no" in run.tags[NOTE]
    assert "- warning, ConvergenceWarning: did not converge (2 times)" in run.tags[NOTE]
    own = translated(started(RUN), RunEnded(RUN, FAILED, 5, "boom"), TagsSet(RUN, {NOTE: "my words"}))
    assert own.tags[NOTE] == "my words"


def test_a_deleted_run_is_in_mlflows_deleted_stage() -> None:
    run = translated(started(RUN), LifecycleSet(RUN, "deleted", 7000))
    assert (run.lifecycle_stage, run.deleted_time) == ("deleted", 7000)


def test_what_mlflow_refuses_is_renamed_or_cut_and_named() -> None:
    run = translated(
        started(RUN, experiment="é" * 600, start_time=2**70),
        ParamsLogged(RUN, {"a b": "1", "what?": "2", "what!": "3", "../up": "4", "x" * 300: "5", "long": "v" * 9000}),
        TagsSet(RUN, {"t\n": "nul \0", "big": "w" * 9000}),
        MetricsLogged(RUN, (Metric("f1 (macro)", 1.0, 0, -5), Metric("", 2.0))),
    )
    assert run.params["a b"] == "1"
    assert sorted(run.keys["params"].values()) == ["../up", "what!", "what?", "x" * 300]
    assert all(limits.key_is_valid(key) for key in (*run.params, *run.tags, *run.metrics))
    assert len(run.params) == 6
    assert run.params["long"].endswith("… [cut: 9,000 characters]")
    assert len(run.params["long"]) == limits.MAX_PARAM
    assert len(run.tags["big"]) == limits.MAX_TAG
    assert "params.long" in run.shortened
    assert len(run.experiment) <= limits.MAX_EXPERIMENT_NAME
    assert run.start_time == limits.LATEST_TIME
    points = {key: point for points in run.metrics.values() for point in points for key in [point.key]}
    assert {run.keys["metrics"][key] for key in points} == {"f1 (macro)", ""}
    assert all(point.timestamp >= 0 for point in points.values())


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=400))
def test_every_key_becomes_one_that_mlflow_takes(key: str) -> None:
    theirs = limits.key_for(key)
    assert limits.key_is_valid(theirs)
    assert limits.key_is_valid(limits.other_key(key))
    assert limits.key_for(theirs) == theirs


@pytest.mark.parametrize("odd", ODD_STRINGS)
def test_texts_and_names_are_ones_that_a_file_can_hold(odd: str) -> None:
    assert "\0" not in limits.cut(odd, 100).encode("utf-8").decode()
    name = limits.name_for(odd, 20)
    assert name.strip()
    assert len(name) <= 20
    assert limits.name_for(odd + "x", 20) != name


def test_a_dataset_has_digest_schema_and_profile_and_comes_back() -> None:
    columns = ({"name": "a", "dtype": "float64", "missing": 2}, {"name": "b", "dtype": "category", "missing": 0})
    ours = Dataset("X_train", "train", "pandas.DataFrame", "sha256:" + "0f" * 32, (10, 2), columns, {"dtype": "int64"})
    theirs = dataset_for(ours, {"mlflow.user": "me"})
    assert (theirs.name, theirs.digest, theirs.source_type) == ("X_train", "0f" * 16, "code")
    assert theirs.tags == {CONTEXT_TAG: "train", DIGEST_TAG: "sha256:" + "0f" * 32}
    assert json.loads(theirs.source) == {"tags": {"mlflow.user": "me"}}
    assert json.loads(theirs.schema or "")["mlflow_colspec"] == [
        {"type": "double", "name": "a", "required": False},
        {"type": "string", "name": "b", "required": True},
    ]
    assert json.loads(theirs.profile or "")["num_elements"] == 20
    assert dataset_from(theirs) == ours


def test_datasets_without_a_digest_are_told_apart_by_what_is_known_of_them() -> None:
    one, two = (dataset_for(Dataset("X", "train", kind, ""), {}) for kind in ("list", "other"))
    assert one.digest != two.digest
    assert len(one.digest) <= limits.MAX_DATASET_DIGEST


def test_an_array_has_a_tensor_schema() -> None:
    ours = Dataset(
        "X",
        "train",
        "numpy.ndarray",
        "sha256:1",
        (9, 3),
        ({"name": None, "dtype": "float32"},),
        {"dtype": "int64", "shape": [9]},
    )
    schema = json.loads(dataset_for(ours, {}).schema or "")["mlflow_tensorspec"]
    assert json.loads(schema["features"])[0]["tensor-spec"] == {"dtype": "float32", "shape": [-1, 3]}
    assert json.loads(schema["targets"])[0]["tensor-spec"] == {"dtype": "int64", "shape": [-1]}


def test_models_are_listed_for_mlflow_2_and_3_and_are_read_again() -> None:
    models = [LoggedModel("model", "k.E", "cloudpickle", 1, "Name"), LoggedModel("best/model.1", "k.F", "skops")]
    run = translated(started(RUN), *(ModelLogged(RUN, model) for model in models))
    assert [(model.path, model.registered_model_name) for model in run.models] == [
        ("model", "Name"),
        ("best/model.1", None),
    ]
    assert [model.name for model in run.models] == ["E", "F"]
    assert len({model.model_id for model in run.models}) == 2
    assert translated(started(RUN), ModelLogged(RUN, models[0])).models[0].model_id == run.models[0].model_id
    read = models_from(run.tags[MODEL_HISTORY])
    assert [(model.path, model.serialization_format) for model in read] == [
        ("model", "cloudpickle"),
        ("best/model.1", "skops"),
    ]


def test_the_history_of_many_models_stays_json_within_the_limit() -> None:
    run = translated(started(RUN), *(ModelLogged(RUN, LoggedModel(f"model_{i}", "k.E")) for i in range(90)))
    assert len(run.tags[MODEL_HISTORY]) <= limits.MAX_TAG
    assert len(json.loads(run.tags[MODEL_HISTORY])) > 10
    assert len(run.models) == 90


def test_a_run_of_mlflows_is_one_of_ours() -> None:
    tags = {
        "mlflow.runName": "n",
        "mlflow.parentRunId": "p",
        "mlflow.source.name": "a.py",
        "mlflow.source.git.commit": "c",
        MODEL_HISTORY: '[{"artifact_path": "model", "flavors": {"sklearn": {"serialization_format": "skops"}}}, 3]',
    }
    run = run_from(
        {"run_id": "r", "status": 4, "start_time": 5, "end_time": 7, "user_id": "me", "lifecycle_stage": "deleted"},
        experiment="e",
        params={"b": "1", "a": "2"},
        points=[Metric("m", 1.0, 2), Metric("m", 2.0, 1), Metric("m", 3.0, 2)],
        tags=tags,
        models=[LoggedModel("model"), LoggedModel("other")],
    )
    assert (run.run_id, run.name, run.experiment, run.status) == ("r", "n", "e", FAILED)
    assert (run.start_time, run.end_time, run.parent_run_id, run.deleted_time) == (5, 7, "p", 7)
    assert (list(run.params), run.metrics) == (["a", "b"], {"m": 3.0})
    assert run.process == {"user": "me", "script": "a.py", "git": {"commit": "c"}}
    assert run.models == (LoggedModel("model", "", "skops"), LoggedModel("other"))
    assert run.tags["mlflow.source.name"] == "a.py"


def test_nonsense_in_mlflows_records_is_no_error() -> None:
    run = run_from({"status": "x", "start_time": "later"}, params={}, points=[], tags={MODEL_HISTORY: "{"})
    assert (run.status, run.start_time, run.models, run.experiment) == ("RUNNING", None, (), DEFAULT_EXPERIMENT)
    assert [status_from(status) for status in (1, 2, 3, 4, 5, 99, "KILLED", None)] == [
        *("RUNNING", "RUNNING", "FINISHED", "FAILED", "KILLED", "RUNNING", "KILLED", "RUNNING")
    ]
    assert facts_from({"mlflow.source.git.dirty": "false"}) == {"git": {"dirty": False}}
