"""Let a fitted estimator predict behind the user's back, and leave no trace of it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import numpy as np

from autotrack.integrations.sklearn.estimators import is_estimator, is_sklearns

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
    "neural_network",
    "pipeline",
    "preprocessing",
    "svm",
    "tree",
)
"""Modules of scikit-learn whose estimators neither draw random numbers nor change when they predict."""

_NOT_PURE: Final = ("FunctionTransformer", "StackingClassifier", "StackingRegressor")
"""… but for these: the first calls functions of the user's, the others note a shape each time."""

_TREES: Final = ("sklearn.neighbors._kd_tree", "sklearn.neighbors._ball_tree")
_MOST_VISITED: Final = 2_000
"""So many objects inside estimators are looked at for search trees."""


@contextmanager
def untouched(estimator: Any, params: Mapping[str, Any]) -> Iterator[None]:
    """Let the estimator predict and leave no trace of it.

    As before are: global random states, random generators among its params and attributes, attributes of every
    estimator among its params, and the search trees inside it, which count their queries. Another object inside an
    attribute that predicting changes in place is not seen.
    """
    objects = [estimator, *filter(is_estimator, params.values())]
    if all(map(_is_pure, objects)):
        yield
        return
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    attributes = [(held, _attributes(held)) for held in objects]
    values = [*params.values(), *(value for _, held in attributes for value in held.values())]
    generators = [(value, _state_of(value)) for value in values if _is_generator(value)]
    trees = [(tree, tree.__getstate__()) for tree in _search_trees(values)]
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
        for tree, state in trees:
            tree.__setstate__(state)
        for held, before in attributes:
            if _changed(_attributes(held), before):
                _put_back(held, before)


def _is_pure(estimator: Any) -> bool:
    return is_sklearns(estimator, *_PURE) and type(estimator).__name__ not in _NOT_PURE


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


def _slots(held: Any) -> Iterator[str]:
    for cls in type(held).__mro__:
        slots = vars(cls).get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots


def _attributes(held: Any) -> dict[str, Any]:
    """What an object holds, in its dictionary and in its slots."""
    found = dict(getattr(held, "__dict__", ()))
    for name in _slots(held):
        try:
            found[name] = object.__getattribute__(held, name)
        except AttributeError:
            continue
    found.pop("__dict__", None)
    found.pop("__weakref__", None)
    return found


def _put_back(held: Any, before: Mapping[str, Any]) -> None:
    slots = set(_slots(held)) - {"__dict__", "__weakref__"}
    for name in slots & set(_attributes(held)) - set(before):
        object.__delattr__(held, name)
    for name in slots & set(before):
        object.__setattr__(held, name, before[name])
    if hasattr(held, "__dict__"):
        vars(held).clear()
        vars(held).update({name: value for name, value in before.items() if name not in slots})


def _search_trees(values: Iterable[Any]) -> list[Any]:
    """The search trees in a fitted model's attributes, and in those of the models it is made of."""
    found: list[Any] = []
    seen: set[int] = set()
    stack = list(values)
    while stack and len(seen) < _MOST_VISITED:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        cls = type(value)
        if cls.__module__ in _TREES:
            found.append(value)
        elif cls is list or cls is tuple:
            stack.extend(value[:_MOST_VISITED])
        elif cls is dict:
            stack.extend(islice(value.values(), _MOST_VISITED))
        elif is_estimator(value):
            stack.extend(_attributes(value).values())
    return found
