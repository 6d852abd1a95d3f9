"""Scorers, ``scorer(model, X, y)``: which score functions they use, and what each gave."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from autotrack.capture.names import argument_name
from autotrack.integrations.base import Call
from autotrack.integrations.sklearn.evaluating.evaluation import given, shown

CLASSES: Final = ("_BaseScorer", "_MultimetricScorer", "_PassthroughScorer")
"""What scikit-learn's functions for scorers give back, in ``sklearn.metrics._scorer``."""


@dataclass(frozen=True, slots=True)
class Score:
    """One score function of a scorer.

    Parameters
    ----------
    name : of the metric: the function's.
    command : how the function is called.
    sign : -1 where the scorer gives the negative of what the function gives.
    key : under which a scorer of several gives it; ``None`` for a scorer of one.
    """

    name: str
    command: str
    sign: int
    key: str | None = None

    def value(self, result: Any) -> Any:
        """What the function gave, taken from what the scorer gave; ``None`` where it failed."""
        if self.key is not None:
            result = result.get(self.key) if isinstance(result, dict) else None
        try:
            return None if isinstance(result, str) else self.sign * result
        except TypeError:
            return None


def used(call: Call) -> list[Score]:
    """The score functions of the scorer that is called."""
    several = getattr(call.instance, "_scorers", None)
    if not isinstance(several, dict):
        return [_score(call, call.instance, None)]
    return [_score(call, scorer, key) for key, scorer in several.items()]


def data(call: Call) -> tuple[Any, Any]:
    """X and y."""
    arguments = _arguments(call)
    X, y = arguments.get("X"), arguments.get("y_true", arguments.get("y"))
    return X, y


def data_name(call: Call) -> str | None:
    """What the caller calls X."""
    return argument_name(call.frame, "X", 1, _arguments(call).get("X"))


def _score(call: Call, scorer: Any, key: str | None) -> Score:
    function = getattr(scorer, "_score_func", None)
    if function is None and hasattr(scorer, "_estimator"):  # it passes on to the estimator's own score
        cls = type(_arguments(call).get("estimator")).__name__
        X, y = data(call)
        arguments = f"X={data_name(call) or shown(X)}" + ("" if y is None else f", y={_y_name(call, y)}")
        return Score(f"{cls}_score", f"{cls}.score({arguments})", 1, key)
    name = _name_of(function if function is not None else key)
    y = data(call)[1]
    parts = [f"y_true={_y_name(call, y)}", "y_pred=y_pred"]
    parts += [f"{option}={shown(value)}" for option, value in (getattr(scorer, "_kwargs", None) or {}).items()]
    weight = _arguments(call).get("sample_weight")
    if weight is not None:
        parts.append(f"sample_weight={argument_name(call.frame, 'sample_weight', None, weight) or shown(weight)}")
    return Score(name, f"{name}({', '.join(parts)})", getattr(scorer, "_sign", 1), key)


def _y_name(call: Call, y: Any) -> str:
    return argument_name(call.frame, "y_true" if "y_true" in call.kwargs else "y", 2, y) or shown(y)


def _arguments(call: Call) -> dict[str, Any]:
    """By name; a scorer of several takes all but the first as they come."""
    positional = dict(zip(("estimator", "X", "y_true"), call.args, strict=False))
    return {**dict(given(call)), **positional, **call.kwargs}


def _name_of(function: Any) -> str:
    """The name of a metric for a score function: a partial's inner one; a lambda has none of its own."""
    while isinstance(function, partial):
        function = function.func
    name = function if isinstance(function, str) else getattr(function, "__name__", type(function).__name__)
    return re.sub(r"\W+", "", name) or "score"
