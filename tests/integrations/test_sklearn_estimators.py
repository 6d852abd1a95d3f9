"""What is told of an estimator without touching it is what touching it would tell."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import ensemble, neighbors, tree
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from autotrack.integrations.sklearn import estimators, untouched
from autotrack.integrations.sklearn.fitting.training import predict_training_data

X, y = load_iris(return_X_y=True)

PROBABLE = [
    ensemble.BaggingClassifier(n_estimators=4),
    tree.DecisionTreeClassifier(max_depth=2),
    tree.ExtraTreeClassifier(max_depth=2),
    ensemble.ExtraTreesClassifier(5, max_depth=2),
    ensemble.HistGradientBoostingClassifier(max_iter=3),
    neighbors.KNeighborsClassifier(4),
    neighbors.KNeighborsClassifier(4, weights="distance"),
    ensemble.RandomForestClassifier(5, max_depth=2),
    LogisticRegression(max_iter=200),
]


def test_the_table_and_the_test_name_the_same_classes():
    assert {type(estimator).__name__ for estimator in PROBABLE} == estimators._LABELS_FROM_PROBABILITIES


@pytest.mark.parametrize("estimator", PROBABLE, ids=lambda estimator: type(estimator).__name__)
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**31), classes=st.integers(2, 4))
def test_labels_worked_out_from_probabilities_are_the_predicted_ones(estimator, seed, classes):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 4, (60, 3)).astype(float)
    labels = np.array(["a", "b", "c", "d"])[rng.integers(0, classes, 60)]
    model = make_pipeline(StandardScaler(), estimator).fit(data, labels)
    assert estimators.takes_labels_from_probabilities(model)
    taken = predict_training_data(model, data, labels, None, {}, 1000)
    assert np.array_equal(taken.y_pred, model.predict(data))


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(C=0.5),
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        make_pipeline(StandardScaler(), ensemble.VotingClassifier([("a", SVC()), ("b", Ridge(alpha=2))])),
        GridSearchCV(make_pipeline("passthrough", SVC()), {"svc__C": [1, 10], "svc": [SVC(), LogisticRegression()]}),
        CalibratedClassifierCV(SVC(C=3)),
        make_pipeline(FunctionTransformer(np.log1p), Ridge()),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.parametrize("deep", [True, False])
def test_params_are_printed_as_str_prints_them(estimator, deep):
    params = estimator.get_params(deep=deep)
    assert estimators.printed(params) == {key: str(value) for key, value in params.items()}


def test_the_short_repr_is_the_long_one():
    from sklearn.utils import all_estimators

    short = 0
    for _, cls in all_estimators():
        for changes in (
            {},
            {"tol": 0.5},
            {"random_state": 0},
            {"C": 1, "max_iter": 7},
            {"n_jobs": "2"},
            {"alpha": None},
        ):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    estimator = cls()
                except TypeError:  # it needs another estimator
                    continue
                params = {name: value for name, value in changes.items() if name in estimator.get_params(deep=False)}
                estimator.set_params(**params)
                found = estimators._short_repr(estimator)
            if found is not None:
                short += 1
                assert found == repr(estimator)
    assert short > 500


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (SVC(), "SVC"),
        (make_pipeline(StandardScaler(), Ridge()), "Pipeline(Ridge)"),
        (GridSearchCV(make_pipeline(StandardScaler(), SVC()), {}), "GridSearchCV(Pipeline(SVC))"),
        (CalibratedClassifierCV(SVC()), "CalibratedClassifierCV(SVC)"),
        (make_pipeline(StandardScaler(), "passthrough"), "Pipeline"),
    ],
)
def test_runs_are_named_by_their_models(estimator, name):
    assert estimators.run_name(estimator) == name


def test_fewer_rows_are_predicted_where_each_costs_more():
    assert estimators.row_limit(LogisticRegression(), 10**6, 100_000) == 100_000
    assert estimators.row_limit(neighbors.KNeighborsClassifier(), 20_000, 100_000) == 5_000
    assert estimators.row_limit(make_pipeline(StandardScaler(), SVC()), 10**6, 100_000) == 1_000
    assert estimators.row_limit(CalibratedClassifierCV(SVC()), 10**6, 50) == 50
    assert estimators.row_limit(neighbors.KNeighborsClassifier(), 500, 100_000) == 100_000


@pytest.mark.parametrize(
    "estimator",
    [*PROBABLE, Ridge(), SVC(), make_pipeline(StandardScaler(), SVC()),
     neighbors.KNeighborsRegressor()],
    ids=lambda estimator: type(estimator).__name__,
)  # fmt: skip
def test_the_score_that_is_told_is_the_estimators_own(estimator):
    estimator.fit(X, y)
    taken = predict_training_data(estimator, X, y, None, {}, 1000)
    assert taken.score is None
    assert taken.metrics(None)["training_score"] == pytest.approx(estimator.score(X, y), abs=1e-12)


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(max_iter=300), Ridge(), SVC(), neighbors.KNeighborsClassifier(), tree.DecisionTreeClassifier()],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_frame_is_predicted_from_as_an_array_without_a_warning(estimator, recwarn):
    frame = pd.DataFrame(X, columns=list("abcd"))
    estimator.fit(frame, y)
    before = dict(vars(estimator))
    twin, array = estimators.without_names(estimator, frame, estimator.get_params())
    assert twin is not estimator
    assert np.shares_memory(array, frame.to_numpy())
    assert np.array_equal(twin.predict(array), estimator.predict(frame))
    assert not untouched._changed(vars(estimator), before)
    mixed = frame.assign(d=1)
    same, data = estimators.without_names(estimator.fit(mixed, y), mixed, {})
    assert same is estimator
    assert data is mixed
    assert len(recwarn) == 0


def test_estimators_taken_for_pure_neither_draw_nor_change():
    from sklearn.utils import all_estimators

    try:
        from sklearn.utils._test_common.instance_generator import _construct_instances
    except ImportError:  # before scikit-learn 1.6
        from sklearn.utils.estimator_checks import _construct_instance

        def _construct_instances(cls):
            yield _construct_instance(cls)

    count = 0
    for _, cls in all_estimators():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                estimator = next(iter(_construct_instances(cls)))
                if not untouched._is_pure(estimator):
                    continue
                estimator.fit(np.abs(X), y)
            except Exception:  # some need other data: those are not asked
                continue
            before, state, count = dict(vars(estimator)), np.random.get_state(), count + 1
            for name in ("predict", "predict_proba", "score"):
                if hasattr(estimator, name):
                    getattr(estimator, name)(*((X, y) if name == "score" else (X,)))
        assert not untouched._changed(vars(estimator), before), cls
        assert not untouched._differ(np.random.get_state(), state), cls
    assert count > 60


def test_a_run_is_named_after_the_estimator_and_what_it_was_given():
    assert estimators.run_name(ensemble.RandomForestClassifier()) == "RandomForestClassifier"
    assert estimators.run_name(ensemble.BaggingClassifier(SVC())) == "BaggingClassifier(SVC)"
    assert (
        estimators.run_name(GridSearchCV(make_pipeline(StandardScaler(), SVC()), {})) == "GridSearchCV(Pipeline(SVC))"
    )
