"""Curves are scikit-learn's own, to 1e-9, before they are thinned; and what a fit makes of them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_classification
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC, LinearSVC, NuSVC

import autotrack
from autotrack.integrations.sklearn.plotting import curves
from autotrack.integrations.sklearn.plotting.importances import feature_importances
from autotrack.plots import data, points
from autotrack.plots.files import from_json

seeds = st.integers(0, 2**32 - 1)


def _scores(rng, n, ties):
    score = rng.random(n)
    return np.round(score, 1) if ties else score


def _weights(rng, n, weighting):
    if weighting == "none":
        return None
    weight = rng.random(n) + 0.01
    return weight * (rng.random(n) < 0.7) if weighting == "zeros" else weight


@settings(deadline=None, max_examples=200)
@given(seed=seeds, n=st.integers(2, 80), ties=st.booleans(), weighting=st.sampled_from(["none", "some", "zeros"]))
def test_roc_and_precision_recall_are_sklearns(seed, n, ties, weighting):
    rng = np.random.default_rng(seed)
    score, positive = _scores(rng, n, ties), rng.random(n) < 0.4
    weight = _weights(rng, n, weighting)
    found = curves.rank(positive, score, weight)
    used = np.ones(n, dtype=bool) if weight is None else weight > 0
    if len(np.unique(positive[used])) < 2:
        assert found is None
        return
    common = {"sample_weight": weight}
    fpr, tpr, _ = sk.roc_curve(positive, score, drop_intermediate=False, **common)
    np.testing.assert_allclose([found.fpr, found.tpr], [fpr, tpr], atol=1e-9, rtol=0)
    assert found.auc == pytest.approx(sk.roc_auc_score(positive, score, **common), abs=1e-9)
    precision, recall, _ = sk.precision_recall_curve(positive, score, **common)
    np.testing.assert_allclose([found.precision, found.recall], [precision, recall], atol=1e-9, rtol=0)
    assert found.average_precision == pytest.approx(sk.average_precision_score(positive, score, **common), abs=1e-9)
    assert found.prevalence == pytest.approx(np.average(positive, weights=weight), abs=1e-9)


@settings(deadline=None, max_examples=100)
@given(seed=seeds, n=st.integers(1, 60), k=st.integers(1, 6), weighted=st.booleans())
def test_confusion_matrix_is_sklearns(seed, n, k, weighted):
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(0, k, (2, n))
    weight = rng.random(n) if weighted else None
    expected = sk.confusion_matrix(true, predicted, labels=range(k), sample_weight=weight)
    np.testing.assert_allclose(curves.confusion(true, predicted, k, weight), expected, atol=1e-9)


@settings(deadline=None, max_examples=100)
@given(seed=seeds, n=st.integers(2, 80), rounded=st.booleans())
def test_calibration_is_sklearns(seed, n, rounded):
    rng = np.random.default_rng(seed)
    probability, positive = _scores(rng, n, rounded), rng.random(n) < 0.4
    if len(np.unique(positive)) < 2:
        positive[:2] = [True, False]
    found = curves.calibrate(positive, probability)
    observed, predicted = calibration_curve(positive, probability, n_bins=curves.BINS)
    np.testing.assert_allclose([found.observed, found.predicted], [observed, predicted], atol=1e-9)
    assert found.brier_score == pytest.approx(sk.brier_score_loss(positive, probability), abs=1e-9)


@settings(deadline=None, max_examples=50)
@given(seed=seeds, n=st.integers(2, 40))
def test_a_weight_in_the_calibration_counts_as_so_many_samples(seed, n):
    rng = np.random.default_rng(seed)
    probability, positive, times = rng.random(n), rng.random(n) < 0.5, rng.integers(1, 4, n)
    weighted = curves.calibrate(positive, probability, times.astype(float))
    repeated = curves.calibrate(np.repeat(positive, times), np.repeat(probability, times))
    for name in ("predicted", "observed", "counts", "brier_score"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), atol=1e-9)


def seen(model, X, y, **more):
    return curves.Seen("classifier", y, model.predict(X), model.predict_proba(X), None, model.classes_, **more)


def test_thinning_leaves_auc_and_average_precision_alone():
    X, y = make_classification(20_000, random_state=0, flip_y=0.3)
    model = GaussianNB().fit(X, y)
    found = curves.plots(seen(model, X, y))
    for name in ("roc_curve", "precision_recall_curve"):
        assert sum(len(line["x"]) for line in found[name]["series"]) <= points.MOST
    proba = model.predict_proba(X)[:, 1]
    assert found["roc_curve"]["series"][0]["auc"] == pytest.approx(sk.roc_auc_score(y, proba), abs=1e-9)
    precision_recall = found["precision_recall_curve"]["series"][0]
    assert precision_recall["average_precision"] == pytest.approx(sk.average_precision_score(y, proba), abs=1e-9)


def test_each_class_against_the_rest():
    X, y = load_iris(return_X_y=True)
    y = np.array(["setosa", "versicolor", "virginica"])[y]
    model = LogisticRegression(C=0.01).fit(X, y)
    found = curves.plots(seen(model, X, y))
    assert set(found) == {"confusion_matrix", "roc_curve", "precision_recall_curve"}
    assert found["confusion_matrix"]["labels"] == list(model.classes_)
    for place, line in enumerate(found["roc_curve"]["series"]):
        assert line["name"] == model.classes_[place]
        assert line["auc"] == pytest.approx(
            sk.roc_auc_score(y == line["name"], model.predict_proba(X)[:, place]), abs=1e-9
        )


@pytest.mark.parametrize("pos_label", [None, "benign", "malignant", "unknown"])
def test_the_positive_class(pos_label):
    X, y = load_breast_cancer(return_X_y=True)
    y = np.array(["malignant", "benign"])[y]
    found = curves.plots(seen(GaussianNB().fit(X, y), X, y, pos_label=pos_label))
    positive = "benign" if pos_label == "benign" else "malignant"
    for name in ("roc_curve", "precision_recall_curve", "calibration_curve"):
        assert found[name]["positive"] == positive
    assert found["precision_recall_curve"]["series"][0]["prevalence"] == pytest.approx(np.mean(y == positive))


def test_many_classes_are_cut_to_the_most_frequent():
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(50), rng.integers(10, 30, 2_000)])
    proba = rng.random((len(y), 50))
    guess = proba.argmax(axis=1)
    found = curves.plots(curves.Seen("classifier", y, guess, proba, None, np.arange(50)))
    roc, matrix = found["roc_curve"], found["confusion_matrix"]
    assert [line["name"] for line in roc["series"]] == [str(k) for k in range(10, 30)]
    assert "the 20 most frequent of 50 classes" in roc["note"]
    assert np.sum(matrix["counts"]) == len(y)
    place = matrix["labels"].index("12")
    assert matrix["counts"][place][place] == np.sum((y == 12) & (guess == 12))
    assert "the 30 most frequent of 50 classes" in matrix["note"]


def test_a_class_that_the_data_lacks_has_no_curve():
    y = np.array([0, 1, 0, 1])
    proba = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.5, 0.5, 0], [0.1, 0.8, 0.1]])
    found = curves.plots(curves.Seen("classifier", y, proba.argmax(axis=1), proba, None, np.arange(3)))
    assert [line["name"] for line in found["roc_curve"]["series"]] == ["0", "1"]
    assert "1 left out" in found["roc_curve"]["note"]
    assert found["confusion_matrix"]["counts"] == [[2, 0, 0], [0, 2, 0], [0, 0, 0]]


def test_classes_in_any_order():
    X, y = load_iris(return_X_y=True)
    model = GaussianNB().fit(X, y)
    order = [2, 0, 1]
    proba = model.predict_proba(X)[:, order]
    found = curves.plots(curves.Seen("classifier", y, model.predict(X), proba, None, model.classes_[order]))
    for line in found["roc_curve"]["series"]:
        expected = sk.roc_auc_score(y == int(line["name"]), model.predict_proba(X)[:, int(line["name"])])
        assert line["auc"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_probabilities_that_are_no_numbers_cost_their_curves_only(value):
    proba = np.array([[0.6, 0.4], [0.2, 0.8], [value, 0.5]])
    found = curves.plots(curves.Seen("classifier", np.array([0, 1, 1]), np.array([0, 1, 1]), proba, None, np.arange(2)))
    assert "confusion_matrix" in found
    assert "roc_curve" not in found


@pytest.mark.allow_swallowed
def test_a_plot_that_fails_costs_none_of_the_others(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no")

    monkeypatch.setattr(curves, "rank", fail)
    X, y = load_breast_cancer(return_X_y=True)
    assert set(curves.plots(seen(GaussianNB().fit(X, y), X, y))) == {"confusion_matrix", "calibration_curve"}


def test_several_outputs():
    rng = np.random.default_rng(0)
    true, guess = rng.normal(size=(2, 50, 6))
    found = curves.plots(curves.Seen("regressor", true, guess))
    assert set(found) == {f"{name}_{k}" for name in ("residuals", "predicted_vs_actual") for k in range(4)}
    assert "the first 4 of 6 outputs" in found["residuals_0"]["note"]
    X, y = load_iris(return_X_y=True)
    labels = np.column_stack([y == 1, y == 2]).astype(int)
    model = OneVsRestClassifier(LogisticRegression()).fit(X, labels)
    found = curves.plots(seen(model, X, labels))
    assert set(found) == {"roc_curve", "precision_recall_curve"}
    assert [line["name"] for line in found["roc_curve"]["series"]] == ["0", "1"]


def training_plots(run=None):
    run = run or autotrack.get_run("latest")
    return from_json(run.artifact_path("plots/training.json").read_bytes())


def test_a_classifier_leaves_mlflows_plots_and_more_in_one_file(logged):
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    model = GaussianNB().fit(X, y)
    run = autotrack.get_run("latest")
    assert [path for path in run.artifacts if path.startswith("plots/")] == ["plots/training.json"]
    found = training_plots(run)
    assert set(found) == {
        "training_confusion_matrix",
        "training_roc_curve",
        "training_precision_recall_curve",
        "training_calibration_curve",
    }
    assert found["training_roc_curve"]["series"][0]["auc"] == pytest.approx(run.metrics["training_roc_auc"], abs=1e-9)
    assert found["training_roc_curve"]["subtitle"] == "GaussianNB, training data"
    assert found["training_confusion_matrix"]["counts"] == sk.confusion_matrix(y, model.predict(X)).tolist()


def test_a_regressor_leaves_its_errors(logged):
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = LinearRegression().fit(X, y)
    found = training_plots()
    assert set(found) == {"training_residuals", "training_predicted_vs_actual", "feature_importances"}
    guess = model.predict(X)
    np.testing.assert_allclose(found["training_residuals"]["y"], y - guess, atol=1e-2)
    np.testing.assert_allclose(found["training_predicted_vs_actual"]["y"], guess, atol=1e-2)
    assert found["training_predicted_vs_actual"]["facts"]["r2_score"] == pytest.approx(model.score(X, y))
    assert dict(zip(found["feature_importances"]["names"], found["feature_importances"]["values"], strict=True)) == (
        pytest.approx(dict(zip(X.columns, model.coef_, strict=True)), abs=1e-2)
    )


def test_log_plots_off_writes_none(store):
    autotrack.autolog(store=store, log_plots=False)
    GaussianNB().fit(*load_iris(return_X_y=True))
    run = autotrack.get_run("latest")
    assert "training_accuracy_score" in run.metrics
    assert not [path for path in run.artifacts if path.startswith("plots/")]


def test_a_fit_without_anything_to_plot_leaves_no_file(logged):
    from sklearn.cluster import KMeans

    KMeans(2, n_init=1).fit(load_iris().data)
    assert "plots/training.json" not in autotrack.get_run("latest").artifacts


def test_sampled_rows_are_said(store):
    autotrack.autolog(store=store, max_metric_rows=100)
    GaussianNB().fit(*load_iris(return_X_y=True))
    assert training_plots()["training_roc_curve"]["subtitle"] == "GaussianNB, training data, 75 of 150 rows"


def test_large_data_is_plotted_in_the_background(logged):
    X, y = make_classification(30_000, n_features=4, n_informative=3, n_redundant=0, random_state=0)
    GaussianNB().fit(X, y)
    autotrack.flush()
    assert "training_roc_curve" in training_plots()


@pytest.mark.allow_swallowed
def test_a_plot_that_fails_is_noted_on_the_run(logged, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no such curve")

    monkeypatch.setattr(curves, "calibrate", fail)
    GaussianNB().fit(*load_breast_cancer(return_X_y=True))
    run = autotrack.get_run("latest")
    assert "training_roc_curve" in training_plots(run)
    [note] = [note for note in run.notes if "calibration" in note.subject]
    assert "no such curve" in note.message


@pytest.mark.parametrize(
    "model",
    [
        LinearSVC(),
        RidgeClassifier(),
        SGDClassifier(random_state=0),
        SVC(),
        SVC(class_weight={True: 0.01}),
        NuSVC(),
        make_pipeline(SVC(kernel="linear")),
    ],
    ids=str,
)
def test_decisions_give_the_labels_and_the_curves_in_one_pass(logged, model):
    X, y = load_iris(return_X_y=True)
    y = y == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y)
    found = training_plots()
    assert found["training_confusion_matrix"]["counts"] == sk.confusion_matrix(y, model.predict(X)).tolist()
    auc = sk.roc_auc_score(y, model.decision_function(X))
    assert found["training_roc_curve"]["series"][0]["auc"] == pytest.approx(auc, abs=1e-9)
    assert "training_calibration_curve" not in found


def test_decisions_of_many_classes_give_the_labels(logged):
    X, y = load_iris(return_X_y=True)
    model = LinearSVC().fit(X, y)
    found = training_plots()
    assert found["training_confusion_matrix"]["counts"] == sk.confusion_matrix(y, model.predict(X)).tolist()
    assert len(found["training_roc_curve"]["series"]) == 3


@pytest.mark.parametrize("model", [RandomForestClassifier(8, random_state=0), ExtraTreesRegressor(8, random_state=0)])
def test_importances_of_a_forest_are_its_own(model):
    X, y = load_breast_cancer(return_X_y=True)
    model.fit(X, y)
    plot = feature_importances(model, X)()
    order = np.argsort(-model.feature_importances_, kind="stable")[: data.FEATURES]
    np.testing.assert_allclose(plot["values"], model.feature_importances_[order], atol=1e-6)
    assert plot["names"] == [f"x{place}" for place in order]
    each = np.array([tree.feature_importances_ for tree in model.estimators_])
    np.testing.assert_allclose(plot["std"], each.std(axis=0)[order], atol=1e-6)


def test_importances_are_named_by_what_comes_out_of_the_pipeline():
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    X = pd.DataFrame({"city": list("abcabcab"), "rooms": range(8)})
    columns = make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["rooms"]))
    plot = feature_importances(make_pipeline(columns, LinearRegression()).fit(X, range(8)), X)()
    assert sorted(plot["names"]) == sorted(columns.get_feature_names_out())


def test_importances_of_text_are_named_by_words():
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["good film", "bad film", "good good play", "bad play"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [1, 0, 1, 0])
    plot = feature_importances(model, texts)()
    assert set(plot["names"][:2]) == {"good", "bad"}
    assert plot["importance"] == "coefficient"
    assert dict(zip(plot["names"], plot["values"], strict=True))["bad"] < 0


def test_importances_of_several_classes_are_mean_absolute_coefficients():
    from sklearn.model_selection import GridSearchCV

    X, y = load_iris(return_X_y=True, as_frame=True)
    model = GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1]}, cv=2).fit(X, y)
    plot = feature_importances(model, X)()
    expected = np.abs(model.best_estimator_.coef_).mean(axis=0)
    assert plot["values"] == pytest.approx(sorted(expected, reverse=True), abs=1e-5)
    assert plot["names"] == list(X.columns[np.argsort(-expected)])
    assert plot["importance"] == "mean absolute coefficient"


def test_importances_of_a_transformer_that_cannot_name_its_columns():
    from sklearn.base import BaseEstimator, TransformerMixin

    class Silent(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return np.asarray(X)

    class Raising(Silent):
        def get_feature_names_out(self, names=None):
            raise RuntimeError("ask me not")

    X, y = load_diabetes(return_X_y=True, as_frame=True)
    for step in (Silent(), Raising()):
        plot = feature_importances(make_pipeline(step, LinearRegression()).fit(X, y), X)()
        assert sorted(plot["names"]) == [f"x{place}" for place in range(10)]


def test_models_without_importances():
    X, y = load_iris(return_X_y=True)
    for model in (SVC(), GaussianNB()):
        assert feature_importances(model.fit(X, y), X) is None


def test_recording_imports_no_matplotlib(script):
    done = script(
        """
        import sys
        import autotrack
        autotrack.autolog()
        from sklearn.datasets import load_iris
        from sklearn.linear_model import LogisticRegression
        LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
        autotrack.flush()
        print(autotrack.get_run("latest").plots)
        assert not [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]
        """
    )
    assert "training_roc_curve" in done.stdout


def test_drawing_imports_no_pyplot(script):
    script(
        """
        import sys
        import autotrack
        autotrack.autolog()
        from sklearn.datasets import load_iris
        from sklearn.linear_model import LogisticRegression
        LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))
        run = autotrack.get_run("latest")
        for name in run.plots:
            run.plot(name).savefig(name + ".png")
        assert "matplotlib.pyplot" not in sys.modules
        """
    )
