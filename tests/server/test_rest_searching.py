"""Searches for runs and histories of metrics over MLflow's REST API."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from asking import Client, mapping, pairs


@pytest.fixture(scope="module")
def runs(api: Client) -> dict[str, str]:
    """Three runs of an experiment of their own, by name, and the experiment."""
    number = api.experiment("searched")
    found = {"experiment": number}
    for place, name in enumerate(("alpha", "beta", "gamma")):
        run_id = api.run(
            number,
            run_name=name,
            start_time=1_664_067_852_000 + place,
            user_id=f"user {place}",
            tags=pairs({"model type": f"kind-{place}", "a.b/c": "x"}),
        )
        api.post(
            "runs/log-batch",
            run_id=run_id,
            metrics=[
                {"key": "accuracy", "value": 0.9 - place / 10, "timestamp": 1, "step": 0},
                {"key": "f1 score", "value": place, "timestamp": 1, "step": 0},
            ],
            params=pairs({"lr": f"0.0{place}", "model": 'Tree\'s "best"'}),
        )
        status = "FAILED" if place == 2 else "FINISHED"
        api.post("runs/update", run_id=run_id, status=status, end_time=1_664_067_852_747 + place)
        found[name] = run_id
    return found


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ("", "alpha beta gamma"),
        # What MLflow's documentation shows.
        ("metrics.accuracy > 0.72", "alpha beta"),
        ("metrics.`f1 score` >= 1", "beta gamma"),
        ('metrics."f1 score" >= 1 AND metrics.accuracy <= 0.75', "gamma"),
        ("params.lr = '0.01'", "beta"),
        ("params.lr != '0.01'", "alpha gamma"),
        ('params.model LIKE "Tree%"', "alpha beta gamma"),
        ("parameters.model ILIKE 'tree%' and param.lr LIKE '%2'", "gamma"),
        ("tags.`model type` = 'kind-0'", "alpha"),
        ('tag."model type" = "kind-0"', "alpha"),
        ("tags.a.b/c = 'x' AND tags.mlflow.user = 'user 1'", "beta"),
        ("attributes.status = 'FINISHED'", "alpha beta"),
        ("attributes.status != 'finished'", "gamma"),
        ("attribute.start_time >= 1664067852001", "beta gamma"),
        ("start_time < 1664067852001", "alpha"),
        ("end_time > 1664067852748", "gamma"),
        ("attributes.Created > 1664067852001", "gamma"),
        ("attributes.user_id = 'user 2'", "gamma"),
        ("attributes.run_name LIKE '%ta'", "beta"),
        ("run_name ILIKE 'AL%'", "alpha"),
        ("attributes.`Run name` = 'alpha'", "alpha"),
        ("tags.mlflow.runName IN ('alpha', 'gamma')", "alpha gamma"),
        ("tags.missing IS NULL", "alpha beta gamma"),
        ("tags.mlflow.user IS NULL", ""),
        ("params.lr IS NOT NULL AND NOT tags.mlflow.user = 'user 1'", "alpha gamma"),
        ("run.status = 'FAILED' OR attr.run_name = 'alpha'", "alpha gamma"),
    ],
)
def test_filters(api: Client, runs: dict[str, str], filter: str, names: str) -> None:
    found = api.found(filter, experiment_ids=[runs["experiment"]], order_by=["run_name"])
    assert [name for run_id in found for name in runs if runs[name] == run_id] == names.split()


def test_filters_by_id_and_place(api: Client, runs: dict[str, str]) -> None:
    def asked(filter: str) -> set[str]:
        return set(api.found(filter, experiment_ids=[runs["experiment"]]))

    alpha, beta, gamma = runs["alpha"], runs["beta"], runs["gamma"]
    assert asked(f"run_id IN ('{alpha}', '{beta}')") == {alpha, beta}
    assert asked(f"attributes.run_id NOT IN ('{alpha}')") == {beta, gamma}
    uri = api.read(alpha)["info"]["artifact_uri"]
    assert asked(f"attributes.artifact_uri = '{uri}'") == {alpha}
    assert asked(f"attributes.`artifact_uri` != '{uri}' AND tags.x IS NULL") == {beta, gamma}
    assert asked("artifact_uri = 's3://elsewhere'") == set()
    assert asked("artifact_uri != 's3://elsewhere'") == {alpha, beta, gamma}
    assert asked("tags.note = 'artifact_uri' OR params.lr = '0.00'") == {alpha}
    assert "artifact_uri" in api.refused("POST", "runs/search", filter="artifact_uri LIKE 'x%'")[1]


@pytest.mark.parametrize(
    "filter", ["metrics.accuracy > ", "nonsense = 'x'", "metrics.a = 'x'", "params.a = b", "(((", "a" * 300_000, 7]
)
def test_filters_that_cannot_be_understood(api: Client, filter: object) -> None:
    assert api.refused("POST", "runs/search", filter=filter)[0] == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (["metrics.accuracy ASC"], "gamma beta alpha"),
        (["metrics.`f1 score` DESC"], "gamma beta alpha"),
        (["attributes.start_time"], "alpha beta gamma"),
        (["attributes.Created DESC"], "gamma beta alpha"),
        (["tags.mlflow.runName DESC"], "gamma beta alpha"),
        (["tags.`mlflow.user` desc", "run_id"], "gamma beta alpha"),
        (["attributes.user_id"], "alpha beta gamma"),
        (["params.lr DESC", ""], "gamma beta alpha"),
        ([], "gamma beta alpha"),
    ],
)
def test_orders(api: Client, runs: dict[str, str], order: list[str], names: str) -> None:
    found = api.found(experiment_ids=[runs["experiment"]], order_by=order)
    assert found == [runs[name] for name in names.split()]


def test_orders_by_place_are_taken(api: Client, runs: dict[str, str]) -> None:
    found = api.found(experiment_ids=[runs["experiment"]], order_by=["attributes.artifact_uri DESC"])
    assert found == sorted((runs[name] for name in ("alpha", "beta", "gamma")), reverse=True)
    assert api.refused("POST", "runs/search", order_by=["metrics."])[0] == "INVALID_PARAMETER_VALUE"


def test_a_search_tells_all_of_a_run(api: Client, runs: dict[str, str]) -> None:
    told = api.post("runs/search", experiment_ids=[runs["experiment"]])["runs"]
    assert told == [api.read(runs[name]) for name in ("gamma", "beta", "alpha")]


def test_only_the_experiments_asked_for_are_looked_in(api: Client, runs: dict[str, str]) -> None:
    other = api.experiment("beside")
    run_id = api.run(other)
    both = api.found(experiment_ids=[runs["experiment"], other, "404"])
    assert set(both) == {run_id, runs["alpha"], runs["beta"], runs["gamma"]}
    assert api.found(experiment_ids=["404"]) == []
    assert api.found(experiment_ids=[]) == []
    assert api.post("runs/search", experiment_ids=[other])["runs"][0]["info"]["experiment_id"] == other


def test_deleted_runs_are_seen_by_their_view(api: Client) -> None:
    number = api.experiment("viewed")
    active, deleted = api.run(number), api.run(number)
    api.post("runs/delete", run_id=deleted)
    for view, expected in (("ACTIVE_ONLY", {active}), (2, {deleted}), ("ALL", {active, deleted})):
        assert set(api.found(experiment_ids=[number], run_view_type=view)) == expected
    assert "run_view_type" in api.refused("POST", "runs/search", run_view_type="SOME")[1]


def test_pages_have_each_run_once_though_others_are_made_meanwhile(api: Client) -> None:
    number = api.experiment("paged")
    made = [api.run(number, start_time=place) for place in range(7)]
    asked: dict[str, Any] = {"experiment_ids": [number], "max_results": 3, "order_by": ["start_time DESC"]}
    seen: list[str] = []
    token = ""
    while token is not None:
        told = api.post("runs/search", **asked, page_token=token)
        seen += [run["info"]["run_id"] for run in told["runs"]]
        token = told.get("next_page_token")
        api.run(number, start_time=100)
    assert seen == made[::-1]
    token = api.post("runs/search", **asked)["next_page_token"]
    for wrong in (token[:-1], "nonsense", "é", token * 2):
        code, _ = api.refused("POST", "runs/search", **asked, page_token=wrong)
        assert code == "INVALID_PARAMETER_VALUE"
    assert api.post("runs/search", experiment_ids=[number], max_results=0) == {"runs": []}
    api.refused("POST", "runs/search", max_results=-1)


def test_histories_are_told_by_pages(api: Client) -> None:
    run_id = api.run()
    points = [{"key": "m", "value": value, "timestamp": 5, "step": value // 3} for value in range(10)]
    api.post("runs/log-batch", run_id=run_id, metrics=points)
    whole = api.get("metrics/get-history", run_id=run_id, metric_key="m")
    assert [one["value"] for one in whole["metrics"]] == list(range(10))
    assert "next_page_token" not in whole
    seen: list[float] = []
    token = ""
    while token is not None:
        page = api.get("metrics/get-history", run_uuid=run_id, metric_key="m", max_results=4, page_token=token)
        seen += [one["value"] for one in page["metrics"]]
        token = page.get("next_page_token")
        later = {"run_id": run_id, "key": "m", "value": 99, "timestamp": 0, "step": 0}
        api.post("runs/log-metric", **later)  # before what was shown
    assert seen == list(range(10))
    assert api.get("metrics/get-history", run_id=run_id, metric_key="none") == {"metrics": []}
    api.refused("GET", "metrics/get-history", run_id=run_id, metric_key="m", max_results=0)
    api.refused("GET", "metrics/get-history", run_id=run_id, metric_key="m", page_token="x")
    assert "metric_key" in api.refused("GET", "metrics/get-history", run_id=run_id)[1]


def test_histories_of_many_runs_are_told_at_once(api: Client) -> None:
    run_ids = sorted(api.run() for _ in range(2))
    for run_id in run_ids:
        points = [{"key": "m", "value": value, "timestamp": value, "step": value} for value in range(50)]
        api.post("runs/log-batch", run_id=run_id, metrics=points)
    told = api.get("metrics/get-history-bulk", run_id=run_ids, metric_key="m")["metrics"]
    assert [(one["run_id"], one["step"]) for one in told] == [(run, step) for run in run_ids for step in range(50)]
    assert len(api.get("metrics/get-history-bulk", run_id=run_ids, metric_key="m", max_results=60)["metrics"]) == 60
    asked = {"run_ids": run_ids, "metric_key": "m"}
    thin = api.get("metrics/get-history-bulk-interval", **asked, max_results=5)["metrics"]
    steps = [one["step"] for one in thin if one["run_id"] == run_ids[0]]
    assert len(steps) == 5
    assert steps[0] == 0
    assert steps[-1] == 49
    assert max(b - a for a, b in pairwise(steps)) <= 13
    some = api.get("metrics/get-history-bulk-interval", **asked, start_step=10, end_step=12)["metrics"]
    assert [one["step"] for one in some] == [10, 11, 12] * 2
    api.refused("GET", "metrics/get-history-bulk-interval", **asked, start_step=3)
    api.refused("GET", "metrics/get-history-bulk-interval", **asked, start_step=3, end_step=1)
    api.refused("GET", "metrics/get-history-bulk", run_id=["x"] * 101, metric_key="m")
    api.refused("GET", "metrics/get-history-bulk", 404, run_id=["x"], metric_key="m")


def test_a_whole_run_of_many_values_is_logged_at_once(api: Client) -> None:
    run_id = api.run()
    params = {f"p{number}": str(number) for number in range(700)}
    metrics = [{"key": f"m{number}", "value": number, "timestamp": 1, "step": 0} for number in range(700)]
    api.post("runs/log-batch", run_id=run_id, params=pairs(params), metrics=metrics)
    api.post("runs/log-batch", run_id=run_id, params=pairs(params))
    data = api.read(run_id)["data"]
    assert mapping(data["params"]) == params
    assert len(data["metrics"]) == 700
