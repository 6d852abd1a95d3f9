"""The user's program computes the same, bit for bit, with autologging and without."""

from __future__ import annotations

import copy
import hashlib
import inspect
import pickle
import random
import warnings
from multiprocessing import get_context

import cloudpickle
import joblib
import numpy as np
import pytest
import sklearn.metrics
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score, f1_score, make_scorer, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import autotrack

iris_X, iris_y = load_iris(return_X_y=True)
cancer_X, cancer_y = load_breast_cancer(return_X_y=True, as_frame=True)
sugar_X, sugar_y = load_diabetes(return_X_y=True, as_frame=True)

captured_before = r2_score
scorer_before = make_scorer(r2_score)


class CountsItsCalls(RegressorMixin, BaseEstimator):
    """An estimator of the user's with state that predicting changes."""

    def fit(self, X, y):
        self.mean_ = float(np.mean(y))
        self.predicted_ = 0
        return self

    def predict(self, X):
        self.predicted_ += 1
        self.last_ = len(X)
        return np.full(len(X), self.mean_)


ESTIMATORS = {
    "logistic": (lambda: LogisticRegression(max_iter=300), iris_X, iris_y),
    "elastic net on a frame": (lambda: ElasticNet(alpha=0.05), sugar_X, sugar_y),
    "forest drawing from the global state": (lambda: RandomForestClassifier(10), iris_X, iris_y),
    "forest with a generator": (lambda: RandomForestClassifier(5, random_state=np.random.RandomState(3)), iris_X, iris_y),  # noqa: E501
    "dummy that draws when predicting": (lambda: DummyClassifier(strategy="stratified"), iris_X, iris_y),
    "dummy with a generator": (
        lambda: DummyClassifier(strategy="uniform", random_state=np.random.RandomState(5)), iris_X, iris_y,
    ),
    "sgd": (lambda: SGDClassifier(max_iter=50, tol=None), iris_X, iris_y),
    "mlp": (lambda: MLPClassifier((5,), max_iter=20), iris_X, iris_y),
    "pipeline on a frame": (
        lambda: make_pipeline(
            make_column_transformer((StandardScaler(), list(cancer_X.columns[:5])), remainder="passthrough"),
            LogisticRegression(max_iter=50),
        ), cancer_X, cancer_y,
    ),
    "k-means": (lambda: KMeans(3, n_init=2), iris_X, None),
    "the user's own": (CountsItsCalls, sugar_X, sugar_y),
    "search": (lambda: GridSearchCV(SVC(), {"C": [0.1, 1]}, cv=3), iris_X, iris_y),
}  # fmt: skip


def _run(make, X, y):
    """Everything that a fit and a prediction leave behind, as bytes and text."""
    random.seed(1)
    np.random.seed(1)
    before = hashlib.sha256(pickle.dumps((X, y))).hexdigest()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filters = list(warnings.filters)
        estimator = make()
        result = estimator.fit(X) if y is None else estimator.fit(X, y)
        assert list(warnings.filters) == filters
    assert result is estimator
    keys = sorted(vars(estimator))
    state = pickle.dumps({key: vars(estimator)[key] for key in keys if "time" not in key and key != "cv_results_"})
    predicted = np.asarray(estimator.predict(X)).tobytes()
    after = hashlib.sha256(pickle.dumps((X, y))).hexdigest()
    assert before == after
    return keys, state, predicted, random.random(), np.random.rand(), sorted(str(w.message) for w in caught)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_fit_leaves_behind_the_same_with_and_without(name, logged, capsys):
    make, X, y = ESTIMATORS[name]
    with autotrack.disabled():
        bare = _run(make, X, y)
    printed = capsys.readouterr()
    observed = _run(make, X, y)
    assert observed == bare
    assert capsys.readouterr().out == printed.out == ""
    autotrack.flush()
    assert autotrack.get_run("latest").status == "FINISHED"


def test_an_exception_is_the_estimators_own(logged):
    with pytest.raises(ValueError, match="could not convert string") as caught:
        LogisticRegression().fit([["a"], ["b"]], [0, 1])
    assert "autotrack" not in str(caught.traceback[-1].path)
    run = autotrack.get_run("latest")
    assert run.status == "FAILED"
    assert "could not convert string" in run.error


def test_pickles_of_metrics_captured_before_are_of_the_same_object(store):
    def check():
        for pickler in (pickle, cloudpickle):
            assert pickle.loads(pickler.dumps(captured_before)) is captured_before
        again = pickle.loads(pickle.dumps(scorer_before))
        assert again._score_func is captured_original

    captured_original = scorer_before._score_func
    for switch in (False, True):
        check()
        autotrack.autolog(store=store, disable=switch)
        check()


def test_metrics_pickle_to_themselves_before_during_and_after(store):
    for options in ({}, {"store": store}, {"disable": True}):
        if options:
            autotrack.autolog(**options)
        for name in ("accuracy_score", "roc_auc_score", "mean_squared_error", "confusion_matrix"):
            metric = getattr(sklearn.metrics, name)
            for pickler in (pickle, cloudpickle):
                data = pickler.dumps(metric)
                assert pickle.loads(data) is metric
                assert b"autotrack" not in data
                assert b"wrapt" not in data


def test_everything_is_the_original_object_after_disable(store):
    def everything():
        found = {("sklearn.metrics", name): vars(sklearn.metrics)[name] for name in sklearn.metrics.__all__}
        stack = [BaseEstimator]
        while stack:
            cls = stack.pop()
            stack.extend(cls.__subclasses__())
            found |= {(cls, name): value for name, value in vars(cls).items() if name != "__doc__"}
        found |= {("here", name): value for name, value in globals().items() if callable(value)}
        return found

    before = everything()
    autotrack.autolog(store=store)
    during = everything()
    assert any(during[key] is not before[key] for key in before)
    LogisticRegression(max_iter=300).fit(iris_X, iris_y)
    autotrack.autolog(disable=True)
    after = everything()
    assert set(after) >= set(before)
    assert [key for key in before if after[key] is not before[key]] == []


def test_joblib_pickle_open_and_fork_are_untouched(store):
    import builtins
    import os

    def everything():
        return [joblib.dump, joblib.load, joblib.Parallel.__call__, pickle.dumps, pickle.Pickler, builtins.open,
                os.fork, cloudpickle.dumps]  # fmt: skip

    before = everything()
    autotrack.autolog(store=store)
    assert all(a is b for a, b in zip(before, everything(), strict=True))


def test_parallel_fits_of_a_bound_method(logged):
    jobs = (joblib.delayed(LogisticRegression(max_iter=300, C=c).fit)(iris_X, iris_y) for c in (0.1, 1.0))
    models = joblib.Parallel(n_jobs=2)(jobs)
    assert [model.C for model in models] == [0.1, 1.0]
    assert all(model.score(iris_X, iris_y) > 0.9 for model in models)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_maps_a_bound_predict(logged, method):
    model = KNeighborsClassifier().fit(iris_X, iris_y)
    with get_context(method).Pool(2) as pool:
        chunks = pool.map(model.predict, np.array_split(iris_X, 3))
    assert np.array_equal(np.concatenate(chunks), model.predict(iris_X))


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_parallel_search_with_a_scorer_is_one_run(logged, backend):
    search = GridSearchCV(SVC(), {"C": [0.1, 1, 10]}, n_jobs=2, cv=3, scoring=make_scorer(f1_score, average="macro"))
    with joblib.parallel_backend(backend, n_jobs=2):
        search.fit(iris_X, iris_y)
    assert search.best_score_ > 0.9
    autotrack.flush()
    runs = autotrack.search_runs()
    assert list(runs["run_name"][runs["tags.search_candidate"].isna()]) == ["GridSearchCV(SVC)"]
    assert len(runs) == 1 + 3


def test_cross_validation_makes_no_run_for_its_inner_fits(logged):
    bare = cross_val_score(SVC(), iris_X, iris_y, cv=3, n_jobs=2)
    assert len(bare) == 3
    assert list(autotrack.search_runs()["run_name"]) == ["cross_val_score(SVC)"]


def test_clone_copy_and_pickle_of_estimators_are_as_before(logged):
    model = LogisticRegression(C=0.5, max_iter=300).fit(iris_X, iris_y)
    assert clone(model).get_params() == model.get_params()
    twin = copy.deepcopy(model)
    assert np.array_equal(twin.coef_, model.coef_)
    for pickler in (pickle, cloudpickle, joblib):
        if pickler is joblib:
            joblib.dump(model, "m.joblib")
            again = joblib.load("m.joblib")
        else:
            data = pickler.dumps(model)
            assert b"autotrack" not in data
            again = pickle.loads(data)
        assert np.array_equal(again.predict(iris_X), model.predict(iris_X))


def test_joblib_memory_goes_on_working(logged, tmp_path):
    pipe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300), memory=str(tmp_path / "cache"))
    first = pipe.fit(iris_X, iris_y).predict(iris_X)
    assert np.array_equal(pipe.fit(iris_X, iris_y).predict(iris_X), first)


def test_signatures_and_metadata_routing_keep_their_answers(store):
    class Mine(ClassifierMixin, BaseEstimator):
        def fit(self, X, y, groups=None):
            self.classes_ = np.unique(y)
            return self

        def predict(self, X):
            return np.full(len(X), self.classes_[0])

    before = {cls: inspect.signature(cls.fit) for cls in (Mine, LogisticRegression, SVC, KMeans)}
    had = (hasattr(SVC(), "predict_proba"), hasattr(LogisticRegression(), "predict_proba"))
    autotrack.autolog(store=store)

    class Heir(Mine):
        pass

    assert {cls: inspect.signature(cls.fit) for cls in before} == before
    assert hasattr(Mine, "set_fit_request")
    assert hasattr(Heir, "set_fit_request")
    assert (hasattr(SVC(), "predict_proba"), hasattr(LogisticRegression(), "predict_proba")) == had
    with sklearn.config_context(enable_metadata_routing=True):
        assert Mine().set_fit_request(groups=True).get_metadata_routing().fit.requests == {"groups": True}
        assert "sample_weight" in LogisticRegression().get_metadata_routing().fit.requests


def test_check_estimator_passes(logged):
    from sklearn.utils.estimator_checks import check_estimator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(LinearRegression())
        check_estimator(DecisionTreeClassifier())


def test_metrics_return_the_same(logged):
    model = LogisticRegression(max_iter=300).fit(iris_X, iris_y)
    predicted = model.predict(iris_X)
    assert accuracy_score(iris_y, predicted) == float(np.mean(predicted == iris_y))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        accuracy_score(iris_y, predicted[:-1])
