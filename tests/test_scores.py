"""The training metrics are scikit-learn's own, to 1e-12."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from autotrack.integrations.sklearn.fitting import scores

seeds = st.integers(0, 2**32 - 1)


def _weights(rng, n, weighted):
    return rng.random(n) + 0.01 if weighted else None


@settings(deadline=None, max_examples=150)
@given(seed=seeds, n=st.integers(2, 60), outputs=st.integers(1, 3), weighted=st.booleans(), constant=st.booleans())
def test_regression(seed, n, outputs, weighted, constant):
    rng = np.random.default_rng(seed)
    true = np.full((n, outputs), 3.0) if constant else rng.normal(size=(n, outputs))
    predicted = true + rng.normal(size=(n, outputs)) * rng.integers(0, 2)
    weight = _weights(rng, n, weighted)
    if outputs == 1:
        true, predicted = true.ravel(), predicted.ravel()
    found = scores.regression(true, predicted, weight)
    mse = sk.mean_squared_error(true, predicted, sample_weight=weight)
    expected = {
        "mean_squared_error": mse,
        "root_mean_squared_error": np.sqrt(mse),
        "mean_absolute_error": sk.mean_absolute_error(true, predicted, sample_weight=weight),
        "r2_score": sk.r2_score(true, predicted, sample_weight=weight),
    }
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)


@settings(deadline=None, max_examples=200)
@given(
    seed=seeds,
    n=st.integers(4, 60),
    classes=st.integers(2, 5),
    kind=st.sampled_from(["int", "str", "bool"]),
    weighted=st.booleans(),
    ties=st.booleans(),
    positive=st.booleans(),
)
def test_classification(seed, n, classes, kind, weighted, ties, positive):
    rng = np.random.default_rng(seed)
    classes = 2 if kind == "bool" else classes
    true, predicted = rng.integers(0, classes, n), rng.integers(0, classes, n)
    labels = {
        "int": np.arange(classes) * 3 - 1,
        "str": np.array(list("abcde"))[:classes],
        "bool": np.array([False, True]),
    }[kind]
    proba = rng.random((n, classes))
    if ties:
        proba = np.round(proba, 1) + 0.1
    proba /= proba.sum(axis=1, keepdims=True)
    weight = _weights(rng, n, weighted)
    true, predicted = labels[true], labels[predicted]
    pos_label = labels[1] if positive and classes == 2 and kind != "bool" else None
    average = "weighted" if pos_label is None else "binary"
    found = scores.classification(true, predicted, proba, labels, weight, pos_label)
    common = {"sample_weight": weight}
    averaged = {"average": average, "pos_label": 1 if pos_label is None else pos_label, "zero_division": 0, **common}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {"accuracy_score": sk.accuracy_score(true, predicted, **common)}
        expected["balanced_accuracy_score"] = sk.balanced_accuracy_score(true, predicted, **common)
        if classes == 2:
            binary = {"pos_label": labels[1], "labels": labels, "average": "binary", "zero_division": 0, **common}
            if len(np.unique([*true, *predicted])) == 2:
                expected["precision_score_binary"] = sk.precision_score(true, predicted, **binary)
                expected["recall_score_binary"] = sk.recall_score(true, predicted, **binary)
                expected["f1_score_binary"] = sk.f1_score(true, predicted, **binary)
        if pos_label is None or len(np.unique([*true, *predicted])) == 2:
            expected["precision_score"] = sk.precision_score(true, predicted, **averaged)
            expected["recall_score"] = sk.recall_score(true, predicted, **averaged)
            expected["f1_score"] = sk.f1_score(true, predicted, **averaged)
        if len(np.unique(true)) == classes:
            expected["log_loss"] = sk.log_loss(true, proba, **common)
            if classes == 2:
                expected["roc_auc"] = sk.roc_auc_score(true, proba[:, 1], average="weighted", **common)
                expected["average_precision"] = sk.average_precision_score(
                    true, proba[:, 1], pos_label=labels[1], **common
                )
            elif not weighted:
                expected["roc_auc"] = sk.roc_auc_score(true, proba, average="weighted", multi_class="ovo")
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-10, abs=1e-12)
    assert ("log_loss" in found) == ("log_loss" in expected)
    assert ("roc_auc" in found) == ("roc_auc" in expected)
    assert ("f1_score_binary" in found) == (classes == 2)


@settings(deadline=None, max_examples=100)
@given(
    seed=seeds,
    n=st.integers(1, 40),
    labels=st.integers(2, 4),
    kind=st.sampled_from(["i8", "bool", "f8"]),
    weighted=st.booleans(),
    empty=st.booleans(),
)
def test_label_matrices(seed, n, labels, kind, weighted, empty):
    rng = np.random.default_rng(seed)
    true, predicted = (rng.integers(0, 2, (n, labels)).astype(kind) for _ in range(2))
    if empty:
        true[:, 0] = 0
    proba = rng.random((n, labels))
    weight = _weights(rng, n, weighted)
    found = scores.multilabel(true, predicted, proba, weight)
    averaged = {"average": "weighted", "zero_division": 0, "sample_weight": weight}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "accuracy_score": sk.accuracy_score(true, predicted, sample_weight=weight),
            "precision_score": sk.precision_score(true, predicted, **averaged),
            "recall_score": sk.recall_score(true, predicted, **averaged),
            "f1_score": sk.f1_score(true, predicted, **averaged),
            "log_loss": sk.log_loss(true, proba, sample_weight=weight),
        }
    area = found.pop("roc_auc")
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)
    if all(len(np.unique(column)) == 2 for column in true.T):  # of others, older versions refuse it
        expected_area = sk.roc_auc_score(true, proba, average="weighted", sample_weight=weight)
        assert area == pytest.approx(expected_area, rel=1e-10, abs=1e-12)
    elif empty and all(len(np.unique(column)) == 2 for column in true.T[1:]):
        assert 0 <= area <= 1


def test_what_is_no_label_matrix_has_no_such_scores():
    many = np.array([[0, 2], [1, 0]])
    assert scores.multilabel(many, many) == {}
    assert scores.multilabel(np.array([["a", "b"]]), np.array([["a", "b"]])) == {}
    assert scores.multilabel(np.eye(2), np.eye(3)) == {}


@pytest.mark.parametrize(
    ("labels", "pos_label", "positive"),
    [([0, 1], None, 1), ([-1, 1], None, 1), (["no", "yes"], None, "yes"), (["no", "yes"], "no", "no"), ([0, 1], 0, 0)],
)
def test_the_positive_class_is_the_second_one_or_the_one_that_was_named(labels, pos_label, positive):
    labels = np.array(labels)
    true, predicted = labels[[0, 1, 1, 0, 1]], labels[[1, 1, 0, 0, 1]]
    proba = np.array([[0.6, 0.4], [0.2, 0.8], [0.7, 0.3], [0.9, 0.1], [0.4, 0.6]])
    assert scores.positive_class(labels, pos_label) == positive
    found = scores.classification(true, predicted, proba, labels, None, pos_label)
    column = int(positive == labels[1])
    assert found["precision_score_binary"] == sk.precision_score(true, predicted, pos_label=positive)
    assert found["average_precision"] == pytest.approx(
        sk.average_precision_score(true, proba[:, column], pos_label=positive)
    )
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(true, proba[:, 1]))


def test_a_positive_class_that_stands_nowhere_gives_no_score():
    found = scores.classification([0, 1, 1], [1, 1, 0], None, None, None, "other")
    assert "f1_score" not in found
    assert "f1_score_binary" not in found
    assert found["accuracy_score"] == pytest.approx(1 / 3)


def test_a_probability_that_is_no_number_makes_its_own_metrics_nan_only():
    proba = np.array([[0.5, 0.5], [np.nan, np.nan], [0.2, 0.8]])
    found = scores.classification([0, 1, 1], [0, 1, 1], proba, np.array([0, 1]))
    assert found["accuracy_score"] == 1.0
    assert np.isnan(found["roc_auc"])
    assert np.isnan(found["log_loss"])


def test_float32_probabilities_are_clipped_at_their_own_precision():
    true = np.array([0, 1, 1, 0])
    proba = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], dtype=np.float32)
    assert scores.classification(true, true, proba, np.array([0, 1]))["log_loss"] == pytest.approx(
        sk.log_loss(true, proba), rel=1e-6
    )


def test_nothing_is_warned_about(recwarn):
    scores.classification([0, 0, 0], [1, 1, 1], np.array([[0.0, 1.0]] * 3), np.array([0, 1]))
    scores.regression([1.0, 1.0], [np.inf, np.nan])
    assert len(recwarn) == 0
