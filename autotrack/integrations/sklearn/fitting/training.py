"""What one fit leaves behind: predictions on the training data, taken once, and the metrics worked out from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Final

import numpy as np

from autotrack.capture.recorder import number, text
from autotrack.integrations.sklearn.estimators import (
    attribute,
    label_rule,
    predicting,
    row_limit,
    score_metric,
    takes_labels_from_probabilities,
    task,
    without_names,
)
from autotrack.integrations.sklearn.fitting import scores
from autotrack.integrations.sklearn.rows import count_rows, every
from autotrack.integrations.sklearn.untouched import untouched

PREFIX: Final = "training_"
_SMALL: Final = 50_000


@dataclass(slots=True)
class TrainingPass:
    """Predictions on (a sample of) the training data; arrays of ours, which the user's program cannot change.

    ``rows`` of ``total`` rows were predicted. ``score`` is what the estimator's own ``score`` gave, where it had to be
    called. ``skipped`` says what could not be had, and why.
    """

    task: str
    y_true: Any
    y_pred: Any
    probabilities: Any
    decisions: Any
    classes: Any
    sample_weight: Any
    rows: int
    total: int
    score_metric: str | None
    score: float | None
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def is_small(self) -> bool:
        """Whether the metrics take less time than another thread would, which contends for the interpreter."""
        classes = 1 if self.classes is None else len(self.classes)
        return self.rows * classes**2 <= _SMALL

    def positive_label(self, wanted: Any) -> Any:
        """The class that the option ``pos_label`` means here; the option itself where it means none."""
        if wanted is None or self.task != "classifier" or self.classes is None:
            return wanted
        meant = scores.label_meant(self.classes, wanted)
        return wanted if meant is None else meant

    def metrics(self, pos_label: Any) -> dict[str, float]:
        """The training metrics, under MLflow's names."""
        pos_label = self.positive_label(pos_label)
        found: dict[str, float] = {}
        if self.y_pred is not None and self.y_true is not None:
            if self.task == "regressor":
                found = scores.regression(self.y_true, self.y_pred, self.sample_weight)
            elif self.task == "classifier" and np.ndim(self.y_true) == 1:
                found = scores.classification(
                    self.y_true, self.y_pred, self.probabilities, self.classes, self.sample_weight, pos_label
                )
            elif self.task == "classifier":
                found = scores.multilabel(self.y_true, self.y_pred, self.probabilities, self.sample_weight)
        if self.score is not None:
            found["score"] = self.score
        elif self.score_metric in found:
            found["score"] = found[self.score_metric]
        return {PREFIX + name: value for name, value in found.items()}

    def tags(self, pos_label: Any) -> dict[str, str]:
        """``positive_class``: which of two classes the metrics that end in ``_binary`` are about."""
        if self.task != "classifier" or self.y_pred is None or np.ndim(self.y_true) != 1:
            return {}
        classes = self.classes if self.classes is not None else np.unique(self.y_true)
        positive = scores.positive_class(classes, self.positive_label(pos_label))
        return {} if positive is None else {"positive_class": text(positive)}


def predict_training_data(
    estimator: Any, X: Any, y: Any, sample_weight: Any, params: Mapping[str, Any], limit: int
) -> TrainingPass | None:
    """One pass of ``predict`` (and ``predict_proba``) over the training data; ``None`` where there is nothing to score.

    Above the limit an evenly spaced sample of rows is used. Runs while the user waits.
    """
    kind = task(estimator)
    if y is None or attribute(estimator, "predict") is None:
        return None
    total = count_rows(X)
    if total is None or total == 0:
        return None
    step = -(-total // row_limit(estimator, total, limit))
    X, y, sample_weight = (every(step, values) for values in (X, y, sample_weight))
    rows = count_rows(X) or 0
    found = TrainingPass(kind, None, None, None, None, None, None, rows, total, score_metric(estimator), None)
    whole, whole_X = estimator, X
    estimator, params = predicting(estimator, params)
    is_search = estimator is not whole
    if is_search and sample_weight is not None:  # which a search does not pass on to its score
        found.score_metric = None
    estimator, X = without_names(estimator, X, params)
    with untouched(estimator, params), np.errstate(all="ignore"):
        if kind:
            if kind == "classifier":
                classes = attribute(estimator, "classes_")
                found.classes = classes.copy() if isinstance(classes, np.ndarray) else None
                if attribute(estimator, "predict_proba") is not None:
                    found.probabilities = _matrix(estimator.predict_proba(X))
            if (
                found.classes is not None
                and found.probabilities is not None
                and takes_labels_from_probabilities(estimator)
            ):
                found.y_pred = found.classes.take(np.argmax(found.probabilities, axis=1))
            else:
                found.y_pred = _by_decisions(found, estimator, X) if kind == "classifier" else None
                if found.y_pred is None:
                    found.y_pred = _dense(estimator.predict(X))
        if not kind or found.score_metric is None:
            scored, scored_X = (whole, whole_X) if is_search else (estimator, X)
            _score(found, scored, scored_X, y, sample_weight)
    found.y_true = _dense(y, copy=True)
    found.sample_weight = None if sample_weight is None else np.array(sample_weight)
    return found


def _score(found: TrainingPass, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
    """Call ``estimator.score``, where it is there and asks for no more than data."""
    score = attribute(estimator, "score")
    if score is None:
        return
    try:
        takes_weight = sample_weight is not None and "sample_weight" in signature(score).parameters
        weighted = {"sample_weight": sample_weight} if takes_weight else {}
        found.score = number(score(X, y, **weighted))
    except Exception as error:  # noqa: BLE001 - it may want other arguments, or refuse this target
        found.skipped[f"{PREFIX}score"] = f"score raised {type(error).__name__}: {text(error)}"


def _by_decisions(found: TrainingPass, estimator: Any, X: Any) -> Any:
    """Labels from ``decision_function``, as ``predict`` gets them, and the decisions for the curves; else ``None``."""
    classes = attribute(estimator, "classes_")
    if found.probabilities is not None or not isinstance(classes, np.ndarray) or classes.ndim != 1:
        return None
    rule = label_rule(estimator, len(classes))
    if rule is None:
        return None
    decisions = np.asarray(estimator.decision_function(X))
    if decisions.shape not in ((len(decisions),), (len(decisions), len(classes))):
        return None
    found.decisions, found.classes = decisions, classes.copy()
    return found.classes.take(rule(decisions))


def _matrix(probabilities: Any) -> Any:
    # Those of several outputs come as a list of arrays: nothing here scores them.
    array = None if isinstance(probabilities, list) else np.asarray(probabilities)
    return array if array is not None and array.ndim == 2 else None


def _dense(values: Any, copy: bool = False) -> np.ndarray[Any, Any]:
    """A target or a prediction as an array, of one dimension where it has one column; label matrices may be sparse."""
    array = values.toarray() if hasattr(values, "tocsr") else np.array(values) if copy else np.asarray(values)
    return array.ravel() if array.ndim == 2 and array.shape[1] == 1 else array
