"""What the functions that evaluate an estimator give back, as metrics, tables and plot data.

Everything is copied here and now: the user may change it on the next line.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from autotrack.capture.sinks import now
from autotrack.capture.trace import Trace
from autotrack.entities import Metric
from autotrack.events import MetricsLogged
from autotrack.integrations.base import Call
from autotrack.integrations.sklearn.estimators import attribute, run_name, score_metric
from autotrack.plots.files import Plot

_MOST_STEPS: Final = 1_000
_MOST_FEATURES: Final = 100
_BINS: Final = 20

Floats = NDArray[np.float64]


class Found:
    """What one call gave.

    Attributes
    ----------
    points : metrics.
    n_splits : the number of folds, where the result tells it; else 0.
    n_scores, n_failed : test scores, and those of them that are NaN.
    files : tables: an artifact's path and what makes its content.
    plot : what makes the plot; ``None`` for none.
    """

    def __init__(self) -> None:
        self.points: list[Metric] = []
        self.n_splits = self.n_scores = self.n_failed = 0
        self.files: dict[str, Callable[[], bytes]] = {}
        self.plot: Callable[[], Plot] | None = None
        self._at = now()

    def logged(self, run_id: str) -> MetricsLogged:
        """The metrics as one event."""
        return MetricsLogged(run_id, tuple(self.points))

    def one(self, key: str, value: Any, step: int = 0) -> None:
        """One metric."""
        self.points.append(Metric(key, float(value), int(step), self._at))

    def folds(self, key: str, values: Floats) -> None:
        """A metric with a step per fold, its mean and its standard deviation."""
        for step, value in enumerate(values[:_MOST_STEPS].tolist()):
            self.one(key, value, step)
        self.spread(key, values)

    def spread(self, key: str, values: Floats, step: int = 0) -> None:
        """Mean and standard deviation of a metric."""
        with np.errstate(all="ignore"):
            self.one(f"mean_{key}", values.mean() if values.size else np.nan, step)
            self.one(f"std_{key}", values.std() if values.size else np.nan, step)

    def tests(self, scores: Floats) -> None:
        """Count test scores."""
        self.n_scores += scores.size
        self.n_failed += int(np.isnan(scores).sum())


def read(call: Call, value: Any, trace: Trace) -> Found:
    """What a call gave.

    Parameters
    ----------
    call : a call of one of the observed functions.
    value : what it returned.
    trace : the fits inside.
    """
    found = Found()
    _READERS[call.wrapped.__name__](found, call, value, trace)
    return found


def _cross_val_score(found: Found, call: Call, value: Any, trace: Trace) -> None:
    scores = _floats(value)
    found.n_splits = len(scores)
    found.folds("test_score", scores)
    found.tests(scores)
    seconds = _fit_seconds(trace, len(scores))
    if seconds is not None:
        found.folds("fit_time", seconds)


def _cross_validate(found: Found, call: Call, value: Mapping[str, Any], trace: Trace) -> None:
    for key, values in value.items():
        if key.startswith(("test_", "train_")) or key in ("fit_time", "score_time"):
            scores = _floats(values)
            found.n_splits = max(found.n_splits, len(scores))
            found.folds(key, scores)
            if key.startswith("test_"):
                found.tests(scores)


def _cross_val_predict(found: Found, call: Call, value: Any, trace: Trace) -> None:
    if call.argument("n_jobs") in (None, 1):
        found.n_splits = len(trace.root.children)


def _learning_curve(found: Found, call: Call, value: Sequence[Any], trace: Trace) -> None:
    sizes, train, test = np.array(value[0]), _floats(value[1]), _floats(value[2])
    _curve(found, "train_size", sizes.tolist(), sizes.tolist(), train, test)
    for key, seconds in zip(("fit_time", "score_time"), value[3:], strict=False):
        for size, row in zip(sizes.tolist(), _floats(seconds), strict=True):
            found.spread(key, row, size)
    subtitle, metric = _subtitle(call), _metric(call)

    def plot() -> Plot:
        from autotrack.plots import data

        return data.learning_curve(_bands(sizes, train, test), ylabel=metric, subtitle=subtitle)

    found.plot = plot


def _validation_curve(found: Found, call: Call, value: Sequence[Any], trace: Trace) -> None:
    train, test = _floats(value[0]), _floats(value[1])
    param = str(call.argument("param_name"))
    values = [item.item() if isinstance(item, np.generic) else item for item in call.argument("param_range")]
    plain = all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in values)
    shown: list[Any] = [item if plain else str(item) for item in values]
    _curve(found, param, shown, range(len(shown)), train, test)
    subtitle, metric = _subtitle(call), _metric(call)

    def plot() -> Plot:
        from autotrack.plots import data

        return data.validation_curve(_bands(shown, train, test), param=param, ylabel=metric, subtitle=subtitle)

    found.plot = plot


def _permutation_test_score(found: Found, call: Call, value: Sequence[Any], trace: Trace) -> None:
    score, scores, pvalue = float(value[0]), _floats(value[1]), float(value[2])
    found.one("score", score)
    found.one("pvalue", pvalue)
    found.spread("permutation_score", scores)
    subtitle, metric = _subtitle(call), _metric(call)

    def plot() -> Plot:
        from autotrack.plots import data

        finite = scores[np.isfinite(scores)]
        counts, edges = np.histogram(finite, bins=min(_BINS, max(1, len(finite))))
        return data.bars(
            [f"{low:.4g} … {high:.4g}" for low, high in itertools.pairwise(edges)],
            counts,
            xlabel=f"permutations with this {metric}",
            title="Scores of permuted targets",
            subtitle=subtitle,
            note=f"{metric} {score:.4g}, p-value {pvalue:.3g}",
        )

    found.plot = plot


def _permutation_importance(found: Found, call: Call, value: Mapping[str, Any], trace: Trace) -> None:
    # One result, or one for each of several scorers.
    several = "importances" not in value
    bunches = dict(value) if several else {"": value}
    copies = {
        scorer: (_floats(bunch["importances_mean"]), _floats(bunch["importances_std"]))
        for scorer, bunch in bunches.items()
    }
    means = next(iter(copies.values()))[0]
    names = _feature_names(call, len(means))
    for scorer, (mean, _) in copies.items():
        prefix = f"importance_{scorer}_" if scorer else "importance_"
        # Of very many features the most important ones; the table has all.
        for place in np.sort(np.argsort(-np.abs(mean), kind="stable")[:_MOST_FEATURES]).tolist():
            found.one(prefix + names[place], mean[place])
    found.files["importances.csv"] = lambda: _csv(
        ("scorer", "feature", "importance_mean", "importance_std"),
        (
            (scorer, name, *numbers)
            for scorer, (mean, std) in copies.items()
            for name, *numbers in zip(names, mean.tolist(), std.tolist(), strict=True)
        ),
    )
    scorer, (mean, std) = next(iter(copies.items()))
    subtitle, metric = _subtitle(call), scorer or _metric(call)

    def plot() -> Plot:
        from autotrack.plots import data

        return data.feature_importances(
            names,
            mean,
            std=std,
            importance=f"mean decrease of {metric}",
            title="Permutation importances",
            subtitle=subtitle,
        )

    found.plot = plot


_READERS: Final[Mapping[str, Callable[[Found, Call, Any, Trace], None]]] = {
    "cross_val_predict": _cross_val_predict,
    "cross_val_score": _cross_val_score,
    "cross_validate": _cross_validate,
    "learning_curve": _learning_curve,
    "permutation_importance": _permutation_importance,
    "permutation_test_score": _permutation_test_score,
    "validation_curve": _validation_curve,
}


def _curve(
    found: Found, name: str, shown: Sequence[Any], steps: Sequence[int] | range, train: Floats, test: Floats
) -> None:
    """Scores of shape (n_points, n_splits): metrics per point, and a table of all."""
    found.n_splits = test.shape[1]
    found.tests(test)
    for key, scores in (("train_score", train), ("test_score", test)):
        for step, row in zip(steps, scores, strict=True):
            found.spread(key, row, step)
    found.files["scores.csv"] = lambda: _csv(
        (name, "fold", "train_score", "test_score"),
        (
            (at, fold, *numbers)
            for at, train_row, test_row in zip(shown, train.tolist(), test.tolist(), strict=True)
            for fold, numbers in enumerate(zip(train_row, test_row, strict=True))
        ),
    )


def _bands(x: Any, train: Floats, test: Floats) -> list[Any]:
    from autotrack.plots.data import Series

    with np.errstate(all="ignore"):
        return [
            Series(name, x, scores.mean(axis=1), std=scores.std(axis=1))
            for name, scores in (("training", train), ("validation", test))
        ]


def _csv(header: Sequence[str], rows: Any) -> bytes:
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue().encode("utf-8", "surrogatepass")


def _fit_seconds(trace: Trace, n_splits: int) -> Floats | None:
    """The time of each fold's fit; ``None`` where the fits cannot be told to be one per fold, in order."""
    nodes = trace.root.children
    if len(nodes) != n_splits or any(node.seconds is None for node in nodes):
        return None
    for earlier, later in itertools.pairwise(nodes):
        if earlier.seconds is None or earlier.began + earlier.seconds > later.began:
            return None
    return np.array([node.seconds for node in nodes], dtype=np.float64)


def _feature_names(call: Call, n_features: int) -> list[str]:
    for names in (getattr(call.argument("X"), "columns", None), _told_names(call.argument("estimator"))):
        if names is not None and len(names) == n_features:
            return [str(name) for name in names]
    return [f"x{place}" for place in range(n_features)]


def _told_names(estimator: Any) -> Any:
    return attribute(estimator, "feature_names_in_")


def _subtitle(call: Call) -> str:
    return run_name(call.argument("estimator"))


def _metric(call: Call) -> str:
    scoring = call.argument("scoring")
    if isinstance(scoring, str):
        return scoring
    return "score" if scoring is not None else score_metric(call.argument("estimator")) or "score"


def _floats(values: Any) -> Floats:
    return np.array(values, dtype=np.float64)
