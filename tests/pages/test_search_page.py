"""``/runs/{run_id}/search``: candidates out of the table that a search leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from hostile import SCRIPT, write
from served_pages import serving
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.svm import SVC

import autotrack
from autotrack.server.pages import candidates


def search(url: str, run_id: str, **choices: str) -> dict[str, Any]:
    answer = httpx.get(f"{url}/runs/{run_id}/search.json", params=choices)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def searched(estimator: Any, store: Path, **choices: str) -> tuple[dict[str, Any], Any]:
    """Fit it, and what the page tells of it."""
    X, y = load_iris(return_X_y=True)
    autotrack.autolog(store=store, log_models=False, max_tuning_runs=None, silent=True)
    estimator.fit(X, y)
    autotrack.flush()
    with serving(store) as url:
        run_id = autotrack.get_run(
            type(estimator).__name__ + f"({type(estimator.estimator).__name__})", store=store
        ).run_id
        return search(url, run_id, **choices), estimator


def test_a_grid_over_two_params_is_a_map_with_links_to_the_candidates_runs(pages, recorded):
    run = autotrack.get_run("GridSearchCV(Pipeline(SVC))", store=recorded)
    data = search(pages, run.run_id)
    assert (data["count"], data["folds"], data["failed"]) == (12, 3, 0)
    assert data["best"]["score"] == pytest.approx(run.metrics["best_cv_score"])
    assert data["best"]["params"] == {"svc__C": "10.0", "svc__gamma": "0.01"}
    cells = [cell for line in data["map"]["cells"] for cell in line]
    assert len(cells) == 12
    assert [cell["label"] for cell in cells if cell["best"]] == [data["best"]["label"]]
    assert {cell["shade"] for cell in cells if cell["best"]} == {9}
    assert min(cell["shade"] for cell in cells) == 0
    children = {child.run_id for child in run.children}
    assert {cell["run_id"] for cell in cells} - {None} == children
    for child in run.children:
        (entry,) = [one for one in data["candidates"] if one["run_id"] == child.run_id]
        assert entry["score"] == pytest.approx(child.metrics["mean_test_score"])
        assert float(entry["params"]["svc__gamma"]) == float(child.params["svc__gamma"])
    assert [one["rank"] for one in data["candidates"]] == sorted(one["rank"] for one in data["candidates"])
    assert len(data["plots"]["time"]["points"]) == len(data["parallel"]["lines"]) == 12


def test_of_more_params_a_cell_has_the_best_and_the_axes_can_be_chosen(tmp_path):
    grid = {"C": [0.1, 1.0], "gamma": [0.01, 0.1], "kernel": ["rbf", "poly"]}
    data, fitted = searched(GridSearchCV(SVC(), grid, cv=2), tmp_path / "s", x="kernel", y="C")
    assert (data["x"], data["y"], data["map"]["others"]) == ("kernel", "C", ["gamma"])
    results = fitted.cv_results_
    for row, c in enumerate(data["map"]["rows"]):
        for column, kernel in enumerate(data["map"]["columns"]):
            tried = [
                score
                for params, score in zip(results["params"], results["mean_test_score"], strict=True)
                if (params["C"], params["kernel"]) == (c, kernel)
            ]
            cell = data["map"]["cells"][row][column]
            assert (cell["score"], cell["tried"]) == (pytest.approx(max(tried)), 2)


def test_candidates_that_failed_are_told_with_their_error(tmp_path):
    with pytest.warns(Warning, match="fits failed"):
        data, _ = searched(GridSearchCV(SVC(), {"C": [-1.0, 1.0]}, cv=2), tmp_path / "s")
    assert data["failed"] == 1
    assert data["candidates"][-1]["failed"]
    assert "ValueError" in data["candidates"][-1]["error"] or "InvalidParameterError" in data["candidates"][-1]["error"]
    assert data["best"]["params"]["C"] == "1.0"


def test_one_param_is_a_curve_with_training_scores_and_bands(tmp_path):
    found = GridSearchCV(LogisticRegression(max_iter=50), {"C": [1.0, 0.01, 100.0]}, cv=2, return_train_score=True)
    data, fitted = searched(found, tmp_path / "s")
    assert data["map"] is None
    training, validation = data["plots"]["curve"]["series"]
    assert validation["x"] == [0.01, 1, 100]
    order = [1, 0, 2]
    assert validation["y"] == pytest.approx(list(fitted.cv_results_["mean_test_score"][order]))
    assert validation["std"] == pytest.approx(list(fitted.cv_results_["std_test_score"][order]))
    assert training["y"] == pytest.approx(list(fitted.cv_results_["mean_train_score"][order]))


def test_random_points_over_two_params_are_a_cloud_and_scorers_can_be_chosen(tmp_path):
    spread = {"C": [10 ** (k / 3) for k in range(-6, 7)], "gamma": [10 ** (k / 3) for k in range(-6, 7)]}
    found = RandomizedSearchCV(
        SVC(), spread, n_iter=8, cv=2, random_state=0, scoring=["accuracy", "f1_macro"], refit="f1_macro"
    )
    data, fitted = searched(found, tmp_path / "s")
    assert (data["scorers"], data["scorer"]) == (["accuracy", "f1_macro"], "f1_macro")
    assert data["map"] is None
    assert len(data["plots"]["cloud"]["points"]) == 8
    assert data["plots"]["cloud"]["log_x"]
    assert data["best"]["score"] == pytest.approx(fitted.best_score_)


def test_halving_keeps_the_last_evaluation_and_ranks_survivors_first(tmp_path):
    found = HalvingGridSearchCV(SVC(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=2, factor=2, random_state=0, min_resources=30)
    data, fitted = searched(found, tmp_path / "s")
    assert data["is_halving"]
    assert (data["count"], data["evaluations"]) == (4, len(fitted.cv_results_["params"]))
    assert float(data["best"]["params"]["C"]) == fitted.best_params_["C"]
    rounds = [one["round"] for one in data["candidates"]]
    assert rounds == sorted(rounds, reverse=True)
    assert rounds[0] == max(fitted.cv_results_["iter"])


def test_many_candidates_are_read_with_the_best_first():
    lines = ["param_a,params,mean_test_score,rank_test_score,mean_fit_time"]
    lines += [f"{n},{{}},{n / 1000},{1000 - n},0.1" for n in range(1000)]
    results = candidates.read("\n".join(lines).encode())
    assert [one.params["a"] for one in results.candidates[:2]] == ["999", "998"]
    assert results.varied == ["a"]


def test_a_run_that_is_no_search_says_so(pages, recorded):
    run_id = autotrack.search_runs("run_name = 'Ridge'", store=recorded)["run_id"].iloc[0]
    answer = httpx.get(f"{pages}/runs/{run_id}/search", headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert "it is no parameter search" in answer.text


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2", b'mean_test_score\n"' + b"x" * 200_000 + b'"', b"\xff\x00"])
def test_a_table_that_is_none_is_refused_with_a_reason(content):
    with pytest.raises(ValueError, match="it "):
        candidates.read(content)


def test_a_search_recorded_by_somebody_who_means_harm_is_shown_and_does_nothing(tmp_path, open_page):
    *_, run_id = write(tmp_path / "store", tmp_path)
    with serving(tmp_path / "store") as url:
        page = open_page(f"{url}/runs/{run_id}/search")
        page.wait_for_selector("[data-drawn]")
        assert page.evaluate("window.harmed") is None
        assert "window.harmed" in page.inner_text("main")
        assert SCRIPT not in page.content()
        page.close()
