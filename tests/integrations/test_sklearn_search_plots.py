"""The scores of a search over one param or two are a plot of its run."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import autotrack
from autotrack.integrations.sklearn.searching.plots import search_plot
from autotrack.integrations.sklearn.searching.table import Table
from autotrack.plots.drawing import draw

X, y = load_iris(return_X_y=True)


def plot_of(search):
    search.fit(X, y)
    autotrack.flush()
    return autotrack.get_run("latest").plot_data("search_scores")


def test_one_param_is_a_curve_in_its_order(logged):
    search = GridSearchCV(SVC(), {"C": [10, 0.01, 0.1, 1]}, cv=3, return_train_score=True)
    plot = plot_of(search)
    assert plot["kind"] == "validation_curve"
    assert (plot["xlabel"], plot["ylabel"], plot["subtitle"]) == ("C", "cross-validated score", "GridSearchCV(SVC)")
    training, validation = plot["series"]
    assert validation["x"] == [0.01, 0.1, 1, 10]
    order = [1, 2, 3, 0]
    for line, part in ((training, "train"), (validation, "test")):
        np.testing.assert_allclose(line["y"], search.cv_results_[f"mean_{part}_score"][order], atol=1e-5)
        np.testing.assert_allclose(line["std"], search.cv_results_[f"std_{part}_score"][order], atol=1e-5)
    assert plot["log"] is True


def test_two_params_are_a_map(logged):
    search = GridSearchCV(SVC(), {"C": [1, 10], "kernel": ["rbf", "linear", "poly"], "gamma": ["scale"]}, cv=3)
    plot = plot_of(search)
    assert plot["kind"] == "heat_map"
    assert (plot["columns"], plot["rows"]) == (["1", "10"], ["rbf", "linear", "poly"])
    by_params = {
        (candidate["C"], candidate["kernel"]): score
        for candidate, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True)
    }
    expected = [[by_params[c, kernel] for c in (1, 10)] for kernel in plot["rows"]]
    np.testing.assert_allclose(plot["values"], expected, atol=1e-5)
    draw(plot)


def test_two_params_drawn_at_random_are_a_cloud(logged):
    grid = {"C": np.logspace(-3, 3, 50).tolist(), "gamma": np.logspace(-4, 1, 50).tolist()}
    plot = plot_of(RandomizedSearchCV(SVC(), grid, n_iter=8, cv=2, random_state=0))
    assert plot["kind"] == "scatter"
    assert plot["of"] == 8
    draw(plot)


@pytest.mark.parametrize("grid", [{"max_depth": [1, 2], "min_samples_leaf": [1, 2], "criterion": ["gini", "entropy"]}])
def test_three_params_have_no_plot(logged, grid):
    GridSearchCV(DecisionTreeClassifier(), grid, cv=2).fit(X, y)
    autotrack.flush()
    assert "search_scores" not in autotrack.get_run("latest").plots


def test_log_plots_off_writes_none(store):
    autotrack.autolog(store=store, log_plots=False)
    GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 2]}, cv=2).fit(X, y)
    autotrack.flush()
    assert autotrack.get_run("latest").plots == []


def test_the_last_evaluation_of_a_candidate_counts():
    table = Table.copied(
        {
            "params": [{"C": 1}, {"C": 2}, {"C": 2}],
            "mean_test_score": np.array([0.1, 0.2, 0.9]),
            "std_test_score": np.zeros(3),
        }
    )
    [line] = search_plot(table, "score")["series"]
    assert (line["x"], line["y"]) == ([1, 2], [0.1, 0.9])


def test_candidates_that_failed_leave_a_hole():
    table = Table.copied(
        {
            "params": [{"C": 1, "k": "a"}, {"C": 1, "k": "b"}, {"C": 2, "k": "a"}, {"C": 2, "k": "b"}],
            "mean_test_f1": np.array([0.1, 0.2, np.nan, 0.4]),
        }
    )
    plot = search_plot(table, "f1")
    assert plot["values"] == [[0.1, "NaN"], [0.2, 0.4]]
    assert plot["value_name"] == "mean cross-validated f1"
