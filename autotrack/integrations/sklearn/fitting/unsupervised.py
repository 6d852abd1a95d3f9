"""What a model leaves behind that was fitted without a target: clusters, components, outliers.

Mostly attributes that the fitted model carries, whoever's class it is; labels are taken where the fit gave them, and
predicted only where that is cheap. Names are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from sklearn.base import is_outlier_detector

from autotrack.capture.recorder import number
from autotrack.integrations.sklearn.estimators import attribute, last_step, row_limit, task
from autotrack.integrations.sklearn.rows import count_rows, every
from autotrack.integrations.sklearn.untouched import untouched

PREFIX: Final = "training_"

_SCALARS: Final = {
    "inertia_": "inertia",
    "reconstruction_err_": "reconstruction_error",
    "reconstruction_error_": "reconstruction_error",
    "lower_bound_": "lower_bound",
    "bound_": "bound",
    "stress_": "stress",
    "kl_divergence_": "kl_divergence",
    "noise_variance_": "noise_variance",
    "shrinkage_": "shrinkage",
    "n_clusters_": "n_clusters",
    "n_components_": "n_components",
    "converged_": "converged",
}
"""Attribute of a fitted model that holds one number → the metric that it becomes."""

_LABELS: Final = "labels_"
_RATIO: Final = "explained_variance_ratio_"
_MOST_STEPS: Final = 1_000

SILHOUETTE_ROWS: Final = 1_000
"""At most so many rows, evenly spaced, are measured against each other."""

_AT_ONCE: Final = 200
"""So few rows are measured while the user waits: another thread would cost more."""

_PREDICTED_ROWS: Final = 10_000


@dataclass(slots=True)
class Measured:
    """``later`` works out further metrics on copies of ours; ``steps`` are curves, one value for each step."""

    metrics: dict[str, float] = field(default_factory=dict)
    steps: dict[str, list[float]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    later: Callable[[], dict[str, float]] | None = None


def measure(estimator: Any, X: Any, labels: Any, params: Mapping[str, Any]) -> Measured:
    """Look at a fitted model. Runs while the user waits.

    Parameters
    ----------
    estimator : fitted.
    X : what it was fitted on.
    labels : what ``fit_predict`` returned, one for each row; ``None`` where it was not called.
    params : those of the estimator, as deep as they go.
    """
    found = Measured()
    best = _attributes(estimator).get("best_estimator_")
    fitted = estimator if best is None else best
    model = last_step(fitted)
    attributes = _attributes(model)
    found.metrics.update(_carried(attributes))
    ratios = _numbers(attributes.get(_RATIO))
    if ratios is not None and len(ratios) <= _MOST_STEPS:
        found.metrics["explained_variance_ratio"] = float(ratios.sum())
        found.steps["explained_variance_ratio_by_component"] = ratios.tolist()
    if not task(estimator):
        if _finds_outliers(model):
            fraction = _outlier_fraction(fitted, attributes, X, labels, params)
            if fraction is not None:
                found.metrics["outlier_fraction"] = fraction
        elif hasattr(type(model), "fit_predict"):
            _measure_clusters(found, fitted, attributes, X, labels, params)
    found.metrics = {PREFIX + name: value for name, value in found.metrics.items()}
    found.steps = {PREFIX + name: values for name, values in found.steps.items()}
    return found


def silhouette(X: Any, labels: np.ndarray[Any, Any]) -> float:
    """Mean silhouette coefficient by Euclidean distance, as ``sklearn.metrics.silhouette_score``.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_features).
    labels : of shape (n_samples,), from 2 to n_samples - 1 different ones.
    """
    codes = np.unique(labels, return_inverse=True)[1].ravel()
    sizes = np.bincount(codes)
    product = X @ X.T
    product = product.toarray() if hasattr(product, "toarray") else product
    norms = product.diagonal()
    distances = np.sqrt(np.maximum(norms[:, None] + norms[None, :] - 2 * product, 0))
    np.fill_diagonal(distances, 0)
    rows = np.arange(len(codes))
    sums = distances @ np.eye(len(sizes))[codes]
    own = sizes[codes]
    with np.errstate(all="ignore"):
        inside = sums[rows, codes] / (own - 1)
        means = sums / sizes
        means[rows, codes] = np.inf
        outside = means.min(axis=1)
        values = (outside - inside) / np.maximum(inside, outside)
    values[own == 1] = 0
    # Rows that all lie in one place are no further from each other than from others: 0, as scikit-learn has it.
    return float(np.nan_to_num(values).mean())


def _attributes(estimator: Any) -> dict[str, Any]:
    held = attribute(estimator, "__dict__")
    return held if isinstance(held, dict) else {}


def _finds_outliers(model: Any) -> bool:
    try:
        return bool(is_outlier_detector(model))
    except Exception:  # noqa: BLE001 - tags of the user's
        return False


def _carried(attributes: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, name in _SCALARS.items():
        value = attributes.get(key)
        if value is None or isinstance(value, (list, tuple, dict)):
            continue
        try:
            yield name, number(value)
        except (TypeError, ValueError, OverflowError):  # some have one for each component
            continue


def _numbers(values: Any) -> np.ndarray[Any, Any] | None:
    """A copy of an attribute that holds a row of numbers."""
    if values is None:
        return None
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array if array.ndim == 1 and len(array) else None


def _outlier_fraction(
    estimator: Any, attributes: Mapping[str, Any], X: Any, labels: Any, params: Mapping[str, Any]
) -> float | None:
    """The share of the training rows that the model takes for outliers."""
    factors, offset = attributes.get("negative_outlier_factor_"), attributes.get("offset_")
    if labels is not None:
        predicted = np.asarray(labels)
    elif factors is not None and offset is not None:  # local outlier factors tell nothing of rows seen, but these
        return float(np.mean(np.asarray(factors) < offset))
    elif attribute(estimator, "predict") is not None:
        sample, _ = _sample(estimator, X, _PREDICTED_ROWS)
        if sample is None:
            return None
        with untouched(estimator, params), np.errstate(all="ignore"):
            predicted = np.asarray(estimator.predict(sample))
    else:
        return None
    return float(np.mean(predicted == -1)) if predicted.size else None


def _measure_clusters(
    found: Measured, estimator: Any, attributes: Mapping[str, Any], X: Any, labels: Any, params: Mapping[str, Any]
) -> None:
    rows = count_rows(X)
    if "pooling_func" in attributes or not rows:  # it groups columns
        return
    known = _labels_of_rows(attributes.get(_LABELS) if labels is None else labels, rows)
    if known is not None:
        clusters = np.unique(known)
        found.metrics["n_clusters"] = float(np.sum(clusters != -1))
        if clusters[0] == -1:
            found.metrics["noise_fraction"] = float(np.mean(known == -1))
    if any("precomputed" in (attributes.get(name), params.get(name)) for name in ("metric", "affinity")):
        return
    sample, step = _sample(estimator, X, SILHOUETTE_ROWS)
    if sample is None:
        return
    with untouched(estimator, params), np.errstate(all="ignore"):
        if known is None:
            if attribute(estimator, "predict") is None:
                return
            predicted = _labels_of_rows(np.asarray(estimator.predict(sample)), count_rows(sample) or 0)
            if predicted is None:
                return
        else:
            predicted = known[::step].copy()
        points = _points(estimator, sample)
    if points is None or not 2 <= len(np.unique(predicted)) < len(predicted):
        return
    if len(predicted) < rows:
        found.tags["training_silhouette_rows"] = f"{len(predicted)} of {rows}, evenly spaced"

    def work_out() -> dict[str, float]:
        return {PREFIX + "silhouette_score": silhouette(points, predicted)}

    if len(predicted) <= _AT_ONCE:
        # The prefix is put before all of them at the end.
        found.metrics["silhouette_score"] = silhouette(points, predicted)
    else:
        found.later = work_out


def _labels_of_rows(labels: Any, rows: int) -> np.ndarray[Any, Any] | None:
    """Labels as an array of whole numbers, where there is one for each row."""
    if labels is None:
        return None
    array = np.asarray(labels)
    return array if array.ndim == 1 and len(array) == rows and array.dtype.kind in "iu" else None


def _points(estimator: Any, sample: Any) -> Any:
    """The sample as the clusterer saw it, numbers of ours; ``None`` where it cannot be had."""
    model = last_step(estimator)
    if model is not estimator:
        steps = estimator.steps[:-1]
        if not all(step in (None, "passthrough") or hasattr(step, "transform") for _, step in steps):
            return None
        sample = estimator[:-1].transform(sample) if steps else sample
    if hasattr(sample, "tocsr"):
        points = sample.tocsr().astype(np.float64)
        return points if np.isfinite(points.data).all() else None
    try:
        points = np.array(sample, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return points if points.ndim == 2 and np.isfinite(points).all() else None


def _sample(estimator: Any, X: Any, limit: int) -> tuple[Any, int]:
    """Evenly spaced rows, and how far they lie apart; ``None`` where the data has no rows to take."""
    rows = count_rows(X)
    if not rows:
        return None, 1
    step = -(-rows // row_limit(estimator, rows, limit))
    return every(step, X), step
