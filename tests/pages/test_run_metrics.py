"""Which data a metric is of, and how metrics stand side by side."""

from __future__ import annotations

import pytest

from autotrack.entities import Dataset, Run
from autotrack.server.pages.columns import fixed, spoken
from autotrack.server.pages.run_metrics import headline, place, table


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("training_accuracy_score", ("accuracy", "training", 1)),
        ("training_roc_auc", ("roc_auc", "training", 1)),
        ("training_f1_score_binary", ("f1_binary", "training", 1)),
        ("training_score", ("score", "training", 1)),
        ("accuracy_score_X_test", ("accuracy", "X_test", 1)),
        ("accuracy_score-2_X_test", ("accuracy", "X_test", 2)),
        ("roc_auc_score_X_test", ("roc_auc", "X_test", 1)),
        ("SVC_score_X_test", ("score", "X_test", 1)),
        ("mean_squared_error_holdout_2", ("mean_squared_error", "holdout_2", 1)),
        ("f1_score_X_test", ("f1_binary", "X_test", 1)),
        ("f1_score-2_X_test", ("f1", "X_test", 2)),
        ("loss", ("loss", "", 1)),
        ("val_accuracy", ("val_accuracy", "", 1)),
    ],
)
def test_a_metric_is_told_apart_from_its_data(key, expected):
    info = {"f1_score-2_X_test": "f1_score(y_true=y_test, y_pred=p, average='weighted')"}
    assert place(key, ["X_test"], "SVC", info) == expected


def run(metrics: dict[str, float], datasets: tuple[str, ...] = ("X_test",)) -> Run:
    data = tuple(Dataset(name, "eval", "array", "") for name in datasets)
    return Run("r", "r", "Default", "FINISHED", metrics=metrics, datasets=data, tags={"estimator_name": "SVC"})


def test_training_and_held_out_stand_in_one_row_the_training_data_last():
    found = table(run({"training_roc_auc": 0.9, "roc_auc_score_X_test": 0.8, "training_log_loss": 0.3}))
    assert found["columns"] == ["X_test", "training"]
    assert [(row["name"], {data: cell["value"] for data, cell in row["cells"].items()}) for row in found["rows"]] == [
        ("roc_auc", {"training": 0.9, "X_test": 0.8}),
        ("log_loss", {"training": 0.3}),
    ]


def test_f1_of_the_positive_class_stands_beside_its_like():
    both = table(run({"training_f1_score": 0.9, "training_f1_score_binary": 0.8, "f1_score_X_test": 0.7}))
    assert {row["name"]: sorted(row["cells"]) for row in both["rows"]} == {
        "f1": ["training"],
        "f1_binary": ["X_test", "training"],
    }
    only = table(run({"training_f1_score": 0.9, "f1_score_X_test": 0.7}))  # as MLflow logs them
    assert {row["name"]: sorted(row["cells"]) for row in only["rows"]} == {"f1": ["X_test", "training"]}


def test_held_out_metrics_stand_large_before_those_of_the_training_data():
    one = run({"training_accuracy_score": 0.99, "accuracy_score_X_test": 0.9, "fit_seconds": 3.0})
    (large,) = headline(table(one), one)
    assert (large["name"], large["data"], large["value"], large["training"]) == ("accuracy", "X_test", 0.9, 0.99)
    training = run({"training_accuracy_score": 0.99, "fit_seconds": 3.0})
    assert [metric["data"] for metric in headline(table(training), training)] == ["training"]
    assert headline(table(run({"fit_seconds": 3.0})), run({"fit_seconds": 3.0})) == []


def test_folds_are_a_mean_with_its_spread():
    one = run({"mean_test_accuracy": 0.9, "std_test_accuracy": 0.02, "test_accuracy": 0.91, "mean_fit_time": 1.0})
    found = table(one)
    (row,) = found["folds"]
    assert (row["mean"]["value"], row["std"]["value"]) == (0.9, 0.02)
    (large,) = headline(found, one)
    assert (large["value"], large["std"]) == (0.9, 0.02)
    alone = table(run({"std_test_accuracy": 0.02, "split_test_score": 0.5}))
    assert alone["folds"] == []
    assert {row["name"] for row in alone["others"]} == {
        "std_test_accuracy",
        "split_test_score",
    }


def test_numbers_that_json_lacks_are_texts():
    found = table(run({"training_score": float("nan"), "loss": float("inf")}))
    assert found["rows"][0]["cells"]["training"]["value"] == "NaN"
    assert found["others"][0]["value"] == "Infinity"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.95, "0.9500"),
        (-0.5, "−0.5000"),
        (18.0, "18"),
        (1e-7, "1e−07"),
        (12345.6, "12,346"),
        ("NaN", "NaN"),
        (None, "–"),
    ],
)
def test_numbers_of_a_column_have_as_many_decimals(value, expected):
    assert fixed(value) == expected


def test_names_of_metrics_are_said_in_words():
    assert (spoken("roc_auc"), spoken("f1_binary"), spoken("binary")) == ("roc auc", "f1 (binary)", "binary")
