"""The model registry over the API."""

from __future__ import annotations

from typing import Any

import pytest
from asking import Client, mapping, pairs

from autotrack.entities import LoggedModel
from autotrack.events import ModelLogged
from autotrack.query import editing
from autotrack.query.registering import register_model
from autotrack.server.rest import model_ids, wire

MODELS = "registered-models/"
VERSIONS = "model-versions/"


def _logged(api: Client, path: str = "model") -> str:
    """A run with a model folder."""
    run = api.run()
    answer = api.ask(
        "PUT", f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{path}/MLmodel", content=b"flavors: {}"
    )
    assert answer.status_code == 200
    return run


def _version(api: Client, name: str, run: str, **data: Any) -> dict[str, Any]:
    made = api.post(f"{VERSIONS}create", name=name, source=data.pop("source", f"runs:/{run}/model"), **data)
    return dict(made["model_version"])


def _patch(api: Client, path: str, **data: Any) -> dict[str, Any]:
    answer = api.ask("PATCH", f"/api/2.0/mlflow/{path}", json=data)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _delete(api: Client, path: str, **data: Any) -> None:
    answer = api.ask("DELETE", f"/api/2.0/mlflow/{path}", json=data)
    assert answer.status_code == 200, answer.text


def test_a_model_is_made_described_renamed_and_deleted(api: Client) -> None:
    made = api.post(f"{MODELS}create", name="life", tags=pairs({"team": "a"}), description="d")["registered_model"]
    assert (made["name"], made["description"], mapping(made["tags"])) == ("life", "d", {"team": "a"})
    assert made["creation_timestamp"] <= made["last_updated_timestamp"]
    assert api.refused("POST", f"{MODELS}create", name="life")[0] == "RESOURCE_ALREADY_EXISTS"
    api.post(f"{MODELS}set-tag", name="life", key="k", value="v")
    _delete(api, f"{MODELS}delete-tag", name="life", key="team")
    changed = _patch(api, f"{MODELS}update", name="life", description="other")["registered_model"]
    assert (changed["description"], mapping(changed["tags"])) == ("other", {"k": "v"})
    api.post(f"{MODELS}create", name="taken")
    assert api.refused("POST", f"{MODELS}rename", name="life", new_name="taken")[0] == "RESOURCE_ALREADY_EXISTS"
    assert api.post(f"{MODELS}rename", name="life", new_name="death")["registered_model"]["name"] == "death"
    assert api.refused("GET", f"{MODELS}get", 404, name="life")[0] == "RESOURCE_DOES_NOT_EXIST"
    _delete(api, f"{MODELS}delete", name="death")
    assert api.refused("GET", f"{MODELS}get", 404, name="death")[0] == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b", None, 3])
def test_names_that_no_model_can_have(api: Client, name: Any) -> None:
    assert api.refused("POST", f"{MODELS}create", name=name)[0] == "INVALID_PARAMETER_VALUE"


def test_versions_count_from_one_and_point_to_their_run(api: Client) -> None:
    run = _logged(api)
    api.post(f"{MODELS}create", name="count")
    first = _version(api, "count", run, description="d", tags=pairs({"a": "b"}), run_link="http://elsewhere/1")
    assert (first["version"], first["run_id"], first["status"], first["current_stage"]) == ("1", run, "READY", "None")
    assert (first["source"], first["run_link"]) == (f"runs:/{run}/model", "http://elsewhere/1")
    assert mapping(first["tags"]) == {"a": "b"}
    assert _version(api, "count", run)["version"] == "2"
    assert api.get(f"{VERSIONS}get", name="count", version="1")["model_version"] == first
    uri = api.get(f"{VERSIONS}get-download-uri", name="count", version="1")["artifact_uri"]
    assert uri == f"mlflow-artifacts:/0/models/{first['model_id']}/artifacts"
    listed = api.ask("GET", "/api/2.0/mlflow-artifacts/artifacts", params={"path": uri.partition(":/")[2]}).json()
    assert [file["path"] for file in listed["files"]] == ["MLmodel"]
    file = api.ask("GET", "/model-versions/get-artifact?name=count&version=1&path=MLmodel")
    assert file.content == b"flavors: {}"
    changed = _patch(api, f"{VERSIONS}update", name="count", version="1", description="new")["model_version"]
    assert changed["description"] == "new"
    api.post(f"{VERSIONS}set-tag", name="count", version="1", key="k", value="v")
    _delete(api, f"{VERSIONS}delete-tag", name="count", version="1", key="a")
    assert mapping(api.get(f"{VERSIONS}get", name="count", version="1")["model_version"]["tags"]) == {"k": "v"}
    _delete(api, f"{VERSIONS}delete", name="count", version="2")
    assert api.refused("GET", f"{VERSIONS}get", 404, name="count", version="2")[0] == "RESOURCE_DOES_NOT_EXIST"
    assert api.refused("GET", f"{VERSIONS}get", name="count", version="two")[0] == "INVALID_PARAMETER_VALUE"


def test_every_way_to_name_a_source(api: Client) -> None:
    run = _logged(api, "sub/model")
    api.post(f"{MODELS}create", name="ways")
    model_id = model_ids.id_of(run, "sub/model")
    sources = [
        f"runs:/{run}/sub/model",
        f"mlflow-artifacts:/0/{run}/artifacts/sub/model",
        f"mlflow-artifacts://127.0.0.1:5000/0/{run}/artifacts/sub/model",
        f"models:/{model_id}",
        f"mlflow-artifacts:/0/models/{model_id}/artifacts",
        "models:/ways/1",
    ]
    made = [_version(api, "ways", run, source=source, run_id=run) for source in sources]
    assert {version["run_id"] for version in made} == {run}
    kept = api.site.registry.model_versions("ways")
    assert {(version.run_id, version.path) for version in kept} == {(run, "sub/model")}


BAD = [
    "/etc",
    "../model",
    "model",
    "file:///etc",
    "FILE:///etc",
    "file:/etc",
    "file://localhost/etc",
    "//proc/self/root/etc",
    "s3://bucket/model",
    "gs://bucket/model",
    "dbfs:/model",
    "dbfs://profile@databricks/../../etc",
    "http://127.0.0.1/api/2.0/mlflow-artifacts/artifacts/0/RUN/artifacts/model",
    "http:///#/../../etc/",
    "C:\\model",
    "runs:/RUN",
    "runs:/RUN/",
    "runs:/RUN/../model",
    "runs:/RUN/%2e%2e/model",
    "runs:/RUN/model?path=../../etc",
    "runs:/RUN/model#/../../etc",
    "runs:/RUN/model;/../../etc",
    "runs:/RUN/missing",
    "runs://host/RUN/model",
    "runs:/ffffffffffffffffffffffffffffffff/model",
    "mlflow-artifacts:/0/RUN/artifacts",
    "mlflow-artifacts:/0/RUN/artifacts/../../../etc",
    "mlflow-artifacts:/0/RUN/artifacts/%252e%252e/etc",
    "mlflow-artifacts:/1/RUN/artifacts/model",
    "mlflow-artifacts:///etc",
    "mlflow-artifacts://host@evil/0/RUN/artifacts/model",
    "models:/m-00000000000000000000000000000000ffffffffffffffff",
    "models:/nothing/1",
    "models://host/nothing/1",
    "models:/../etc",
    "",
]


@pytest.mark.parametrize("tags", [[], pairs({"mlflow.prompt.is_prompt": "true"})], ids=["model", "prompt"])
def test_a_source_outside_of_the_store_is_refused(api: Client, tags: list[Any]) -> None:
    run = _logged(api)
    name = f"bad-{run}"
    api.post(f"{MODELS}create", name=name)
    for source in BAD:
        told = {"name": name, "source": source.replace("RUN", run), "run_id": run, "tags": tags}
        answer = api.ask("POST", f"/api/2.0/mlflow/{VERSIONS}create", json=told)
        assert answer.status_code in ((400, 501) if tags else (400, 404)), (source, answer.text)
    assert api.get(f"{VERSIONS}search", filter=f"name = '{name}'")["model_versions"] == []


def test_run_and_model_have_to_fit_the_source(api: Client) -> None:
    run, other = _logged(api), _logged(api)
    api.post(f"{MODELS}create", name="fit")
    told: dict[str, Any] = {"name": "fit", "source": f"runs:/{run}/model"}
    assert api.refused("POST", f"{VERSIONS}create", 400, **told, run_id=other)[0] == "INVALID_PARAMETER_VALUE"
    assert api.refused("POST", f"{VERSIONS}create", 404, **told, run_id="nobody")[0] == "RESOURCE_DOES_NOT_EXIST"
    assert api.refused("POST", f"{VERSIONS}create", 404, **told, model_id="m-1")[0] == "RESOURCE_DOES_NOT_EXIST"


def test_aliases(api: Client) -> None:
    run = _logged(api)
    api.post(f"{MODELS}create", name="alias")
    _version(api, "alias", run)
    _version(api, "alias", run)
    api.post(f"{MODELS}alias", name="alias", alias="best", version="1")
    api.post(f"{MODELS}alias", name="alias", alias="best", version="2")
    assert api.get(f"{MODELS}alias", name="alias", alias="best")["model_version"]["version"] == "2"
    told = api.get(f"{MODELS}get", name="alias")["registered_model"]
    assert told["aliases"] == [{"alias": "best", "version": "2"}]
    for alias in ("latest", "v1", "3", "a b"):
        code, _ = api.refused("POST", f"{MODELS}alias", name="alias", alias=alias, version="1")
        assert code == "INVALID_PARAMETER_VALUE"
    _delete(api, f"{MODELS}alias", name="alias", alias="best")
    _delete(api, f"{MODELS}alias", name="alias", alias="best")
    assert api.refused("GET", f"{MODELS}alias", name="alias", alias="best")[0] == "INVALID_PARAMETER_VALUE"
    api.post(f"{MODELS}alias", name="alias", alias="best", version="1")
    _delete(api, f"{VERSIONS}delete", name="alias", version="1")  # takes its alias along, as MLflow does
    assert api.get(f"{MODELS}get", name="alias")["registered_model"]["aliases"] == []


def test_stages_of_older_clients(api: Client) -> None:
    run = _logged(api)
    api.post(f"{MODELS}create", name="stage")
    for _ in range(3):
        _version(api, "stage", run)

    def move(version: str, stage: str, archive: bool = False) -> str:
        told = {"name": "stage", "version": version, "stage": stage, "archive_existing_versions": archive}
        return str(api.post(f"{VERSIONS}transition-stage", **told)["model_version"]["current_stage"])

    assert move("1", "Production") == "Production"
    assert move("2", "production", archive=True) == "Production"
    stages = {
        one["version"]: one["current_stage"]
        for one in api.get(f"{VERSIONS}search")["model_versions"]
        if one["name"] == "stage"
    }
    assert stages == {"1": "Archived", "2": "Production", "3": "None"}
    latest = api.post(f"{MODELS}get-latest-versions", name="stage")["model_versions"]
    assert [(one["version"], one["current_stage"]) for one in latest] == [
        ("3", "None"),
        ("2", "Production"),
        ("1", "Archived"),
    ]
    only = api.get(f"{MODELS}get-latest-versions", name="stage", stages=["Production"])["model_versions"]
    assert [one["version"] for one in only] == ["2"]
    told = {"name": "stage", "version": "1"}
    assert api.refused("POST", f"{VERSIONS}transition-stage", **told, stage="Best")[0] == "INVALID_PARAMETER_VALUE"
    refused = api.refused("POST", f"{VERSIONS}transition-stage", **told, stage="None", archive_existing_versions=True)
    assert refused[0] == "INVALID_PARAMETER_VALUE"


def test_what_is_kept_in_hidden_tags_is_not_shown_and_not_set(api: Client) -> None:
    run = _logged(api)
    api.post(f"{MODELS}create", name="hidden")
    _version(api, "hidden", run, run_link="x")
    api.post(f"{VERSIONS}transition-stage", name="hidden", version="1", stage="Staging")
    assert api.get(f"{VERSIONS}get", name="hidden", version="1")["model_version"]["tags"] == []
    told = {"name": "hidden", "key": wire.HIDDEN + "stage", "value": "x"}
    assert api.refused("POST", f"{MODELS}set-tag", **told)[0] == "INVALID_PARAMETER_VALUE"
    assert api.refused("POST", f"{VERSIONS}set-tag", **told, version="1")[0] == "INVALID_PARAMETER_VALUE"
    tags = pairs({told["key"]: "x"})
    assert api.refused("POST", f"{MODELS}create", name="hidden2", tags=tags)[0] == "INVALID_PARAMETER_VALUE"


def test_searching_models_page_by_page(api: Client) -> None:
    for name in ("p-one", "p-Two", "p-three"):
        api.post(f"{MODELS}create", name=name, tags=pairs({"kind": name[2]}))

    def found(filter: str, **more: Any) -> list[str]:
        names: list[str] = []
        token = ""
        while True:
            answer = api.get(f"{MODELS}search", filter=filter, max_results=1, page_token=token, **more)
            names += [model["name"] for model in answer["registered_models"]]
            token = answer.get("next_page_token", "")
            if not token:
                return names

    assert found("name LIKE 'p-%'") == ["p-Two", "p-one", "p-three"]
    assert found("name LIKE 'p-%'", order_by=["name DESC"]) == ["p-three", "p-one", "p-Two"]
    assert found("name ILIKE 'P-T%'") == ["p-Two", "p-three"]
    assert found("name = 'p-one' AND tags.kind = 'o'") == ["p-one"]
    assert found("name LIKE 'p-%' AND tags.`kind` != 'o' and tags.`mlflow.prompt.is_prompt` != 'true'") == [
        "p-Two",
        "p-three",
    ]
    assert found("name IN ('p-one', 'p-three')") == ["p-one", "p-three"]
    assert found("tags.missing != 'x'") == []
    for wrong in (
        "name",
        "name = 3",
        "name > ",
        "nome = 'x'",
        "name = 'x' OR name = 'y'",
        "params.x = '1'",
        "name = 'x",
    ):
        assert api.refused("GET", f"{MODELS}search", filter=wrong)[0] == "INVALID_PARAMETER_VALUE"
    token = api.get(f"{MODELS}search", filter="name LIKE 'p-%'", max_results=1)["next_page_token"]
    for told in ({"filter": "name LIKE 'q-%'", "page_token": token}, {"page_token": "x"}, {"order_by": ["size"]}):
        assert api.refused("GET", f"{MODELS}search", **told)[0] == "INVALID_PARAMETER_VALUE"


def test_pages_do_not_repeat_or_lose_what_was_there(api: Client) -> None:
    for name in ("k-b", "k-d", "k-f"):
        api.post(f"{MODELS}create", name=name)
    first = api.get(f"{MODELS}search", filter="name LIKE 'k-%'", max_results=2)
    assert [model["name"] for model in first["registered_models"]] == ["k-b", "k-d"]
    for name in ("k-a", "k-c", "k-e"):
        api.post(f"{MODELS}create", name=name)
    _delete(api, f"{MODELS}delete", name="k-d")
    rest = api.get(f"{MODELS}search", filter="name LIKE 'k-%'", max_results=9, page_token=first["next_page_token"])
    assert [model["name"] for model in rest["registered_models"]] == ["k-e", "k-f"]


def test_searching_versions(api: Client) -> None:
    run, other = _logged(api), _logged(api)
    api.post(f"{MODELS}create", name="s1")
    api.post(f"{MODELS}create", name="s2")
    _version(api, "s1", run, tags=pairs({"a": "1"}))
    _version(api, "s1", other)
    _version(api, "s2", run)

    def found(filter: str, **more: Any) -> list[str]:
        answer = api.get(f"{VERSIONS}search", filter=filter, **more)
        return [f"{one['name']}/{one['version']}" for one in answer["model_versions"]]

    assert found(f"run_id = '{run}'", order_by=["name ASC"]) == ["s1/1", "s2/1"]
    assert found("name = 's1'", order_by=["version_number DESC"]) == ["s1/2", "s1/1"]
    assert found("name = 's1' AND version_number > 1") == ["s1/2"]
    assert found(f"source_path = 'runs:/{run}/model' AND name='s2'") == ["s2/1"]
    assert found("name LIKE 's_' AND tags.a = '1'") == ["s1/1"]
    assert found(f"run_id IN ('{other}')") == ["s1/2"]


def test_a_version_that_autotrack_registered_shows_the_same_way(api: Client) -> None:
    run = _logged(api)
    editing.apply(api.store, [ModelLogged(run, LoggedModel("model", "sklearn.svm.SVC", "skops"))])
    register_model(f"runs:/{run}/model", "ours", description="d", alias="a", store=api.store)
    told = api.get(f"{VERSIONS}get", name="ours", version="1")["model_version"]
    assert told["source"] == f"models:/{model_ids.id_of(run, 'model')}"
    assert (told["run_id"], told["description"], told["aliases"], told["status"]) == (run, "d", ["a"], "READY")
    model = api.get(f"logged-models/{told['model_id']}")["model"]["info"]
    assert (model["name"], model["source_run_id"], model["status"]) == ("SVC", run, "LOGGED_MODEL_READY")
