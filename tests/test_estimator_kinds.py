"""Estimators and data of every kind make one right run, and lose nothing by it."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn import metrics as sk
from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin, RegressorMixin, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.ensemble import (
    BaggingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import autotrack

X, y = load_iris(return_X_y=True)
binary = (y > 0).astype(int)
names = np.array(["setosa", "versicolor", "virginica"])[y]
frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
label_X, label_Y = make_multilabel_classification(60, 5, n_classes=3, random_state=0)
target = X[:, :2] + 0.1

LOGISTIC = LogisticRegression(max_iter=500)
WEIGHTED = {"average": "weighted", "zero_division": 0}


def run():
    """The only run there is."""
    autotrack.flush()
    assert len(autotrack.search_runs()) == 1
    found = autotrack.get_run("latest")
    assert found.status == "FINISHED"
    return found


def training(found):
    return {
        name.removeprefix("training_"): value for name, value in found.metrics.items() if name.startswith("training_")
    }


def skipped(found):
    return [note.subject for note in found.notes if note.kind == "skipped"]


META = {
    "a pipeline": (make_pipeline(StandardScaler(), LOGISTIC), y),
    "a column transformer in a pipeline": (
        make_pipeline(make_column_transformer((StandardScaler(), [0, 1]), remainder="passthrough"), LOGISTIC), y,
    ),
    "stacking": (StackingClassifier([("a", LOGISTIC), ("b", DecisionTreeClassifier(max_depth=2))], cv=2), y),
    "stacking of regressors": (StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=2))]), X[:, 0]),
    "voting": (VotingClassifier([("a", LOGISTIC), ("b", DecisionTreeClassifier(max_depth=2))], voting="soft"), y),
    "hard voting": (VotingClassifier([("a", LOGISTIC), ("b", DecisionTreeClassifier(max_depth=2))]), y),
    "voting of regressors": (VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=2))]), X[:, 0]),
    "bagging": (BaggingClassifier(LOGISTIC, 3, random_state=0), y),
    "bagging of neighbours": (BaggingClassifier(KNeighborsClassifier(), 3, random_state=0), y),
    "calibration": (CalibratedClassifierCV(SVC(), cv=2), y),
    "self-training": (SelfTrainingClassifier(LOGISTIC), np.where(np.arange(len(y)) % 3, binary, -1)),
    "two outputs": (MultiOutputRegressor(Ridge()), target),
    "a chain of regressors": (RegressorChain(Ridge()), target),
}  # fmt: skip


@pytest.mark.parametrize("name", META)
def test_a_meta_estimator_is_one_run_with_the_metrics_of_the_whole(name, logged):
    estimator, target = META[name]
    model = clone(estimator).fit(X, target)
    found = run()
    assert found.tags["estimator_name"] == type(estimator).__name__
    scores = training(found)
    with autotrack.disabled():
        predicted = model.predict(X)
        assert scores["score"] == pytest.approx(model.score(X, target))
        if hasattr(model, "classes_"):
            assert scores["f1_score"] == pytest.approx(sk.f1_score(target, predicted, **WEIGHTED))
            assert ("log_loss" in scores) == (hasattr(model, "predict_proba") and name != "self-training")
        else:
            assert scores["r2_score"] == pytest.approx(sk.r2_score(target, predicted))
    assert found.params
    assert found.models
    assert not skipped(found)


def test_a_tuned_threshold(logged):
    tuned = pytest.importorskip("sklearn.model_selection").TunedThresholdClassifierCV(LOGISTIC, cv=2, thresholds=5)
    tuned.fit(X, binary)
    scores = training(run())
    with autotrack.disabled():
        assert scores["accuracy_score"] == pytest.approx(sk.accuracy_score(binary, tuned.predict(X)))
    assert run().tags["positive_class"] == "1"


def test_a_frozen_estimator_is_told_from_the_one_inside(logged):
    frozen = pytest.importorskip("sklearn.frozen")
    with autotrack.disabled():
        inside = clone(LOGISTIC).fit(X, y)
    model = frozen.FrozenEstimator(inside).fit(X, y)
    assert model.estimator is inside
    assert run().tags["estimator_name"] == "FrozenEstimator"
    assert training(run())["accuracy_score"] == pytest.approx(inside.score(X, y))


@pytest.mark.parametrize("kind", ["chain", "one each", "forest", "sparse target"])
def test_label_matrices(logged, kind):
    model = {
        "chain": ClassifierChain(LOGISTIC),
        "one each": MultiOutputClassifier(LOGISTIC),
        "forest": RandomForestClassifier(5, random_state=0),
        "sparse target": OneVsRestClassifier(LOGISTIC),
    }[kind]
    Y = sparse.csr_matrix(label_Y) if kind == "sparse target" else label_Y
    model.fit(label_X, Y)
    found = run()
    scores = training(found)
    with autotrack.disabled():
        predicted = model.predict(label_X)
        predicted = predicted.toarray() if sparse.issparse(predicted) else predicted
        assert scores["accuracy_score"] == pytest.approx(sk.accuracy_score(label_Y, predicted))
        assert scores["precision_score"] == pytest.approx(sk.precision_score(label_Y, predicted, **WEIGHTED))
        if kind == "chain":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = sk.log_loss(label_Y, model.predict_proba(label_X))
            assert scores["log_loss"] == pytest.approx(expected)
            assert scores["score"] == pytest.approx(model.score(label_X, label_Y))
        probabilities = model.predict_proba(label_X)
        assert ("roc_auc" in scores) == (not isinstance(probabilities, list))
        if "roc_auc" in scores:
            expected = sk.roc_auc_score(label_Y, probabilities, average="weighted")
            assert scores["roc_auc"] == pytest.approx(expected)
    assert not skipped(found)


def test_several_outputs_of_several_classes_have_the_score_that_the_estimator_gives(logged):
    Y = np.column_stack([y, y[::-1]])
    model = MultiOutputClassifier(DecisionTreeClassifier(max_depth=2)).fit(X, Y)
    assert training(run()) == {"score": pytest.approx(model.score(X, Y))}


def test_several_outputs_of_an_estimator_that_cannot_score_them_cost_no_complaint(logged):
    RandomForestClassifier(3).fit(X, np.column_stack([y, y]))
    assert training(run()) == {}
    assert not skipped(run())


@pytest.mark.parametrize(
    "labels",
    [
        names,
        names.astype(object),
        names.tolist(),
        pd.Series(names, index=np.arange(len(y)) + 1_000),
        pd.Series(names, dtype="category"),
        pd.Series(names, dtype="string"),
        pd.DataFrame({"kind": names}),
        names.reshape(-1, 1),
        y.astype(float),
        y == 1,
        pd.Series(y, dtype="Int64"),
    ],
    ids=lambda labels: f"{type(labels).__name__}-{getattr(labels, 'dtype', '')}-{np.ndim(labels)}",
)
def test_labels_of_every_kind(logged, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = clone(LOGISTIC).fit(X, labels)
    found = run()
    scores = training(found)
    flat = np.asarray(labels).ravel()
    with autotrack.disabled():
        assert scores["accuracy_score"] == pytest.approx(float(np.mean(model.predict(X) == flat)))
        assert scores["log_loss"] == pytest.approx(sk.log_loss(flat, model.predict_proba(X)))
    assert "roc_auc" in scores
    assert not skipped(found)
    assert found.datasets[0].target["kind"]


def _as(kind):
    if kind == "polars":
        return pytest.importorskip("polars").DataFrame(dict(frame.items()) | {c: frame[c].to_numpy() for c in frame})
    if kind == "pyarrow":
        return pytest.importorskip("pyarrow").table({c: frame[c].to_numpy() for c in frame})
    made = {
        "array": X,
        "fortran": np.asfortranarray(X),
        "float32": X.astype(np.float32),
        "frame": frame,
        "frame of two types": frame.assign(d=frame["d"].round().astype(int)),
        "nullable frame": frame.astype("Float64"),
        "list": X.tolist(),
        "list of rows": list(X),
        "csr": sparse.csr_matrix(X),
        "csc array": sparse.csc_array(X),
        "coo": sparse.coo_matrix(X),
    }
    return made[kind]


KINDS = ["array", "fortran", "float32", "frame", "frame of two types", "nullable frame", "list", "list of rows", "csr",
         "csc array", "coo", "polars", "pyarrow"]  # fmt: skip


@pytest.mark.parametrize("limit", [None, 40], ids=["whole", "sampled"])
@pytest.mark.parametrize("kind", KINDS)
def test_data_of_every_kind(store, kind, limit):
    data = _as(kind)
    model = LogisticRegression(max_iter=500)
    try:
        model.fit(data, y)
    except (TypeError, ValueError) as error:
        pytest.skip(f"this scikit-learn does not fit on it: {error}")
    autotrack.autolog(store=store, **({} if limit is None else {"max_metric_rows": limit}))
    model.fit(data, y)
    with autotrack.disabled():
        every = slice(None) if limit is None else slice(None, None, 4)
        expected = float(np.mean(np.asarray(model.predict(data))[every] == y[every]))
    found = run()
    assert training(found)["accuracy_score"] == pytest.approx(expected)
    assert {*skipped(found)} - {"model signature"} == (set() if limit is None else {"rows"})
    (dataset,) = found.datasets
    assert dataset.digest
    assert dataset.shape[0] == len(y)
    if kind in ("polars", "pyarrow", "frame"):
        assert [column["name"] for column in dataset.columns] == ["a", "b", "c", "d"]


def test_texts_and_lists_of_them(logged):
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["the cat sat", "a dog ran", "the cat ran", "a dog sat"] * 3
    model = make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(texts, ["cat", "dog"] * 6)
    found = run()
    assert training(found)["accuracy_score"] == model.score(texts, ["cat", "dog"] * 6) == 1.0
    assert found.tags["positive_class"] == "dog"
    assert found.datasets[0].shape == (12,)


def test_categories_through_a_column_transformer(logged):
    data = pd.DataFrame({"colour": pd.Categorical(["red", "blue"] * 30), "n": np.arange(60.0)})
    data.loc[3, "n"] = np.nan
    from sklearn.impute import SimpleImputer

    make_pipeline(
        make_column_transformer((OneHotEncoder(), ["colour"]), (SimpleImputer(), ["n"])), LOGISTIC
    ).fit(data, data["colour"] == "red")  # fmt: skip
    (dataset,) = run().datasets
    assert [column["missing"] for column in dataset.columns] == [0, 1]
    assert training(run())["accuracy_score"] == 1.0


class Minimal(BaseEstimator):
    """The least that is an estimator: neither classifier nor regressor, no score, no predict."""

    def fit(self, X, y=None):
        self.n_ = len(X)
        return self


class Slots(RegressorMixin, BaseEstimator):
    """Without a dictionary of its own where Python allows it; its predictions change it."""

    __slots__ = ("calls", "mean_")

    def fit(self, X, y):
        self.mean_, self.calls = float(np.mean(y)), 0
        return self

    def predict(self, X):
        self.calls += 1
        return np.full(len(X), self.mean_)

    def __getstate__(self):
        return {"mean_": self.mean_, "calls": self.calls}

    def __setstate__(self, state):
        for name, value in state.items():
            setattr(self, name, value)


class Delegates(BaseEstimator):
    """Has of its inner estimator whatever it has not itself."""

    def __init__(self, inner=None):
        self.inner = inner

    def fit(self, X, y):
        self.inner.fit(X, y)
        return self

    def __getattr__(self, name):
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)


class OddErrors(RegressorMixin, BaseEstimator):
    """Raises anything but AttributeError for what it has not."""

    def fit(self, X, y):
        vars(self)["mean_"] = float(np.mean(y))
        return self

    def predict(self, X):
        return np.full(len(X), vars(self)["mean_"])

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise KeyError(f"no {name} here")


class OddParams(RegressorMixin, BaseEstimator):
    def __init__(self, what="raise"):
        self.what = what

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def get_params(self, deep=True):
        if self.what == "raise":
            raise RuntimeError("no params today")
        return {"none": None, "list": [None, "ok"], "dict": {1: 2, "keys": [1]}.__class__, 5: "a number as a key"}


class Unprintable(RegressorMixin, BaseEstimator):
    def __init__(self, inner=None):
        self.inner = inner

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def __repr__(self, *args, **kwargs):
        raise ZeroDivisionError("unprintable")


class ScoresOtherwise(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def score(self, X, y, threshold):
        return threshold


class Lists(ClassifierMixin, BaseEstimator):
    """Predicts lists, and keeps its classes as one."""

    def fit(self, X, y):
        self.classes_ = sorted(set(y))
        return self

    def predict(self, X):
        return [self.classes_[0]] * len(X)


def test_the_least_estimator(logged):
    assert Minimal().fit(X).n_ == len(X)
    assert training(run()) == {}
    assert not skipped(run())


def test_an_estimator_with_slots_is_as_its_own_fit_left_it(logged):
    model = Slots().fit(X, X[:, 0])
    assert model.calls == 0
    assert training(run())["r2_score"] == pytest.approx(0.0)


def test_an_estimator_that_delegates_is_one_run_with_the_metrics_of_the_inner_one(logged):
    model = Delegates(LogisticRegression(max_iter=500)).fit(X, y)
    found = run()
    assert found.tags["estimator_name"] == "Delegates"
    assert training(found)["score"] == pytest.approx(model.inner.score(X, y))


def test_an_estimator_that_raises_odd_errors_for_what_it_has_not(logged):
    with autotrack.disabled():
        bare = OddErrors().fit(X, y)
    model = OddErrors().fit(X, y)
    assert vars(model) == vars(bare)
    found = run()
    assert found.tags["estimator_name"] == "OddErrors"
    assert training(found)["r2_score"] == pytest.approx(0.0)
    assert found.models


@pytest.mark.allow_swallowed  # what could not be read is said
def test_params_that_cannot_be_read_cost_only_themselves(logged):
    OddParams().fit(X, y)
    found = run()
    assert found.params == {}
    assert "params" in skipped(found)
    assert "training_mean_squared_error" in found.metrics


def test_odd_params_are_kept_as_text(logged):
    OddParams("odd").fit(X, y)
    assert run().params == {"none": "None", "list": "[None, 'ok']", "dict": "<class 'dict'>", "5": "a number as a key"}


def test_what_cannot_be_printed_costs_nothing_else(logged):
    Unprintable(Unprintable()).fit(X, y)
    found = run()
    assert "cannot be printed" in found.params["inner"]
    assert "training_r2_score" in found.metrics


def test_a_score_that_needs_more_than_data_is_not_called(logged):
    ScoresOtherwise().fit(X, y)
    found = run()
    assert training(found)["accuracy_score"] == pytest.approx(1 / 3)
    assert "score" not in training(found)
    assert [note.message for note in found.notes if note.subject == "training_score"]


def test_predictions_and_classes_that_are_lists(logged):
    Lists().fit(X, names)
    assert training(run())["accuracy_score"] == pytest.approx(1 / 3)
    assert training(run())["score"] == training(run())["accuracy_score"]


def test_a_decorated_fit_is_seen_with_its_arguments(logged):
    def checked(function):
        @functools.wraps(function)
        def fit(self, *args, **kwargs):
            return function(self, *args, **kwargs)

        return fit

    class Decorated(RegressorMixin, BaseEstimator):
        @checked
        def fit(self, X, y, sample_weight=None):
            self.mean_ = float(np.average(y, weights=sample_weight))
            return self

        def predict(self, X):
            return np.full(len(X), self.mean_)

    weight = np.arange(len(y), dtype=float)
    model = Decorated().fit(X, X[:, 0], weight)
    with autotrack.disabled():
        expected = sk.mean_squared_error(X[:, 0], model.predict(X), sample_weight=weight)
    assert run().metrics["training_mean_squared_error"] == pytest.approx(expected)


def test_a_fit_that_hides_its_parameters_is_seen_with_its_arguments_all_the_same(logged):
    def checked(function):
        def fit(*args, **kwargs):
            return function(*args, **kwargs)

        return fit

    class Hidden(RegressorMixin, BaseEstimator):
        @checked
        def fit(self, X, y):
            self.mean_ = float(np.mean(y))
            return self

        def predict(self, X):
            return np.full(len(X), self.mean_)

    Hidden().fit(X, X[:, 0])
    assert run().datasets[0].shape == X.shape
    assert training(run())["r2_score"] == pytest.approx(0.0)


@pytest.mark.parametrize("given", ["keyword", "position", "everything by keyword"])
def test_weights_count_however_they_are_passed(logged, given):
    weight = np.linspace(0.1, 2, len(y))
    model = LogisticRegression(max_iter=500)
    if given == "keyword":
        model.fit(X, y, sample_weight=weight)
    elif given == "position":
        model.fit(X, y, weight)
    else:
        model.fit(y=y, sample_weight=weight, X=X)
    scores = training(run())
    with autotrack.disabled():
        predicted = model.predict(X)
        assert scores["accuracy_score"] == pytest.approx(sk.accuracy_score(y, predicted, sample_weight=weight))
        assert scores["f1_score"] == pytest.approx(sk.f1_score(y, predicted, sample_weight=weight, **WEIGHTED))
    assert "roc_auc" not in scores


def test_groups_reach_the_search(logged):
    from sklearn.model_selection import GroupKFold

    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1]}, cv=GroupKFold(3)).fit(X, X[:, 0], groups=np.arange(len(y)) % 3)
    assert search.best_score_
    autotrack.flush()
    assert "GridSearchCV(Ridge)" in list(autotrack.search_runs()["run_name"])


def test_metadata_routing_goes_its_ways_and_is_recorded(store):
    weight = np.linspace(0.1, 2, len(y))

    def fit():
        pipeline = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=True),
            SGDClassifier(random_state=0).set_fit_request(sample_weight=True).set_score_request(sample_weight=True),
        )
        whole = clone(pipeline).fit(X, y, sample_weight=weight)
        scorer = sk.make_scorer(sk.accuracy_score).set_score_request(sample_weight=True)
        search = GridSearchCV(pipeline, {"sgdclassifier__alpha": [1e-4, 1e-2]}, cv=3, scoring=scorer)
        search.fit(X, y, sample_weight=weight)
        return whole.predict(X), search.predict(X), search.best_score_

    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        bare = fit()
        autotrack.autolog(store=store, max_tuning_runs=0)
        observed = fit()
    for one, other in zip(bare, observed, strict=True):
        assert np.array_equal(one, other)
    autotrack.flush()
    assert list(autotrack.search_runs()["run_name"]) == [
        "GridSearchCV(Pipeline(SGDClassifier))",
        "Pipeline(SGDClassifier)",
    ]
    found = autotrack.get_run("Pipeline(SGDClassifier)")
    assert training(found)["accuracy_score"] == pytest.approx(sk.accuracy_score(y, bare[0], sample_weight=weight))


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_set_output(store, kind):
    pytest.importorskip(kind)

    def fit():
        pipeline = make_pipeline(StandardScaler(), clone(LOGISTIC)).set_output(transform=kind)
        pipeline.fit(frame, y)
        return pipeline, pipeline[:-1].transform(frame)

    bare, shown = fit()
    autotrack.autolog(store=store)
    model, again = fit()
    assert type(again) is type(shown)
    assert again.equals(shown)
    assert np.array_equal(model.named_steps["logisticregression"].coef_, bare.named_steps["logisticregression"].coef_)
    assert training(run())["accuracy_score"] == pytest.approx(model.score(frame, y))
    assert not skipped(run())


def test_arrays_of_another_library(script):
    pytest.importorskip("array_api_strict")
    pytest.importorskip("array_api_compat")
    done = script(
        """
        import array_api_strict as xp
        import sklearn
        from sklearn.datasets import load_iris
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
        import autotrack
        from autotrack.capture import guard

        X, y = load_iris(return_X_y=True)
        guard.on_error.append(lambda doing, error: print("swallowed:", doing, repr(error)))
        with sklearn.config_context(array_api_dispatch=True):
            X, y = xp.asarray(X), xp.asarray(y)
            LinearDiscriminantAnalysis().fit(X, y)
            autotrack.autolog(store="store")
            model = LinearDiscriminantAnalysis().fit(X, y)
            accuracy = model.score(X, y)
        autotrack.flush()
        run = autotrack.get_run("latest")
        assert run.datasets[0].digest and run.datasets[0].shape == (150, 4)
        assert abs(run.metrics["training_accuracy_score"] - accuracy) < 1e-12
        """,
        env={"SCIPY_ARRAY_API": "1"},
        check=False,
    )
    if "array_api" in done.stderr and "autotrack" not in done.stderr:
        pytest.skip(f"this scikit-learn does not fit on it: {done.stderr[-200:]}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_third_partys_transformer_with_a_prediction_is_a_model_and_one_without_is_not(logged):
    class OnlyTransforms(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return X

    class Clusters(ClusterMixin, TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            self.labels_ = (np.asarray(X)[:, 0] > 5.8).astype(int)
            return self

        def transform(self, X):
            return X

    OnlyTransforms().fit(X)
    Clusters().fit(X)
    found = run()
    assert found.name == "Clusters"
    assert training(found)["n_clusters"] == 2
    assert training(found)["silhouette_score"] == pytest.approx(sk.silhouette_score(X, (X[:, 0] > 5.8).astype(int)))


def test_a_failing_fit_of_any_kind_is_told_and_raised(logged):
    with pytest.raises(ValueError, match="NaN"):
        make_pipeline(StandardScaler(), KMeans(2)).fit(np.full((5, 2), np.nan))
    autotrack.flush()
    assert autotrack.get_run("latest").status == "FAILED"
