"""Training metrics from predictions already taken, in numpy.

scikit-learn's own functions give the same numbers (a property test holds ours to theirs), but validate their input at
ten times the cost and warn about ill-defined values on the user's stderr; these run behind the user's back and may do
neither. Names are MLflow's.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


def regression(y_true: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, float]:
    """Errors of a regressor, averaged uniformly over outputs.

    Parameters
    ----------
    y_true, y_pred : arrays of shape (n_samples,) or (n_samples, n_outputs).
    sample_weight : array of shape (n_samples,), or None.
    """
    true, predicted = _outputs(y_true), _outputs(y_pred)
    weight = weights_of(sample_weight, len(true))
    with np.errstate(all="ignore"):
        error = true - predicted
        squared = float(_mean(error * error, weight).mean())
        absolute = float(_mean(np.abs(error), weight).mean())
        return {
            "mean_squared_error": squared,
            "root_mean_squared_error": float(np.sqrt(squared)),
            "mean_absolute_error": absolute,
            "r2_score": _r2(true, error, weight),
        }


def classification(
    y_true: Any,
    y_pred: Any,
    probabilities: Any = None,
    classes: Any = None,
    sample_weight: Any = None,
    pos_label: Hashable | None = None,
) -> dict[str, float]:
    """Scores of a classifier with one output.

    Parameters
    ----------
    y_true, y_pred : labels of shape (n_samples,).
    probabilities : array of shape (n_samples, n_classes), or None.
    classes : the labels of its columns, sorted.
    sample_weight : array of shape (n_samples,), or None.
    pos_label : the class whose precision, recall and F1 are wanted; ``None`` for averages weighted by support.

    Returns
    -------
    dict
        MLflow's names. For two classes also ``precision_score_binary`` …: those of the positive class alone, which is
        what scikit-learn's functions give by default; see `positive_class`.
    """
    true, predicted = np.asarray(y_true).ravel(), np.asarray(y_pred).ravel()
    labels, true_codes, predicted_codes = codes_of(true, predicted, classes)
    weight = weights_of(sample_weight, len(true))
    n = len(labels)
    hit = true_codes == predicted_codes
    support = np.bincount(true_codes, weights=weight, minlength=n)
    claimed = np.bincount(predicted_codes, weights=weight, minlength=n)
    right = np.bincount(true_codes[hit], weights=None if weight is None else weight[hit], minlength=n)
    precision, recall = _ratio(right, claimed), _ratio(right, support)
    f1 = _ratio(2 * right, claimed + support)
    each = {"precision_score": precision, "recall_score": recall, "f1_score": f1}
    scores: dict[str, float] = {}
    if pos_label is None:
        share = _ratio(support, support.sum())
        scores |= {name: float(np.sum(values * share)) for name, values in each.items()}
    else:
        chosen = np.flatnonzero(labels == pos_label)
        # A class that stands nowhere has no precision: scikit-learn refuses it too, where there are two others.
        if len(chosen) or n < 2:
            scores |= {name: float(values[chosen[0]]) if len(chosen) else 0.0 for name, values in each.items()}
    scores["accuracy_score"] = float(_mean(hit, weight))
    there = support > 0
    scores["balanced_accuracy_score"] = float(recall[there].mean()) if there.any() else float("nan")
    positive = positive_class(labels, pos_label)
    if positive is not None:
        place = int(np.flatnonzero(labels == positive)[0])
        scores |= {f"{name}_binary": float(values[place]) for name, values in each.items()}
    if probabilities is not None and classes is not None:
        scores |= _probabilistic(true, np.asarray(probabilities), np.asarray(classes), weight, positive)
    return scores


def positive_class(classes: Any, pos_label: Hashable | None = None) -> Any:
    """The positive one of two classes: ``pos_label``, else the second; ``None`` where there are not two."""
    if classes is None or len(classes) != 2:
        return None
    if pos_label is None:
        return classes[1]
    return next((label for label in classes if label == pos_label), None)


def label_meant(classes: Any, pos_label: Hashable) -> Any:
    """The class that ``pos_label`` names, ``None`` where it names none.

    Environment variables and configuration files know texts only, so the text of a class names it too.
    """
    known = [] if classes is None else list(classes)
    equal = [label for label in known if label == pos_label]
    alike = [label for label in known if isinstance(pos_label, str) and str(label) == pos_label]
    return next(iter(equal or alike), None)


def multilabel(y_true: Any, y_pred: Any, probabilities: Any = None, sample_weight: Any = None) -> dict[str, float]:
    """Scores of a classifier that says yes or no to each of several labels.

    Parameters
    ----------
    y_true, y_pred : 0 or 1, of shape (n_samples, n_labels).
    probabilities : array of shape (n_samples, n_labels), or None.
    sample_weight : array of shape (n_samples,), or None.

    Returns
    -------
    dict
        ``accuracy_score`` is the share of rows with every label right; precision, recall and F1 are averages over
        labels, weighted by support. Empty where the target is no such matrix.
    """
    true, predicted = _plain(y_true), _plain(y_pred)
    if true.shape != predicted.shape or not (is_label_matrix(true) and is_label_matrix(predicted)):
        return {}
    true, predicted = true != 0, predicted != 0
    weight = weights_of(sample_weight, len(true))
    ones = np.ones(len(true)) if weight is None else weight
    right, claimed, support = (ones @ values for values in (true & predicted, predicted, true))
    share = _ratio(support, support.sum())
    averaged = {
        "precision_score": _ratio(right, claimed),
        "recall_score": _ratio(right, support),
        "f1_score": _ratio(2 * right, claimed + support),
    }
    scores = {name: float(np.sum(values * share)) for name, values in averaged.items()}
    scores["accuracy_score"] = float(_mean((true == predicted).all(axis=1), weight))
    if probabilities is not None and np.shape(probabilities) == true.shape:
        proba = np.asarray(probabilities)
        epsilon = float(np.finfo(proba.dtype if proba.dtype.kind == "f" else np.float64).eps)
        with np.errstate(all="ignore"):
            logs = np.log(np.clip(proba.astype(np.float64, copy=False), epsilon, 1 - epsilon))
            scores["log_loss"] = -float(_mean(np.where(true, logs, 0.0).sum(axis=1), weight))
            areas = np.array([_auc(true[:, k], proba[:, k], weight) for k in range(true.shape[1])])
            # A label that nobody has weighs nothing, and so does its NaN.
            scores["roc_auc"] = float(np.sum(areas * share, where=share > 0))
    return scores


def _plain(labels: Any) -> NDArray[Any]:
    """Labels as they are; numbers that some estimators predict as objects, as numbers."""
    array = np.asarray(labels)
    try:
        return array.astype(np.float64) if array.dtype.kind == "O" else array
    except (TypeError, ValueError):
        return array


def is_label_matrix(values: NDArray[Any]) -> bool:
    """Whether it says yes or no to each of several labels."""
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "biuf":
        return False
    return bool(((values == 0) | (values == 1)).all())


def codes_of(true: NDArray[Any], predicted: NDArray[Any], classes: Any) -> tuple[NDArray[Any], Codes, Codes]:
    """Labels, and the places of both among them; those of the model where it has seen them all, which saves a sort."""
    if classes is not None and len(classes):
        last = len(classes) - 1
        places = [np.minimum(np.searchsorted(classes, values), last) for values in (true, predicted)]
        if all(np.array_equal(classes[place], values) for place, values in zip(places, (true, predicted), strict=True)):
            return classes, places[0], places[1]
    labels, codes = np.unique(np.concatenate([true, predicted]), return_inverse=True)
    codes = codes.ravel()
    return labels, codes[: len(true)], codes[len(true) :]


def _probabilistic(
    true: NDArray[Any], proba: NDArray[Any], classes: NDArray[Any], weight: Floats | None, positive: Any
) -> dict[str, float]:
    if proba.ndim != 2 or proba.shape[1] != len(classes) or len(classes) < 2:
        return {}
    epsilon = float(np.finfo(proba.dtype if proba.dtype.kind == "f" else np.float64).eps)
    proba = proba.astype(np.float64, copy=False)
    place = np.searchsorted(classes, true)
    if not np.array_equal(classes[np.minimum(place, len(classes) - 1)], true):
        return {}
    scores: dict[str, float] = {}
    # scikit-learn refuses log loss and AUC where a class is absent.
    if np.bincount(place, minlength=len(classes)).all():
        scores["log_loss"] = _log_loss(proba, place, weight, epsilon)
        if len(classes) == 2:
            column = 0 if positive is not None and positive == classes[0] else 1
            steps = _steps(place == column, proba[:, column], weight)
            scores["average_precision"] = _average_precision(*steps)
            scores["roc_auc"] = _area(*steps) if column else _auc(place == 1, proba[:, 1], weight)
        elif weight is None:  # one-vs-one takes no sample weights
            scores["roc_auc"] = _one_vs_one(proba, place)
    return scores


def _log_loss(proba: Floats, place: NDArray[np.intp], weight: Floats | None, epsilon: float) -> float:
    with np.errstate(all="ignore"):
        chosen = np.clip(proba, epsilon, 1 - epsilon)[np.arange(len(place)), place]
        return -float(_mean(np.log(chosen), weight))


def _one_vs_one(proba: Floats, place: NDArray[np.intp]) -> float:
    """Average of the AUC of each pair of classes, weighted by the pair's prevalence (Hand and Till, 2001)."""
    n_classes = proba.shape[1]
    total, weights = 0.0, 0.0
    for a in range(n_classes):
        for b in range(a + 1, n_classes):
            pair = (place == a) | (place == b)
            is_a = place[pair] == a
            area = (_auc(is_a, proba[pair, a], None) + _auc(~is_a, proba[pair, b], None)) / 2
            prevalence = float(np.mean(pair))
            total += area * prevalence
            weights += prevalence
    return total / weights


def _auc(positive: NDArray[np.bool_], score: Floats, weight: Floats | None) -> float:
    """Area under the ROC curve by the trapezoidal rule over distinct thresholds."""
    hits, alarms = _steps(positive, score, weight)
    return _area(hits, alarms)


def _area(hits: Floats, alarms: Floats) -> float:
    if not (hits[-1] > 0 and alarms[-1] > 0):
        return float("nan")
    area = np.sum(np.diff(alarms) * (hits[1:] + hits[:-1]) / 2)
    return float(area / (hits[-1] * alarms[-1]))


def _average_precision(hits: Floats, alarms: Floats) -> float:
    if not hits[-1] > 0:
        return float("nan")
    # There is a row behind each threshold; one of no weight may be the first.
    precision = _ratio(hits[1:], hits[1:] + alarms[1:])
    return float(np.sum(np.diff(hits) * precision) / hits[-1])


def _steps(positive: NDArray[np.bool_], score: Floats, weight: Floats | None) -> tuple[Floats, Floats]:
    """Weight of the positive and of the other rows at and above each distinct score, falling; 0 first."""
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    if len(score) == 0 or score[-1] != score[-1]:  # NaN is sorted to the end
        nan = np.array([np.nan])
        return nan, nan
    ones = np.ones(len(score)) if weight is None else weight[order]
    ends = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    hits = np.concatenate([[0.0], np.cumsum(ones * positive)[ends]])
    alarms = np.concatenate([[0.0], np.cumsum(ones * ~positive)[ends]])
    return hits, alarms


def _r2(true: Floats, error: Floats, weight: Floats | None) -> float:
    """Coefficient of determination; a constant target gives 1 when met and 0 when missed, as in scikit-learn."""
    if len(true) < 2:
        return float("nan")
    residual = _mean(error * error, weight)
    # Rounded just as scikit-learn rounds it: of a constant target it decides what is left.
    centred = true - (true.mean(axis=0) if weight is None else np.average(true, axis=0, weights=weight))
    spread = _mean(centred * centred, weight)
    scores = np.ones(true.shape[1])
    varied, missed = spread != 0, residual != 0
    scores[varied & missed] = 1 - residual[varied & missed] / spread[varied & missed]
    scores[missed & ~varied] = 0.0
    return float(np.mean(scores))


def _outputs(values: Any) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array.reshape(len(array), -1)


def weights_of(sample_weight: Any, n_samples: int) -> Floats | None:
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight, dtype=np.float64).ravel()
    return weight if len(weight) == n_samples and weight.sum() > 0 else None


def _mean(values: Any, weight: Floats | None) -> Any:
    """Mean over the samples; ``np.average`` does the same in three times the time."""
    return values.mean(axis=0) if weight is None else weight @ values / weight.sum()


def _ratio(part: Any, whole: Any) -> Floats:
    """``part / whole``, 0 where there is nothing to divide by."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    quotient: Floats = np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
    return quotient
