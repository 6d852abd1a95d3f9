"""What one fit leaves behind: predictions on the training data, taken once, and the metrics worked out from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, Final

import numpy as np
from sklearn.utils import _safe_indexing

from autotrack.capture.guard import shield
from autotrack.capture.recorder import number
from autotrack.integrations.sklearn import scores
from autotrack.integrations.sklearn.estimators import (
    predicting,
    row_limit,
    score_metric,
    takes_labels_from_probabilities,
    task,
    untouched,
    without_names,
)

PREFIX: Final = "training_"
_SMALL: Final = 50_000


@dataclass(slots=True)
class TrainingPass:
    """Predictions on (a sample of) the training data; arrays of ours, which the user's program cannot change.

    ``rows`` of ``total`` rows were predicted. ``score`` is what the estimator's own ``score`` gave, where it had to be
    called.
    """

    task: str
    y_true: Any
    y_pred: Any
    probabilities: Any
    classes: Any
    sample_weight: Any
    rows: int
    total: int
    score_metric: str | None
    score: float | None

    @property
    def is_small(self) -> bool:
        """Whether the metrics take less time than another thread would, which contends for the interpreter."""
        classes = 1 if self.classes is None else len(self.classes)
        return self.rows * classes**2 <= _SMALL

    def metrics(self, pos_label: Any) -> dict[str, float]:
        """The training metrics, under MLflow's names."""
        found: dict[str, float] = {}
        if self.y_pred is not None and self.y_true is not None:
            if self.task == "regressor":
                found = scores.regression(self.y_true, self.y_pred, self.sample_weight)
            elif self.task == "classifier" and np.ndim(self.y_true) == 1:
                found = scores.classification(
                    self.y_true, self.y_pred, self.probabilities, self.classes, self.sample_weight, pos_label
                )
        if self.score is not None:
            found["score"] = self.score
        elif self.score_metric in found:
            found["score"] = found[self.score_metric]
        return {PREFIX + name: value for name, value in found.items()}


def predict_training_data(
    estimator: Any, X: Any, y: Any, sample_weight: Any, params: Mapping[str, Any], limit: int
) -> TrainingPass | None:
    """One pass of ``predict`` (and ``predict_proba``) over the training data; ``None`` where there is nothing to score.

    Above the limit an evenly spaced sample of rows is used. Runs while the user waits.
    """
    kind = task(estimator)
    if y is None or not hasattr(estimator, "predict"):
        return None
    total = _rows(X)
    if total is None or total == 0:
        return None
    step = -(-total // row_limit(estimator, total, limit))
    X, y, sample_weight = (_every(step, values) for values in (X, y, sample_weight))
    found = TrainingPass(kind, None, None, None, None, None, _rows(X) or 0, total, score_metric(estimator), None)
    whole, whole_X = estimator, X
    estimator, params = predicting(estimator, params)
    is_search = estimator is not whole
    if is_search and sample_weight is not None:  # which a search does not pass on to its score
        found.score_metric = None
    estimator, X = without_names(estimator, X, params)
    with untouched(estimator, params), np.errstate(all="ignore"):
        if kind:
            if kind == "classifier" and hasattr(estimator, "predict_proba"):
                found.probabilities = _matrix(estimator.predict_proba(X))
                classes = getattr(estimator, "classes_", None)
                found.classes = classes.copy() if isinstance(classes, np.ndarray) else None
            if (
                found.classes is not None
                and found.probabilities is not None
                and takes_labels_from_probabilities(estimator)
            ):
                found.y_pred = found.classes.take(np.argmax(found.probabilities, axis=1))
            else:
                found.y_pred = _column(np.asarray(estimator.predict(X)))
        if (not kind or found.score_metric is None) and hasattr(estimator, "score"):
            scored, scored_X = (whole, whole_X) if is_search else (estimator, X)
            with shield("score the training data"):
                takes_weight = sample_weight is not None and "sample_weight" in signature(scored.score).parameters
                weighted = {"sample_weight": sample_weight} if takes_weight else {}
                found.score = number(scored.score(scored_X, y, **weighted))
    found.y_true = _column(np.array(y))
    found.sample_weight = None if sample_weight is None else np.array(sample_weight)
    return found


def _matrix(probabilities: Any) -> Any:
    # Those of several outputs come as a list of arrays: nothing here scores them.
    array = None if isinstance(probabilities, list) else np.asarray(probabilities)
    return array if array is not None and array.ndim == 2 else None


def _column(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values.ravel() if values.ndim == 2 and values.shape[1] == 1 else values


def _rows(X: Any) -> int | None:
    shape = getattr(X, "shape", None)
    if shape:
        return int(shape[0])
    try:
        return len(X)
    except TypeError:
        return None


def _every(step: int, values: Any) -> Any:
    """Every ``step``-th row, laid side by side: predicting from a view with gaps takes two to three times as long."""
    if step == 1 or values is None:
        return values
    if hasattr(values, "iloc"):
        return values.iloc[::step].copy()
    if isinstance(values, np.ndarray):
        return np.ascontiguousarray(values[::step])
    if isinstance(values, list):
        return values[::step]
    if hasattr(values, "tocsr"):  # not every sparse format has rows to take
        values = values.tocsr()
    return _safe_indexing(values, np.arange(0, _rows(values) or 0, step))
