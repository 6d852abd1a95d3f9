"""What a filter means: the tree that `autotrack.stores.filters` parses into, and the fields it may name.

Every store shares these definitions, so that a filter finds the same runs wherever they are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

Entity = Literal["metric", "param", "tag", "attribute", "dataset", "model"]
Kind = Literal["text", "number", "time"]

ATTRIBUTES: Final[dict[str, Kind]] = {
    "run_id": "text",
    "run_name": "text",
    "experiment": "text",
    "experiment_id": "text",
    "status": "text",
    "start_time": "time",
    "end_time": "time",
    "duration": "number",
    "parent_run_id": "text",
    "error": "text",
    "broken": "text",
    "user": "text",
    "script": "text",
}
"""The attributes of a run and what they hold: times are milliseconds since the epoch, ``duration`` is seconds."""

ATTRIBUTE_ALIASES: Final = {
    "name": "run_name",
    "run name": "run_name",
    "source": "script",
    "experiment_name": "experiment",
    "user_id": "user",
    "created": "start_time",
}

PROCESS_FACTS: Final = {"user": "user", "script": "script"}
"""Attributes that are facts of the run's process, with the key of the fact."""

DATASET_FIELDS: Final = ("name", "digest", "context")
MODEL_FIELDS: Final = ("path", "estimator_class", "serialization_format", "registered_model_name")

ENTITIES: Final[dict[str, Entity]] = {
    "metrics": "metric",
    "metric": "metric",
    "params": "param",
    "param": "param",
    "parameters": "param",
    "parameter": "param",
    "tags": "tag",
    "tag": "tag",
    "attributes": "attribute",
    "attribute": "attribute",
    "attr": "attribute",
    "run": "attribute",
    "datasets": "dataset",
    "dataset": "dataset",
    "models": "model",
    "model": "model",
}

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE", "IN", "NOT IN"]
Scalar = str | int | float


@dataclass(frozen=True, slots=True)
class Field:
    """What is compared. ``key`` is the metric's, param's or tag's name, or a property of run, datasets or models."""

    entity: Entity
    key: str

    @property
    def kind(self) -> Kind | None:
        """What the field holds; ``None`` for params, which are text that may read as a number."""
        match self.entity:
            case "metric":
                return "number"
            case "param":
                return None
            case "attribute":
                return ATTRIBUTES[self.key]
            case _:
                return "text"


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field operator value``; false where the run has no such field, or where it is NaN.

    ``value`` is a tuple for ``IN`` and ``NOT IN``, all of it text or all of it numbers. A param compared with a
    number is false unless it reads as one (see `param_number`). A dataset's or model's
    field is true when any of the run's is.
    """

    field: Field
    operator: Operator
    value: Scalar | tuple[Scalar, ...]

    @property
    def numeric(self) -> bool:
        """Whether it compares numbers."""
        sample = self.value[0] if isinstance(self.value, tuple) else self.value
        return not isinstance(sample, str)


@dataclass(frozen=True, slots=True)
class IsNull:
    """True where the run has no such field; a metric that is NaN is there."""

    field: Field


@dataclass(frozen=True, slots=True)
class Not:
    """True where ``part`` is false: there is no third truth value."""

    part: Expression


@dataclass(frozen=True, slots=True)
class And:
    """True where every part is."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True where any part is."""

    parts: tuple[Expression, ...]


Expression = Comparison | IsNull | Not | And | Or


@dataclass(frozen=True, slots=True)
class Order:
    """One key to sort by. Runs without it, or with NaN, come last in either direction."""

    field: Field
    descending: bool = False


_NUMBER: Final = re.compile(
    r"\s*[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?)\s*", re.ASCII | re.IGNORECASE
)
_LONGEST_NUMBER: Final = 400
_NUMBER_STARTS: Final = frozenset("0123456789+-.iI \t\n\r\f\v")


def param_number(text: str) -> float | None:
    """The number that a param's text reads as; ``None`` for other text, NaN, and texts too long for a number."""
    if text[:1] not in _NUMBER_STARTS or len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    return float(text)


def like(text: str, pattern: str, ignore_case: bool = False) -> bool:
    """SQL's ``LIKE``: ``%`` stands for any text, ``_`` for any one character.

    The time it takes grows with the lengths only: no pattern makes it explode.
    """
    if ignore_case:
        text, pattern = text.lower(), pattern.lower()
    (first, _), *others = _pieces(pattern)
    if not others:
        return first.fullmatch(text) is not None
    *middle, (last, length) = others
    found = first.match(text)
    for piece, _ in middle:
        if found is None:
            return False
        found = piece.search(text, found.end())
    if found is None:
        return False
    start = len(text) - length
    return start >= found.end() and last.fullmatch(text, start) is not None


@lru_cache(maxsize=256)
def _pieces(pattern: str) -> tuple[tuple[re.Pattern[str], int], ...]:
    """What stands between the ``%``, each with the length of what it matches."""
    pieces = pattern.split("%")
    dotted = ("".join("." if char == "_" else re.escape(char) for char in piece) for piece in pieces)
    return tuple((re.compile(regex, re.DOTALL), len(piece)) for regex, piece in zip(dotted, pieces))
