"""Questions about an estimator that are answered without touching it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier, is_regressor

from autotrack.capture.recorder import text

PREPARING: Final = (
    "sklearn.preprocessing",
    "sklearn.impute",
    "sklearn.feature_extraction",
    "sklearn.feature_selection",
    "sklearn.compose._column_transformer",
)

_PREDICTS: Final = ("predict", "fit_predict")

_COSTLY: Final = ("neighbors", "svm", "gaussian_process", "semi_supervised")
"""Modules of scikit-learn whose predictions cost more the more rows the model was fitted on."""

_COSTLY_PAIRS: Final = 100_000_000
_COSTLY_ROWS: Final = 1_000
"""Of those, so many pairs of a predicted and a fitted row, but at least so many rows."""

_PLAIN: Final = (
    "discriminant_analysis",
    "linear_model",
    "naive_bayes",
    "neighbors",
    "neural_network",
    "svm",
    "tree",
)
"""Modules of scikit-learn whose estimators look at columns by position only."""

_SEARCH_ASKS: Final = frozenset({"predict", "predict_proba", "decision_function", "score", "classes_"})
"""What a search of scikit-learn's own has its best estimator do."""

_LABELS_FROM_PROBABILITIES: Final = frozenset(
    {
        "BaggingClassifier",
        "DecisionTreeClassifier",
        "ExtraTreeClassifier",
        "ExtraTreesClassifier",
        "HistGradientBoostingClassifier",
        "KNeighborsClassifier",
        "LogisticRegression",
        "RandomForestClassifier",
    }
)
"""Classes of scikit-learn whose ``predict`` is the most probable class of ``predict_proba``."""


_LABELS_FROM_DECISIONS: Final = frozenset(
    {
        "LinearSVC",
        "PassiveAggressiveClassifier",
        "Perceptron",
        "RidgeClassifier",
        "RidgeClassifierCV",
        "SGDClassifier",
    }
)
"""Classes of scikit-learn whose ``predict`` is the largest decision of ``decision_function``."""

_SUPPORT_VECTORS: Final = frozenset({"SVC", "NuSVC"})
"""Those that decide so between two classes only, a decision of 0 for the second."""


def only_prepares(estimator: Any) -> bool:
    """Whether it makes data ready for another estimator, and so makes no run of its own."""
    last = last_step(estimator)
    if last is None or isinstance(last, str):
        return True
    if last is not estimator:
        return only_prepares(last)
    cls = type(estimator)
    if cls.__module__.startswith(PREPARING):
        return True
    if cls.__module__.startswith("sklearn."):
        return False
    return hasattr(cls, "transform") and not any(hasattr(cls, name) for name in _PREDICTS)


def attribute(estimator: Any, name: str, default: Any = None) -> Any:
    """An attribute of an object of the user's, whose ``__getattr__`` may raise anything for what it has not."""
    try:
        return getattr(estimator, name, default)
    except Exception:  # noqa: BLE001 - see above
        return default


def last_step(estimator: Any) -> Any:
    """The final step of a pipeline; the estimator itself where it is none."""
    steps = attribute(estimator, "steps")
    if isinstance(steps, list) and steps and hasattr(type(estimator), "_final_estimator"):
        return steps[-1][1]
    return estimator


def is_search(estimator: Any) -> bool:
    """Whether it is a parameter search, of scikit-learn or built on it."""
    # Where nobody has loaded the module there is no such object; loading it here would cost the user 50 ms.
    searches = sys.modules.get("sklearn.model_selection._search")
    return searches is not None and isinstance(estimator, searches.BaseSearchCV)


def class_tags(estimator: Any) -> dict[str, str]:
    """The tags that say what a run fitted; none without an estimator."""
    if estimator is None:
        return {}
    cls = type(estimator)
    return {"estimator_name": cls.__name__, "estimator_class": f"{cls.__module__}.{cls.__qualname__}"}


def run_name(estimator: Any) -> str:
    """What a person would call the run: ``SVC``, ``Pipeline(SVC)``, ``GridSearchCV(SVC)``."""
    cls = type(estimator).__name__
    last = last_step(estimator)
    if last is not estimator and last is not None and not isinstance(last, str):
        return f"{cls}({run_name(last)})"
    inner = attribute(estimator, "estimator")
    # A forest has such an attribute too, and nobody ever gave it one.
    if is_estimator(inner) and _takes(type(estimator), "estimator"):
        return f"{cls}({run_name(inner)})"
    return cls


def task(estimator: Any) -> str:
    """``"classifier"``, ``"regressor"`` or ``""``."""
    last = last_step(estimator)  # what a pipeline is, its last step is, and that is told ten times faster
    try:
        if is_classifier(last):
            return "classifier"
        return "regressor" if is_regressor(last) else ""
    except Exception:  # noqa: BLE001 - tags of the user's
        return ""


def predicting(estimator: Any, params: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """What predicts for an estimator, and the params of that: a search has its best estimator do it."""
    best = attribute(estimator, "best_estimator_") if is_search(estimator) else None
    if best is None or any(vars(cls).keys() & _SEARCH_ASKS for cls in type(estimator).__mro__[:-1] if _is_foreign(cls)):
        return estimator, params
    return best, best.get_params(deep=True)


def score_metric(estimator: Any) -> str | None:
    """The training metric that ``estimator.score`` is, where that can be told without calling it."""
    last = last_step(estimator)
    if is_search(last) and attribute(last, "scoring") is None:
        best, _ = predicting(last, {})
        return None if best is last else score_metric(best)
    score = getattr(type(last), "score", None)
    inner = getattr(score, "__wrapped__", score)
    if inner is getattr(ClassifierMixin.score, "__wrapped__", ClassifierMixin.score):
        return "accuracy_score"
    if inner is getattr(RegressorMixin.score, "__wrapped__", RegressorMixin.score):
        return "r2_score"
    # Newer versions give it a method of its own, for leave-one-out scores without X.
    return "accuracy_score" if is_sklearns(last, "neighbors") and is_classifier(last) else None


def takes_labels_from_probabilities(estimator: Any) -> bool:
    """Whether ``predict`` can be worked out from ``predict_proba``, which then need not be run a second time."""
    last = last_step(estimator)
    return type(last).__name__ in _LABELS_FROM_PROBABILITIES and type(last).__module__.startswith("sklearn.")


def label_rule(estimator: Any, n_classes: int) -> Callable[[Any], Any] | None:
    """How ``predict`` gets the places of labels from ``decision_function``, which then is all that need be run."""
    last = last_step(estimator)
    name = type(last).__name__
    if not type(last).__module__.startswith("sklearn.") or not hasattr(estimator, "decision_function"):
        return None
    if name in _LABELS_FROM_DECISIONS:
        return lambda decisions: (decisions > 0).astype(int) if decisions.ndim == 1 else decisions.argmax(axis=1)
    if name in _SUPPORT_VECTORS and n_classes == 2 and not getattr(last, "break_ties", False):
        return lambda decisions: (decisions >= 0).astype(int)
    return None


def without_names(estimator: Any, X: Any, params: Mapping[str, Any]) -> tuple[Any, Any]:
    """The estimator and its data as they predict fastest, and the same.

    scikit-learn takes longer to check a small DataFrame than to predict from it. A frame of one float dtype is an array
    but for its names, so a shallow copy of the estimator that has forgotten them takes the array without a warning.
    """
    names = attribute(estimator, "feature_names_in_")
    pandas = sys.modules.get("pandas")
    if names is None or pandas is None or not isinstance(X, pandas.DataFrame) or not is_sklearns(estimator, *_PLAIN):
        return estimator, X
    if any(map(is_estimator, params.values())):
        return estimator, X
    blocks: Any = getattr(getattr(X, "_mgr", None), "blocks", ())
    if len(blocks) != 1 or getattr(blocks[0].dtype, "kind", "") != "f":
        return estimator, X
    twin = object.__new__(type(estimator))
    vars(twin).update(vars(estimator))
    del vars(twin)["feature_names_in_"]
    return twin, X.to_numpy()


def row_limit(estimator: Any, fitted_rows: int, limit: int) -> int:
    """So many training rows are predicted at the most, of an estimator fitted on so many."""
    last = last_step(estimator)
    if any(is_sklearns(part, *_COSTLY) for part in (last, attribute(last, "estimator"))):
        return min(limit, max(_COSTLY_ROWS, _COSTLY_PAIRS // max(1, fitted_rows)))
    return limit


def printed(params: Mapping[str, Any]) -> dict[str, str]:
    """Params as ``str`` prints them. An estimator that stands in several places is printed once: it takes long."""
    known: dict[int, str] = {}

    def show(value: Any) -> str:
        if is_estimator(value):
            key = id(value)
            if key not in known:
                known[key] = _short_repr(value) or text(value)
            return known[key]
        return repr(value)

    def is_steps(value: Any) -> bool:
        return type(value) is list and bool(value) and all(type(step) is tuple and len(step) > 1 for step in value)

    found = {}
    for name, value in params.items():
        if is_estimator(value):
            found[name] = show(value)
        elif is_steps(value):
            try:
                found[name] = "[" + ", ".join(f"({', '.join(map(show, step))})" for step in value) + "]"
            except Exception:  # noqa: BLE001 - a __repr__ of the user's
                found[name] = text(value)
        else:
            found[name] = text(value)
    return found


_SCALARS: Final = (int, float, str, bool, type(None))
_ONE_LINE: Final = 60


def _short_repr(estimator: Any) -> str | None:
    """What ``repr`` gives for an estimator whose changed params are few and plain, in a fifth of its time."""
    cls: Any = type(estimator)
    if cls.__repr__ is not BaseEstimator.__repr__ or not get_config()["print_changed_only"]:
        return None
    defaults = _defaults(cls)
    changed = []
    for name, value in sorted(estimator.get_params(deep=False).items()):
        default = defaults.get(name, _NO_DEFAULT)
        if type(value) not in _SCALARS or type(default) not in _SCALARS or value != value:
            if value is default:
                continue
            return None
        if type(value) is not type(default) or value != default:
            changed.append(f"{name}={value!r}")
    shown = f"{cls.__name__}({', '.join(changed)})"
    return shown if len(shown) <= _ONE_LINE else None


_NO_DEFAULT: Final = object()


@lru_cache(maxsize=512)
def _defaults(cls: Any) -> dict[str, Any]:
    init = inspect.signature(getattr(cls.__init__, "deprecated_original", cls.__init__))
    return {name: parameter.default for name, parameter in init.parameters.items()}


def _takes(cls: Any, name: str) -> bool:
    try:
        return name in _defaults(cls)
    except (TypeError, ValueError):  # a class of the user's whose signature cannot be read
        return True


def _is_foreign(cls: type) -> bool:
    return not cls.__module__.startswith("sklearn.")


def is_sklearns(estimator: Any, *modules: str) -> bool:
    """Whether its class is defined in one of these modules of scikit-learn."""
    parts = type(estimator).__module__.split(".", 2)
    return parts[0] == "sklearn" and len(parts) > 1 and parts[1] in modules


def is_estimator(value: Any) -> bool:
    """Whether it is an object with params of its own; a user's ``__getattr__`` may raise anything."""
    if value is None or type(value) in _SCALARS or isinstance(value, type):
        return False
    return hasattr(type(value), "get_params")
