"""Questions about an estimator that are answered without touching it."""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import numpy as np
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

_PURE: Final = (
    "calibration",
    "compose",
    "discriminant_analysis",
    "ensemble",
    "feature_selection",
    "linear_model",
    "model_selection",
    "multiclass",
    "naive_bayes",
    "neighbors",
    "neural_network",
    "pipeline",
    "preprocessing",
    "svm",
    "tree",
)
"""Modules of scikit-learn whose estimators neither draw random numbers nor change when they predict."""

_PLAIN: Final = (
    "discriminant_analysis",
    "linear_model",
    "naive_bayes",
    "neighbors",
    "neural_network",
    "svm",
    "tree",
)
"""Those of them that look at columns by position only."""

_SEARCH_ASKS: Final = frozenset({"predict", "predict_proba", "score", "classes_"})
"""What a search of scikit-learn's own has its best estimator do."""

_NOT_PURE: Final = ("FunctionTransformer", "StackingClassifier", "StackingRegressor")
"""… but for these: the first calls functions of the user's, the others note a shape each time."""

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


def last_step(estimator: Any) -> Any:
    """The final step of a pipeline; the estimator itself where it is none."""
    steps = getattr(estimator, "steps", None)
    if isinstance(steps, list) and steps and hasattr(estimator, "_final_estimator"):
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
    inner = getattr(estimator, "estimator", None)
    if inner is not None and hasattr(inner, "get_params") and not isinstance(inner, type):
        return f"{cls}({run_name(inner)})"
    return cls


def task(estimator: Any) -> str:
    """``"classifier"``, ``"regressor"`` or ``""``."""
    last = last_step(estimator)  # what a pipeline is, its last step is, and that is told ten times faster
    if is_classifier(last):
        return "classifier"
    return "regressor" if is_regressor(last) else ""


def predicting(estimator: Any, params: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """What predicts for an estimator, and the params of that: a search has its best estimator do it."""
    best = getattr(estimator, "best_estimator_", None) if is_search(estimator) else None
    if best is None or any(vars(cls).keys() & _SEARCH_ASKS for cls in type(estimator).__mro__[:-1] if _is_foreign(cls)):
        return estimator, params
    return best, best.get_params(deep=True)


def score_metric(estimator: Any) -> str | None:
    """The training metric that ``estimator.score`` is, where that can be told without calling it."""
    last = last_step(estimator)
    if is_search(last) and getattr(last, "scoring", None) is None:
        best, _ = predicting(last, {})
        return None if best is last else score_metric(best)
    score = getattr(type(last), "score", None)
    inner = getattr(score, "__wrapped__", score)
    if inner is getattr(ClassifierMixin.score, "__wrapped__", ClassifierMixin.score):
        return "accuracy_score"
    if inner is getattr(RegressorMixin.score, "__wrapped__", RegressorMixin.score):
        return "r2_score"
    # Newer versions give it a method of its own, for leave-one-out scores without X.
    return "accuracy_score" if _is_sklearns(last, "neighbors") and is_classifier(last) else None


def takes_labels_from_probabilities(estimator: Any) -> bool:
    """Whether ``predict`` can be worked out from ``predict_proba``, which then need not be run a second time."""
    last = last_step(estimator)
    return type(last).__name__ in _LABELS_FROM_PROBABILITIES and type(last).__module__.startswith("sklearn.")


def without_names(estimator: Any, X: Any, params: Mapping[str, Any]) -> tuple[Any, Any]:
    """The estimator and its data as they predict fastest, and the same.

    scikit-learn takes longer to check a small DataFrame than to predict from it. A frame of one float dtype is an array
    but for its names, so a shallow copy of the estimator that has forgotten them takes the array without a warning.
    """
    names = getattr(estimator, "feature_names_in_", None)
    pandas = sys.modules.get("pandas")
    if names is None or pandas is None or not isinstance(X, pandas.DataFrame) or not _is_sklearns(estimator, *_PLAIN):
        return estimator, X
    if any(hasattr(value, "get_params") for value in params.values()):
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
    if any(_is_sklearns(part, *_COSTLY) for part in (last, getattr(last, "estimator", None))):
        return min(limit, max(_COSTLY_ROWS, _COSTLY_PAIRS // max(1, fitted_rows)))
    return limit


def printed(params: Mapping[str, Any]) -> dict[str, str]:
    """Params as ``str`` prints them. An estimator that stands in several places is printed once: it takes long."""
    known: dict[int, str] = {}

    def show(value: Any) -> str:
        if hasattr(value, "get_params") and not isinstance(value, type):
            key = id(value)
            if key not in known:
                known[key] = _short_repr(value) or text(value)
            return known[key]
        return repr(value)

    def is_steps(value: Any) -> bool:
        return type(value) is list and bool(value) and all(type(step) is tuple and len(step) > 1 for step in value)

    found = {}
    for name, value in params.items():
        if hasattr(value, "get_params") and not isinstance(value, type):
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


@contextmanager
def untouched(estimator: Any, params: Mapping[str, Any]) -> Iterator[None]:
    """Let the estimator predict and leave no trace of it.

    Global random states, random generators among its params, and attributes of every estimator among its params are as
    before; an object inside an attribute that predicting changes in place is not seen.
    """
    objects = [estimator, *(value for value in params.values() if hasattr(value, "get_params"))]
    if all(map(_is_pure, objects)):
        yield
        return
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    generators = [(value, _state_of(value)) for value in params.values() if _is_generator(value)]
    attributes = [(held, dict(vars(held))) for held in objects if hasattr(held, "__dict__")]
    try:
        yield
    finally:
        # Looking costs a tenth of setting, and hardly any estimator draws when it predicts.
        if random.getstate() != python_state:
            random.setstate(python_state)
        if _differ(np.random.get_state(), numpy_state):
            np.random.set_state(numpy_state)
        for generator, state in generators:
            _restore(generator, state)
        for held, before in attributes:
            if _changed(vars(held), before):
                vars(held).clear()
                vars(held).update(before)


def _is_sklearns(estimator: Any, *modules: str) -> bool:
    """Whether its class is defined in one of these modules of scikit-learn."""
    parts = type(estimator).__module__.split(".", 2)
    return parts[0] == "sklearn" and len(parts) > 1 and parts[1] in modules


def _is_foreign(cls: type) -> bool:
    return not cls.__module__.startswith("sklearn.")


def _is_pure(estimator: Any) -> bool:
    return _is_sklearns(estimator, *_PURE) and type(estimator).__name__ not in _NOT_PURE


def _differ(now: Any, before: Any) -> bool:
    """Whether two states of numpy's global generator differ: name, keys, position, cached normal deviate."""
    return now[2:] != before[2:] or now[0] != before[0] or not np.array_equal(now[1], before[1])


def _changed(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    return len(now) != len(before) or any(now.get(key, before) is not value for key, value in before.items())


def _is_generator(value: Any) -> bool:
    return isinstance(value, (np.random.RandomState, np.random.Generator))


def _state_of(generator: Any) -> Any:
    if isinstance(generator, np.random.RandomState):
        return generator.get_state()
    return generator.bit_generator.state


def _restore(generator: Any, state: Any) -> None:
    if isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state
