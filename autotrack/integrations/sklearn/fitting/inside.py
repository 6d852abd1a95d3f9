"""What happened inside a fit: nested fits, warnings, iterations, and the curves that the estimator kept."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from autotrack.capture.recorder import RunRecorder
from autotrack.capture.trace import Trace
from autotrack.entities import WARNING, Metric
from autotrack.events import MetricsLogged
from autotrack.integrations.sklearn.estimators import attribute, last_step

TRACE_FILE: Final = "fit_trace.json"
_MOST_POINTS: Final = 1_000

_CURVES: Final = {
    "loss_curve_": "loss",  # MLP
    "validation_scores_": "validation_score",  # MLP with early stopping
    "train_score_": "train_score",  # gradient boosting
    "validation_score_": "validation_score",  # histogram gradient boosting with early stopping
    "oob_scores_": "oob_score",
    "lower_bounds_": "lower_bound",  # Gaussian mixtures
    "scores_": "score",  # Bayesian ridge
    "loglike_": "loglike",  # factor analysis
    "error_": "error",  # dictionary learning
}
"""Attribute of a fitted estimator that holds one number per iteration → the metric that it becomes."""

_LIMITS: Final = ("max_iter", "max_fun")
"""Params that bound ``n_iter_``; an estimator that reached its bound did not converge."""


Curve = np.ndarray[Any, Any]

_known: weakref.WeakKeyDictionary[RunRecorder, dict[str, tuple[int, float, int]]] = weakref.WeakKeyDictionary()
"""Of each run the last step and value of each curve and its shift, for the warm starts that may follow."""


def note_warnings(run: RunRecorder, trace: Trace) -> None:
    """Gather the warnings that were shown during the fit."""
    for (category, message), count in trace.warnings.items():
        run.note(WARNING, category, message, count)


def step_seconds(estimator: Any, trace: Trace) -> dict[str, float]:
    """How long each step of a pipeline was fitted, as ``fit_seconds.<step>``; by identity, so never guessed."""
    steps = attribute(estimator, "steps")
    if not trace.root.children or not isinstance(steps, list):
        return {}
    seconds: dict[int, float] = {}
    for node in trace.root.children:
        if node.seconds is not None:
            seconds[node.subject] = seconds.get(node.subject, 0.0) + node.seconds
    return {f"fit_seconds.{name}": seconds[id(step)] for name, step, *_ in steps if id(step) in seconds}


def write_trace(run: RunRecorder, trace: Trace) -> None:
    """Write ``fit_trace.json``."""
    run.artifact(TRACE_FILE, json.dumps(trace.to_json(), separators=(",", ":")).encode())


def look_inside(run: RunRecorder, estimator: Any, trace: Trace | None, at: int) -> None:
    """Gather what the fitted estimator tells of its iterations. ``at`` is the time of the metrics in milliseconds."""
    model = last_step(estimator)
    attributes = attribute(model, "__dict__")
    if not isinstance(attributes, dict):
        return
    points: list[Metric] = []
    n_iter = _largest(attributes.get("n_iter_"))
    if n_iter is not None:
        points.append(Metric("n_iter", n_iter, run.step, at))
        limit = next((attributes[name] for name in _LIMITS if isinstance(attributes.get(name), int)), None)
        told = trace is not None and any(category == "ConvergenceWarning" for category, _ in trace.warnings)
        if limit is not None and n_iter >= limit > 1 and not told and _stops_early(attributes):
            run.note(WARNING, "iterations", f"{type(model).__name__} stopped at its limit of {limit} iterations")
    for key, curve in _curves(attributes):
        first, shift = _goes_on(run, key, curve)
        points.extend(
            Metric(key, float(curve[at_step]), at_step + shift, at) for at_step in _thinned(len(curve), first)
        )
    if points:
        run.add(MetricsLogged(run.run_id, tuple(points)))


def _stops_early(attributes: Mapping[str, Any]) -> bool:
    """Whether fewer iterations than the limit are usual: boosting does all it may, and says so in ``n_iter_`` too."""
    tolerance = attributes.get("tol", attributes.get("tolerance"))
    return isinstance(tolerance, float) and tolerance > 0 and "validation_score_" not in attributes


def _goes_on(run: RunRecorder, key: str, curve: Curve) -> tuple[int, int]:
    """From where on a curve is news to its run, and how far it is to be shifted.

    A warm start either lets the curve of the fits before grow or begins a new one, which goes behind them.
    """
    known = _known.setdefault(run, {})
    first, shift = 0, 0
    if run.step and key in known:
        last, value, shift = known[key]
        if last < len(curve) and (curve[last] == value or bool(np.isnan(curve[last]) and np.isnan(value))):
            first = last + 1
        else:
            shift += last + 1
    known[key] = (len(curve) - 1, float(curve[-1]), shift)
    return first, shift


def _curves(attributes: Mapping[str, Any]) -> Iterator[tuple[str, Curve]]:
    for name, key in _CURVES.items():
        values = attributes.get(name)
        if values is None:
            continue
        try:
            curve = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            continue
        if curve.ndim == 1 and len(curve) > 1:
            yield key, curve
    # XGBoost, LightGBM and CatBoost: {data set: {metric: [values]}}.
    for name in ("evals_result_", "_evals_result"):
        results = attributes.get(name)
        if isinstance(results, Mapping):
            yield from _evaluations(results)
            return


def _evaluations(results: Mapping[Any, Any]) -> Iterator[tuple[str, Curve]]:
    for data, metrics in results.items():
        if not isinstance(metrics, Mapping):
            continue
        for metric, values in metrics.items():
            try:
                curve = np.asarray(values, dtype=np.float64)
            except (TypeError, ValueError):
                continue
            if curve.ndim == 1 and len(curve):
                yield f"{data}-{metric}", curve


def _thinned(length: int, first: int) -> list[int]:
    """At most so many steps of a curve from ``first`` on, the last one among them; steps are iterations from 0."""
    stride = -(-length // _MOST_POINTS)
    steps = list(range(-(-first // stride) * stride, length, stride))
    if first < length and (not steps or steps[-1] != length - 1):
        steps.append(length - 1)
    return steps


def _largest(value: Any) -> float | None:
    """``n_iter_`` is a number, or one for each class or target."""
    if value is None or isinstance(value, (str, bytes, bool)):
        return None
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return float(numbers.max()) if numbers.size else None
