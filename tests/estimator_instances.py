"""Every estimator of the installed scikit-learn, ready to be fitted, with data it accepts."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils import all_estimators, estimator_checks

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    CLASSES: dict[str, type] = dict(all_estimators())

NAMES = sorted(CLASSES)

# What scikit-learn 1.5's own tests do not build: those with required arguments.
_REQUIRED: dict[str, dict[str, Any]] = {
    "ClassifierChain": {"base_estimator": LogisticRegression(C=1)},
    "RegressorChain": {"base_estimator": Ridge()},
    "ColumnTransformer": {"transformers": [("scale", StandardScaler(), [0, 1])]},
    "FeatureUnion": {"transformer_list": [("a", StandardScaler()), ("b", MinMaxScaler())]},
    "Pipeline": {"steps": [("scale", StandardScaler()), ("model", LogisticRegression())]},
    "GridSearchCV": {"estimator": Ridge(), "param_grid": {"alpha": [0.1, 1.0]}},
    "HalvingGridSearchCV": {"estimator": Ridge(), "param_grid": {"alpha": [0.1, 1.0]}},
    "RandomizedSearchCV": {"estimator": Ridge(), "param_distributions": {"alpha": [0.1, 1.0]}, "n_iter": 2},
    "HalvingRandomSearchCV": {"estimator": Ridge(), "param_distributions": {"alpha": [0.1, 1.0]}},
    "SparseCoder": {"dictionary": np.eye(3, 6)},
    "FixedThresholdClassifier": {"estimator": LogisticRegression()},
    "TunedThresholdClassifierCV": {"estimator": LogisticRegression()},
    "FrozenEstimator": {"estimator": LogisticRegression()},
    "MultiOutputClassifier": {"estimator": LogisticRegression()},
    "MultiOutputRegressor": {"estimator": Ridge()},
    "OneVsOneClassifier": {"estimator": LogisticRegression()},
    "OneVsRestClassifier": {"estimator": LogisticRegression()},
    "OutputCodeClassifier": {"estimator": LogisticRegression()},
}

# What takes seconds as scikit-learn checks it, and what of it takes less.
_QUICKER: dict[str, dict[str, Any]] = {
    "DictionaryLearning": {"max_iter": 3},
    "LatentDirichletAllocation": {"max_iter": 2},
    "MiniBatchDictionaryLearning": {"max_iter": 2},
    "MiniBatchNMF": {"max_iter": 2},
    "MiniBatchSparsePCA": {"max_iter": 2},
    "RFECV": {"cv": 2, "min_features_to_select": 5},
    "SequentialFeatureSelector": {"cv": 2, "n_features_to_select": 1},
    "TSNE": {"max_iter": 250},
    "TunedThresholdClassifierCV": {"cv": 2, "thresholds": 5},
}

_TEXTS = [f"the {a} and the {b} of {a}{b}" for a in ("cat", "dog", "owl") for b in ("sun", "moon", "sea", "sky")] * 5


def make(name: str) -> Any:
    """A small instance of a class, as scikit-learn builds it for its own checks."""
    estimator = _built(name)
    return estimator.set_params(**_QUICKER[name]) if name in _QUICKER else estimator


def _built(name: str) -> Any:
    cls = CLASSES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from sklearn.utils._test_common import instance_generator
        except ImportError:
            if name in _REQUIRED:
                return cls(**_REQUIRED[name])
            estimator = estimator_checks._construct_instance(cls)
            estimator_checks._set_checking_parameters(estimator)
            return estimator
        if cls in getattr(instance_generator, "SKIPPED_ESTIMATORS", ()):
            return cls(**_REQUIRED[name])
        return next(iter(instance_generator._construct_instances(cls)))


def data(name: str) -> tuple[Any, Any]:
    """X and y (``None`` where there is none) that the class accepts."""
    if name in ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"):
        return list(_TEXTS), None
    if name == "FeatureHasher":
        return [{"a": i, "b": 1.5} for i in range(60)], None
    if name == "DictVectorizer":
        return [{"a": i, "b": f"v{i % 3}"} for i in range(60)], None
    if name == "LabelBinarizer" or name == "LabelEncoder":
        return np.arange(60) % 3, None
    if name == "MultiLabelBinarizer":
        return [[i % 3, 3 + i % 2] for i in range(60)], None
    X, groups = make_blobs(60, 6, centers=3, cluster_std=2.0, random_state=0)
    rng = np.random.RandomState(1)
    if name == "PatchExtractor":
        return rng.rand(6, 8, 8), None
    estimator = make(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y: Any = groups
        if name in ("MultiOutputClassifier", "ClassifierChain"):
            y = np.column_stack([groups > 0, groups > 1]).astype(int)
        elif name.startswith(("MultiOutput", "MultiTask")) or name == "RegressorChain":
            y = np.column_stack([X[:, 0] + 1, X[:, 1] - rng.rand(60)])
        elif name == "IsotonicRegression":
            return X[:, 0].copy(), X[:, 0] + rng.rand(60)
        elif getattr(estimator, "_estimator_type", None) == "regressor" or _is_regressor(estimator):
            y = X[:, 0] * 2 + rng.rand(60)
        elif "Threshold" in name:
            y = (groups > 0).astype(int)
        y = estimator_checks._enforce_estimator_tags_y(estimator, np.array(y))
        enforced = estimator_checks._enforce_estimator_tags_X(estimator, X)
        if name == "FrozenEstimator":
            return X, groups
        return np.array(enforced), y


def _is_regressor(estimator: Any) -> bool:
    from sklearn.base import is_regressor

    return bool(is_regressor(estimator))
