"""The registered models: lineage, aliases, what differs between versions, and what can be changed from the pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asked_pages import HOSTILE, Pages, asking, make_run

from autotrack.entities import Dataset, LoggedModel, Metric
from autotrack.events import DatasetLogged, MetricsLogged, ModelLogged, ParamsLogged
from autotrack.stores import open_store


@pytest.fixture
def site(tmp_path) -> Iterator[Pages]:
    """Two versions of a model by runs on the same data, and another run on it."""
    with asking(open_store(str(tmp_path / "store"))) as pages:
        for at, (run_id, alpha) in enumerate([("a1", "1"), ("b1", "2"), ("c1", "3")], 1):
            make_run(
                pages.store,
                run_id,
                ParamsLogged(run_id, {"alpha": alpha}),
                MetricsLogged(run_id, (Metric("r2_score_X_test", at / 10),)),
                DatasetLogged(run_id, Dataset("X_train", "train", "array", "sha256:data")),
                DatasetLogged(run_id, Dataset("X_test", "eval", "array", "sha256:test")),
                ModelLogged(
                    run_id, LoggedModel("model", "sklearn.linear_model._ridge.Ridge", digest=f"sha256:{alpha}")
                ),
                at=at * 1000,
            )
        for run_id in ("a1", "b1"):
            pages.site.registry.create_model_version("house prices", run_id, "model")
        pages.site.registry.set_alias("house prices", "champion", 1)
        yield pages


def post(site: Pages, action: str, status: int = 200, **body):
    answer = site.ask(f"/actions/models/{action}", "POST", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_all_models_stand_with_their_latest_version(site):
    (model,) = site.json("/models.json")["models"]
    assert (model["name"], model["latest"]["version"], model["aliases"]) == ("house prices", 2, {"champion": 1})
    assert model["latest"]["run"]["headline"][0]["value"] == 0.2
    page = site.page("/models")
    assert 'href="/models/house%20prices/2"' in page
    assert "@champion" in page


def test_a_version_leads_to_its_run_its_data_and_other_runs_on_them(site):
    found = site.json("/models/house%20prices/2.json")
    assert found["run"]["run_id"] == "b1"
    assert [(data["context"], data["digest"]) for data in found["run"]["data"]] == [
        ("train", "sha256:data"),
        ("eval", "sha256:test"),
    ]
    assert [run["run_id"] for run in found["same_data"]] == ["c1", "a1"]
    page = site.page("/models/house%20prices/2")
    assert 'href="/runs/b1"' in page
    assert 'href="/runs/c1"' in page
    assert "filter=datasets.digest%20%3D%20%27sha256%3Adata%27" in page


def test_a_version_tells_what_differs_from_the_one_before(site):
    difference = site.json("/models/house%20prices/2.json")["difference"]
    assert difference["version"] == 1
    assert difference["params"] == [{"key": "alpha", "old": "1", "new": "2"}]
    (metric,) = difference["metrics"]
    assert (metric["old"], metric["new"], metric["change"]) == (0.1, 0.2, "better")
    assert site.json("/models/house%20prices/1.json")["difference"] is None


def test_the_snippets_name_the_alias_where_there_is_one(site):
    one, two = (site.json(f"/models/house%20prices/{number}.json")["model"]["snippets"] for number in (1, 2))
    assert 'load_model("models:/house prices@champion")' in one["autotrack"]
    assert one["serve"] == "autotrack models serve 'models:/house prices@champion'"
    assert 'load_model("models:/house prices/2")' in two["mlflow"]


def test_an_alias_is_set_moved_and_deleted(site):
    post(site, "alias", name="house prices", alias="champion", version=2)
    assert site.json("/models.json")["models"][0]["aliases"] == {"champion": 2}
    post(site, "alias", name="house prices", alias="champion", version=None)
    assert site.json("/models.json")["models"][0]["aliases"] == {}
    assert "version or a stage" in post(site, "alias", 400, name="house prices", alias="v2", version=2)["message"]
    assert "house prices" in post(site, "alias", 404, name="house prices", alias="x", version=9)["message"]


def test_descriptions_and_tags_are_edited(site):
    post(site, "describe", name="house prices", description="of houses", tags={"team": "a", "old": "1"})
    post(site, "describe", name="house prices", version=2, description="better", tags={"checked": "yes"})
    post(site, "describe", name="house prices", tags={"old": None})
    found = site.json("/models/house%20prices.json")
    assert (found["model"]["description"], found["model"]["tags"]) == ("of houses", {"team": "a"})
    assert [(version["version"], version["description"]) for version in found["versions"]] == [(2, "better"), (1, "")]
    assert "of houses" in site.page("/models/house%20prices")


def test_a_model_of_a_run_is_registered(site):
    assert post(site, "register", run_id="c1", path="model", name="house prices") == {
        "name": "house prices",
        "version": 3,
    }
    assert "house prices / 3" in site.page("/runs/c1")
    assert "no model" in post(site, "register", 400, run_id="c1", path="other", name="x")["message"]
    assert "'/'" in post(site, "register", 400, run_id="c1", path="model", name="a/b")["message"]


def test_a_version_is_deleted_unless_an_alias_points_to_it(site):
    assert "champion" in post(site, "delete", 400, name="house prices", version=1)["message"]
    post(site, "delete", name="house prices", version=2)
    assert [version["version"] for version in site.json("/models/house%20prices.json")["versions"]] == [1]
    post(site, "alias", name="house prices", alias="champion", version=None)
    post(site, "delete", name="house prices")
    assert site.json("/models.json")["models"] == []
    assert "No registered models yet" in site.page("/models")


@pytest.mark.parametrize("action", ["describe", "alias", "register", "delete"])
def test_only_json_that_makes_sense_is_taken(site, action):
    def ask(**options):
        return site.ask(f"/actions/models/{action}", "POST", **options).status_code

    assert ask(data={"name": "house prices"}) == 415  # what a form on another site sends
    assert ask(content=b"{}", headers={"content-type": "text/plain"}) == 415
    assert ask(content=b"{", headers={"content-type": "application/json"}) == 400
    assert ask(json=[1]) == 400
    assert ask(json={}) == 400
    assert ask(json={"name": 5, "version": True}) == 400
    assert ask(json={"name": "house prices", "alias": "a", "version": "1", "description": 3, "tags": 4}) == 400
    assert ask(content=b" " * (2**20 + 1), headers={"content-type": "application/json"}) == 413
    assert site.json("/models.json")["models"][0]["description"] == ""


def test_every_change_needs_the_right_to_write(site):
    for endpoint in site.app.table.endpoints:
        if endpoint.method != "GET":
            assert endpoint.scope.value == "write", endpoint.path


@pytest.mark.parametrize(
    "path",
    ["/models/none", "/models/house%20prices/9", "/models/house%20prices/x", "/models/house%20prices/" + "9" * 30],
)
def test_a_model_that_is_not_there_is_a_page_that_says_so(site, path):
    site.page(path, 404)
    assert site.ask(f"{path}.json").status_code == 404


def test_a_model_whose_name_looks_like_a_twin_has_a_page(site):
    site.site.registry.create_model_version("prices.json", "a1", "model")
    site.site.registry.create_model_version("prices", "b1", "model")
    assert 'href="/models/prices.json/"' in site.page("/models")
    page = site.page("/models/prices.json/")
    assert '<article data-model="prices.json">' in page
    assert 'href="/models/prices.json.json"' in page
    assert site.json("/models/prices.json.json")["model"]["name"] == "prices.json"
    assert site.json("/models/prices.json")["model"]["name"] == "prices"
    version = site.page("/models/prices.json/1")
    assert 'href="/models/prices.json/"' in version
    assert 'href="/models/prices/"' not in site.page("/models/prices/1")
    site.page("/models/nobody.json/", 404)


def test_what_the_server_keeps_for_clients_of_mlflow_is_no_tag_and_their_stage_is_shown(site):
    kept = {"autotrack.mlflow.stage": "Production", "autotrack.mlflow.source": "runs:/b1/model", "own": "kept"}
    site.site.registry.update_model_version("house prices", 2, tags=kept)
    site.site.registry.update_registered_model("house prices", tags={"autotrack.mlflow.updated": "1"})
    version = site.json("/models/house%20prices/2.json")["version"]
    assert (version["tags"], version["stage"]) == ({"own": "kept"}, "Production")
    assert site.json("/models/house%20prices.json")["model"]["tags"] == {}
    for path in ("/models", "/models/house%20prices", "/models/house%20prices/2"):
        assert "autotrack.mlflow" not in site.page(path)
    site.site.registry.update_model_version("house prices", 2, tags={"autotrack.mlflow.stage": "None"})
    assert site.json("/models/house%20prices/2.json")["version"]["stage"] == ""


def test_a_store_without_a_registry_is_told_of(tmp_path):
    with asking(open_store(f"mlruns:{tmp_path}/mlruns")) as pages:
        found = pages.json("/models.json")
        assert found["models"] == []
        assert ("keeps no registered models" in pages.page("/models")) == (not found["has_registry"])


def test_hostile_descriptions_and_tags_are_text(site):
    for text in HOSTILE:
        post(
            site, "describe", name="house prices", tags={text: text}, description=text
        ) if "\ud800" not in text else None
        site.site.registry.update_model_version("house prices", 2, description=text, tags={text: text})
    for path in ("/models", "/models/house%20prices", "/models/house%20prices/2"):
        page = site.page(path)
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "<svg onload" not in page
        site.json(f"{path}.json")
