"""The estimator that a model's symbols describe: its steps, the estimators in it, and what was set by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from autotrack.models.defaults import NO_DEFAULT, NoDefault, defaults_of
from autotrack.models.symbols import Blob, Items, Made, Name, Pairs, Symbol, attributes, class_of, shown

_MOST: Final = 500
"""So many estimators of one model are looked at."""

_MOST_PARAMS: Final = 5_000
"""So many parameters and attributes of them all."""

_DEEPEST: Final = 20
_PLAIN: Final = frozenset({"numpy", "scipy", "pandas", "polars", "pyarrow", *sys.stdlib_module_names})
_INSIDE: Final = ("best_estimator_",)
"""Fitted attributes that are shown as estimators."""


@dataclass(slots=True)
class Param:
    """A parameter; ``changed`` tells whether it differs from the class's default, ``None`` where that is not known."""

    name: str
    value: str
    changed: bool | None = None


@dataclass(slots=True)
class Estimator:
    """One estimator of a model.

    Parameters
    ----------
    name, module : of its class; ``module`` is empty for a class that travels in the file.
    label : what it is called where it stands: the name of a step or parameter; empty for the model itself.
    detail : what stands beside it there, such as the columns that it is given.
    fitted : its attributes that end in ``_``, shortened.
    parts : the estimators in it.
    """

    name: str
    module: str
    label: str = ""
    detail: str = ""
    params: list[Param] = field(default_factory=list)
    fitted: list[Param] = field(default_factory=list)
    parts: list[Estimator] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "class": self.name,
            "module": self.module,
            "label": self.label,
            "detail": self.detail,
            "params": {param.name: {"value": param.value, "changed": param.changed} for param in self.params},
            "parts": [part.to_dict() for part in self.parts],
        }


def estimator_of(root: Symbol) -> Estimator | None:
    """The model as an estimator; ``None`` where its symbols tell of none."""
    if not isinstance(root, Made) or not class_of(root)[1]:
        return None
    return _Builder().build(root, "", "", 0)


class _Builder:
    def __init__(self) -> None:
        self.left = _MOST
        self.params_left = _MOST_PARAMS
        self.above: set[int] = set()

    def build(self, symbol: Made, label: str, detail: str, depth: int) -> Estimator:
        self.left -= 1
        module, name = class_of(symbol)
        made = Estimator(name, module, label, detail)
        if depth > _DEEPEST or id(symbol) in self.above:
            return made
        self.above.add(id(symbol))
        defaults = defaults_of(module, name) if module else None
        for key, value in attributes(symbol).items():
            self.params_left -= 1
            if self.params_left < 0:
                break
            if key.endswith("_") and not key.startswith("_"):
                if key in _INSIDE and _is_estimator(value):
                    made.parts += self.parts(key, value, depth)
                else:
                    made.fitted.append(Param(key, shown(value, 1)))
            elif not key.startswith("_") and (defaults is None or key in defaults):
                default = NO_DEFAULT if defaults is None else defaults[key]
                parts = self.parts(key, value, depth)
                made.parts += parts
                made.params.append(Param(key, shown(value), _differs(value, default, known=defaults is not None)))
        self.above.discard(id(symbol))
        return made

    def parts(self, key: str, value: Symbol, depth: int) -> list[Estimator]:
        found = []
        for label, detail, part in _within(key, value):
            if self.left <= 0:
                break
            if isinstance(part, Made):
                found.append(self.build(part, label, detail, depth + 1))
            else:
                found.append(Estimator(str(part), "", label, detail))
        return found


def _within(key: str, value: Symbol) -> Iterator[tuple[str, str, Symbol]]:
    """The estimators in a parameter, with their labels and what stands beside them."""
    if _is_estimator(value):
        yield key, "", value
    elif isinstance(value, Items):
        for number, item in enumerate(value.items):
            if _is_estimator(item):
                yield f"{key}[{number}]", "", item
            elif isinstance(item, Items) and item.kind == "tuple" and 2 <= item.count <= 3:
                label, part = item.items[0], item.items[1]
                if isinstance(label, str) and (_is_estimator(part) or part in ("passthrough", "drop")):
                    yield label, shown(item.items[2], 2) if item.count == 3 else "", part


def _is_estimator(symbol: Symbol) -> bool:
    if not isinstance(symbol, Made):
        return False
    module, name = class_of(symbol)
    if not name or module.partition(".")[0] in _PLAIN or name.startswith("_"):
        return False
    return bool(symbol.states) or module.startswith("sklearn.")


def _differs(value: Symbol, default: Any, *, known: bool) -> bool | None:
    if not known:
        return None
    if isinstance(default, NoDefault):
        if isinstance(value, Name) and default.text:
            return value.name != default.text.rpartition(".")[2]
        if isinstance(value, float) and value != value:
            return default.text not in ("np.nan", "numpy.nan", "float('nan')")
        return True if isinstance(value, (Made, Items, Pairs)) else None
    plain = _plain(value, 3)
    if plain is NO_DEFAULT:
        return True
    return bool(type(plain) is not type(default) or plain != default) and not (plain != plain and default != default)


def _plain(symbol: Symbol, depth: int) -> Any:
    """The value that a symbol stands for, where it is a plain and small one."""
    if isinstance(symbol, (Name, Blob, Made)) or depth == 0:
        return NO_DEFAULT
    if isinstance(symbol, Items):
        if symbol.count > 8:
            return NO_DEFAULT
        values = [_plain(item, depth - 1) for item in symbol.items]
        if NO_DEFAULT in values or symbol.kind not in ("list", "tuple"):
            return NO_DEFAULT
        return tuple(values) if symbol.kind == "tuple" else values
    if isinstance(symbol, Pairs):
        return {} if symbol.count == 0 else NO_DEFAULT
    return symbol
