"""What a person finds recorded after a fit."""

from __future__ import annotations

import json
from decimal import Decimal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, mean_squared_error, r2_score, roc_auc_score
from sklearn.metrics import f1_score as renamed_f1
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import autotrack

X, y = load_diabetes(return_X_y=True, as_frame=True)
train_x, test_x, train_y, test_y = train_test_split(X, y, random_state=42)
iris_X, iris_y = load_iris(return_X_y=True)


class Halves(RegressorMixin, BaseEstimator):
    """The user's own estimator."""

    def __init__(self, factor=0.5):
        self.factor = factor

    def fit(self, X, y):
        self.value_ = float(np.mean(y)) * self.factor
        return self

    def predict(self, X):
        return np.full(len(X), self.value_)


def latest():
    autotrack.flush()
    return autotrack.get_run("latest")


def test_a_regressor_leaves_params_metrics_data_and_model(logged):
    model = ElasticNet(alpha=0.05, l1_ratio=0.25).fit(train_x, train_y)
    run = latest()
    assert run.status == "FINISHED"
    assert run.name == "ElasticNet"
    assert run.params == {key: str(value) for key, value in model.get_params().items()}
    assert run.tags["estimator_name"] == "ElasticNet"
    assert run.tags["estimator_class"] == "sklearn.linear_model._coordinate_descent.ElasticNet"
    predicted = model.predict(train_x)
    assert run.metrics["training_mean_squared_error"] == pytest.approx(mean_squared_error(train_y, predicted), abs=1e-9)
    assert run.metrics["training_score"] == pytest.approx(model.score(train_x, train_y), abs=1e-12)
    assert run.metrics["training_r2_score"] == run.metrics["training_score"]
    assert run.metrics["fit_seconds"] > 0
    assert np.array_equal(run.model().predict(test_x), model.predict(test_x))
    (data,) = run.datasets
    assert (data.name, data.context, data.shape) == ("train_x", "train", (331, 10))
    assert [column["name"] for column in data.columns] == list(X.columns)
    assert data.digest.startswith("sha256:")
    assert data.target["max"] == train_y.max()


def test_a_classifier_has_mlflows_metrics(logged):
    model = LogisticRegression(max_iter=300).fit(iris_X, iris_y)
    metrics = latest().metrics
    predicted, proba = model.predict(iris_X), model.predict_proba(iris_X)
    with autotrack.disabled():
        expected = {
            "training_accuracy_score": accuracy_score(iris_y, predicted),
            "training_f1_score": renamed_f1(iris_y, predicted, average="weighted"),
            "training_log_loss": sklearn.metrics.log_loss(iris_y, proba),
            "training_roc_auc": roc_auc_score(iris_y, proba, average="weighted", multi_class="ovo"),
            "training_precision_score": sklearn.metrics.precision_score(iris_y, predicted, average="weighted"),
            "training_recall_score": sklearn.metrics.recall_score(iris_y, predicted, average="weighted"),
            "training_score": model.score(iris_X, iris_y),
        }
    assert {key: metrics[key] for key in expected} == pytest.approx(expected, abs=1e-12)


def test_pos_label_makes_them_binary(logged):
    autotrack.autolog(pos_label=1)
    binary = (iris_y == 2).astype(int)
    model = LogisticRegression(max_iter=300).fit(iris_X[:, :1], binary)
    predicted = model.predict(iris_X[:, :1])
    with autotrack.disabled():
        assert latest().metrics["training_f1_score"] == pytest.approx(renamed_f1(binary, predicted), abs=1e-12)


def test_metrics_imported_before_autolog_join_the_run_under_the_datas_name(logged):
    def eval_metrics(actual, pred):
        return mean_squared_error(actual, pred), r2_score(actual, pred)

    model = LinearRegression().fit(train_x, train_y)
    predictions = model.predict(test_x)
    mse, r2 = eval_metrics(test_y, predictions)
    run = latest()
    assert run.metrics["mean_squared_error_test_x"] == mse
    assert run.metrics["r2_score_test_x"] == r2
    names = {(data.name, data.context): data for data in run.datasets}
    assert set(names) == {("train_x", "train"), ("test_x", "eval")}
    assert names["test_x", "eval"].shape == (111, 10)
    assert names["test_x", "eval"].digest != names["train_x", "train"].digest
    told = json.loads(run.artifact_path("metric_info.json").read_text())
    assert told == {
        "mean_squared_error_test_x": "mean_squared_error(y_true=test_y, y_pred=predictions)",
        "r2_score_test_x": "r2_score(y_true=test_y, y_pred=predictions)",
    }


def test_score_after_the_fit_is_a_metric(logged):
    model = LinearRegression().fit(train_x, train_y)
    value = model.score(test_x, test_y)
    assert latest().metrics["LinearRegression_score_test_x"] == value


def test_the_same_metric_again_gets_a_number_and_other_data_too(logged):
    model = LinearRegression().fit(train_x, train_y)
    part = test_x.iloc[:50]
    r2_score(test_y.iloc[:50], model.predict(part))
    part = test_x.iloc[50:]
    r2_score(test_y.iloc[50:], model.predict(part))
    assert {"r2_score_part", "r2_score-2_part-2"} <= set(latest().metrics)


def test_lists_and_equal_data_keep_their_name(logged):
    rows, target = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.5]
    model = LinearRegression().fit(rows, target)
    value = r2_score(target, model.predict(rows))
    same = np.array(test_x)
    other = Ridge().fit(train_x, train_y)
    for _ in range(2):
        again = same.copy()
        r2_score(test_y, other.predict(again))
    autotrack.flush()
    assert autotrack.get_run("LinearRegression").metrics["r2_score_rows"] == value
    assert {"r2_score_again", "r2_score-2_again"} <= set(autotrack.get_run("Ridge").metrics)


def _derived():
    model = LogisticRegression(max_iter=300).fit(iris_X[:100], iris_y[:100])
    proba = model.predict_proba(iris_X[:100])
    return model, proba


@pytest.mark.parametrize(
    "derive",
    [
        lambda proba: proba[:, 1],
        lambda proba: pd.Series(proba[:, 1]),
        lambda proba: pd.DataFrame({"p": proba[:, 1], "other": 0.0})["p"],
    ],
    ids=["a view", "a series of a view", "a column of a frame"],
)
def test_derived_predictions_are_recognised(logged, derive):
    _, proba = _derived()
    value = roc_auc_score(iris_y[:100], derive(proba))
    metrics = latest().metrics
    if any(key.startswith("roc_auc_score") for key in metrics):
        assert metrics["roc_auc_score_unknown_dataset"] == value
    else:
        assert isinstance(derive(proba), pd.Series)


@pytest.mark.parametrize(
    "derive",
    [lambda p: p, lambda p: p[:], pd.Series, lambda p: pd.DataFrame({"p": p})["p"], np.copy, lambda p: p.tolist()],
    ids=["itself", "view", "series", "column", "copy", "list"],
)
def test_predictions_are_recognised_as(logged, derive):
    model = LinearRegression().fit(train_x, train_y)
    value = r2_score(test_y, derive(model.predict(test_x)))
    assert latest().metrics["r2_score_test_x"] == value


def test_two_models_never_mix(logged):
    one = LinearRegression().fit(train_x, train_y)
    two = Ridge(alpha=10).fit(train_x, train_y)
    first, second = one.predict(test_x), two.predict(test_x)
    a, b = r2_score(test_y, first), r2_score(test_y, second)
    autotrack.flush()
    runs = {run["run_name"]: run for _, run in autotrack.search_runs().iterrows()}
    assert runs["LinearRegression"]["metrics.r2_score_test_x"] == a
    assert runs["Ridge"]["metrics.r2_score_test_x"] == b


def test_an_unknown_array_is_not_guessed(logged):
    LinearRegression().fit(train_x, train_y)
    r2_score(test_y, np.zeros(len(test_y)))
    assert not any("r2_score_test" in key or "unknown" in key for key in latest().metrics)


def test_a_refit_belongs_to_the_new_run(logged):
    model = Ridge().fit(train_x, train_y)
    first = latest().run_id
    model.fit(test_x, test_y)
    r2_score(train_y, model.predict(train_x))
    assert "r2_score_train_x" not in autotrack.get_run(first).metrics
    assert "r2_score_train_x" in latest().metrics


def test_preparing_data_makes_no_run(logged):
    StandardScaler().fit_transform(train_x)
    make_column_transformer((StandardScaler(), ["age"])).fit(train_x)
    make_pipeline(StandardScaler(), FunctionTransformer()).fit_transform(train_x)
    assert len(autotrack.search_runs()) == 0


def test_a_pipeline_is_one_run_named_by_its_model(logged):
    make_pipeline(StandardScaler(), Ridge(alpha=2)).fit(train_x, train_y)
    run = latest()
    assert len(autotrack.search_runs()) == 1
    assert run.name == "Pipeline(Ridge)"
    assert run.params["ridge__alpha"] == "2"
    assert run.metrics["training_score"] == run.metrics["training_r2_score"]


def test_fits_without_y_are_runs_too(logged):
    KMeans(3, n_init=1).fit_predict(iris_X)
    PCA(2).fit_transform(iris_X)
    names = list(autotrack.search_runs()["run_name"])
    assert names == ["PCA", "KMeans"]


def test_fit_predict_is_a_prediction_of_the_training_data(logged):
    labels = KMeans(3, n_init=1).fit_predict(iris_X)
    value = sklearn.metrics.adjusted_rand_score(iris_y, labels)
    assert latest().metrics["adjusted_rand_score_iris_X"] == value


def test_the_users_own_estimator_and_one_defined_later_count(logged):
    class Later(Halves):
        pass

    Halves(0.25).fit(train_x, train_y)
    Later().fit(train_x, train_y)
    assert list(autotrack.search_runs()["run_name"]) == ["Later", "Halves"]
    assert autotrack.get_run("Halves").params == {"factor": "0.25"}


def test_search_params_are_shallow(logged):
    GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=3).fit(train_x, train_y)
    run = latest()
    assert run.name == "GridSearchCV(Ridge)"
    assert "estimator__alpha" not in run.params
    assert run.params["cv"] == "3"


def test_many_rows_are_sampled_and_the_run_says_so(logged):
    autotrack.autolog(max_metric_rows=50)
    model = LinearRegression().fit(train_x, train_y)
    run = latest()
    step = -(-len(train_x) // 50)
    with autotrack.disabled():
        expected = r2_score(train_y[::step], model.predict(train_x[::step]))
    assert run.metrics["training_r2_score"] == pytest.approx(expected, abs=1e-12)
    assert run.tags["training_metrics_rows"].startswith(f"{len(train_x[::step])} of 331")


@pytest.mark.parametrize("sparse", ["csr", "coo", "csc"])
def test_sparse_rows_are_sampled_too(logged, sparse):
    autotrack.autolog(max_metric_rows=40)
    Ridge().fit(csr_matrix(iris_X).asformat(sparse), iris_y)
    run = latest()
    assert run.tags["training_metrics_rows"] == "38 of 150, evenly spaced"
    assert run.metrics["training_r2_score"] > 0.8


def test_estimators_whose_data_is_not_called_x(logged):
    class Model(RegressorMixin, BaseEstimator):
        def fit(self, frame, y=None):
            self.shape_ = frame.shape
            return self

        def predict(self, frame):
            return np.zeros(len(frame))

    model = Model().fit(train_x, train_y)
    r2_score(test_y, model.predict(frame=test_x))
    run = latest()
    assert {data.name: data.shape for data in run.datasets} == {"train_x": (331, 10), "test_x": (111, 10)}
    assert "r2_score_test_x" in run.metrics


def test_a_model_with_several_outputs_is_recorded(logged):
    targets = np.column_stack([iris_y == 0, iris_y == 1]).astype(int)
    KNeighborsClassifier().fit(iris_X, targets)
    assert latest().status == "FINISHED"
    Ridge().fit(iris_X, targets)
    assert "training_r2_score" in latest().metrics


def test_sample_weight_is_honoured(logged):
    weight = np.linspace(0.1, 2, len(train_x))
    model = LinearRegression().fit(train_x, train_y, sample_weight=weight)
    expected = model.score(train_x, train_y, weight)
    assert latest().metrics["training_r2_score"] == pytest.approx(expected, abs=1e-12)


def test_sparse_lists_and_string_labels(logged):
    LogisticRegression(max_iter=300).fit(csr_matrix(iris_X), iris_y.astype(str))
    run = latest()
    assert run.datasets[0].kind.startswith("scipy.")
    assert run.datasets[0].target["classes"] == {"0": 50, "1": 50, "2": 50}
    assert run.metrics["training_accuracy_score"] > 0.9
    KNeighborsClassifier(1).fit([[0.0], [1.0]], ["a", "b"])
    assert latest().metrics["training_score"] == 1.0


def test_figures_saved_after_a_fit_are_artifacts(logged, tmp_path):
    Ridge().fit(train_x, train_y)
    run_id = latest().run_id
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    figure.savefig("a.png")
    plt.savefig(tmp_path / "b")
    plt.close(figure)
    run = autotrack.get_run(run_id)
    assert {"a.png", "b.png"} <= set(run.artifacts)
    assert run.artifact_path("a.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_nothing_inside_disabled_is_recorded(logged):
    with autotrack.disabled():
        Ridge().fit(train_x, train_y)
        with autotrack.disabled():
            Ridge().fit(train_x, train_y)
        Ridge().fit(train_x, train_y)
    assert len(autotrack.search_runs()) == 0
    Ridge().fit(train_x, train_y)
    assert len(autotrack.search_runs()) == 1


@pytest.mark.parametrize(
    ("option", "check"),
    [
        ({"log_models": False}, lambda run: "model/MLmodel" not in run.artifacts),
        ({"log_datasets": False}, lambda run: not run.datasets),
        ({"log_post_training_metrics": False}, lambda run: "r2_score_test_x" not in run.metrics),
        ({"extra_tags": {"team": "blue"}}, lambda run: run.tags["team"] == "blue"),
        ({"experiment": "sugar"}, lambda run: run.experiment == "sugar"),
        ({"log_input_examples": True}, lambda run: "model/input_example.json" in run.artifacts),
        (
            {"log_model_signatures": False},
            lambda run: "signature" not in run.artifact_path("model/MLmodel").read_text(),
        ),
        ({"integrations": ["matplotlib"]}, lambda run: run is None),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_option_changes_what_is_recorded(store, option, check):
    def recorded():
        model = LinearRegression().fit(train_x, train_y)
        r2_score(test_y, model.predict(test_x))
        autotrack.flush()
        return autotrack.get_run("latest") if len(autotrack.search_runs()) else None

    autotrack.autolog(store=store.with_name("plain"))
    assert not check(recorded()) if "extra_tags" not in option else "team" not in recorded().tags
    autotrack.autolog(store=store, **option)
    assert check(recorded())


def test_metric_values_of_every_kind_become_floats(logged):
    from fractions import Fraction

    with autotrack.start_run(name="values") as run:
        run.log_metrics({"d": Decimal("1.5"), "f": Fraction(1, 4), "b": True, "z": np.array(3), "n": np.float32(0.5)})
        run.log_metrics({"nan": float("nan"), "inf": float("inf"), "ninf": -np.inf})
    metrics = autotrack.get_run("values").metrics
    assert {key: metrics[key] for key in "dfbzn"} == {"d": 1.5, "f": 0.25, "b": 1.0, "z": 3.0, "n": 0.5}
    assert np.isnan(metrics["nan"])
    assert metrics["inf"] == np.inf
    assert metrics["ninf"] == -np.inf
