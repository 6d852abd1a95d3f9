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
    if pos_label is None:
        share = _ratio(support, support.sum())
        averages = [float(np.sum(values * share)) for values in (precision, recall, f1)]
    else:
        chosen = np.flatnonzero(labels == pos_label)
        averages = [float(values[chosen[0]]) if len(chosen) else 0.0 for values in (precision, recall, f1)]
    scores = {
        "precision_score": averages[0],
        "recall_score": averages[1],
        "f1_score": averages[2],
        "accuracy_score": float(_mean(hit, weight)),
    }
    if probabilities is not None and classes is not None:
        scores |= _probabilistic(true, np.asarray(probabilities), np.asarray(classes), weight)
    return scores


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
    true: NDArray[Any], proba: NDArray[Any], classes: NDArray[Any], weight: Floats | None
) -> dict[str, float]:
    if proba.ndim != 2 or proba.shape[1] != len(classes) or len(classes) < 2:
        return {}
    epsilon = float(np.finfo(proba.dtype if proba.dtype.kind == "f" else np.float64).eps)
    proba = proba.astype(np.float64, copy=False)
    place = np.searchsorted(classes, true)
    if not np.array_equal(classes[np.minimum(place, len(classes) - 1)], true):
        return {}
    scores: dict[str, float] = {}
    if np.bincount(
        place, minlength=len(classes)
    ).all():  # scikit-learn refuses log loss and AUC where a class is absent
        scores["log_loss"] = _log_loss(proba, place, weight, epsilon)
        if len(classes) == 2:
            scores["roc_auc"] = _auc(place == 1, proba[:, 1], weight)
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
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    ones = np.ones(len(score)) if weight is None else weight[order]
    ends = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    hits = np.concatenate([[0.0], np.cumsum(ones * positive)[ends]])
    alarms = np.concatenate([[0.0], np.cumsum(ones * ~positive)[ends]])
    if hits[-1] <= 0 or alarms[-1] <= 0:
        return float("nan")
    area = np.sum(np.diff(alarms) * (hits[1:] + hits[:-1]) / 2)
    return float(area / (hits[-1] * alarms[-1]))


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
