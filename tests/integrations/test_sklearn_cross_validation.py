"""Evaluation without a fit of one's own: one run per call, with what it measured, and nothing of the user's changed."""

from __future__ import annotations

import csv
import io
import json
import warnings

import joblib
import numpy as np
import pytest
import sklearn
from sklearn import inspection, model_selection
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    train_test_split,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import autotrack
from autotrack.plots.files import from_json

X, y = load_iris(return_X_y=True)
groups = np.arange(len(X)) % 4
model = LogisticRegression(max_iter=500)


class Moody(ClassifierMixin, BaseEstimator):
    """Refuses data whose first row is not the first of all."""

    def fit(self, X, y):
        if X[0, 0] != 5.1:
            raise ArithmeticError("not in the mood")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def runs():
    return autotrack.search_runs()


def names(found):
    return [autotrack.get_run(run_id).name for run_id in found["run_id"]]


def history(run, key):
    return [point.value for point in run.metric_history(key)]


def table(run, path):
    return list(csv.DictReader(io.StringIO(run.artifact_path(path).read_text())))


def plot(run, name):
    return from_json(run.artifact_path(f"plots/{name}.json").read_text())[name]


def test_cross_val_score_is_one_run_with_a_step_per_fold(logged):
    scores = cross_val_score(model, X, y, cv=4)
    run = autotrack.get_run("latest")
    assert len(runs()) == 1
    assert (run.name, run.status, run.models) == ("cross_val_score(LogisticRegression)", "FINISHED", [])
    assert run.params["max_iter"] == "500"
    assert history(run, "test_score") == scores.tolist()
    assert [point.step for point in run.metric_history("test_score")] == [0, 1, 2, 3]
    assert run.metrics["mean_test_score"] == scores.mean()
    assert run.metrics["std_test_score"] == scores.std()
    assert len(history(run, "fit_time")) == 4
    assert run.tags | {"cv": "StratifiedKFold(n_splits=4)", "n_splits": "4", "scoring": "accuracy_score"} == run.tags
    assert run.tags["evaluation"] == "cross_val_score"
    assert run.tags["estimator_class"] == "sklearn.linear_model._logistic.LogisticRegression"
    assert [(data.name, data.context, data.target["name"]) for data in run.datasets] == [("X", "train", "y")]
    trace = json.loads(run.artifact_path("fit_trace.json").read_text())
    assert (trace["estimator"], trace["method"]) == ("LogisticRegression", "cross_val_score")
    assert len(trace["children"]) == 4


@pytest.mark.parametrize("call", ["keyword", "module", "early"])
def test_however_it_is_called(logged, call):
    if call == "keyword":
        cross_val_score(estimator=model, X=X, y=y, scoring="accuracy", cv=3)
    elif call == "module":
        model_selection.cross_val_score(model, X, y, scoring="accuracy", cv=3)
    else:
        assert type(cross_val_score).__name__ == "FunctionWrapper"  # bound anew in this module, which had it before
        cross_val_score(model, X, y, scoring="accuracy", cv=3)
    run = autotrack.get_run("latest")
    assert run.datasets[0].name == "X"
    assert run.tags["n_splits"] == "3"
    assert run.tags["scoring"] == "accuracy"


def test_cross_validate_keeps_every_scorer_and_times(logged):
    scoring = {"acc": "accuracy", "f1": make_scorer(f1_score, average="macro")}
    result = cross_validate(
        model, X, y, scoring=scoring, cv=3, return_train_score=True, return_estimator=True, return_indices=True
    )
    run = autotrack.get_run("latest")
    for key in ("test_acc", "test_f1", "train_acc", "train_f1", "fit_time", "score_time"):
        assert history(run, key) == result[key].tolist()
        assert run.metrics[f"mean_{key}"] == pytest.approx(result[key].mean())
    assert run.tags["scoring"] == "acc, f1"
    assert run.tags["return_estimator"] == "True"
    assert not any("estimator" in key or "indices" in key for key in run.metrics)
    assert len(runs()) == 1


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_parallel_folds_are_no_runs(logged, backend):
    with joblib.parallel_config(backend=backend):
        scores = cross_val_score(SVC(), X, y, cv=3, n_jobs=2)
    run = autotrack.get_run("latest")
    assert len(runs()) == 1
    assert history(run, "test_score") == scores.tolist()


def test_a_generator_of_splits_is_left_to_the_function(logged):
    def splits():
        yield from KFold(3, shuffle=True, random_state=0).split(X)

    scores = cross_val_score(model, X, y, cv=splits())
    assert np.array_equal(scores, cross_val_score(model, X, y, cv=list(splits())))
    listed, generated = (autotrack.get_run(run_id) for run_id in runs()["run_id"])
    assert generated.tags["cv"] == "<generator>"
    assert listed.tags["cv"] == "<list of 3>"
    assert generated.tags["n_splits"] == listed.tags["n_splits"] == "3"


def test_splitter_groups_and_scoring_are_told(logged):
    def worst(estimator, X, y):
        return float(np.min(estimator.predict_proba(X)))

    cross_val_score(model, X, y, groups=groups, cv=GroupKFold(4), scoring=worst)
    run = autotrack.get_run("latest")
    assert run.tags["cv"].startswith("GroupKFold(n_splits=4")
    assert run.tags["groups"] == "groups"
    assert run.tags["scoring"] == "worst"
    cross_val_predict(model, X, y, groups=groups, cv=LeaveOneGroupOut(), n_jobs=1)
    assert autotrack.get_run("latest").tags["n_splits"] == "4"
    cross_val_score(Ridge(), X, y)
    run = autotrack.get_run("latest")
    assert (run.tags["cv"], run.tags["scoring"]) == ("KFold(n_splits=5)", "r2_score")


def test_folds_that_fail_are_kept_with_the_reason(logged):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = cross_val_score(Moody(), X, y, cv=KFold(3))
    assert np.isnan(scores).tolist() == [True, False, False]
    run = autotrack.get_run("latest")
    assert run.status == "FINISHED"
    assert np.isnan(run.metric_history("test_score")[0].value)
    notes = [note for note in run.notes if note.subject == "failed folds"]
    assert [note.message for note in notes] == ["1 of 3 test scores are not a number: ArithmeticError: not in the mood"]


def test_the_warning_of_failed_folds_reaches_user_and_run(logged):
    with pytest.warns(sklearn.exceptions.FitFailedWarning):
        cross_val_score(Moody(), X, y, cv=KFold(3))
    assert "FitFailedWarning" in {note.subject for note in autotrack.get_run("latest").notes}


def test_a_call_that_raises_is_a_failed_run(logged):
    with pytest.raises(ArithmeticError, match="not in the mood"):
        cross_val_score(Moody(), X, y, cv=KFold(3), error_score="raise")
    run = autotrack.get_run("latest")
    assert run.status == "FAILED"
    assert "not in the mood" in run.error
    with pytest.raises(TypeError):
        cross_val_score()
    with pytest.raises(ValueError, match="scoring"):
        cross_val_score(model, X, y, scoring="no such thing")
    assert len(runs()) == 2


def test_params_are_shallow_for_a_search_and_deep_else(logged):
    search = GridSearchCV(SVC(), {"C": [1, 10]}, cv=2)
    cross_val_score(search, X, y, cv=2)
    run = autotrack.get_run("latest")
    assert run.name == "cross_val_score(GridSearchCV(SVC))"
    assert "estimator__C" not in run.params
    assert run.params["param_grid"] == "{'C': [1, 10]}"
    assert len(runs()) == 1


def test_metrics_of_out_of_fold_predictions_join_the_run(logged):
    predicted = cross_val_predict(model, X, y, cv=4)
    value = accuracy_score(y, predicted)
    run = autotrack.get_run("latest")
    assert len(runs()) == 1
    assert run.metrics["accuracy_score_X"] == value
    probabilities = cross_val_predict(model, X, y, cv=4, method="predict_proba")
    accuracy_score(y, probabilities.argmax(axis=1))  # not the prediction itself
    f1_score(y, predicted, average="macro")
    assert {"accuracy_score_X", "f1_score_X"} <= autotrack.get_run(run.run_id).metrics.keys()
    assert autotrack.get_run("latest").tags["method"] == "predict_proba"


def test_learning_curve(logged):
    sizes, train, test = learning_curve(model, X, y, train_sizes=[0.3, 0.6, 1.0], cv=3, shuffle=True, random_state=0)
    run = autotrack.get_run("latest")
    points = run.metric_history("mean_test_score")
    assert [point.step for point in points] == sizes.tolist()
    assert [point.value for point in points] == test.mean(axis=1).tolist()
    assert history(run, "std_train_score") == train.std(axis=1).tolist()
    rows = table(run, "scores.csv")
    assert len(rows) == 9
    assert [float(row["test_score"]) for row in rows] == test.ravel().tolist()
    drawn = plot(run, "learning_curve")
    assert drawn["kind"] == "learning_curve"
    assert [line["name"] for line in drawn["series"]] == ["training", "validation"]
    assert drawn["series"][0]["x"] == sizes.tolist()


def test_learning_curve_with_times_and_partial_fit(logged):
    sizes, _, _, seconds, _ = learning_curve(
        SGDClassifier(), X, y, cv=3, shuffle=True, exploit_incremental_learning=True, return_times=True
    )
    run = autotrack.get_run("latest")
    assert len(runs()) == 1
    assert history(run, "mean_fit_time") == pytest.approx(seconds.mean(axis=1))
    assert len(sizes) == 5


def test_validation_curve(logged):
    values = np.logspace(-3, 2, 6)
    _, test = validation_curve(SVC(), X, y, param_name="C", param_range=values, cv=3)
    run = autotrack.get_run("latest")
    assert run.tags["param_name"] == "C"
    assert json.loads(run.tags["param_range"]) == pytest.approx(values.tolist())
    assert history(run, "mean_test_score") == test.mean(axis=1).tolist()
    assert [point.step for point in run.metric_history("mean_test_score")] == list(range(6))
    drawn = plot(run, "validation_curve")
    assert drawn["log"] is True
    assert drawn["xlabel"] == "C"
    validation_curve(SVC(), X, y, param_name="kernel", param_range=["rbf", "linear"], cv=2)
    run = autotrack.get_run("latest")
    assert plot(run, "validation_curve")["series"][0]["x"] == ["rbf", "linear"]
    assert {row["kernel"] for row in table(run, "scores.csv")} == {"rbf", "linear"}


def test_permutation_test_score(logged):
    score, scores, pvalue = permutation_test_score(model, X, y, n_permutations=8, cv=2, random_state=3)
    run = autotrack.get_run("latest")
    assert (run.metrics["score"], run.metrics["pvalue"]) == (score, pvalue)
    assert run.metrics["mean_permutation_score"] == scores.mean()
    assert run.tags["n_permutations"] == "8"
    drawn = plot(run, "permutation_test_score")
    assert drawn["kind"] == "bars"
    assert sum(drawn["values"]) == 8


def test_permutation_importance_names_the_model_and_shows_up_there(logged):
    frame, target = load_iris(return_X_y=True, as_frame=True)
    fitted = SVC().fit(frame, target)
    first = autotrack.get_run("latest")
    result = inspection.permutation_importance(fitted, frame, target, n_repeats=3, random_state=0)
    run = autotrack.get_run("latest")
    assert run.name == "permutation_importance(SVC)"
    assert run.tags["model_run_id"] == first.run_id
    assert [run.metrics[f"importance_{name}"] for name in frame.columns] == result.importances_mean.tolist()
    assert [row["feature"] for row in table(run, "importances.csv")] == list(frame.columns)
    drawn = plot(run, "permutation_importance")
    assert drawn["kind"] == "feature_importances"
    assert max(drawn["values"]) == pytest.approx(result.importances_mean.max(), rel=1e-5)
    assert "plots/permutation_importance_frame.json" in autotrack.get_run(first.run_id).artifacts
    assert autotrack.get_run(first.run_id).metrics.keys() == first.metrics.keys()


def test_permutation_importance_of_several_scorers_and_of_a_model_not_known(logged):
    with autotrack.disabled():
        fitted = SVC().fit(X, y)
    inspection.permutation_importance(fitted, X, y, scoring=["accuracy", "f1_macro"], n_repeats=2)
    run = autotrack.get_run("latest")
    assert "model_run_id" not in run.tags
    assert {"importance_accuracy_x0", "importance_f1_macro_x3"} <= run.metrics.keys()
    assert {row["scorer"] for row in table(run, "importances.csv")} == {"accuracy", "f1_macro"}


def test_plots_can_be_left_out(store):
    autotrack.autolog(store=store, log_plots=False, log_datasets=False)
    validation_curve(SVC(), X, y, param_name="C", param_range=[1, 2], cv=2)
    run = autotrack.get_run("latest")
    assert run.artifacts == ["fit_trace.json", "scores.csv"]
    assert run.datasets == []


def test_inside_an_active_run_the_first_call_writes_to_it_and_others_are_children(logged):
    with autotrack.start_run("mine") as mine:
        cross_val_score(model, X, y, cv=3)
        cross_val_score(SVC(), X, y, cv=3)
        SVC().fit(X, y)
    run = autotrack.get_run(mine.run_id)
    assert run.tags["evaluation"] == "cross_val_score"
    assert "mean_test_score" in run.metrics
    assert {child.name for child in run.children} == {"cross_val_score(SVC)", "SVC"}
    with autotrack.start_run("failing") as failing, pytest.raises(ArithmeticError):
        cross_val_score(Moody(), X, y, cv=KFold(3), error_score="raise")
    run = autotrack.get_run(failing.run_id)
    assert run.status == "FINISHED"
    assert run.tags["fit_error"] == "ArithmeticError: not in the mood"


def test_exclusive_leaves_runs_opened_by_hand_alone(store):
    autotrack.autolog(store=store, exclusive=True)
    with autotrack.start_run("mine"):
        cross_val_score(model, X, y, cv=3)
    assert names(runs()) == ["mine"]
    assert autotrack.get_run("latest").metrics == {}
    cross_val_score(model, X, y, cv=3)
    assert len(runs()) == 2


def test_nothing_inside_a_fit_or_while_disabled(logged):
    class Careful(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.score_ = cross_val_score(SVC(), X, y, cv=2).mean()
            self.model_ = SVC().fit(X, y)
            self.classes_ = self.model_.classes_
            return self

        def predict(self, X):
            return self.model_.predict(X)

    Careful().fit(X, y)
    assert names(runs()) == ["Careful"]
    with autotrack.disabled():
        cross_val_score(SVC(), X, y, cv=2)
    assert len(runs()) == 1


def test_an_estimator_that_only_prepares_makes_a_run_too(logged):
    cross_val_score(StandardScaler(), X, y, cv=2, scoring=lambda estimator, X, y: float(estimator.mean_[0]))
    assert autotrack.get_run("latest").name == "cross_val_score(StandardScaler)"


def test_metadata_is_routed_and_named(logged):
    weights = np.ones(len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        routed = (
            LogisticRegression(max_iter=500).set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        )
        scores = cross_val_score(routed, X, y, params={"sample_weight": weights}, cv=3)
    assert scores.tolist() == cross_val_score(model, X, y, cv=3).tolist()
    first = autotrack.get_run(runs()["run_id"].iloc[1])
    assert first.tags["params"] == "sample_weight"


def test_results_and_random_states_are_those_of_the_bare_call(store):
    def everything():
        np.random.seed(7)
        cv = StratifiedKFold(3, shuffle=True)
        found = [
            cross_val_score(SGDClassifier(), X, y, cv=cv),
            cross_validate(DummyClassifier(strategy="uniform"), X, y, cv=cv)["test_score"],
            cross_val_predict(SGDClassifier(), X, y, cv=cv),
            *learning_curve(SGDClassifier(), X, y, cv=cv, shuffle=True),
            *permutation_test_score(SGDClassifier(), X, y, cv=cv, n_permutations=3, random_state=None),
            inspection.permutation_importance(model.fit(X, y), X, y).importances,
        ]
        return [np.asarray(value).tolist() for value in [*found, np.random.rand(3)]]

    bare = everything()
    autotrack.autolog(store=store)
    assert everything() == bare


def test_a_transformer_that_saw_all_folds_is_a_finding(logged):
    scaled = StandardScaler().fit_transform(X)
    cross_val_score(model, scaled, y, cv=3)
    run = autotrack.get_run("latest")
    assert run.tags["preprocessing"] == "StandardScaler"
    (finding,) = run.capture_report.checks
    assert "StandardScaler was fitted on X (150 rows), which includes the test rows of each fold" in finding.message
    cross_val_score(make_pipeline(StandardScaler(), model), X, y, cv=3)
    assert autotrack.get_run("latest").capture_report.checks == ()
    train, _ = train_test_split(X, random_state=0)
    scaler = StandardScaler().fit(X[:3].copy())
    cross_val_predict(model, scaler.transform(train), y[: len(train)], cv=3)
    assert autotrack.get_run("latest").capture_report.checks == ()
    inspection.permutation_importance(model.fit(scaled, y), scaled, y)
    assert autotrack.get_run("latest").capture_report.checks == ()
