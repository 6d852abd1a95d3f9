"""Filters, orders and pages of lists that are made in memory: registered models, their versions, logged models.

A filter is comparisons joined by ``AND``: ``name LIKE 'churn%' AND tags.team = 'a'``. A comparison with what an entry
lacks is false. Pages go by what their last entry is sorted by, so that what is written meanwhile neither hides nor
repeats an entry.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest.parsing import shown
from autotrack.stores.expressions import like

T = TypeVar("T")

ATTRIBUTE: Final = "attribute"
TAG: Final = "tag"
PARAM: Final = "param"
METRIC: Final = "metric"
_ENTITIES: Final = {
    "attribute": ATTRIBUTE,
    "attributes": ATTRIBUTE,
    "attr": ATTRIBUTE,
    "tag": TAG,
    "tags": TAG,
    "param": PARAM,
    "params": PARAM,
    "metric": METRIC,
    "metrics": METRIC,
}

IS_PROMPT: Final = "mlflow.prompt.is_prompt"
"""A tag by which clients leave prompts out. Nothing here is one: where it is missing, it counts as ``false``."""

MOST_CLAUSES: Final = 100
_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<operator>!=|<>|==|<=|>=|=|<|>)
    | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<mark>[(),])
    | (?P<word>[A-Za-z_]\w*(?:\.(?:`[^`]+`|"[^"]+"|'[^']+'|[\w./:@%+\-]+))?|`[^`]+`)
    )""",
    re.VERBOSE,
)
_TESTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "LIKE": like,
    "ILIKE": lambda found, pattern: like(found, pattern, ignore_case=True),
    "IN": lambda found, values: found in values,
    "NOT IN": lambda found, values: found not in values,
    "NOT LIKE": lambda found, pattern: not like(found, pattern),
    "NOT ILIKE": lambda found, pattern: not like(found, pattern, ignore_case=True),
}
_SAME: Final = {"==": "=", "<>": "!="}


@dataclass(frozen=True, slots=True)
class Clause:
    """One comparison: ``entity`` is one of `ATTRIBUTE`, `TAG`, `PARAM` and `METRIC`."""

    entity: str
    key: str
    operator: str
    value: Any

    def holds(self, found: Any) -> bool:
        """Whether what an entry has compares so; ``None`` is what it lacks."""
        if found is None and self.entity == TAG and self.key == IS_PROMPT:
            found = "false"
        if found is None or (isinstance(found, float) and math.isnan(found)):
            return False
        return _TESTS[self.operator](found, self.value)


@dataclass(frozen=True, slots=True)
class Language:
    """What a filter may name.

    Parameters
    ----------
    attributes : by name, whether it is a number.
    entities : what else there is.
    aliases : other names of attributes.
    """

    attributes: Mapping[str, bool]
    entities: tuple[str, ...] = (TAG,)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def parse(self, text: str | None) -> list[Clause]:
        """The comparisons of a filter.

        Raises
        ------
        Problem
            When it cannot be understood.
        """
        if text is None or not text.strip():
            return []
        tokens = _Tokens(text)
        clauses = [self._clause(tokens)]
        while tokens.kind != "end":
            if tokens.take_word() != "AND":
                raise tokens.wrong("comparisons are joined by AND")
            clauses.append(self._clause(tokens))
            if len(clauses) > MOST_CLAUSES:
                raise tokens.wrong(f"it has more than {MOST_CLAUSES} comparisons")
        return clauses

    def order(self, text: str) -> tuple[str, bool]:
        """The attribute that an entry of ``order_by`` names, and whether the greatest come first.

        Raises
        ------
        Problem
            When it cannot be understood.
        """
        words = text.split()
        direction = words[1].upper() if len(words) == 2 else "ASC"
        entity, _, key = words[0].rpartition(".") if words else ("", "", "")
        key = key.strip("`\"'")
        key = self.aliases.get(key, key)
        is_known = key in self.attributes and _ENTITIES.get(entity or ATTRIBUTE) == ATTRIBUTE
        if not is_known or direction not in ("ASC", "DESC") or len(words) > 2:
            known = ", ".join(self.attributes)
            raise Problem(
                problems.INVALID, f"Invalid order_by {shown(text)}: it is one of {known}, then ASC or DESC, or neither"
            )
        return key, direction == "DESC"

    def _clause(self, tokens: _Tokens) -> Clause:
        if tokens.kind != "word":
            raise tokens.wrong("expected a field such as name")
        entity, key = self._field(tokens)
        tokens.advance()
        compare = tokens.take_operator()
        is_number = entity == METRIC or (entity == ATTRIBUTE and self.attributes[key])
        if is_number and "LIKE" in compare:
            raise tokens.wrong(f"{key} is a number, which {compare} does not compare")
        if compare.endswith("IN"):
            return Clause(entity, key, compare, tokens.take_list(is_number))
        return Clause(entity, key, compare, tokens.take_value(is_number))

    def _field(self, tokens: _Tokens) -> tuple[str, str]:
        prefix, dot, key = tokens.token.partition(".")
        if not dot:
            prefix, key = ATTRIBUTE, prefix
        entity = _ENTITIES.get(prefix.lower())
        if entity is None or (entity != ATTRIBUTE and entity not in self.entities):
            there = ", ".join(f"{one}s." for one in self.entities)
            raise tokens.wrong(f"unknown {shown(prefix + '.')}; there are {there} and attributes")
        if key[0] in "`\"'":
            key = key[1:-1]
        if entity == ATTRIBUTE:
            key = self.aliases.get(key, key)
            if key not in self.attributes:
                raise tokens.wrong(f"unknown attribute {shown(key)}; there are {', '.join(self.attributes)}")
        return entity, key


class _Tokens:
    def __init__(self, text: str) -> None:
        self.text = text
        self.kind = self.token = ""
        self._tokens = self._read()
        self.advance()

    def _read(self) -> Iterator[tuple[str, str]]:
        position = 0
        text = self.text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self.wrong(f"{shown(text[position : position + 40].strip())} cannot be understood")
            position = match.end()
            kind = match.lastgroup or ""
            yield kind, match[kind]
        yield "end", ""

    def advance(self) -> None:
        self.kind, self.token = next(self._tokens)

    def take_word(self) -> str:
        if self.kind != "word":
            raise self.wrong(f"{shown(self.token)} stands where AND was expected")
        word = self.token.upper()
        self.advance()
        return word

    def take_operator(self) -> str:
        if self.kind == "operator":
            found = _SAME.get(self.token, self.token)
            self.advance()
            return found
        if self.kind == "word":
            found = self.take_word()
            if found == "NOT" and self.kind == "word":
                found = f"NOT {self.take_word()}"
            if found in _TESTS:
                return found
        raise self.wrong("expected a comparison: = != < <= > >= LIKE ILIKE IN NOT IN")

    def take_value(self, is_number: bool) -> Any:
        kind, token = self.kind, self.token
        if kind == "text":
            token = token[1:-1].replace(token[0] * 2, token[0])
        elif kind != "number":
            raise self.wrong("expected a value: a number, or text in quotes")
        if not is_number and kind == "number":
            raise self.wrong(f"{token} is compared with text: write '{token}'")
        self.advance()
        if not is_number:
            return token
        try:
            return float(token)
        except ValueError:
            raise self.wrong(f"{shown(token)} is no number") from None

    def take_list(self, is_number: bool) -> tuple[Any, ...]:
        self._take_mark("(")
        found = [self.take_value(is_number)]
        while self.token == "," and self.kind == "mark":
            self.advance()
            found.append(self.take_value(is_number))
        self._take_mark(")")
        return tuple(found)

    def _take_mark(self, mark: str) -> None:
        if self.kind != "mark" or self.token != mark:
            raise self.wrong(f"expected {mark}")
        self.advance()

    def wrong(self, reason: str) -> Problem:
        return Problem(problems.INVALID, f"Invalid filter {shown(self.text)}: {reason}")


Key = tuple[str | int | float | None, ...]


def page(
    entries: Sequence[T], key_of: Callable[[T], Key], descending: Sequence[bool], most: int, search: Any, token: str
) -> tuple[list[T], str | None]:
    """Some entries in order, and the token of the page behind them, ``None`` for the last one.

    Parameters
    ----------
    key_of : what an entry is sorted by, no two alike; what is ``None`` comes last.
    descending : of each part of the key, whether the greatest come first.
    search : JSON types that tell one search from another.
    token : of the page before, empty for the first page.

    Raises
    ------
    Problem
        When it is no token of this search.
    """
    digest = hashlib.sha256(json.dumps([search, list(descending)]).encode()).hexdigest()[:16]
    compare: Callable[[Key, Key], int] = functools.partial(_compare, descending=descending)
    keyed: list[tuple[Key, T]] = [(key_of(entry), entry) for entry in entries]
    if token:
        reached = _reached(token, digest, len(descending))
        try:
            keyed = [pair for pair in keyed if compare(pair[0], reached) > 0]
        except TypeError:
            raise _foreign() from None
    keyed.sort(key=lambda pair: functools.cmp_to_key(compare)(pair[0]))
    there = [entry for _, entry in keyed[:most]]
    if len(keyed) <= most:
        return there, None
    told = json.dumps([digest, *keyed[most - 1][0]]).encode()
    return there, base64.urlsafe_b64encode(told).decode()


def _compare(one: Key, other: Key, descending: Sequence[bool]) -> int:
    for mine, theirs, reverse in zip(one, other, descending, strict=True):
        if mine == theirs:
            continue
        if mine is None or theirs is None:
            return 1 if mine is None else -1
        is_less = mine < theirs  # type: ignore[operator]
        return 1 if is_less == reverse else -1
    return 0


def _reached(token: str, digest: str, length: int) -> Key:
    try:
        told = json.loads(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
        found, *key = told
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise _foreign() from None
    if (
        found != digest
        or len(key) != length
        or not all(part is None or type(part) in (str, int, float) for part in key)
    ):
        raise _foreign()
    return tuple(key)


def _foreign() -> Problem:
    return Problem(problems.INVALID, "Invalid page token: it is none of this search; begin again without one")
