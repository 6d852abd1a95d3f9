"""How much each feature counts in a fitted model, and what the features are called.

Everything is read before the fit returns, as the user may fit again on the next line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from autotrack.integrations.sklearn.estimators import is_estimator
from autotrack.plots import data
from autotrack.plots.files import Plot

_INNER: Final = ("best_estimator_", "regressor_", "estimator_")
"""Where a model that wraps another keeps the one it has fitted."""

_MOST_NAMES: Final = 10_000
"""Of more features names are not asked for, unless a vocabulary has them at hand."""


def feature_importances(estimator: Any, X: Any, subtitle: str = "") -> Callable[[], Plot] | None:
    """What makes the plot of a fitted model's importances, from copies of ours; ``None`` where it has none.

    ``feature_importances_`` comes before ``coef_``. Of coefficients for several classes or outputs it is the mean of
    their absolute values.

    Parameters
    ----------
    estimator : fitted; of a pipeline it is the last step's importances, under the names that come out of the others.
    X : what it was fitted on, for the names of its columns.
    """
    for holder, names in _layers(estimator, X):
        found = _values(holder)
        if found is not None:
            values, std, importance = found
            kept = np.argsort(-np.abs(values), kind="stable")[: data.FEATURES]  # NaN comes last
            title = "Coefficients" if importance in (_COEFFICIENT, _COEFFICIENTS) else "Feature importances"
            return partial(
                data.feature_importances,
                names.of(kept, len(values)),
                values[kept],
                std=None if std is None else std[kept],
                importance=importance,
                of=len(values),
                title=title,
                subtitle=subtitle,
            )
    return None


_IMPURITY: Final = "mean decrease in impurity"
_COEFFICIENT: Final = "coefficient"
_COEFFICIENTS: Final = "mean absolute coefficient"


class _Names:
    """Names of features, asked for only when they are needed."""

    def __init__(self, X: Any, known: Any = None, steps: tuple[Any, ...] = ()) -> None:
        self._X = X
        self._known = known  # by the model, in an array that is read far faster than a frame's columns
        self._steps = steps

    def after(self, steps: list[Any]) -> _Names:
        """Names of what comes out of further steps."""
        return _Names(self._X, self._known, (*self._steps, *steps))

    def of(self, places: NDArray[np.intp], total: int) -> list[str]:
        """The names of the features at these places of so many."""
        try:
            found = self._found(places, total)
        except Exception:  # noqa: BLE001 - a transformer of the user's that cannot name its columns is no trouble of ours
            found = None
        return found or [f"x{place}" for place in places.tolist()]

    def _found(self, places: NDArray[np.intp], total: int) -> list[str] | None:
        steps = list(self._steps)
        if steps:
            words = _words(steps, places)
            if words is not None:
                return words
        if total > _MOST_NAMES:
            return None
        names: Any = self._known if self._known is not None else getattr(self._X, "columns", None)
        for step in steps:
            ask = getattr(step, "get_feature_names_out", None)
            if ask is None:
                return None
            names = ask() if names is None else ask(np.asarray(names, dtype=object))
        if names is None or len(names) != total:
            return None
        return [str(names[place]) for place in places.tolist()]


def _words(steps: list[Any], places: NDArray[np.intp]) -> list[str] | None:
    """Words of a vectorizer's vocabulary, behind which only their weights were changed."""
    first, rest = steps[0], steps[1:]
    vocabulary = getattr(first, "vocabulary_", None)
    if not isinstance(vocabulary, dict) or any(type(step).__name__ not in _REWEIGH for step in rest):
        return None
    wanted = set(places.tolist())
    found = {place: str(word) for word, place in vocabulary.items() if place in wanted}
    return [found[place] for place in places.tolist()]


_REWEIGH: Final = ("TfidfTransformer", "Normalizer", "MaxAbsScaler", "StandardScaler")


def _layers(estimator: Any, X: Any) -> Iterator[tuple[Any, _Names]]:
    """The model and those within it, outermost first, each with the names of its features."""
    names = _Names(X, _held(estimator, "feature_names_in_"))
    for _ in range(5):
        steps = _held(estimator, "steps")
        if isinstance(steps, list) and steps and hasattr(type(estimator), "_final_estimator"):
            names = names.after([step for _, step in steps[:-1] if step is not None and step != "passthrough"])
            estimator = steps[-1][1]
            continue
        yield estimator, names
        held = _held(estimator, "__dict__") or {}
        inner = next((held[name] for name in _INNER if held.get(name) is not None), None)
        if not is_estimator(inner):
            return
        estimator = inner


def _values(estimator: Any) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, str] | None:
    """Values, their standard deviations where known, and what they are."""
    if _held(estimator, "__dict__") is None:
        return None
    forest = _of_forest(estimator)
    if forest is not None:
        return *forest, _IMPURITY
    values = _attribute(estimator, "feature_importances_")
    if values is not None and values.ndim == 1 and len(values):
        is_impurity = type(estimator).__module__.startswith(("sklearn.tree", "sklearn.ensemble"))
        return values, None, _IMPURITY if is_impurity else "importance"
    values = _attribute(estimator, "coef_")
    if values is None or values.ndim not in (1, 2) or not values.size:
        return None
    if values.ndim == 2 and len(values) > 1:
        return np.abs(values).mean(axis=0), None, _COEFFICIENTS
    return values.ravel(), None, _COEFFICIENT


def _attribute(estimator: Any, name: str) -> NDArray[np.float64] | None:
    value = _held(estimator, name)
    try:
        return None if value is None else np.array(value.toarray() if hasattr(value, "toarray") else value, np.float64)
    except (TypeError, ValueError):
        return None


def _held(estimator: Any, name: str) -> Any:
    try:
        return getattr(estimator, name, None)
    except Exception:  # noqa: BLE001 - a property of the user's or a booster's that has nothing to tell
        return None


def _of_forest(estimator: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """What a forest's own property gives, which starts threads and takes twenty times as long, and the spread."""
    if not type(estimator).__module__.startswith("sklearn.ensemble._forest"):
        return None
    trees = [getattr(member, "tree_", None) for member in vars(estimator).get("estimators_", ())]
    grown = [tree.compute_feature_importances() for tree in trees if tree is not None and tree.node_count > 1]
    if not grown or any(tree is None for tree in trees):
        return None
    each = np.array(grown)
    mean = each.mean(axis=0)
    total = mean.sum()
    if total <= 0:
        return None
    return mean / total, each.std(axis=0)
