"""What the processes of a trial do: fits and runs that carry a number, by which each is found again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

FIT: Final = "fit"
PLAIN: Final = "plain"
LABEL: Final = "label"
STEPS: Final = 3

KINDS: Final = {
    "ridge": "random_state",
    "tree": "random_state",
    "logistic": "random_state",
    "pipeline": "ridge__random_state",
    "search": "error_score",
    "neighbours": "leaf_size",
}
"""Kinds of estimators, and the parameter of each that holds the number and changes nothing else."""

CANDIDATES: Final = 2
"""So many child runs a search has."""


def kind_of(label: int) -> str:
    """The kind of estimator that a number stands for."""
    return list(KINDS)[label % len(KINDS)]


def estimator(label: int) -> Any:
    """An estimator with this number among its parameters."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    match kind_of(label):
        case "ridge":
            return Ridge(random_state=label)
        case "tree":
            return DecisionTreeClassifier(random_state=label)
        case "logistic":
            return LogisticRegression(random_state=label, max_iter=1_000)
        case "pipeline":
            return make_pipeline(StandardScaler(), Ridge(random_state=label))
        case "search":
            return GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2, error_score=label)
        case _:
            return KNeighborsClassifier(leaf_size=label)


def data() -> tuple[Any, Any]:
    """What is fitted."""
    from sklearn.datasets import load_iris

    X, y = load_iris(return_X_y=True)
    return X, y


def warm_up() -> None:
    """Import what a fit and its recording need, so that a forked child begins at once; nothing is recorded."""
    from autotrack import models

    models.warm_up()
    X, y = data()
    for label in range(1, len(KINDS) + 1):
        estimator(label).fit(X, y).predict(X)


def one_fit(label: int, X: Any, y: Any) -> None:
    """A fit with this number."""
    estimator(label).fit(X, y)


def one_run(label: int) -> None:
    """A run with this number, made by hand."""
    import autotrack

    with autotrack.start_run(f"run {label}"):
        autotrack.log_params({LABEL: label, "twice": 2 * label})
        for step in range(STEPS):
            autotrack.log_metrics({"m": float(label + step)}, step=step)


def fits(store: str, first: int, count: int | None, tell: Callable[[int], None]) -> None:
    """Fit again and again, from a number on, and tell of each fit after it has returned."""
    import autotrack

    autotrack.autolog(store=store)
    X, y = data()
    label = first
    while count is None or label < first + count:
        one_fit(label, X, y)
        tell(label)
        label += 1


def runs(store: str, first: int, count: int, every: int, tell: Callable[[int], None]) -> None:
    """Make runs by hand, every so-maniest a fit instead, and tell of each."""
    import autotrack

    autotrack.autolog(store=store)
    X, y = data()
    for label in range(first, first + count):
        if is_fit(label, every):
            one_fit(label, X, y)
        else:
            one_run(label)
        tell(label)


def is_fit(label: int, every: int) -> bool:
    """Whether, of runs of which every so-maniest is a fit, the one with this number is."""
    return label % every == 0
