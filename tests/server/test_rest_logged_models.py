"""MLflow 3's logged models over the API: models among a run's artifacts, whoever recorded them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asking import Client, mapping, pairs

from autotrack.entities import LoggedModel
from autotrack.events import ModelLogged, RunStarted
from autotrack.query import editing
from autotrack.server.rest import model_ids

MODELS = "logged-models"
MLMODEL = b"""flavors:
  python_function:
    loader_module: mlflow.sklearn
  sklearn:
    pickled_model: model.pkl
    serialization_format: cloudpickle
metadata:
  autotrack:
    estimator_class: sklearn.svm._classes.SVC
model_size_bytes: 3
run_id: x
"""


def _create(api: Client, run: str = "", **data: Any) -> dict[str, Any]:
    data = {"experiment_id": "0", "name": "model", "source_run_id": run} | data
    return dict(api.post(MODELS, **data)["model"])


def _put(api: Client, model: dict[str, Any], path: str, content: bytes) -> None:
    root = model["info"]["artifact_uri"].partition(":/")[2]
    answer = api.ask("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{root}/{path}", content=content)
    assert answer.status_code == 200, answer.text


def _change(api: Client, model_id: str, path: str = "", method: str = "PATCH", **data: Any) -> Any:
    answer = api.ask(method, f"/api/2.0/mlflow/{MODELS}/{model_id}{path}", json=data)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _info(api: Client, model_id: str) -> dict[str, Any]:
    return dict(api.get(f"{MODELS}/{model_id}")["model"]["info"])


def test_a_model_comes_to_stand_among_the_artifacts_of_its_run(api: Client) -> None:
    run = api.run()
    model = _create(api, run, model_type="classifier", params=pairs({"C": "1"}), tags=pairs({"a": "b"}))
    info = model["info"]
    assert (info["name"], info["source_run_id"], info["status"]) == ("model", run, "LOGGED_MODEL_PENDING")
    assert (info["model_type"], mapping(info["tags"])) == ("classifier", {"a": "b"})
    assert mapping(model["data"]["params"]) == {"C": "1"}
    assert info["artifact_uri"] == f"mlflow-artifacts:/0/models/{info['model_id']}/artifacts"
    _put(api, model, "MLmodel", MLMODEL)
    _put(api, model, "model.pkl", b"pkl")
    done = _change(api, info["model_id"], status="LOGGED_MODEL_READY")["model"]["info"]
    assert done["status"] == "LOGGED_MODEL_READY"
    assert mapping(done["tags"])["estimator_class"] == "sklearn.svm._classes.SVC"
    (kept,) = api.store.get_run(run).models
    assert (kept.path, kept.model_id, kept.serialization_format) == ("model", info["model_id"], "cloudpickle")
    assert kept.estimator_class == "sklearn.svm._classes.SVC"
    assert kept.size == len(MLMODEL) + 3
    assert kept.digest.startswith("sha256:")
    assert (api.store.artifact_path(run, "model") / "model.pkl").read_bytes() == b"pkl"


def test_a_file_that_is_put_later_makes_the_digest_void(api: Client) -> None:
    model = _create(api, api.run())
    _put(api, model, "MLmodel", MLMODEL)
    run, model_id = model["info"]["source_run_id"], model["info"]["model_id"]
    _change(api, model_id, status=2)
    first = api.store.get_run(run).models[0].digest
    _put(api, model, "more.txt", b"x")
    assert api.store.get_run(run).models[0].digest == ""
    _change(api, model_id, status="LOGGED_MODEL_READY")
    assert api.store.get_run(run).models[0].digest not in ("", first)


def test_models_of_one_name_in_one_run_do_not_meet(api: Client) -> None:
    run = api.run()
    made = [_create(api, run) for _ in range(3)]
    assert len({model["info"]["model_id"] for model in made}) == 3
    assert {model["info"]["name"] for model in made} == {"model"}
    assert [model.path for model in api.store.get_run(run).models] == ["model", "model-2", "model-3"]
    answers = api.together(
        *[("POST", MODELS, {"experiment_id": "0", "name": "m", "source_run_id": run}) for _ in range(8)]
    )
    assert len({answer.json()["model"]["info"]["model_id"] for answer in answers}) == 8
    assert len(api.store.get_run(run).models) == 11


def test_changes_at_the_same_time_do_not_lose_each_other(api: Client) -> None:
    model_id = _create(api, api.run())["info"]["model_id"]
    changes = [("PATCH", f"{MODELS}/{model_id}/tags", {"tags": pairs({f"t{n}": "x"})}) for n in range(10)]
    changes += [("POST", f"{MODELS}/{model_id}/params", {"params": pairs({f"p{n}": "x"})}) for n in range(10)]
    assert {answer.status_code for answer in api.together(*changes)} == {200}
    model = api.get(f"{MODELS}/{model_id}")["model"]
    assert set(mapping(model["info"]["tags"])) == {f"t{n}" for n in range(10)}
    assert set(mapping(model["data"]["params"])) == {f"p{n}" for n in range(10)}


def test_tags_are_set_and_taken_away(api: Client) -> None:
    model_id = _create(api, api.run())["info"]["model_id"]
    _change(api, model_id, "/tags", tags=pairs({"a/b": "1", "c": "2"}))
    _change(api, model_id, "/tags/a/b", "DELETE")
    assert mapping(_info(api, model_id)["tags"]) == {"c": "2"}
    assert api.refused("DELETE", f"{MODELS}/{model_id}/tags/none", 404)[0] == "RESOURCE_DOES_NOT_EXIST"


def test_a_model_without_a_run_gets_one_of_its_own(api: Client) -> None:
    experiment = api.experiment("free models")
    model = _create(api, experiment_id=experiment, name="free")
    assert "source_run_id" not in model["info"]
    (run,) = api.found(experiment_ids=[experiment])
    told = api.read(run)["info"]
    assert (told["run_name"], told["status"]) == ("free", "FINISHED")
    assert model_ids.run_of(model["info"]["model_id"]) == run


def test_a_deleted_model_is_out_of_sight(api: Client) -> None:
    model_id = _create(api, api.run())["info"]["model_id"]
    _change(api, model_id, method="DELETE")
    assert api.refused("GET", f"{MODELS}/{model_id}", 404)[0] == "RESOURCE_DOES_NOT_EXIST"
    assert api.refused("PATCH", f"{MODELS}/{model_id}", 404, status=2)[0] == "RESOURCE_DOES_NOT_EXIST"
    assert api.get(f"{MODELS}/{model_id}", allow_deleted="true")["model"]["info"]["model_id"] == model_id
    assert model_id not in _found(api, "0")


@pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", "a%b", "'a'", '"a"', " ", "x" * 201])
def test_names_that_no_logged_model_can_have(api: Client, name: str) -> None:
    assert api.refused("POST", MODELS, experiment_id="0", name=name)[0] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("name", ["a\\b", "nul\0", "a;b", "a#b?c", "-", " a ", "ü" * 150])
def test_odd_names_become_folders_that_can_be(api: Client, name: str) -> None:
    run = api.run()
    model = _create(api, run, name=name)
    assert model["info"]["name"]
    _put(api, model, "MLmodel", MLMODEL)
    _change(api, model["info"]["model_id"], status="LOGGED_MODEL_READY")
    assert [artifact.is_dir for artifact in api.store.artifacts(run)] == [True]


def test_what_is_not_there(api: Client) -> None:
    for model_id in ("m-1", "model", "m-" + "0" * 48, model_ids.id_of(api.run(), "model"), "m-xzz-0000000000000000"):
        assert api.refused("GET", f"{MODELS}/{model_id}", 404)[0] == "RESOURCE_DOES_NOT_EXIST"
    told: dict[str, Any] = {"name": "m", "experiment_id": "0"}
    assert api.refused("POST", MODELS, 404, **told, source_run_id="nobody")[0] == "RESOURCE_DOES_NOT_EXIST"
    assert api.refused("POST", MODELS, 404, name="m", experiment_id="7")[0] == "RESOURCE_DOES_NOT_EXIST"
    run = api.run()
    api.post("runs/delete", run_id=run)
    assert api.refused("POST", MODELS, **told, source_run_id=run)[0] == "INVALID_PARAMETER_VALUE"


def test_ids_of_runs_that_other_tools_made() -> None:
    for run_id in ("a" * 32, "A" * 32, "run 1/é", "", "x"):
        model_id = model_ids.id_of(run_id, "model")
        assert model_ids.run_of(model_id) == run_id
        assert "/" not in model_id
        assert model_ids.id_of(run_id, "model2") != model_id


def test_metrics_belong_to_models_also_from_another_run(api: Client) -> None:
    run, evaluation = api.run(), api.run()
    model_id = _create(api, run)["info"]["model_id"]
    about: dict[str, Any] = {"key": "auc", "model_id": model_id, "timestamp": 5}
    api.post("runs/log-metric", run_id=run, **about, value=0.5, step=1)
    api.post("runs/log-metric", run_id=run, **about, value=0.6, step=2)
    api.post("runs/log-metric", run_id=evaluation, **about, value=0.7, dataset_name="d", dataset_digest="1")
    metrics = api.get(f"{MODELS}/{model_id}")["model"]["data"]["metrics"]
    told = {(metric["run_id"], metric["value"], metric.get("dataset_name")) for metric in metrics}
    assert told == {(run, 0.6, None), (evaluation, 0.7, "d")}


def test_files_of_a_model(api: Client) -> None:
    model = _create(api, api.run())
    model_id = model["info"]["model_id"]
    _put(api, model, "MLmodel", MLMODEL)
    _put(api, model, "data/x.bin", b"x")
    told = api.get(f"{MODELS}/{model_id}/artifacts/directories")
    assert told["root_uri"] == model["info"]["artifact_uri"]
    assert [(file["path"], file["is_dir"]) for file in told["files"]] == [("MLmodel", False), ("data", True)]
    below = api.get(f"{MODELS}/{model_id}/artifacts/directories", artifact_directory_path="data")
    assert [file["path"] for file in below["files"]] == ["data/x.bin"]
    where = f"/ajax-api/2.0/mlflow/{MODELS}/{model_id}/artifacts/files?artifact_file_path=data/x.bin"
    assert api.ask("GET", where).content == b"x"


def test_a_client_of_mlflow_3_is_not_shown_a_model_twice(api: Client) -> None:
    run = api.run()
    model = _create(api, run)
    _put(api, model, "MLmodel", MLMODEL)
    names = {}
    for agent in ("mlflow-python-client/3.17.2", "mlflow-python-client/2.22.5"):
        for path in ("", "/model"):
            answer = api.ask(
                "GET",
                "/api/2.0/mlflow-artifacts/artifacts",
                params={"path": f"0/{run}/artifacts{path}"},
                headers={"user-agent": agent},
            )
            names[agent[21], path] = [file["path"] for file in answer.json()["files"]]
    assert names == {("3", ""): [], ("3", "/model"): [], ("2", ""): ["model"], ("2", "/model"): ["MLmodel"]}


def test_what_mlflow_2_logs_becomes_a_model_of_the_run(api: Client) -> None:
    run = api.run()
    where = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/model/MLmodel"
    assert api.ask("PUT", where, content=MLMODEL).status_code == 200
    told = {"artifact_path": "model", "flavors": {}, "utc_time_created": "", "run_id": run}
    api.post("runs/log-model", run_id=run, model_json=json.dumps(told))
    (model,) = api.store.get_run(run).models
    assert (model.path, model.estimator_class) == ("model", "sklearn.svm._classes.SVC")


def _found(api: Client, experiment: str, filter: str = "", **more: Any) -> list[str]:
    answer = api.post(f"{MODELS}/search", experiment_ids=[experiment], filter=filter, **more)
    return [model["info"]["model_id"] for model in answer["models"]]


def test_searching(api: Client) -> None:
    experiment = api.experiment("searched")
    runs = [api.run(experiment) for _ in range(3)]
    ids = []
    for number, run in enumerate(runs):
        model = _create(api, run, experiment_id=experiment, name="even" if number % 2 == 0 else "odd")
        ids.append(model["info"]["model_id"])
        _change(api, ids[-1], "/params", "POST", params=pairs({"n": str(number)}))
        metric = {"key": "auc", "value": 0.5 + number / 10, "timestamp": 1, "model_id": ids[-1], "dataset_name": "d"}
        api.post("runs/log-batch", run_id=run, metrics=[metric])

    def found(filter: str = "", **more: Any) -> list[int]:
        return [ids.index(model_id) for model_id in _found(api, experiment, filter, **more)]

    assert found("name = 'even'", order_by=[{"field_name": "creation_time"}]) == [0, 2]
    assert found("params.n = '1' AND name LIKE 'o%'") == [1]
    assert sorted(found("metrics.auc >= 0.6")) == [1, 2]
    assert found(f"source_run_id = '{runs[1]}'") == [1]
    assert found(f"model_id = '{ids[2]}'") == [2]
    assert found("status = 'READY'") == []
    assert sorted(found("status = 'PENDING'")) == [0, 1, 2]
    assert found(order_by=[{"field_name": "metrics.auc", "ascending": False}]) == [2, 1, 0]
    assert found(order_by=[{"field_name": "metrics.auc", "ascending": True, "dataset_name": "d"}]) == [0, 1, 2]
    assert found(datasets=[{"dataset_name": "other"}]) == []
    assert sorted(found(datasets=[{"dataset_name": "d"}])) == [0, 1, 2]
    told: dict[str, Any] = {
        "experiment_ids": [experiment],
        "max_results": 2,
        "order_by": [{"field_name": "metrics.auc"}],
    }
    first = api.post(f"{MODELS}/search", **told)
    second = api.post(f"{MODELS}/search", **told, page_token=first["next_page_token"])
    assert [model["info"]["model_id"] for model in [*first["models"], *second["models"]]] == ids
    assert "next_page_token" not in second
    wrong = [{"filter": "size > 3"}, {"order_by": [{"field_name": "params.n"}]}, {"page_token": "x"}, {"filter": "x ="}]
    for more in wrong:
        assert api.refused("POST", f"{MODELS}/search", **{"experiment_ids": [experiment]} | more)[0] == (
            "INVALID_PARAMETER_VALUE"
        )


def test_a_model_that_autotrack_recorded(api: Client) -> None:
    run = "b" * 32
    model = LoggedModel("model", "sklearn.linear_model._logistic.LogisticRegression", "cloudpickle")
    editing.apply(api.store, [RunStarted(run, "ours", 1000, "recorded"), ModelLogged(run, model)])
    experiment = api.store.get_run(run).experiment_id
    model_id = model_ids.id_of(run, "model")
    assert _found(api, experiment) == [model_id]
    info = _info(api, model_id)
    assert (info["name"], info["status"], info["source_run_id"]) == ("LogisticRegression", "LOGGED_MODEL_READY", run)
    _change(api, model_id, "/tags", tags=pairs({"seen": "yes"}))
    assert mapping(_info(api, model_id)["tags"])["seen"] == "yes"
    assert api.store.get_run(run).models[0].estimator_class == model.estimator_class
