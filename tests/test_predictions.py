"""Which model a prediction is recognised to be of, and what is left alone because it would be a guess."""

from __future__ import annotations

import copy
import gc
import weakref

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, mean_squared_error, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.tree import DecisionTreeClassifier

import autotrack

X, y = load_diabetes(return_X_y=True)
train_X, test_X, other_X = X[:300], X[300:370], X[370:440]
train_y, test_y, other_y = y[:300], y[300:370], y[370:440]
iris_X, iris_y = load_iris(return_X_y=True)
binary_X, binary_y = iris_X[50:], iris_y[50:] - 1
names = np.array(["setosa", "versicolor", "virginica"])


def latest():
    autotrack.flush()
    return autotrack.get_run("latest")


def after(run, *metrics):
    """Those of a run's metrics that were worked out after the fit."""
    found = {key for key in run.metrics if not key.startswith(("training_", "fit_seconds", "n_iter"))}
    assert found == set(metrics)
    return run.metrics


def skipped(run):
    return [note.message for note in run.notes if note.kind == "skipped"]


@pytest.fixture
def probabilities(logged):
    return DecisionTreeClassifier(max_depth=2, random_state=0).fit(binary_X, binary_y).predict_proba(binary_X)


COLUMN = {
    "a view": lambda proba: proba[:, 1],
    "the last column": lambda proba: proba[:, -1],
    "a contiguous copy": lambda proba: np.ascontiguousarray(proba[:, 1]),
    "a list": lambda proba: proba[:, 1].tolist(),
    "a series": lambda proba: pd.Series(proba[:, 1], index=np.arange(len(proba)) + 7, name="p"),
    "a column of a frame": lambda proba: pd.DataFrame(proba, columns=["no", "yes"])["yes"],
    "a renamed column": lambda proba: pd.DataFrame(proba).rename(columns={1: "yes"})["yes"],
    "a column beside others": lambda proba: pd.DataFrame({"y": binary_y, "name": "a", "p": proba[:, 1]})["p"],
    "the transposed": lambda proba: proba.T[1],
}


@pytest.mark.parametrize("derive", COLUMN.values(), ids=COLUMN.keys())
def test_a_column_of_probabilities_is_recognised_as(probabilities, derive):
    value = roc_auc_score(binary_y, derive(probabilities))
    assert after(latest(), "roc_auc_score_binary_X")["roc_auc_score_binary_X"] == value


WHOLE = {
    "itself": lambda p: p,
    "a view": lambda p: p[:],
    "a copy": np.copy,
    "a list": list,
    "a series": lambda p: pd.Series(p, index=np.arange(len(p))[::-1], name="predicted"),
    "an index": pd.Index,
    "a frame": lambda p: pd.DataFrame({"predicted": p}),
    "a column of a mixed frame": lambda p: pd.DataFrame({"t": "a", "p": p, "n": 1.5}).set_index("t")["p"],
    "a column vector": lambda p: p.reshape(-1, 1),
}


@pytest.mark.parametrize("derive", WHOLE.values(), ids=WHOLE.keys())
@pytest.mark.parametrize("kind", ["numbers", "texts", "integers"])
def test_a_prediction_is_recognised_as(logged, derive, kind):
    if kind == "numbers":
        model, metric, data, true = Ridge().fit(train_X, train_y), r2_score, test_X, test_y
    else:
        true = names[iris_y] if kind == "texts" else iris_y
        model, metric, data = DecisionTreeClassifier(max_depth=2).fit(iris_X, true), accuracy_score, iris_X
    value = metric(true, derive(model.predict(data)))
    run = latest()
    key = f"{metric.__name__}_data"
    assert after(run, key)[key] == value


@pytest.mark.parametrize(
    "derive",
    [
        lambda p: p[p > np.median(p)],
        np.sort,
        lambda p: p + 1e-9,
        lambda p: np.zeros_like(p),
        lambda p: (p > np.median(p)).astype(int),
        lambda p: np.where(p > np.median(p), p, 0),
        lambda p: pd.Series(p).sample(frac=1, random_state=0),
    ],
    ids=["some rows", "sorted", "shifted", "constant", "thresholded", "where", "shuffled"],
)
def test_what_is_no_equal_copy_is_not_guessed_but_noted(logged, derive):
    model = Ridge().fit(train_X, train_y)
    made = derive(model.predict(test_X))
    mean_squared_error(test_y[: len(made)], made)
    run = latest()
    after(run)
    (message,) = skipped(run)
    assert message.startswith("mean_squared_error(y_true=")
    assert message.endswith("y_pred=made) was called on arrays that are no known prediction of a model")


def test_a_constant_array_is_nobodys_copy(logged):
    model = DummyClassifier(strategy="most_frequent").fit(binary_X, binary_y)
    predicted = model.predict(binary_X)
    accuracy_score(binary_y, np.zeros(len(binary_y), dtype=int))
    after(latest())
    accuracy_score(binary_y, predicted)
    after(latest(), "accuracy_score_binary_X")


def test_true_values_that_equal_a_prediction_are_not_taken_for_it(logged):
    model = DecisionTreeClassifier().fit(iris_X, iris_y)
    assert np.array_equal(model.predict(iris_X), iris_y)
    accuracy_score(y_pred=np.roll(iris_y, 1), y_true=iris_y)
    after(latest())


def test_some_of_the_rows_are_known_as_a_part_and_do_not_shift_other_numbers(logged):
    model = Ridge().fit(train_X, train_y)
    predicted = model.predict(test_X)
    first, second = r2_score(test_y[:40], predicted[:40]), r2_score(test_y[40:], predicted[40:])
    whole = r2_score(test_y, predicted)
    metrics = after(latest(), "r2_score_test_X-part", "r2_score-2_test_X-part", "r2_score_test_X")
    assert [metrics[f"r2_score{n}_test_X-part"] for n in ("", "-2")] == [first, second]
    assert metrics["r2_score_test_X"] == whole


def test_a_prediction_changed_in_place_is_still_the_models(logged):
    model = Ridge().fit(train_X, train_y)
    predicted = model.predict(test_X)
    np.maximum(predicted, 100, out=predicted)
    value = r2_score(test_y, predicted)
    assert latest().metrics["r2_score_test_X"] == value


def test_two_models_and_two_test_sets_do_not_mix(logged):
    models = [Ridge(alpha=alpha).fit(train_X, train_y) for alpha in (0.1, 10.0)]
    predicted = {(i, j): m.predict(data) for i, m in enumerate(models) for j, data in enumerate((test_X, other_X))}
    true = (test_y, other_y)
    expected = {(i, j): r2_score(true[j], pd.Series(p)) for (i, j), p in reversed(predicted.items())}
    autotrack.flush()
    runs = {float(run["params.alpha"]): run for _, run in autotrack.search_runs().iterrows()}
    for i, alpha in enumerate((0.1, 10.0)):
        values = {key: runs[alpha][f"metrics.r2_score{key}"] for key in ("-2_data", "_data-2")}
        assert values == {"-2_data": expected[i, 0], "_data-2": expected[i, 1]}


def test_a_copy_that_two_models_made_is_given_to_neither(logged):
    one, two = (Ridge(alpha=2).fit(train_X, train_y) for _ in range(2))
    first, second = one.predict(test_X), two.predict(test_X)
    assert np.array_equal(first, second)
    r2_score(test_y, first.copy())
    run = latest()
    after(run)
    assert "that several models made" in skipped(run)[0]
    r2_score(test_y, second)
    after(latest(), "r2_score_test_X")
    r2_score(test_y, first)
    assert [
        run.metrics.get("r2_score_test_X") for run in map(autotrack.get_run, autotrack.search_runs()["run_id"])
    ] == [r2_score(test_y, second.tolist())] * 2


def test_a_clone_and_a_refit_belong_to_the_new_run(logged):
    model = Ridge().fit(train_X, train_y)
    old = model.predict(test_X)
    twin = clone(model).fit(other_X, other_y)
    r2_score(test_y, twin.predict(test_X))
    model.fit(test_X, test_y)
    r2_score(test_y, model.predict(test_X))
    r2_score(test_y, old)
    autotrack.flush()
    third, second, first = (autotrack.get_run(run_id) for run_id in autotrack.search_runs()["run_id"])
    with autotrack.disabled():
        expected = [
            r2_score(test_y, old),
            r2_score(test_y, twin.predict(test_X)),
            r2_score(test_y, model.predict(test_X)),
        ]
    assert [run.metrics["r2_score_test_X"] for run in (first, second, third)] == expected


def test_the_best_estimator_of_a_search_belongs_to_the_search(logged):
    search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2).fit(train_X, train_y)
    value = r2_score(test_y, search.best_estimator_.predict(test_X))
    autotrack.flush()
    assert autotrack.get_run("GridSearchCV(Ridge)").metrics["r2_score_test_X"] == value


def test_a_copy_of_the_model_is_another_model(logged):
    model = Ridge().fit(train_X, train_y)
    r2_score(test_y, copy.deepcopy(model).predict(test_X))
    run = latest()
    after(run)
    assert len(skipped(run)) == 1


def test_probabilities_of_several_outputs_are_each_recognised(logged):
    targets = np.column_stack([binary_y, binary_X[:, 0] > 6.2]).astype(int)
    model = MultiOutputClassifier(DecisionTreeClassifier(max_depth=2)).fit(binary_X, targets)
    proba = model.predict_proba(binary_X)
    values = [roc_auc_score(targets[:, output], proba[output][:, 1]) for output in range(2)]
    metrics = after(latest(), "roc_auc_score_binary_X", "roc_auc_score-2_binary_X")
    assert [metrics["roc_auc_score_binary_X"], metrics["roc_auc_score-2_binary_X"]] == values


class Wrapped(RegressorMixin, BaseEstimator):
    """Its predictions are what the user's function makes of an array."""

    def __init__(self, wrap=None):
        self.wrap = wrap

    def fit(self, X, y):
        self.inner_ = LinearRegression().fit(X, y)
        return self

    def predict(self, X):
        return self.wrap(self.inner_.predict(X))


@pytest.mark.parametrize("wrap", [pd.Series, pd.DataFrame, list, tuple], ids=lambda wrap: wrap.__name__)
@pytest.mark.parametrize(
    "derive", [lambda p: p, np.array, lambda p: np.ravel(p)[:]], ids=["itself", "copy", "ravelled"]
)
def test_predictions_of_other_types_are_recognised(logged, wrap, derive):
    model = Wrapped(wrap).fit(train_X, train_y)
    value = r2_score(test_y, derive(model.predict(test_X)))
    assert after(latest(), "r2_score_test_X")["r2_score_test_X"] == value


def test_polars_series_are_recognised(logged):
    pl = pytest.importorskip("polars")
    model = Wrapped(pl.Series).fit(train_X, train_y)
    predicted = model.predict(test_X)
    r2_score(test_y, predicted)
    r2_score(test_y, pl.DataFrame({"p": predicted.to_numpy()})["p"])
    after(latest(), "r2_score_test_X", "r2_score-2_test_X")


def test_a_frame_of_probabilities_from_set_output_is_recognised(logged):
    model = LogisticRegression(max_iter=500).fit(binary_X, binary_y)
    frame = pd.DataFrame(model.predict_proba(binary_X), columns=model.classes_)
    value = roc_auc_score(binary_y, frame[1])
    assert latest().metrics["roc_auc_score_binary_X"] == value


def test_after_a_fit_that_failed_nothing_is_added_to_the_run_before(logged):
    model = Ridge().fit(train_X, train_y)
    run = latest()
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(train_X, test_y)
    model.score(test_X, test_y)
    autotrack.flush()
    after(autotrack.get_run(run.run_id))


def test_data_is_not_kept_alive_by_being_predicted(logged):
    model = Ridge().fit(train_X, train_y)
    data = test_X.copy()
    gone = weakref.ref(data)
    model.predict(data)
    autotrack.flush()
    del data
    gc.collect()
    assert gone() is None
