"""Rows of the user's data, whatever it is kept in: how many there are, the first ones, every so-manieth."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing


def count_rows(X: Any) -> int | None:
    """The number of rows, ``None`` where the data does not tell."""
    shape = getattr(X, "shape", None)
    if shape:
        return int(shape[0])
    try:
        return len(X)
    except TypeError:
        return None


def first(count: int, X: Any) -> Any:
    """The first rows, as a copy of ours."""
    if hasattr(X, "iloc"):
        return X.iloc[:count].copy()
    if hasattr(X, "tocsr"):  # not every sparse format has rows to take
        X = X.tocsr()
    rows = X[:count]
    return rows.copy() if isinstance(rows, np.ndarray) or hasattr(rows, "tocsr") else rows


def every(step: int, X: Any) -> Any:
    """Every ``step``-th row, laid side by side: predicting from a view with gaps takes two to three times as long."""
    if step == 1 or X is None:
        return X
    if hasattr(X, "iloc"):
        return X.iloc[::step].copy()
    if isinstance(X, np.ndarray):
        return np.ascontiguousarray(X[::step])
    if isinstance(X, list):
        return X[::step]
    if hasattr(X, "tocsr"):  # not every sparse format has rows to take
        X = X.tocsr()
    places = np.arange(0, count_rows(X) or 0, step)
    if type(X).__module__.startswith("pyarrow"):  # not every scikit-learn takes rows of it
        return X.take(places)
    return _safe_indexing(X, places)
