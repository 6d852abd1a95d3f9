"""Scores, scorers and metrics after the fit: names, numbers, results that are no numbers, and what was left out."""

from __future__ import annotations

import functools
import json
import pickle
import warnings
from decimal import Decimal
from fractions import Fraction

import cloudpickle
import numpy as np
import pytest
import sklearn.metrics as skm
from sklearn import metrics as m
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.calibration import calibration_curve
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.inspection import partial_dependence
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score as renamed
from sklearn.metrics import check_scoring, get_scorer, make_scorer, mean_squared_error, r2_score
from sklearn.metrics import cluster as clustering
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import autotrack

X, y = load_iris(return_X_y=True)
test_X, test_y = X[::3], y[::3]


def latest():
    autotrack.flush()
    return autotrack.get_run("latest")


def after(run):
    return {k: v for k, v in run.metrics.items() if not k.startswith(("training_", "fit_seconds", "n_iter", "best_"))}


def calls(run):
    return json.loads(run.artifact_path("metric_info.json").read_text())


def result(run, path):
    return json.loads(run.artifact_path(f"metrics/{path}.json").read_text())


@pytest.fixture
def model(logged):
    return DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y)


@pytest.fixture
def predicted(model):
    return model.predict(test_X)


def test_a_metric_is_recorded_however_it_is_called(predicted):
    def helper(actual, pred):
        return renamed(y_pred=pred, y_true=actual)

    renamed(test_y, predicted)
    skm.accuracy_score(y_true=test_y, y_pred=predicted)
    m.accuracy_score(test_y, y_pred=predicted, normalize=False)
    helper(test_y, predicted)
    run = latest()
    value = float(np.mean(predicted == test_y))
    assert after(run) == {
        "accuracy_score_test_X": value,
        "accuracy_score-2_test_X": value,
        "accuracy_score-3_test_X": value * len(test_y),
        "accuracy_score-4_test_X": value,
    }
    assert calls(run) == {
        "accuracy_score_test_X": "accuracy_score(y_true=test_y, y_pred=predicted)",
        "accuracy_score-2_test_X": "accuracy_score(y_true=test_y, y_pred=predicted)",
        "accuracy_score-3_test_X": "accuracy_score(y_true=test_y, y_pred=predicted, normalize=False)",
        "accuracy_score-4_test_X": "accuracy_score(y_pred=predicted, y_true=test_y)",
    }


METRICS = {"accuracy": renamed, "all": [renamed, skm.f1_score]}
macro_f1 = functools.partial(skm.f1_score, average="macro")


def test_metrics_kept_in_mappings_defaults_partials_and_closures_before_autolog_are_recorded(store):
    original = METRICS["accuracy"]

    def evaluate(true, pred, metric=renamed):
        return metric(true, pred)

    def make(metric):
        return lambda true, pred: metric(true, pred)

    enclosed = make(renamed)
    autotrack.autolog(store=store)
    predicted = DecisionTreeClassifier(max_depth=2).fit(X, y).predict(test_X)
    METRICS["accuracy"](test_y, predicted)
    METRICS["all"][0](test_y, predicted)
    evaluate(test_y, predicted)
    enclosed(test_y, predicted)
    value = macro_f1(test_y, predicted)
    run = latest()
    assert set(after(run)) == {
        "accuracy_score_test_X",
        "accuracy_score-2_test_X",
        "accuracy_score-3_test_X",
        "accuracy_score-4_test_X",
        "f1_score_test_X",
    }
    assert run.metrics["f1_score_test_X"] == value
    assert calls(run)["f1_score_test_X"] == "f1_score(y_true=test_y, y_pred=predicted, average='macro')"
    assert METRICS["accuracy"] is original
    for pickler in (pickle, cloudpickle):
        assert pickle.loads(pickler.dumps(original)) is original
        assert len(pickler.dumps(original)) < 100
    autotrack.autolog(disable=True)
    METRICS["accuracy"](test_y, predicted)
    assert len(after(autotrack.get_run(run.run_id))) == 5
    assert any(cell.cell_contents is original.__wrapped__ for cell in original.__closure__)


def test_warnings_of_metrics_name_the_same_line_as_without_us(store):
    def warned(metric):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            metric([0, 0, 1], [0, 0, 0])
        return [(w.category, str(w.message), w.filename, w.lineno) for w in seen]

    kept = {"precision": skm.precision_score}
    bare = warned(kept["precision"])
    autotrack.autolog(store=store)
    assert warned(kept["precision"]) == bare
    assert warned(skm.precision_score) == bare
    assert len(bare) == 1


def test_every_function_of_the_module_that_gives_a_number_is_a_metric(model):
    """Walks what scikit-learn offers, so that a function that it adds is found too."""
    binary = (test_y == 2).astype(int)
    binary_model = DecisionTreeClassifier(max_depth=2).fit(X, y == 2)
    positive = Ridge(positive=True).fit(X, y + 1)
    inputs = {
        "labels": (test_y, model.predict(test_X)),
        "scores": (binary, binary_model.predict_proba(test_X)[:, 1]),
        "probabilities": (test_y, model.predict_proba(test_X)),
        "numbers": (test_y + 1, positive.predict(test_X)),
    }
    expected = {}
    for name in skm.__all__:
        function = getattr(skm, name)
        if isinstance(function, type) or name.startswith(
            ("pairwise", "euclid", "nan_euclid", "get_", "make_", "check_")
        ):
            continue
        for kind, (true, made) in inputs.items():
            if name in (
                "auc",
                "silhouette_score",
                "davies_bouldin_score",
                "calinski_harabasz_score",
                "consensus_score",
            ):
                continue
            try:
                with np.errstate(all="ignore"):
                    value = function(true, made)
            except (ValueError, TypeError, AttributeError):
                continue
            if isinstance(value, (float, int, np.number)):
                expected.setdefault(name, {})[kind] = float(value)
    autotrack.flush()
    found = [v for r in map(autotrack.get_run, autotrack.search_runs()["run_id"]) for v in after(r).items()]
    for name, values in expected.items():
        recorded = [value for key, value in found if key.startswith((f"{name}_", f"{name}-"))]
        assert sorted(recorded) == pytest.approx(sorted(values.values()), nan_ok=True), name
    assert len(expected) > 35


def test_clusters_are_scored_as_predictions(logged):
    km = KMeans(3, n_init=1, random_state=0).fit(X)
    labels = km.predict(test_X)
    value = skm.silhouette_score(test_X, labels)
    other = clustering.adjusted_rand_score(test_y, labels)
    assert after(latest()) == {"silhouette_score_test_X": value, "adjusted_rand_score_test_X": other}


def test_a_projection_counts_where_there_is_no_prediction(logged):
    projected = PCA(2).fit(X).transform(test_X)
    own = skm.silhouette_score(projected, test_y)
    clusters = KMeans(3, n_init=1, random_state=0).fit(projected)
    skm.silhouette_score(projected, clusters.predict(projected))
    autotrack.flush()
    assert after(autotrack.get_run("PCA"))["silhouette_score_test_X"] == own
    assert "silhouette_score_projected" in autotrack.get_run("KMeans").metrics
    assert [data.name for data in autotrack.get_run("PCA").datasets] == ["X", "test_X"]


def test_the_name_of_data_comes_from_where_a_helper_got_it(logged):
    def evaluate(model, A, b):
        first = skm.r2_score(b, model.predict(A))
        model.score(A, b)
        return first

    def evaluate_in_two_steps(model, data, target):
        return evaluate(model, data, b=target)

    def evaluate_part(model, A, b):
        A = A[:30]
        return skm.r2_score(b[:30], model.predict(A))

    held, wanted = X[10:90].copy(), y[10:90]
    model = Ridge().fit(X, y)
    evaluate_in_two_steps(model, held, wanted)
    evaluate_part(model, held, wanted)
    run = latest()
    assert set(after(run)) == {"r2_score_held", "Ridge_score_held", "r2_score-2_A"}
    assert calls(run)["r2_score_held"] == "r2_score(y_true=wanted, y_pred=<ndarray>)"
    assert calls(run)["Ridge_score_held"] == "Ridge.score(X=held, y=wanted)"


def test_other_data_without_a_name_is_numbered(logged):
    model = Ridge().fit(X, y)
    for start in (0, 20, 40):
        skm.r2_score(y[start : start + 20], model.predict(X[start : start + 20]))
    assert set(after(latest())) == {
        "r2_score_unknown_dataset",
        "r2_score-2_unknown_dataset-2",
        "r2_score-3_unknown_dataset-3",
    }


def test_more_data_sets_than_are_fingerprinted_stay_apart(logged):
    model = Ridge().fit(X, y)
    parts = [X[start:].copy() for start in range(30)]
    for part in parts:
        model.predict(part)
    for number, part in enumerate(parts[1:], 2):
        value = skm.r2_score(y[len(X) - len(part) :], model.predict(part))
        if number == 20:
            expected = value
    run = latest()
    assert len(after(run)) == 29
    assert run.metrics["r2_score-19_part-20"] == expected
    assert len(run.datasets) == 16


# Scorers


@pytest.mark.parametrize(
    ("scoring", "metric", "sign", "called"),
    [
        ("accuracy", "accuracy_score", 1, "accuracy_score(y_true=test_y, y_pred=y_pred)"),
        ("neg_log_loss", "log_loss", -1, "log_loss(y_true=test_y, y_pred=y_pred)"),
        ("f1_macro", "f1_score", 1, "f1_score(y_true=test_y, y_pred=y_pred, pos_label=None, average='macro')"),
        (
            make_scorer(skm.fbeta_score, beta=2, average="micro"),
            "fbeta_score",
            1,
            "fbeta_score(y_true=test_y, y_pred=y_pred, beta=2, average='micro')",
        ),
    ],
    ids=["accuracy", "neg_log_loss", "f1_macro", "made"],
)
def test_a_scorer_is_recorded_once_under_its_metrics_name(model, scoring, metric, sign, called):
    scorer = get_scorer(scoring)
    value = scorer(model, test_X, test_y)
    run = latest()
    assert after(run) == {f"{metric}_test_X": pytest.approx(sign * value)}
    assert [data.name for data in run.datasets] == ["X", "test_X"]
    assert calls(run) == {f"{metric}_test_X": called}


def test_scorers_of_ones_own_and_those_of_check_scoring_are_recorded(model):
    def distance(y_true, y_pred):
        return float(np.abs(y_true - y_pred).sum())

    make_scorer(distance, greater_is_better=False)(model, X=test_X, y_true=test_y)
    check_scoring(model)(model, test_X, test_y)
    check_scoring(model, "balanced_accuracy")(model, test_X, test_y)
    make_scorer(lambda y_true, y_pred: 0.25)(model, test_X, test_y)
    assert after(latest()) == {
        "distance_test_X": pytest.approx(distance(test_y, model.predict(test_X))),
        "DecisionTreeClassifier_score_test_X": pytest.approx(model.score(test_X, test_y)),
        "balanced_accuracy_score_test_X": pytest.approx(skm.balanced_accuracy_score(test_y, model.predict(test_X))),
        "lambda_test_X": 0.25,
    }


def test_a_scorer_of_several_records_each(model):
    try:
        scorer = check_scoring(model, ["accuracy", "neg_log_loss"])
    except (TypeError, ValueError):
        from sklearn.metrics._scorer import _MultimetricScorer

        scorer = _MultimetricScorer(scorers={name: get_scorer(name) for name in ("accuracy", "neg_log_loss")})
    values = scorer(model, test_X, test_y)
    assert after(latest()) == {"accuracy_score_test_X": values["accuracy"], "log_loss_test_X": -values["neg_log_loss"]}


def test_a_scorer_on_a_model_without_a_run_is_noted(model):
    with autotrack.disabled():
        other = DecisionTreeClassifier().fit(X, y)
    get_scorer("accuracy")(other, test_X, test_y)
    run = latest()
    assert after(run) == {}
    (note,) = run.notes
    assert (note.kind, note.subject) == ("skipped", "accuracy_score")
    assert note.message.endswith("was called on a model whose fit was not recorded")


def test_scorers_inside_searches_and_cross_validation_record_nothing(logged):
    GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, scoring="accuracy", cv=2).fit(X, y)
    cross_val_score(DecisionTreeClassifier(), X, y, scoring="f1_macro", cv=2)
    autotrack.flush()
    runs = [autotrack.get_run(run_id) for run_id in autotrack.search_runs()["run_id"]]
    assert all("_X" not in key for run in runs for key in run.metrics)


# Results that are no numbers


def test_reports_and_matrices_become_files(predicted):
    text = skm.classification_report(test_y, predicted)
    asdict = skm.classification_report(test_y, predicted, output_dict=True)
    matrix = skm.confusion_matrix(test_y, predicted)
    each = skm.f1_score(test_y, predicted, average=None)
    four = skm.precision_recall_fscore_support(test_y, predicted)
    multi = skm.multilabel_confusion_matrix(test_y, predicted)
    run = latest()
    assert after(run) == {}
    assert run.artifact_path("metrics/classification_report_test_X.txt").read_text() == text
    assert result(run, "classification_report-2_test_X")["result"] == asdict
    assert result(run, "confusion_matrix_test_X") == {
        "metric": "confusion_matrix",
        "dataset": "test_X",
        "call": "confusion_matrix(y_true=test_y, y_pred=predicted)",
        "result": matrix.tolist(),
    }
    assert result(run, "f1_score_test_X")["result"] == each.tolist()
    assert result(run, "precision_recall_fscore_support_test_X")["result"] == {
        name: values.tolist() for name, values in zip(("precision", "recall", "f_score", "support"), four, strict=True)
    }
    assert result(run, "multilabel_confusion_matrix_test_X")["result"] == multi.tolist()
    plot = json.loads(run.artifact_path("plots/confusion_matrix_test_X.json").read_text())["plots"]
    assert plot["confusion_matrix_test_X"]["counts"] == matrix.tolist()
    assert plot["confusion_matrix_test_X"]["labels"] == ["0", "1", "2"]


def test_an_array_result_does_not_shift_the_number_of_a_metric(predicted):
    skm.f1_score(test_y, predicted, average=None)
    value = skm.f1_score(test_y, predicted, average="macro")
    assert after(latest()) == {"f1_score_test_X": value}


def test_curves_become_files_and_plots_and_their_area_is_known(logged):
    model = DecisionTreeClassifier(max_depth=3).fit(X, y == 2)
    proba = model.predict_proba(test_X)[:, 1]
    fpr, tpr, thresholds = skm.roc_curve(test_y == 2, proba)
    precision, recall, _ = skm.precision_recall_curve(test_y == 2, proba)
    area, other = skm.auc(fpr, tpr), skm.auc(recall, precision)
    run = latest()
    assert after(run) == {"auc_test_X": area, "auc-2_test_X": other}
    kept = result(run, "roc_curve_test_X")["result"]
    assert kept["tpr"] == tpr.tolist()
    assert kept["thresholds"] == ["Infinity", *thresholds[1:].tolist()]
    plots = [json.loads(run.artifact_path(f"plots/{name}_test_X.json").read_text())["plots"] for name in
             ("roc_curve", "precision_recall_curve")]  # fmt: skip
    assert plots[0]["roc_curve_test_X"]["series"][0]["auc"] == pytest.approx(area)
    assert plots[1]["precision_recall_curve_test_X"]["kind"] == "precision_recall_curve"
    [line] = plots[1]["precision_recall_curve_test_X"]["series"]
    assert line["prevalence"] == pytest.approx((test_y == 2).mean())


def test_a_calibration_curve_is_kept_like_other_curves(logged):
    model = DecisionTreeClassifier(max_depth=3).fit(X, y == 2)
    true, made = calibration_curve(test_y == 2, model.predict_proba(test_X)[:, 1], n_bins=3)
    run = latest()
    assert result(run, "calibration_curve_test_X")["result"] == {"prob_true": true.tolist(), "prob_pred": made.tolist()}
    assert "plots/calibration_curve_test_X.json" in run.artifacts


def test_a_result_the_user_changes_afterwards_is_kept_as_it_was(predicted):
    matrix = skm.confusion_matrix(test_y, predicted)
    before = matrix.tolist()
    matrix[:] = -1
    assert result(latest(), "confusion_matrix_test_X")["result"] == before


def test_what_is_too_large_is_left_out_with_a_note(logged):
    rows = np.tile(X, (400, 1))
    model = Wave().fit(X, y)
    skm.roc_curve(np.arange(len(rows)) % 2, model.predict(rows), drop_intermediate=False)
    run = latest()
    assert "plots/roc_curve_rows.json" in run.artifacts
    assert "metrics/roc_curve_rows.json" not in run.artifacts
    assert any("numbers; up to 50,000 are kept" in note.message for note in run.notes)


class Wave(BaseEstimator):
    """All its predictions differ."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict(self, X):
        return np.sin(np.arange(len(X)))


def test_without_plots_the_numbers_are_kept(store):
    autotrack.autolog(store=store, log_plots=False)
    model = DecisionTreeClassifier().fit(X, y)
    skm.confusion_matrix(test_y, model.predict(test_X))
    run = latest()
    assert "metrics/confusion_matrix_test_X.json" in run.artifacts
    assert not any(path.startswith("plots/confusion") for path in run.artifacts)


# Notes


def test_a_metric_on_an_unknown_array_is_noted_once_per_function_and_run(model):
    guess = np.roll(test_y, 1)
    for _ in range(3):
        renamed(test_y, guess)
    skm.f1_score(test_y, guess, average="macro")
    skm.euclidean_distances(test_X, test_X)
    run = latest()
    assert [(note.kind, note.subject) for note in run.notes] == [("skipped", "accuracy_score"), ("skipped", "f1_score")]
    assert run.notes[0].message == (
        "accuracy_score(y_true=test_y, y_pred=guess) was called on arrays that are no known prediction of a model"
    )
    make_pipeline(StandardScaler(), Ridge()).fit(X, y)
    renamed(test_y, guess)
    assert [note.subject for note in latest().notes] == ["accuracy_score"]


def test_nothing_is_noted_where_nothing_was_fitted_or_wanted(store):
    autotrack.autolog(store=store)
    renamed(test_y, test_y)
    autotrack.autolog(store=store, log_post_training_metrics=False)
    model = DecisionTreeClassifier().fit(X, y)
    renamed(test_y, np.roll(test_y, 1))
    get_scorer("accuracy")(model, test_X, test_y)
    skm.confusion_matrix(test_y, model.predict(test_X))
    run = latest()
    assert after(run) == {}
    assert not run.notes
    assert not any(path.startswith("metrics/") for path in run.artifacts)


def test_metrics_that_raise_are_the_users_and_leave_nothing(predicted):
    with pytest.raises(ValueError, match="inconsistent"):
        mean_squared_error(test_y[:3], predicted)
    with pytest.raises(ValueError, match="inconsistent"):
        r2_score(test_y[:3], test_y)
    run = latest()
    assert after(run) == {}
    assert not run.notes


def test_what_partial_dependence_predicts_is_nobodys_test_data(model):
    partial_dependence(model, test_X, [0], grid_resolution=3)
    assert [data.name for data in latest().datasets] == ["X"]


def test_what_is_written_later_is_there_when_the_script_has_ended(script, tmp_path):
    script(
        """
        import autotrack
        from sklearn.datasets import load_iris
        from sklearn.metrics import accuracy_score, confusion_matrix
        from sklearn.naive_bayes import GaussianNB

        autotrack.autolog()
        X, y = load_iris(return_X_y=True)
        test_X, test_y = X[::3], y[::3]
        predicted = GaussianNB().fit(X, y).predict(test_X)
        accuracy_score(test_y, predicted)
        confusion_matrix(test_y, predicted)
        """
    )
    run = autotrack.get_run("latest", store=tmp_path / ".autotrack")
    assert calls(run) == {"accuracy_score_test_X": "accuracy_score(y_true=test_y, y_pred=predicted)"}
    assert {"metrics/confusion_matrix_test_X.json", "plots/confusion_matrix_test_X.json"} <= set(run.artifacts)


class Scores(RegressorMixin, BaseEstimator):
    """An estimator of the user's whose score is whatever it was given."""

    def __init__(self, value=None):
        self.value = value

    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.zeros(len(X))

    def score(self, X, y):
        return self.value


@pytest.mark.parametrize("value", [Decimal("0.25"), Fraction(1, 4), np.float32(0.25), np.array(0.25)], ids=repr)
def test_a_score_of_any_kind_of_number_is_a_metric(logged, value):
    Scores(value).fit(test_X, test_y).score(test_X, test_y)
    run = latest()
    assert run.metrics["Scores_score_test_X"] == 0.25
    assert run.metrics["training_score"] == 0.25


@pytest.mark.parametrize("value", [True, 1j, None, "good"], ids=repr)
def test_a_score_that_is_no_number_is_none(logged, value):
    assert Scores(value).fit(test_X, test_y).score(test_X, test_y) is value
    assert "Scores_score_test_X" not in latest().metrics
