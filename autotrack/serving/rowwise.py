"""Models whose answer for a row is the same whatever stands beside it, and what follows from that."""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator, Sequence
from typing import Any, Final

_PACKAGES: Final = ("sklearn.", "xgboost.", "lightgbm.", "catboost.")
_WHOLE: Final = frozenset(
    {
        "FunctionTransformer",  # calls a function of the user's on all rows
        "NMF",  # stops when all rows together are good enough
        "MiniBatchNMF",
        "DictionaryLearning",
        "MiniBatchDictionaryLearning",
        "SparseCoder",
        "IterativeImputer",  # may draw from one generator for all rows
        "BernoulliRBM",
        "LocalOutlierFactor",
        "QuantileTransformer",
        "Birch",
    }
)
"""Classes of scikit-learn where it is not, or where it is not known well enough."""

_RANDOM: Final = {"DummyClassifier": ("strategy", ("stratified", "uniform"))}
_MAX_DEPTH: Final = 20
_FUNCTIONS: Final = (types.FunctionType, types.MethodType, types.BuiltinFunctionType)

_PLAIN_MODULES: Final = (
    "sklearn.linear_model.",
    "sklearn.tree.",
    "sklearn.ensemble._forest",
    "sklearn.ensemble._gb",
    "sklearn.ensemble._iforest",
    "sklearn.ensemble._hist_gradient_boosting.",
    "sklearn.naive_bayes",
    "sklearn.neighbors.",
    "sklearn.svm.",
    "sklearn.discriminant_analysis",
    "sklearn.neural_network.",
    "sklearn.cluster._kmeans",
    "sklearn.preprocessing._data",
    "sklearn.decomposition._pca",
)


def is_row_wise(model: Any) -> bool:
    """Whether rows can be predicted together with others, and each gets the answer that it gets alone.

    True for the classes of scikit-learn, xgboost, lightgbm and catboost that are known to be so, and for pipelines,
    searches and ensembles of them; false for every class of others, and for those that are given a function. The last
    bits of a number may depend on how many rows are multiplied at once.
    """
    return _is_row_wise(model, 0)


def _is_row_wise(model: Any, depth: int) -> bool:
    kind = type(model)
    name = kind.__name__
    if depth > _MAX_DEPTH or not f"{kind.__module__}.".startswith(_PACKAGES) or name in _WHOLE:
        return False
    if name in _RANDOM:
        param, random = _RANDOM[name]
        return getattr(model, param, None) not in random
    try:
        params = model.get_params(deep=False)
    except Exception:  # noqa: BLE001 - whatever it is, it is not known
        return False
    for value in _flattened(params.values(), 0):
        if isinstance(value, _FUNCTIONS):
            return False
        if hasattr(value, "get_params") and not isinstance(value, type) and not _is_row_wise(value, depth + 1):
            return False
    return True


def _flattened(values: Any, depth: int) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (list, tuple)) and depth < 3 and len(value) < 1_000:
            yield from _flattened(value, depth + 1)
        elif isinstance(value, dict) and depth < 3 and len(value) < 1_000:
            yield from _flattened(value.values(), depth + 1)
        else:
            yield value


def without_names(model: Any, names: Sequence[Any]) -> Any:
    """A shallow copy that does not know its columns' names, so that an array can be predicted without a warning.

    scikit-learn spends more on looking into a DataFrame than on the prediction of a row. When all columns are
    numbers of 64 bits and stand in the model's order, the array in it is what the model computes with.

    Returns
    -------
    The copy, sharing all that was fitted; ``None`` for a model that may look at names.
    """
    from sklearn import get_config

    if get_config().get("transform_output") != "default":
        return None
    known = getattr(model, "feature_names_in_", None)
    if known is None or list(known) != list(names):
        return None
    return _without_names(model, 0)


def _without_names(model: Any, depth: int) -> Any:
    kind = type(model)
    if "_sklearn_output_config" in getattr(model, "__dict__", ()) or depth > _MAX_DEPTH:
        return None
    if f"{kind.__module__}.{kind.__qualname__}" == "sklearn.pipeline.Pipeline":
        steps = []
        for name, step in model.steps:
            bare = step if step is None or isinstance(step, str) else _without_names(step, depth + 1)
            if bare is None and step is not None:
                return None
            steps.append((name, bare))
        pipeline = copy.copy(model)
        pipeline.steps = steps
        return pipeline
    if not kind.__module__.startswith(_PLAIN_MODULES) or getattr(model, "_preprocessor", None) is not None:
        return None
    for value in _flattened(model.get_params(deep=False).values(), 0):
        if hasattr(value, "get_params") or isinstance(value, _FUNCTIONS):
            return None
    bare = copy.copy(model)
    vars(bare).pop("feature_names_in_", None)
    return bare
