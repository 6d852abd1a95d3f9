"""What a run says of itself: what was captured, what was skipped and why, what libraries warned of."""

from __future__ import annotations

import json
import threading
import warnings

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, StackingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import autotrack

X, y = load_breast_cancer(return_X_y=True)
iris_X, iris_y = load_iris(return_X_y=True)


class Warns(RegressorMixin, BaseEstimator):
    """An estimator of the user's that warns and keeps what cannot be pickled."""

    def __init__(self, times=1, lock=False):
        self.times = times
        self.lock = lock

    def fit(self, X, y):
        for _ in range(self.times):
            warnings.warn("something is odd", UserWarning, stacklevel=2)
        if self.lock:
            self.lock_ = threading.Lock()
        return self

    def predict(self, X):
        return np.zeros(len(X))


def latest():
    autotrack.flush()
    return autotrack.get_run("latest")


def trace_of(run):
    return json.loads(run.artifact_path("fit_trace.json").read_text())


def names(node):
    return {node["estimator"]: [names(child) for child in node.get("children", ())]}


def test_a_warning_during_the_fit_stands_on_the_run_and_reaches_the_user(logged):
    with pytest.warns(ConvergenceWarning) as seen:
        LogisticRegression(max_iter=2).fit(X, y)
    report = latest().capture_report
    assert [(note.subject, note.count) for note in report.warnings] == [("ConvergenceWarning", 1)]
    assert report.warnings[0].message == str(seen[0].message)


def test_the_user_sees_warnings_as_without_us(store):
    def caught():
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            Warns(times=2).fit(X, y)
        return [(w.category, str(w.message), w.filename, w.lineno, w.source) for w in seen]

    before, show = caught(), warnings._showwarnmsg
    autotrack.autolog(store=store)
    assert caught() == before
    autotrack.autolog(disable=True)
    assert warnings._showwarnmsg is show


def test_the_same_warning_is_counted_and_those_outside_a_fit_are_not_ours(logged):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("before", UserWarning, stacklevel=1)
        Warns(times=3).fit(X, y)
        warnings.warn("after", UserWarning, stacklevel=1)
    assert [(note.subject, note.message, note.count) for note in latest().notes] == [
        ("UserWarning", "something is odd", 3)
    ]
    assert "UserWarning: something is odd (3 times)" in str(latest().capture_report)


@pytest.mark.allow_swallowed
def test_a_model_that_cannot_be_pickled_is_named_in_the_report(logged):
    with pytest.warns(UserWarning, match="odd"):
        Warns(lock=True).fit(X, y)
    run = latest()
    (note,) = run.capture_report.skipped
    assert note.subject == "model"
    assert "lock_" in note.message
    assert run.status == "FINISHED"
    assert run.to_dict()["capture_report"]["skipped"] == [{"subject": "model", "message": note.message, "count": 1}]


def test_what_was_captured_is_counted(logged):
    LogisticRegression(max_iter=300).fit(iris_X, iris_y)
    captured = latest().capture_report.captured
    assert captured["params"] == len(LogisticRegression().get_params())
    assert captured["datasets"] == ("iris_X (train)",)
    assert captured["models"] == ("model",)


def test_an_integration_for_an_older_library_stays_off_and_every_run_says_so(store, monkeypatch):
    monkeypatch.setattr(sklearn, "__version__", "1.2.2")
    autotrack.autolog(store=store)
    model = LogisticRegression(max_iter=300).fit(iris_X, iris_y)
    assert model.score(iris_X, iris_y) > 0.9
    with autotrack.start_run("by hand"):
        pass
    assert list(autotrack.search_runs()["run_name"]) == ["by hand"]
    (note,) = latest().capture_report.skipped
    assert (note.subject, "1.2.2" in note.message, "1.5" in note.message) == ("sklearn", True, True)


def test_the_fits_inside_are_a_tree_with_times(logged):
    make_pipeline(StandardScaler(), StackingClassifier([("svc", SVC())], LogisticRegression(), cv=2)).fit(X, y)
    run = latest()
    trace = trace_of(run)
    assert names(trace)["Pipeline"][0] == {"StandardScaler": []}
    assert names(trace)["Pipeline"][1]["StackingClassifier"].count({"SVC": []}) >= 3
    assert any("LogisticRegression" in child for child in names(trace)["Pipeline"][1]["StackingClassifier"])
    assert trace["seconds"] >= sum(child["seconds"] for child in trace["children"])
    assert run.metrics["fit_seconds.standardscaler"] == pytest.approx(trace["children"][0]["seconds"], abs=1e-5)
    assert run.metrics["fit_seconds.stackingclassifier"] < run.metrics["fit_seconds"]


def test_a_plain_fit_has_no_tree(logged):
    SVC().fit(iris_X, iris_y)
    assert "fit_trace.json" not in latest().artifacts


@pytest.mark.parametrize("backend", ["sequential", "threading"])
def test_fits_on_other_threads_stand_in_the_tree(logged, backend):
    search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [0.1, 1, 10]}, cv=2)
    with joblib.parallel_backend(backend, n_jobs=2):
        search.fit(iris_X, iris_y)
    found = names(trace_of(latest()))
    assert found == {"GridSearchCV": [{"Pipeline": [{"StandardScaler": []}, {"SVC": []}]}] * 7}


def test_a_tree_is_capped_and_says_so(logged):
    class Many(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            for _ in range(1_100):
                Empty().fit(X, y)
            return self

        def predict(self, X):
            return np.zeros(len(X))

    class Empty(BaseEstimator):
        def fit(self, X, y):
            return self

    Many().fit(iris_X, iris_y)
    trace = trace_of(latest())
    assert len(trace["children"]) == 999
    assert trace["left_out"] == 101


def test_a_method_of_the_same_estimator_is_no_fit_inside(logged):
    class Base(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.mean_ = float(np.mean(y))
            return self

        def predict(self, X):
            return np.full(len(X), self.mean_)

    class Heir(Base):
        def fit(self, X, y):
            return super().fit(X, y)

    Heir().fit(iris_X, iris_y)
    run = latest()
    assert run.name == "Heir"
    assert "fit_trace.json" not in run.artifacts


def test_learning_curves_that_the_estimator_kept_are_metrics_with_steps(logged):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp = MLPClassifier((3,), max_iter=7, early_stopping=True, n_iter_no_change=50).fit(X, y)
    run = latest()
    assert [point.value for point in run.metric_history("loss")] == mlp.loss_curve_
    assert [point.step for point in run.metric_history("validation_score")] == list(range(7))
    assert run.metrics["n_iter"] == 7
    boosted = GradientBoostingClassifier(n_estimators=12).fit(X, y)
    assert [point.value for point in latest().metric_history("train_score")] == list(boosted.train_score_)


def test_a_fit_that_stopped_at_its_limit_says_so_also_when_the_warning_is_not_shown(logged):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        LogisticRegression(max_iter=3).fit(X, y)
    (note,) = latest().capture_report.warnings
    assert note.message == "LogisticRegression stopped at its limit of 3 iterations"
    HistGradientBoostingClassifier(max_iter=5).fit(X, y)
    assert latest().notes == []


def test_a_failed_fit_keeps_its_warnings_and_its_tree(logged):
    class Fails(BaseEstimator):
        def fit(self, X, y):
            warnings.warn("about to fail", RuntimeWarning, stacklevel=2)
            SVC().fit(X, y)
            raise ValueError("as announced")

    with pytest.raises(ValueError, match="announced"), pytest.warns(RuntimeWarning):
        Fails().fit(iris_X, iris_y)
    run = latest()
    assert run.status == "FAILED"
    assert [note.message for note in run.capture_report.warnings] == ["about to fail"]
    assert names(trace_of(run)) == {"Fails": [{"SVC": []}]}


def test_sampled_rows_are_told(logged):
    autotrack.autolog(max_metric_rows=50)
    SVC().fit(iris_X, iris_y)
    (note,) = latest().capture_report.skipped
    assert note.message == "training metrics and plots are those of 50 of 150, evenly spaced (option max_metric_rows)"


def test_data_of_an_unknown_type_is_told(logged):
    class Text:
        def __init__(self, lines):
            self.lines = lines

        def __len__(self):
            return len(self.lines)

    class Reads(BaseEstimator):
        def fit(self, corpus, y=None):
            self.longest_ = max(map(len, corpus.lines))
            return self

    Reads().fit(Text(["a", "bc"]))
    run = latest()
    assert [note.subject for note in run.capture_report.skipped] == ["dataset"]
    assert "Text" in run.capture_report.skipped[0].message
    assert run.datasets[0].shape == (2,)
