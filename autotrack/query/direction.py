"""Which way of a metric is better, as far as its name tells."""

from __future__ import annotations

import re
from typing import Final

# scikit-learn's rule: what ends in _score is the better the higher, in _error or _loss the lower. A name such as
# brier_score_loss is judged by its last such word.
_LOWER: Final = {"error", "loss", "deviance", "rmse", "mse", "mae", "mape"}
_HIGHER: Final = {"score", "accuracy", "auc", "r2", "f1", "precision", "recall"}


def direction(metric: str) -> int:
    """1 where higher is better, -1 where lower is, 0 where the name does not tell."""
    words = re.split(r"[^a-z0-9]+", metric.lower())
    if words[0] == "std":  # how much a score varies says nothing about how good it is
        return 0
    if "neg" in words:
        return 1
    if "davies" in words and "bouldin" in words:
        return -1
    for word in reversed(words):
        if word in _LOWER:
            return -1
        if word in _HIGHER:
            return 1
    return 0
