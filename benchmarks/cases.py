"""The calls that are timed, most of them fits.

Only the measured processes build data and estimators; scikit-learn is imported there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

Problem = tuple[Callable[[], Callable[[Any, Any], Any]], Any, Any]
"""A function that prepares, untimed, what is called with X and y and timed; X; y."""


@dataclass(frozen=True, slots=True)
class Case:
    """One call on one data set.

    Parameters
    ----------
    name : for ``--only``.
    title : for people.
    build : makes the estimator and the data, as a `Problem`.
    rounds : so many fits of each variant.
    mlflow_rounds : MLflow joins in so many of them.
    slow_in_mlflow : MLflow joins only when asked for.
    fits : so many in a row at each turn, as a script does them; their median counts. MLflow does one.
    repeats : so many times the call itself does its work; what is told is the time of one.
    is_fit : whether each call leaves a run behind.
    """

    name: str
    title: str
    build: Callable[[], Problem]
    rounds: int
    mlflow_rounds: int
    slow_in_mlflow: bool = False
    fits: int = 1
    repeats: int = 1
    is_fit: bool = True


def logistic_iris() -> Problem:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    X, y = load_iris(return_X_y=True)
    return lambda: LogisticRegression(max_iter=200).fit, X, y


def elasticnet_diabetes() -> Problem:
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import ElasticNet

    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return lambda: ElasticNet(alpha=0.05, l1_ratio=0.25).fit, X, y


def pipeline_cancer() -> Problem:
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = load_breast_cancer(return_X_y=True)
    return lambda: make_pipeline(StandardScaler(), LogisticRegression()).fit, X, y


def forest_cancer() -> Problem:
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    X, y = load_breast_cancer(return_X_y=True)
    return lambda: RandomForestClassifier(n_estimators=100, random_state=0).fit, X, y


def neighbours() -> Problem:
    from sklearn.neighbors import KNeighborsClassifier

    X, y = _two_classes(20_000, 20)
    return lambda: KNeighborsClassifier().fit, X, y


def histboost() -> Problem:
    from sklearn.ensemble import HistGradientBoostingClassifier

    X, y = _two_classes(200_000, 30)
    return lambda: HistGradientBoostingClassifier(random_state=0).fit, X, y


def mixed_frame() -> Problem:
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    random = np.random.default_rng(0)
    n_rows, n_columns = 500_000, 50
    makers: list[Callable[[], Any]] = [
        lambda: random.standard_normal(n_rows, dtype=np.float32),
        lambda: random.standard_normal(n_rows),
        lambda: random.integers(-100, 100, n_rows, dtype=np.int8),
        lambda: random.integers(-100, 100, n_rows),
        lambda: random.random(n_rows) < 0.5,
    ]
    X = pd.DataFrame({f"feature_{i}": makers[i % len(makers)]() for i in range(n_columns)})
    y = X["feature_0"] - X["feature_1"] + random.standard_normal(n_rows)
    return lambda: LinearRegression().fit, X, y


def big_array() -> Problem:
    import numpy as np
    from sklearn.linear_model import LinearRegression

    random = np.random.default_rng(0)
    X = random.standard_normal((1_000_000, 50))
    return lambda: LinearRegression().fit, X, X[:, 0] - X[:, 1] + random.standard_normal(len(X))


def sparse_matrix() -> Problem:
    import numpy as np
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    n, filled = 20_000, 400_000
    places = random.integers(0, n, filled), random.integers(0, n, filled)
    X = csr_matrix((random.standard_normal(filled), places), shape=(n, n))
    return lambda: LogisticRegression(solver="liblinear", max_iter=20).fit, X, random.integers(0, 2, n)


def search_cancer() -> Problem:
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeClassifier

    X, y = load_breast_cancer(return_X_y=True)
    grid = {"max_depth": [2, 3, 4], "min_samples_leaf": [1, 5, 10, 20]}
    return lambda: GridSearchCV(DecisionTreeClassifier(random_state=0), grid, cv=5).fit, X, y


def cross_validation() -> Problem:
    from sklearn.datasets import load_iris
    from sklearn.model_selection import cross_val_score
    from sklearn.naive_bayes import GaussianNB

    X, y = load_iris(return_X_y=True)
    return lambda: partial(cross_val_score, GaussianNB()), X, y


def metric_after_fit() -> Problem:
    from sklearn import metrics
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split
    from sklearn.naive_bayes import GaussianNB

    X, y = load_breast_cancer(return_X_y=True)
    train_X, test_X, train_y, test_y = train_test_split(X, y, random_state=0, test_size=0.2)
    predicted = GaussianNB().fit(train_X, train_y).predict(test_X)
    return lambda: lambda X, y: metrics.accuracy_score(y, predicted), test_X, test_y


def fits_switched_off() -> Problem:
    from sklearn.base import BaseEstimator

    class Trivial(BaseEstimator):  # type: ignore[misc]
        def fit(self, X: Any, y: Any = None) -> Any:
            return self

    autotrack = sys.modules.get("autotrack")
    switched_off = nullcontext if autotrack is None else autotrack.disabled
    times = range(by_name("switched-off").repeats)

    def prepare() -> Callable[[Any, Any], Any]:
        model = Trivial()

        def many(X: Any, y: Any) -> None:
            with switched_off():
                for _ in times:
                    model.fit(X, y)

        return many

    return prepare, None, None


def _two_classes(n_rows: int, n_columns: int) -> tuple[Any, Any]:
    import numpy as np

    random = np.random.default_rng(0)
    X = random.standard_normal((n_rows, n_columns))
    noisy = X[:, 0] + X[:, 1] * X[:, 2] + random.standard_normal(n_rows)
    return X, (noisy > 0).astype(np.int64)


TIMED: Final = (
    Case("logistic-iris", "LogisticRegression, iris", logistic_iris, 15, 3, fits=25),
    Case("elasticnet-diabetes", "ElasticNet, diabetes (DataFrame)", elasticnet_diabetes, 15, 3, fits=9),
    Case("pipeline-cancer", "Pipeline: scaler + LogisticRegression, breast cancer", pipeline_cancer, 15, 3, fits=9),
    Case("forest-cancer", "RandomForest, 100 trees, breast cancer", forest_cancer, 8, 2),
    Case("neighbours", "KNeighborsClassifier, 20,000 x 20", neighbours, 6, 2),
    Case("histboost", "HistGradientBoostingClassifier, 200,000 x 30", histboost, 5, 1),
    Case("mixed-frame", "LinearRegression, DataFrame 500,000 x 50", mixed_frame, 5, 1, slow_in_mlflow=True),
    Case("search-cancer", "GridSearchCV, 12 candidates x 5 folds, breast cancer", search_cancer, 8, 2),
    Case("cross-val", "cross_val_score, 5 folds, iris", cross_validation, 10, 2, fits=5),
    Case("metric", "accuracy_score of 114 predictions, after the fit", metric_after_fit, 10, 2, fits=200, is_fit=False),
    Case(
        "switched-off",
        "a fit that does nothing, inside disabled()",
        fits_switched_off,
        15,
        0,
        repeats=2000,
        is_fit=False,
    ),
)
SMALL: Final = ("logistic-iris", "elasticnet-diabetes", "pipeline-cancer")

MEMORY: Final = (
    Case("memory-array", "LinearRegression, array 1,000,000 x 50", big_array, 3, 1),
    Case("memory-sparse", "LogisticRegression, sparse 20,000 x 20,000", sparse_matrix, 5, 1),
)


def by_name(name: str) -> Case:
    """The case of this name."""
    return next(case for case in (*TIMED, *MEMORY) if case.name == name)
