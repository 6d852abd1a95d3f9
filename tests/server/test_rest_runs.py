"""Runs over MLflow's REST API: what is written is read again, and what may not be written is refused with the place."""

from __future__ import annotations

import gzip
import json
import math

import pytest
from asking import Client, mapping, pairs

from autotrack.entities import Dataset, Metric, Note
from autotrack.events import (
    DatasetLogged,
    Entry,
    MetricsLogged,
    NoteLogged,
    ProcessDescribed,
    RunEnded,
    RunStarted,
    TagsSet,
)
from autotrack.server.options import ServerOptions
from autotrack.stores.memory import MemoryStore


def test_a_new_run_is_told_as_it_is_read(api: Client) -> None:
    made = api.post(
        "runs/create",
        experiment_id="0",
        run_name="first",
        start_time=1_700_000_000_000,
        tags=pairs({"mlflow.user": "ada", "mlflow.source.name": "/home/ada/train.py", "team": "x"}),
    )["run"]
    run_id = made["info"]["run_id"]
    assert len(run_id) == 32
    assert int(run_id, 16) >= 0
    assert made == api.read(run_id)
    info = made["info"]
    assert info["run_uuid"] == run_id
    assert info["artifact_uri"] == f"mlflow-artifacts:/0/{run_id}/artifacts"
    assert (info["run_name"], info["status"], info["lifecycle_stage"]) == ("first", "RUNNING", "active")
    assert (info["user_id"], info["start_time"]) == ("ada", 1_700_000_000_000)
    assert "end_time" not in info
    tags = mapping(made["data"]["tags"])
    assert tags == {
        "mlflow.user": "ada",
        "mlflow.source.name": "/home/ada/train.py",
        "team": "x",
        "mlflow.runName": "first",
    }
    kept = api.store.get_run(run_id)
    assert kept.process == {"user": "ada", "script": "/home/ada/train.py"}


def test_a_run_without_a_name_is_called_after_its_script(api: Client) -> None:
    run_id = api.run(tags=pairs({"mlflow.source.name": "C:\\work\\fit_forest.py"}))
    assert api.read(run_id)["info"]["run_name"] == f"fit_forest-{run_id[:6]}"
    assert api.read(api.run())["info"]["run_name"].startswith("run-")


def test_two_names_that_differ_are_refused(api: Client) -> None:
    code, message = api.refused("POST", "runs/create", run_name="a", tags=pairs({"mlflow.runName": "b"}))
    assert code == "INVALID_PARAMETER_VALUE"
    assert '"a"' in message
    assert '"b"' in message
    assert api.read(api.run(tags=pairs({"mlflow.runName": "b"})))["info"]["run_name"] == "b"


def test_a_batch_is_read_again_with_the_last_point_of_each_metric(api: Client) -> None:
    run_id = api.run()
    metrics = [
        {"key": "loss", "value": 2.0, "timestamp": 10, "step": 0},
        {"key": "loss", "value": 0.5, "timestamp": 30, "step": 2},
        {"key": "loss", "value": 1.0, "timestamp": 20, "step": "1"},
        {"key": "odd", "value": "NaN", "timestamp": "7"},
        {"key": "high", "value": "Infinity", "timestamp": 7.0, "step": -3},
        {"key": "whole", "value": 3, "timestamp": 7, "step": None},
    ]
    params = {"C": "1.0", "empty": "", "long": "x" * 20_000, "ключ": "\udce4\x00"}
    api.post("runs/log-batch", run_id=run_id, metrics=metrics, params=pairs(params), tags=pairs({"a": "b"}))
    data = api.read(run_id)["data"]
    assert mapping(data["params"]) == params
    assert mapping(data["tags"])["a"] == "b"
    assert {one["key"]: (one["value"], one["timestamp"], one["step"]) for one in data["metrics"]} == {
        "loss": (0.5, 30, 2),
        "odd": ("NaN", 7, 0),
        "high": ("Infinity", 7, -3),
        "whole": (3.0, 7, 0),
    }
    told = api.get("metrics/get-history", run_id=run_id, metric_key="loss")
    assert [(one["value"], one["step"]) for one in told["metrics"]] == [(2.0, 0), (1.0, 1), (0.5, 2)]


def test_nan_may_be_a_bare_word(api: Client) -> None:
    run_id = api.run()
    body = b'{"run_uuid": "%s", "key": "m", "value": NaN, "timestamp": 1, "step": 0, "unknown": [1]}' % run_id.encode()
    assert api.raw("runs/log-metric", body).status_code == 200
    body = body.replace(b"NaN", b"-Infinity").replace(b'"m"', b'"n"')
    assert api.raw("runs/log-metric", body).status_code == 200
    kept = api.store.get_run(run_id).metrics
    assert math.isnan(kept["m"])
    assert kept["n"] == -math.inf


def test_a_param_keeps_its_value(api: Client) -> None:
    run_id = api.run()
    api.post("runs/log-parameter", run_id=run_id, key="p", value="1")
    api.post("runs/log-parameter", run_id=run_id, key="p", value="1")
    code, message = api.refused("POST", "runs/log-parameter", run_id=run_id, key="p", value="2")
    assert code == "INVALID_PARAMETER_VALUE"
    assert "Changing param values is not allowed" in message
    batch = {"params": pairs({"new": "1", "p": "3"}), "tags": pairs({"t": "1"})}
    api.refused("POST", "runs/log-batch", run_id=run_id, **batch)
    twice = [{"key": "q", "value": "1"}, {"key": "q", "value": "2"}]
    assert "params[0].key" in api.refused("POST", "runs/log-batch", run_id=run_id, params=twice)[1]
    data = api.read(run_id)["data"]
    assert mapping(data["params"]) == {"p": "1"}
    assert "t" not in mapping(data["tags"])


def test_tags_are_replaced_and_deleted(api: Client) -> None:
    run_id = api.run()
    for value in ("1", "2"):
        api.post("runs/set-tag", run_id=run_id, key="t", value=value)
    assert mapping(api.read(run_id)["data"]["tags"])["t"] == "2"
    api.post("runs/delete-tag", run_id=run_id, key="t")
    assert "t" not in mapping(api.read(run_id)["data"]["tags"])
    code, message = api.refused("POST", "runs/delete-tag", 404, run_id=run_id, key="t")
    assert code == "RESOURCE_DOES_NOT_EXIST"
    assert "No tag with name" in message
    api.refused("POST", "runs/delete-tag", run_id=run_id, key="mlflow.runName")


def test_the_tags_of_name_and_parent_are_the_runs_name_and_parent(api: Client) -> None:
    parent = api.run()
    run_id = api.run(tags=pairs({"mlflow.parentRunId": parent}))
    assert api.store.get_run(run_id).parent_run_id == parent
    assert mapping(api.read(run_id)["data"]["tags"])["mlflow.parentRunId"] == parent
    api.post("runs/set-tag", run_id=run_id, key="mlflow.runName", value="renamed")
    told = api.read(run_id)
    assert told["info"]["run_name"] == mapping(told["data"]["tags"])["mlflow.runName"] == "renamed"
    assert api.store.get_run(run_id).parent_run_id == parent
    api.post("runs/delete-tag", run_id=run_id, key="mlflow.parentRunId")
    assert api.store.get_run(run_id).parent_run_id is None
    assert "mlflow.parentRunId" not in mapping(api.read(run_id)["data"]["tags"])


def test_a_run_ends_goes_on_and_is_renamed(api: Client) -> None:
    run_id = api.run(run_name="old")
    info = api.post("runs/update", run_id=run_id, status="FINISHED", end_time=5)["run_info"]
    assert (info["status"], info["end_time"]) == ("FINISHED", 5)
    info = api.post("runs/update", run_uuid=run_id, status=1)["run_info"]
    assert info["status"] == "RUNNING"
    assert "end_time" not in info
    info = api.post("runs/update", run_id=run_id, status="KILLED", end_time="6", run_name="new")["run_info"]
    assert (info["status"], info["end_time"], info["run_name"]) == ("KILLED", 6, "new")
    assert api.post("runs/update", run_id=run_id, end_time=7)["run_info"]["status"] == "KILLED"
    told = api.read(run_id)
    assert told["info"]["end_time"] == 7
    assert mapping(told["data"]["tags"])["mlflow.runName"] == "new"
    code, message = api.refused("POST", "runs/update", run_id=run_id, status="DONE")
    assert code == "INVALID_PARAMETER_VALUE"
    assert "'status'" in message
    assert "FINISHED" in message


def test_a_deleted_run_is_read_and_not_written_to(api: Client) -> None:
    run_id = api.run()
    api.post("runs/delete", run_id=run_id)
    api.post("runs/delete", run_id=run_id)
    assert api.read(run_id)["info"]["lifecycle_stage"] == "deleted"
    for path, data in (
        ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}),
        ("runs/log-batch", {}),
        ("runs/log-parameter", {"key": "p", "value": "1"}),
        ("runs/set-tag", {"key": "t", "value": "1"}),
        ("runs/delete-tag", {"key": "t"}),
        ("runs/update", {"status": "FINISHED"}),
        ("runs/log-inputs", {}),
        ("runs/outputs", {"models": [{"model_id": "m-1"}]}),
    ):
        code, message = api.refused("POST", path, run_id=run_id, **data)
        assert code == "INVALID_PARAMETER_VALUE"
        assert "'active' state" in message
    api.post("runs/restore", run_id=run_id)
    api.post("runs/set-tag", run_id=run_id, key="t", value="1")


def test_a_run_that_is_not_there_is_not_found(api: Client) -> None:
    for method, path, data in (
        ("GET", "runs/get", {}),
        ("POST", "runs/log-batch", {}),
        ("POST", "runs/update", {"status": "FINISHED"}),
        ("POST", "runs/delete", {}),
        ("POST", "runs/log-inputs", {}),
        ("GET", "metrics/get-history", {"metric_key": "m"}),
    ):
        assert api.refused(method, path, 404, run_id="f" * 32, **data)[0] == "RESOURCE_DOES_NOT_EXIST"
    assert "run_id" in api.refused("GET", "runs/get")[1]


@pytest.mark.parametrize(
    ("batch", "place"),
    [
        (
            {"metrics": [{"key": "m", "value": 1, "timestamp": 1}, {"key": "m", "value": "x", "timestamp": 1}]},
            "[1].value",
        ),
        ({"metrics": [{"key": "m", "value": 1}]}, "metrics[0].timestamp"),
        ({"metrics": [{"key": "m", "value": True, "timestamp": 1}]}, "metrics[0].value"),
        ({"metrics": [{"key": "m", "value": 1, "timestamp": -1}]}, "metrics[0].timestamp"),
        ({"metrics": [{"key": "m", "value": 1, "timestamp": 2**63}]}, "metrics[0].timestamp"),
        ({"metrics": [{"key": "m", "value": 1, "timestamp": 1, "step": 1.5}]}, "metrics[0].step"),
        ({"metrics": [{"value": 1, "timestamp": 1}]}, "metrics[0].key"),
        ({"metrics": [7]}, "metrics[0]"),
        ({"metrics": {}}, "metrics"),
        ({"params": [{"key": "k" * 251, "value": ""}]}, "params[0].key"),
        ({"params": [{"key": "k", "value": 1}]}, "params[0].value"),
        ({"params": [{"key": 5, "value": ""}]}, "params[0].key"),
        ({"tags": [{"key": "", "value": ""}]}, "tags[0].key"),
        ({"tags": "t"}, "tags"),
        ({"tags": [None]}, "tags[0]"),
    ],
)
def test_what_is_wrong_in_a_batch_is_named(api: Client, batch: dict[str, object], place: str) -> None:
    run_id = api.run()
    code, message = api.refused("POST", "runs/log-batch", run_id=run_id, **batch)
    assert code == "INVALID_PARAMETER_VALUE"
    assert place in message
    assert not api.store.get_run(run_id).metrics


def test_missing_null_and_unknown_fields_are_passed_over(api: Client) -> None:
    run_id = api.run()
    api.post("runs/log-batch", run_id=run_id, metrics=None, params=None, surplus={"a": [1]})
    api.post("runs/log-batch", run_id=run_id, tags=[{"key": "t"}])
    assert mapping(api.read(run_id)["data"]["tags"])["t"] == ""


def test_bodies_that_are_no_json_are_refused(api: Client) -> None:
    for body in (b"{", b"[1]", b'"x"', b"\xff\xfe", b"[" * 200_000, b'{"run_id": 1e999999}'):
        answer = api.raw("runs/log-batch", body)
        assert answer.status_code == 400, body[:20]
        assert set(answer.json()) == {"error_code", "message"}
    packed = api.raw("runs/log-batch", gzip.compress(b"{}"), {"content-encoding": "gzip"})
    assert packed.status_code == 415
    assert api.ask("GET", "/api/2.0/mlflow/runs/log-batch").status_code == 405


def test_there_are_limits() -> None:
    store = MemoryStore("limits")
    client = Client(store, ServerOptions(max_body=1000, max_batch=3, page_size=5))
    try:
        run_id = client.run()
        answer = client.raw("runs/log-batch", json.dumps({"run_id": run_id, "x": "x" * 1000}).encode())
        assert answer.status_code == 413
        assert "1,000" in answer.json()["message"]
        message = client.refused("POST", "runs/log-batch", run_id=run_id, tags=pairs(dict.fromkeys("abcd", "")))[1]
        assert "at most 3" in message
        assert "max_results" in client.refused("POST", "runs/search", max_results=6)[1]
        assert "max_results" in client.refused("POST", "experiments/search", max_results=6)[1]
        for _ in range(5):
            client.run()
        told = client.post("runs/search", experiment_ids=["0"])
        assert len(told["runs"]) == 5
        assert told["next_page_token"]
    finally:
        client.close()
        MemoryStore.forget(store.uri)


def test_both_prefixes_answer(api: Client) -> None:
    run_id = api.run()
    answer = api.ask("GET", "/ajax-api/2.0/mlflow/runs/get", params={"run_uuid": run_id})
    assert answer.json()["run"]["info"]["run_id"] == run_id
    assert answer.headers["content-type"] == "application/json"
    for prefix in ("/api", "/ajax-api"):
        told = api.ask("GET", f"{prefix}/3.0/mlflow/server-info").json()
        assert told["store_type"]
        assert told["workspaces_enabled"] is False


def test_a_get_may_have_its_fields_in_a_body(api: Client) -> None:
    run_id = api.run()
    answer = api.ask("GET", "/api/2.0/mlflow/runs/get", json={"run_id": run_id})
    assert answer.json()["run"]["info"]["run_id"] == run_id


def test_models_are_written_into_the_history_tag(api: Client) -> None:
    run_id = api.run()
    models = [{"artifact_path": path, "flavors": {}, "utc_time_created": "x", "run_id": run_id} for path in "ab"]
    for model in models:
        api.post("runs/log-model", run_id=run_id, model_json=json.dumps(model))
    assert json.loads(mapping(api.read(run_id)["data"]["tags"])["mlflow.log-model.history"]) == models
    assert "flavors" in api.refused("POST", "runs/log-model", run_id=run_id, model_json='{"run_id": ""}')[1]
    api.refused("POST", "runs/log-model", run_id=run_id, model_json="[")


def test_datasets_are_told_as_they_were_logged(api: Client) -> None:
    run_id = api.run()

    def used(digest: str, context: str, **more: str) -> dict[str, object]:
        dataset = {"name": "rows", "digest": digest, "source_type": "code", "source": '{"tags": {}}', **more}
        return {"tags": pairs({"mlflow.data.context": context}), "dataset": dataset}

    schema = json.dumps({"mlflow_colspec": [{"type": "double", "name": "x", "required": True}]})
    first = [used("aa", "train", schema=schema, profile='{"num_rows": 3}'), used("aa", "eval")]
    api.post("runs/log-inputs", run_id=run_id, datasets=first)
    other = used("bb", "eval")
    api.post("runs/log-inputs", run_id=run_id, datasets=[other, used("aa", "train", schema=schema)])
    told = api.read(run_id)["inputs"]["dataset_inputs"]
    key = json.dumps
    expected = [used("aa", "train", schema=schema), used("aa", "eval"), other]
    assert sorted(map(key, told), key=str) == sorted(map(key, map(_in_order, expected)), key=str)
    (kept,) = [dataset for dataset in api.store.get_run(run_id).datasets if dataset.context == "train"]
    assert [dict(column) for column in kept.columns] == [{"name": "x", "dtype": "float64"}]
    assert api.found("dataset.digest = 'bb' AND datasets.context = 'eval'") == [run_id]
    message = api.refused("POST", "runs/log-inputs", run_id=run_id, datasets=[{"dataset": {"name": "x"}}])[1]
    assert "datasets[0].dataset.digest" in message
    summaries = api.post("experiments/search-datasets", experiment_ids=["0"])["dataset_summaries"]
    assert {"experiment_id": "0", "name": "rows", "digest": "bb", "context": "eval"} in summaries


def _in_order(used: dict[str, object]) -> dict[str, object]:
    dataset = used["dataset"]
    assert isinstance(dataset, dict)
    names = ("name", "digest", "source_type", "source", "schema", "profile")
    return {"tags": used["tags"], "dataset": {name: dataset[name] for name in names if name in dataset}}


def test_models_that_runs_used_and_made_are_told(api: Client) -> None:
    run_id = api.run()
    api.post("runs/log-inputs", run_id=run_id, models=[{"model_id": "m-1"}])
    api.post("runs/outputs", run_id=run_id, models=[{"model_id": "m-2", "step": 3}])
    api.post("runs/outputs", run_id=run_id, models=[{"model_id": "m-3"}, {"model_id": "m-2", "step": 3}])
    told = api.read(run_id)
    assert told["inputs"]["model_inputs"] == [{"model_id": "m-1"}]
    assert told["outputs"]["model_outputs"] == [{"model_id": "m-2", "step": 3}, {"model_id": "m-3", "step": 0}]
    assert not [key for key in mapping(told["data"]["tags"]) if key.startswith("autotrack.")]


def test_metrics_of_models_are_kept_with_the_models(api: Client) -> None:
    from autotrack.server.rest.wire import model_metrics

    run_id = api.run()
    of_model = {"model_id": "m-1", "dataset_name": "d", "dataset_digest": "e"}
    for value in (0.5, 0.75):
        metric = {"key": "score", "value": value, "timestamp": 5, "step": 1, **of_model}
        api.post("runs/log-batch", run_id=run_id, metrics=[metric])
    api.post("runs/log-metric", run_id=run_id, key="score", value=1, timestamp=6, model_id="m-1")
    point = {"key": "score", "timestamp": 5, "step": 1, "dataset_name": "d", "dataset_digest": "e"}
    assert model_metrics(api.store.get_run(run_id)) == {
        "m-1": [{**point, "value": 0.75}, {"key": "score", "value": 1.0, "timestamp": 6, "step": 0}]
    }


def test_requests_at_once_that_add_to_one_list_lose_nothing(api: Client) -> None:
    run_id = api.run()
    requests = [
        ("POST", "runs/outputs", {"run_id": run_id, "models": [{"model_id": f"m-{number}"}]}) for number in range(20)
    ]
    assert {answer.status_code for answer in api.together(*requests)} == {200}
    assert len(api.read(run_id)["outputs"]["model_outputs"]) == 20


def test_runs_that_autotrack_recorded_show_mlflows_names(api: Client) -> None:
    run_id = f"recorded-{id(api)}"
    facts = {"user": "grace", "script": "fit.py", "git": {"commit": "abc", "branch": "main"}}
    events = [
        ProcessDescribed("process-1", facts),
        RunStarted(run_id, "LogisticRegression", 5, "Default", "parent-7", "process-1"),
        MetricsLogged(run_id, (Metric("loss", 1.0, 1, 10), Metric("loss", 0.5, 2, 11))),
        TagsSet(run_id, {"estimator_class": "sklearn.linear_model.LogisticRegression"}),
        DatasetLogged(run_id, Dataset("X", "train", "numpy.ndarray", "sha256:" + "a" * 64, (10, 2))),
        NoteLogged(run_id, Note("warning", "ConvergenceWarning", "it did not converge")),
        RunEnded(run_id, "FINISHED", 9),
    ]
    api.store.apply([Entry(run_id, number, event) for number, event in enumerate(events, 1)])
    told = api.read(run_id)
    assert told["info"]["user_id"] == "grace"
    tags = mapping(told["data"]["tags"])
    assert tags["mlflow.runName"] == "LogisticRegression"
    assert tags["mlflow.parentRunId"] == "parent-7"
    assert tags["mlflow.source.name"] == "fit.py"
    assert tags["mlflow.source.git.commit"] == "abc"
    assert "converge" in tags["mlflow.note.content"]
    assert told["data"]["metrics"] == [{"key": "loss", "value": 0.5, "timestamp": 11, "step": 2}]
    (used,) = told["inputs"]["dataset_inputs"]
    assert used["dataset"]["name"] == "X"
    assert json.loads(used["dataset"]["source"])["tags"]["mlflow.user"] == "grace"
    for filter in (
        "tags.mlflow.parentRunId = 'parent-7'",
        "tags.`mlflow.user` = 'grace' AND tags.mlflow.source.name LIKE 'fit%'",
        "attributes.user_id = 'grace'",
        "tags.mlflow.runName = 'LogisticRegression'",
    ):
        assert run_id in api.found(filter), filter
    assert run_id not in api.found("tags.mlflow.user != 'grace'")
