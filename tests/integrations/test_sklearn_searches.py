"""What a parameter search leaves behind: its best params and score, its table, its models, its candidates as runs."""

from __future__ import annotations

import io
import os
import warnings
from itertools import pairwise

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, mean_absolute_error
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    ParameterGrid,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import autotrack

X, y = load_iris(return_X_y=True)
FIRST = list(X[0])
GRID = {"C": [0.01, 0.1, 1, 10], "kernel": ["rbf", "linear"]}


class Forwards(BaseSearchCV):
    """Somebody else's search on scikit-learn's base class: two candidates at a time."""

    def __init__(self, estimator, candidates, *, scoring=None, n_jobs=None, refit=True, cv=None, error_score=np.nan):
        super().__init__(
            estimator=estimator, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, error_score=error_score
        )
        self.candidates = candidates

    def _run_search(self, evaluate_candidates):
        for start in range(0, len(self.candidates), 2):
            evaluate_candidates(self.candidates[start : start + 2])


class Lookalike(ClassifierMixin, BaseEstimator):
    """A search that shares nothing with scikit-learn's but what it leaves behind."""

    def __init__(self, estimator, grid):
        self.estimator = estimator
        self.grid = grid

    def fit(self, X, y):
        candidates = list(ParameterGrid(self.grid))
        scores = [cross_val_score(clone(self.estimator).set_params(**params), X, y).mean() for params in candidates]
        ranks = np.argsort(np.argsort(-np.array(scores))) + 1
        self.cv_results_ = {"params": candidates, "mean_test_score": np.array(scores), "rank_test_score": ranks}
        self.best_index_ = int(np.argmax(scores))
        self.best_score_, self.best_params_ = scores[self.best_index_], candidates[self.best_index_]
        self.best_estimator_ = clone(self.estimator).set_params(**self.best_params_).fit(X, y)
        self.classes_ = self.best_estimator_.classes_
        return self

    def predict(self, X):
        return self.best_estimator_.predict(X)


class Fragile(ClassifierMixin, BaseEstimator):
    """Fails for some params, and on some folds only."""

    def __init__(self, depth=1, fails=""):
        self.depth = depth
        self.fails = fails

    def fit(self, X, y):
        if self.fails == "always" or (self.fails == "twice" and list(X[0]) == FIRST):
            raise RuntimeError(f"no luck\nat depth {self.depth}")
        self.model_ = DecisionTreeClassifier(max_depth=self.depth, random_state=0).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)


def latest():
    autotrack.flush()
    return autotrack.get_run("latest")


def candidates(run):
    """The children in the order of the table's rows."""
    return sorted(run.children, key=lambda child: int(child.tags["search_candidate"]))


def rows(run):
    return [int(child.tags["search_candidate"]) for child in candidates(run)]


def best_rows(search, column, count):
    return sorted(pd.DataFrame(search.cv_results_).nsmallest(count, column).index)


def test_a_search_leaves_its_best_params_score_table_and_both_models(logged):
    search = GridSearchCV(SVC(), GRID, cv=3).fit(X, y)
    run = latest()
    assert run.name == "GridSearchCV(SVC)"
    assert run.params["cv"] == "3"
    assert "estimator__C" not in run.params
    assert {key: value for key, value in run.params.items() if key.startswith("best_")} == {
        f"best_{key}": str(value) for key, value in search.best_params_.items()
    }
    assert run.metrics["best_cv_score"] == search.best_score_
    assert run.metrics["training_score"] == pytest.approx(search.score(X, y), abs=1e-12)
    assert sorted(model.path for model in run.models) == ["best_estimator", "model"]
    assert isinstance(run.model(), GridSearchCV)
    assert isinstance(run.model("best_estimator"), SVC)
    assert np.array_equal(run.model("best_estimator").predict(X), search.predict(X))
    assert 'artifact_path: "best_estimator"' in run.artifact_path("best_estimator/MLmodel").read_text()
    assert run.notes == []


@pytest.mark.parametrize(
    "search",
    [
        GridSearchCV(SVC(), GRID, cv=3, return_train_score=True),
        GridSearchCV(SVC(), [{"C": [1, 2], "degree": [2, 3]}, {"C": [0.5], "class_weight": [None, "balanced"]}], cv=3),
        GridSearchCV(
            Pipeline([("s", StandardScaler()), ("m", SVC())]),
            {"s": [StandardScaler(), MinMaxScaler((0, 2)), "passthrough"], "m__C": [1e-20, 1e20]},
            cv=3,
        ),
        GridSearchCV(SVC(), {"C": [1.0, -1]}, cv=3),
        GridSearchCV(SVC(), {"C": [1, np.float64(0.1)], "class_weight": [{0: 2, 1: 1}, {2: 3}]}, cv=3),
        GridSearchCV(SVC(), {"shrinking": [True, False]}, cv=3, scoring=["accuracy", "f1_macro"], refit="f1_macro"),
        GridSearchCV(SVC(), [{"shrinking": [True]}, {"C": [2], "kernel": ["linear"]}], cv=3),
        RandomizedSearchCV(LogisticRegression(), {"C": loguniform(1e-3, 1e3)}, n_iter=6, cv=3, random_state=0),
        HalvingGridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2, 3, None]}, cv=3, random_state=0),
    ],
    ids=lambda search: type(search).__name__,
)
@pytest.mark.filterwarnings("ignore")
def test_the_table_is_the_one_that_pandas_writes(logged, search):
    search.fit(X, y)
    text = latest().artifact_path("cv_results.csv").read_text()
    assert text == pd.DataFrame(search.cv_results_).to_csv(index=False)
    assert list(pd.read_csv(io.StringIO(text)).columns) == list(search.cv_results_)


@pytest.mark.parametrize(("limit", "count"), [(5, 5), (2, 2), (None, 8), (0, 0), (100, 8)])
def test_the_best_candidates_are_child_runs(store, limit, count):
    autotrack.autolog(store=store, max_tuning_runs=limit)
    search = GridSearchCV(SVC(), GRID, cv=3).fit(X, y)
    run = latest()
    assert rows(run) == best_rows(search, "rank_test_score", count)
    for child in run.children:
        row = int(child.tags["search_candidate"])
        assert child.status == "FINISHED"
        assert child.tags["estimator_name"] == "SVC"
        candidate = SVC(**search.cv_results_["params"][row])
        assert child.params == {key: str(value) for key, value in candidate.get_params().items()}
        for key in ("mean_test_score", "std_test_score", "rank_test_score", "mean_fit_time", "std_fit_time",
                    "mean_score_time", "std_score_time"):  # fmt: skip
            assert child.metrics[key] == search.cv_results_[key][row]
        splits = [point.value for point in child.metric_history("split_test_score")]
        assert splits == [search.cv_results_[f"split{i}_test_score"][row] for i in range(3)]
        assert child.name == ", ".join(f"{key}={value}" for key, value in search.cv_results_["params"][row].items())
        assert child.datasets[0].digest == run.datasets[0].digest


class OwnScore(GridSearchCV):
    """Somebody's search that scores in a way of its own."""

    def score(self, X, y=None):
        return 0.25


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "search",
    [
        GridSearchCV(SVC(), {"C": [0.01, 1]}, cv=3),
        GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2]}, cv=3, scoring="f1_macro"),
        GridSearchCV(LogisticRegression(max_iter=500), {"C": [1]}, scoring=["accuracy", "f1_macro"], refit="f1_macro"),
        GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1]}, scoring="accuracy"),
        GridSearchCV(Ridge(), {"alpha": [1, 2]}, scoring="neg_mean_absolute_error"),
        OwnScore(SVC(), {"C": [0.01]}, cv=3),
    ],
    ids=lambda search: f"{type(search).__name__}-{type(search.estimator).__name__}",
)
@pytest.mark.parametrize("frame", [False, True], ids=["array", "frame"])
def test_training_metrics_are_those_of_the_searchs_own_predictions(logged, search, weighted, frame, recwarn):
    data = pd.DataFrame(X, columns=list("abcd")) if frame else X
    weights = np.linspace(1, 2, len(y)) if weighted else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The scoring")
        search.fit(data, y, sample_weight=weights)
    run = latest()
    assert run.metrics["training_score"] == pytest.approx(search.score(data, y), abs=1e-12)
    if isinstance(search.estimator, Ridge):
        expected = mean_absolute_error(y, search.predict(data), sample_weight=weights)
        assert run.metrics["training_mean_absolute_error"] == pytest.approx(expected, abs=1e-12)
    else:
        expected = accuracy_score(y, search.predict(data), sample_weight=weights)
        assert run.metrics["training_accuracy_score"] == pytest.approx(expected, abs=1e-12)
    assert len(recwarn) == 0


def test_children_lie_within_the_search_in_the_order_of_its_candidates(store):
    autotrack.autolog(store=store, max_tuning_runs=None)
    GridSearchCV(SVC(), GRID, cv=3).fit(X, y)
    run = latest()
    children = candidates(run)
    assert run.start_time <= children[0].start_time
    assert children[-1].end_time <= run.end_time
    assert all(child.start_time <= child.end_time for child in children)
    assert all(earlier.end_time <= later.start_time for earlier, later in pairwise(children))


def test_the_latest_run_is_the_search_and_not_one_of_its_candidates(logged):
    GridSearchCV(SVC(), GRID, cv=3).fit(X, y)
    assert latest().name == "GridSearchCV(SVC)"
    assert len(autotrack.search_runs()) == 6


def test_of_a_candidate_the_score_is_shown_first(logged):
    GridSearchCV(SVC(), {"C": [1]}, cv=3).fit(X, y)
    (child,) = latest().children
    assert "metrics   mean_test_score=" in repr(child)


def test_a_replaced_step_changes_only_its_own_param(logged):
    pipeline = Pipeline([("s", StandardScaler()), ("m", SVC())])
    GridSearchCV(pipeline, {"s": [MinMaxScaler()], "m__C": [3]}, cv=3).fit(X, y)
    (child,) = latest().children
    assert child.name == "m__C=3, s=MinMaxScaler()"
    assert child.params == {key: str(value) for key, value in pipeline.get_params().items()} | {
        "s": "MinMaxScaler()",
        "m__C": "3",
    }


def test_what_the_user_does_to_the_candidates_afterwards_is_not_recorded(logged):
    scalers = [StandardScaler(), MinMaxScaler()]
    search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"standardscaler": scalers}, cv=3).fit(X, y)
    scalers[1].set_params(feature_range=(0, 7))
    search.cv_results_["mean_test_score"][:] = 0
    search.cv_results_["params"][0]["standardscaler"] = "mine"
    first, second = candidates(latest())
    assert first.params["standardscaler"] == "StandardScaler()"
    assert second.params["standardscaler"] == "MinMaxScaler()"
    assert first.metrics["mean_test_score"] > 0.9


def both_scores(estimator, X, y):
    right = accuracy_score(y, estimator.predict(X))
    return {"accuracy": right, "wrong": 1 - right}


@pytest.mark.parametrize(
    ("scoring", "refit", "column"),
    [
        (["accuracy", "neg_log_loss"], "neg_log_loss", "rank_test_neg_log_loss"),
        (["accuracy", "neg_log_loss"], "accuracy", "rank_test_accuracy"),
        (["accuracy", "neg_log_loss"], False, "rank_test_accuracy"),
        (both_scores, "wrong", "rank_test_wrong"),
    ],
)
def test_several_scorers_are_ordered_by_the_one_that_refit_names_else_by_the_first(logged, scoring, refit, column):
    grid = {"C": [1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100]}
    search = GridSearchCV(LogisticRegression(max_iter=500), grid, scoring=scoring, refit=refit, cv=3).fit(X, y)
    run = latest()
    assert rows(run) == best_rows(search, column, 5)
    child = candidates(run)[0]
    for key in search.cv_results_:
        if key.startswith(("mean_", "std_", "rank_")):
            assert child.metrics[key] == search.cv_results_[key][rows(run)[0]]
    assert ("best_cv_score" in run.metrics) == bool(refit)
    assert ("best_C" in run.params) == bool(refit)


def test_a_function_for_refit_decides_which_is_the_best(store):
    autotrack.autolog(store=store, max_tuning_runs=1)
    search = GridSearchCV(SVC(), {"C": [1e-4, 1, 10]}, refit=lambda results: 0, cv=3).fit(X, y)
    run = latest()
    assert rows(run) == [0]
    assert run.params["best_C"] == "0.0001"
    assert run.metrics["best_cv_score"] == search.cv_results_["mean_test_score"][0]


def test_without_a_refit_there_is_no_best_estimator_and_the_run_says_so(logged):
    GridSearchCV(SVC(), GRID, cv=3, refit=False).fit(X, y)
    run = latest()
    assert [model.path for model in run.models] == ["model"]
    (note,) = run.notes
    assert (note.kind, note.subject) == ("skipped", "best_estimator")
    assert "refit=False" in note.message
    assert run.params["best_C"]
    assert "training_score" not in run.metrics


@pytest.mark.filterwarnings("ignore:One or more")
@pytest.mark.parametrize("n_jobs", [1, 2], ids=["sequential", "parallel"])
@pytest.mark.parametrize("make", [lambda grid, **rest: GridSearchCV(Fragile(), grid, **rest),
                                  lambda grid, **rest: Forwards(Fragile(), list(ParameterGrid(grid)), **rest)],
                         ids=["grid", "third-party"])  # fmt: skip
def test_candidates_that_failed_are_kept_with_the_reason(store, make, n_jobs):
    autotrack.autolog(store=store, max_tuning_runs=2)
    search = make([{"depth": [1, 2, 3]}, {"depth": [4], "fails": ["always", "twice"]}], cv=3, n_jobs=n_jobs)
    with joblib.parallel_backend("threading"), pytest.warns(FitFailedWarning):
        search.fit(X, y)
    run = latest()
    assert rows(run) == [1, 2, 3, 4]
    *good, always, twice = candidates(run)
    assert [child.status for child in good] == ["FINISHED", "FINISHED"]
    for child in (always, twice):
        assert child.status == "FAILED"
        assert child.error.startswith("Traceback")
        assert child.error.endswith("RuntimeError: no luck\nat depth 4")
        assert np.isnan(child.metrics["mean_test_score"])
    assert sum(not np.isnan(point.value) for point in twice.metric_history("split_test_score")) == 1
    note = next(note for note in run.notes if note.subject == "failed candidates")
    assert "3 (depth=4, fails=always); 4 (depth=4, fails=twice) of 5" in note.message
    assert note.message.endswith(": RuntimeError: no luck at depth 4")
    assert note.count == 2


@pytest.mark.filterwarnings("ignore")
def test_a_failed_fold_that_got_a_score_is_told_on_the_candidate(logged):
    GridSearchCV(Fragile(), {"depth": [2], "fails": ["", "twice", "always"]}, cv=3, error_score=0).fit(X, y)
    fine, twice, always = candidates(latest())
    assert fine.notes == []
    assert twice.status == "FINISHED"
    assert twice.notes[0].message == "2 of 3 fits failed: RuntimeError: no luck at depth 2"
    assert always.status == "FAILED"
    assert always.metrics["mean_test_score"] == 0


@pytest.mark.filterwarnings("ignore")
def test_a_candidate_without_a_score_failed_although_it_was_fitted(logged):
    def scoring(estimator, X, y):
        return float("nan") if estimator.C == 1 else 0.5

    GridSearchCV(SVC(), {"C": [1, 2]}, cv=3, scoring=scoring).fit(X, y)
    nameless, good = candidates(latest())
    assert (nameless.status, nameless.error) == ("FAILED", "no score: mean_test_score is NaN")
    assert good.status == "FINISHED"


@pytest.mark.filterwarnings("ignore")
def test_a_search_of_which_every_fit_fails_is_a_failed_run(logged):
    with pytest.raises(ValueError, match="All the 3 fits failed"):
        GridSearchCV(Fragile(fails="always"), {"depth": [1]}, cv=3).fit(X, y)
    run = latest()
    assert run.status == "FAILED"
    assert "no luck" in run.error
    assert run.children == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: HalvingGridSearchCV(SVC(), {"C": [1e-3, 0.01, 0.1, 1, 10, 100]}, cv=3, factor=2, random_state=0),
        lambda: HalvingRandomSearchCV(SVC(), {"C": loguniform(1e-3, 100)}, cv=3, factor=2, random_state=0),
    ],
    ids=["grid", "random"],
)
def test_halving_keeps_each_candidate_once_with_a_step_per_iteration(store, make):
    autotrack.autolog(store=store, max_tuning_runs=None)
    search = make().fit(X, y)
    run, table = latest(), pd.DataFrame(search.cv_results_)
    assert len(run.children) == search.n_candidates_[0]
    for child in run.children:
        row = int(child.tags["search_candidate"])
        mine = table[table["params"] == table["params"][row]]
        assert mine.index[-1] == row
        history = child.metric_history("mean_test_score")
        assert [(point.step, point.value) for point in history] == list(enumerate(mine["mean_test_score"]))
        assert [point.value for point in child.metric_history("n_resources")] == list(mine["n_resources"])
        assert child.metrics["iter"] == mine["iter"].iloc[-1]


def test_the_survivors_of_halving_come_first(store):
    autotrack.autolog(store=store, max_tuning_runs=2)
    search = HalvingGridSearchCV(SVC(), {"C": [1e-3, 0.01, 0.1, 1, 10, 100]}, cv=3, factor=3, random_state=0).fit(X, y)
    run = latest()
    assert {child.metrics["iter"] for child in run.children} == {search.cv_results_["iter"].max()}
    assert str(search.best_params_["C"]) in {child.params["C"] for child in run.children}


def test_somebody_elses_search_is_one_too(logged):
    search = Forwards(SVC(), [{"C": 1}, {"C": 10}, {"C": 0.1, "kernel": "linear"}], cv=3).fit(X, y)
    run = latest()
    assert run.name == "Forwards(SVC)"
    assert run.params["best_C"] == str(search.best_params_["C"])
    assert len(run.children) == 3
    assert "best_estimator" in {model.path for model in run.models}


def test_what_merely_looks_like_a_search_is_one_too(logged):
    search = Lookalike(SVC(), {"C": [0.01, 1]}).fit(X, y)
    run = latest()
    assert run.metrics["best_cv_score"] == search.best_score_
    assert run.params["best_C"] == "1"
    assert [child.metrics["rank_test_score"] for child in candidates(run)] == [2, 1]
    assert "cv_results.csv" in run.artifacts
    assert len(autotrack.search_runs()) == 3


def dask_or_skip():
    if os.environ.get("AUTOTRACK_REQUIRE_SERVICES") != "1":
        pytest.importorskip("distributed", reason="needs dask's distributed (pip install distributed)")
    from distributed import Client

    return Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None)


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing", "dask"])
@pytest.mark.filterwarnings("ignore")
def test_a_search_in_parallel_is_the_same_one_run_whatever_runs_it(logged, backend):
    alone = GridSearchCV(Fragile(), {"depth": [1, 2, 3], "fails": ["", "always"]}, cv=3).fit(X, y)
    expected = latest()
    client = dask_or_skip() if backend == "dask" else None
    try:
        with joblib.parallel_backend(backend, **({} if client else {"n_jobs": 2})):
            search = clone(alone).fit(X, y)
    finally:
        if client is not None:
            client.close()
    run = latest()
    assert np.array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"], equal_nan=True)
    runs = autotrack.search_runs()
    assert len(runs) == 2 * (1 + 5 + 1 - 2 + 2)
    assert sorted(runs["run_name"][runs["tags.search_candidate"].isna()]) == ["GridSearchCV(Fragile)"] * 2
    assert rows(run) == rows(expected)
    for mine, other in zip(candidates(run), candidates(expected), strict=True):
        assert (mine.params, mine.status) == (other.params, other.status)
        assert mine.error == other.error or mine.error.splitlines()[-1] == other.error.splitlines()[-1]


def test_workers_that_switch_autologging_on_themselves_record_nothing(script, store):
    (store.parent / "models.py").write_text(
        "import autotrack\nautotrack.autolog()\n"
        "from sklearn.linear_model import LogisticRegression\nclass Mine(LogisticRegression):\n    pass\n"
    )
    script("""
        from models import Mine
        from sklearn.datasets import load_iris
        from sklearn.model_selection import GridSearchCV
        GridSearchCV(Mine(max_iter=300), {"C": [1, 10]}, cv=3, n_jobs=2).fit(*load_iris(return_X_y=True))
    """)
    assert sorted(autotrack.search_runs(store=store)["run_name"]) == ["C=1", "C=10", "GridSearchCV(Mine)"]


def test_a_search_at_the_end_of_a_pipeline_is_told_on_the_pipelines_run(logged):
    model = make_pipeline(StandardScaler(), GridSearchCV(SVC(), GRID, cv=3)).fit(X, y)
    run = latest()
    assert run.name == "Pipeline(GridSearchCV(SVC))"
    assert run.params["best_C"] == str(model[-1].best_params_["C"])
    assert run.metrics["best_cv_score"] == model[-1].best_score_
    assert len(run.children) == 5
    assert [found.path for found in run.models] == ["model"]


def test_a_search_of_a_search_is_one_search(logged):
    inner = GridSearchCV(SVC(), {"C": [1, 10]}, cv=3)
    GridSearchCV(inner, {"estimator__kernel": ["rbf", "linear"]}, cv=3).fit(X, y)
    run = latest()
    assert len(autotrack.search_runs()) == 3
    assert {child.params["estimator__kernel"] for child in run.children} == {"rbf", "linear"}
    assert "estimator__C" not in candidates(run)[0].params


def test_a_search_in_the_users_run_has_its_candidates_there(logged):
    with autotrack.start_run(name="mine"):
        GridSearchCV(SVC(), GRID, cv=3).fit(X, y)
        Ridge().fit(X, y)
    autotrack.flush()
    run = autotrack.get_run("mine")
    assert run.params["best_C"]
    assert len([child for child in run.children if "search_candidate" in child.tags]) == 5
    assert len(run.children) == 6


def test_candidates_carry_no_extra_tags_and_share_the_searchs_experiment(store):
    autotrack.autolog(store=store, experiment="tuning", extra_tags={"team": "a"})
    GridSearchCV(SVC(), GRID, cv=3).fit(X, y)
    run = latest()
    assert run.tags["team"] == "a"
    assert all(child.experiment == "tuning" and "team" not in child.tags for child in run.children)


def test_a_search_that_nobody_watches_records_nothing(logged):
    with autotrack.disabled():
        GridSearchCV(SVC(), GRID, cv=3).fit(X, y)
    assert len(autotrack.search_runs()) == 0


def test_the_events_of_all_candidates_are_one_batch(logged, monkeypatch):
    from autotrack.capture.sinks import FolderSink

    batches = []
    append = FolderSink.append

    def counting(self, events):
        batches.append([type(event).__name__ for event in events])
        append(self, events)

    monkeypatch.setattr(FolderSink, "append", counting)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        GridSearchCV(SVC(), GRID, cv=3).fit(X, y)
    autotrack.flush()
    assert [batch.count("RunStarted") for batch in batches if "RunStarted" in batch] == [1, 5]
