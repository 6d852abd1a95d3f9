"""The filter language of `search_runs`, MLflow's with a little more.

    metrics.rmse < 1 and params.alpha = "0.05" and tags.owner LIKE '%y%' and attributes.status = 'FINISHED'

``AND``, ``OR``, ``NOT``, parentheses; ``= == != <> < <= > >=``, ``LIKE``, ``ILIKE``, ``IN (…)``, each also with
``NOT``; ``IS NULL``, ``IS NOT NULL``. Words of the language may be written in either case. ``LIKE`` minds the case,
``ILIKE`` does not. Text stands in quotes, doubled where it contains them; so does a key with blanks:
``metrics."f1 score"``.

``metrics.KEY`` is a number. ``params.KEY`` is text, and a number where it is compared with one. ``tags.KEY`` is text.
``datasets.name``, ``.digest`` and ``.context`` ask whether the run has any such dataset; ``models.path``,
``.estimator_class``, ``.serialization_format`` and ``.registered_model_name`` whether it has any such model. The
attributes of a run (`autotrack.stores.expressions.ATTRIBUTES`) are named with ``attributes.`` before them or without.
Times are milliseconds, or dates such as ``'2026-05-01 12:00'``, in this machine's time zone unless they name one.

A comparison with something the run lacks is false, ``!=`` and ``NOT IN`` included, and so is one with NaN; ``NOT`` of
it is true. ``IS NULL`` asks whether it is lacking.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from autotrack.errors import FilterError
from autotrack.stores.expressions import (
    ATTRIBUTE_ALIASES,
    ATTRIBUTES,
    DATASET_FIELDS,
    ENTITIES,
    MODEL_FIELDS,
    And,
    Comparison,
    Expression,
    Field,
    IsNull,
    Not,
    Operator,
    Or,
    Order,
    Scalar,
)
from autotrack.stores.matching import matches, sort_runs

if TYPE_CHECKING:
    from lark import Lark, Token

__all__ = ["matches", "parse_filter", "parse_order_by", "parse_orders", "sort_runs"]

MAX_LENGTH: Final = 200_000
MAX_DEPTH: Final = 50
MAX_COMPARISONS: Final = 1000

_GRAMMAR: Final = r"""
filter: disjunction
disjunction: conjunction (_OR conjunction)*
conjunction: _term (_AND _term)*
_term: negation | group | comparison | like | within | null
negation: _NOT _term
group: "(" disjunction ")"
comparison: FIELD COMPARATOR _value
like: FIELD NOT? (LIKE | ILIKE) STRING
within: FIELD NOT? _IN "(" _value ("," _value)* ")"
null: FIELD _IS NOT? _NULL
_value: NUMBER | STRING

order: FIELD (ASC | DESC)?

_AND.2: /and(?![\w.])/i
_OR.2: /or(?![\w.])/i
_NOT.2: /not(?![\w.])/i
NOT.2: /not(?![\w.])/i
_IN.2: /in(?![\w.])/i
_IS.2: /is(?![\w.])/i
_NULL.2: /null(?![\w.])/i
LIKE.2: /like(?![\w.])/i
ILIKE.2: /ilike(?![\w.])/i
ASC.2: /asc(?![\w.])/i
DESC.2: /desc(?![\w.])/i
COMPARATOR: "==" | "!=" | "<>" | "<=" | ">=" | "=" | "<" | ">"
NUMBER: /[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?)(?![\w.])/i
STRING: /"(?:[^"]|"")*"|'(?:[^']|'')*'/
FIELD: /[^\W\d]\w*(?:\.(?:"(?:[^"]|"")*"|'(?:[^']|'')*'|`[^`]*`|[\w.\/:@%+\-]*))?/
%ignore /\s+/
"""

_WORDS: Final = {
    "FIELD": "a field such as metrics.rmse",
    "COMPARATOR": "a comparison (= != < <= > >=)",
    "NUMBER": "a number",
    "STRING": "text in quotes",
    "LIKE": "LIKE",
    "ILIKE": "ILIKE",
    "_IN": "IN",
    "_IS": "IS NULL",
    "_NULL": "NULL",
    "NOT": "NOT",
    "_NOT": "NOT",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": "a comma",
    "_AND": "AND",
    "_OR": "OR",
    "ASC": "ASC",
    "DESC": "DESC",
    "$END": "the end",
}


def parse_filter(text: str | None) -> Expression | None:
    """The tree of a filter; ``None`` for a blank one, which names every run.

    Raises
    ------
    FilterError
        When it cannot be understood; the message points at the place.
    """
    if text is None or not text.strip():
        return None
    return cast(Expression, _parse(text, "filter"))


def parse_order_by(text: str) -> Order:
    """One key to sort by: a field, then ``ASC`` (as without it) or ``DESC``.

    Raises
    ------
    FilterError
        When it cannot be understood; the message points at the place.
    """
    return cast(Order, _parse(text, "order"))


def parse_orders(texts: Sequence[str]) -> list[Order]:
    """The keys to sort by, the first counting most; a single text is one key.

    Raises
    ------
    FilterError
        When one cannot be understood.
    """
    return [parse_order_by(text) for text in ([texts] if isinstance(texts, str) else texts)]


@lru_cache(maxsize=128)
def _parse(text: str, start: str) -> Expression | Order:
    if len(text) > MAX_LENGTH:
        raise FilterError(f"the {start} has {len(text):,} characters, more than the {MAX_LENGTH:,} that are read")
    from lark import UnexpectedInput

    try:
        return cast("Expression | Order", _parser().parse(text, start=start))
    except UnexpectedInput as error:
        raise _unexpected(text, start, error) from None
    except _Misfit as error:
        raise _failure(text, start, error.position, str(error), error.hint) from None


@lru_cache(maxsize=1)
def _parser() -> Lark:
    from lark import Lark

    return Lark(
        _GRAMMAR,
        parser="lalr",
        start=["filter", "order"],
        transformer=cast(Any, _Builder()),
        maybe_placeholders=False,
    )


class _Misfit(Exception):
    """The text is grammatical and means nothing."""

    def __init__(self, position: int, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.position = position
        self.hint = hint


class _Part:
    """A tree with how deep and how large it is, so that nothing is ever built that recursion could not walk."""

    def __init__(self, tree: Expression, position: int, depth: int = 0, size: int = 1) -> None:
        if depth > MAX_DEPTH:
            raise _Misfit(position, f"nested more than {MAX_DEPTH} deep")
        if size > MAX_COMPARISONS:
            raise _Misfit(position, f"more than {MAX_COMPARISONS} comparisons", "IN (…) takes a list of any length")
        self.tree = tree
        self.position = position
        self.depth = depth
        self.size = size


class _Builder:
    """One method per rule of the grammar; the parser calls it with the rule's parts."""

    def filter(self, parts: list[_Part]) -> Expression:
        return parts[0].tree

    def disjunction(self, parts: list[_Part]) -> _Part:
        return _join(Or, parts)

    def conjunction(self, parts: list[_Part]) -> _Part:
        return _join(And, parts)

    def group(self, parts: list[_Part]) -> _Part:
        (part,) = parts
        return _Part(part.tree, part.position, part.depth + 1, part.size)

    def negation(self, parts: list[_Part]) -> _Part:
        (part,) = parts
        return _Part(Not(part.tree), part.position, part.depth + 1, part.size)

    def comparison(self, parts: list[Token]) -> _Part:
        field, comparator, value = parts
        operator = {"==": "=", "<>": "!="}.get(comparator, str(comparator))
        return _compare(field, cast(Operator, operator), [value])

    def like(self, parts: list[Token]) -> _Part:
        field, *words, value = parts
        return _compare(field, cast(Operator, " ".join(word.upper() for word in words)), [value])

    def within(self, parts: list[Token]) -> _Part:
        field, *values = parts
        if values[0].type == "NOT":
            return _compare(field, "NOT IN", values[1:])
        return _compare(field, "IN", values)

    def null(self, parts: list[Token]) -> _Part:
        tree = IsNull(_field(parts[0]))
        return _Part(Not(tree) if len(parts) > 1 else tree, _start(parts[0]))

    def order(self, parts: list[Token]) -> Order:
        field = _field(parts[0])
        if field.entity in ("dataset", "model"):
            raise _Misfit(_start(parts[0]), f"runs cannot be sorted by their {field.entity}s")
        return Order(field, len(parts) > 1 and parts[1].type == "DESC")


def _join(kind: Callable[[tuple[Expression, ...]], Expression], parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    depth = max(part.depth for part in parts) + 1
    return _Part(kind(tuple(part.tree for part in parts)), parts[0].position, depth, sum(part.size for part in parts))


def _start(token: Token) -> int:
    return token.start_pos or 0


def _field(token: Token) -> Field:
    name, dot, key = token.partition(".")
    if not dot:
        return Field("attribute", _one_of(ATTRIBUTES, name, _start(token), "attribute", ATTRIBUTE_ALIASES))
    entity = ENTITIES.get(name.lower())
    if entity is None:
        near = _near(name, ENTITIES)
        hint = (
            f"did you mean {near}.?" if near else "there are metrics. params. tags. attributes. datasets. and models."
        )
        raise _Misfit(_start(token), f"unknown {_show(name + '.')}", hint)
    place = _start(token) + len(name) + 1
    if key[:1] in ('"', "'", "`"):
        key = _unquote(key)
    elif not key:
        raise _Misfit(place, f"a name is missing behind {name}.", f'one with blanks stands in quotes: {name}."a name"')
    if entity == "attribute":
        key = _one_of(ATTRIBUTES, key, place, "attribute", ATTRIBUTE_ALIASES)
    elif entity == "dataset":
        key = _one_of(DATASET_FIELDS, key, place, "property of datasets", {})
    elif entity == "model":
        key = _one_of(MODEL_FIELDS, key, place, "property of models", {})
    return Field(entity, key)


def _one_of(known: Iterable[str], name: str, position: int, what: str, aliases: dict[str, str]) -> str:
    known = list(known)
    lower = name.lower()
    lower = aliases.get(lower, lower)
    if lower in known:
        return lower
    near = _near(name, [*known, *aliases])
    hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
    if what == "attribute":
        hint += f"; a metric, param or tag is written metrics.{_show(name)}, params.{_show(name)}, tags.{_show(name)}"
    raise _Misfit(position, f"unknown {what} {_show(name)}", hint)


def _near(name: str, known: Iterable[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name[:100].lower(), list(known), n=1, cutoff=0.6)), "")


def _unquote(text: str) -> str:
    quote = text[0]
    return text[1:-1] if quote == "`" else text[1:-1].replace(quote * 2, quote)


def _compare(token: Token, operator: Operator, values: Sequence[Token]) -> _Part:
    field = _field(token)
    read = [_value(field, operator, value) for value in values]
    if len({isinstance(value, str) for value in read}) > 1:
        raise _Misfit(_start(values[0]), "a list of both text and numbers", "join two lists by OR")
    value = tuple(read) if operator in ("IN", "NOT IN") else read[0]
    return _Part(Comparison(field, operator, value), _start(token))


def _value(field: Field, operator: Operator, token: Token) -> Scalar:
    kind = field.kind
    if token.type == "STRING":
        text = _unquote(token)
        if "LIKE" in operator:
            if kind in ("number", "time"):
                raise _Misfit(_start(token), f"{operator} compares text, and {_show(field.key)} is a number")
            return text
        if kind == "time":
            return _milliseconds(text, token)
        if kind == "number":
            raise _Misfit(_start(token), f"{_show(field.key)} is a number, not text", "leave out the quotes")
        return text.upper() if field == Field("attribute", "status") else text
    if kind == "text":
        if field.key == "experiment_id" and token.isdigit():
            return str(token)
        raise _Misfit(_start(token), f"{_show(field.key)} is text, not a number", f"write '{token}'")
    return _number(token)


def _number(text: str) -> int | float:
    if len(text) < 19 and re.fullmatch(r"[+-]?[0-9]+", text):
        return int(text)
    return float(text)


def _milliseconds(text: str, token: Token) -> int:
    try:
        return round(datetime.fromisoformat(text.strip()).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        hint = "write milliseconds since 1970, or a date such as '2026-05-01' or '2026-05-01 12:30'"
        raise _Misfit(_start(token), f"{_show(text)} is not a time", hint) from None


def _unexpected(text: str, start: str, error: Any) -> FilterError:
    from lark import UnexpectedToken

    position = error.pos_in_stream if error.pos_in_stream is not None else len(text)
    if isinstance(error, UnexpectedToken):
        # The parser knows what it can really go on with; its table of expected tokens is wider.
        expected = set(error.accepts or error.expected)
        if error.token.type == "$END":
            position, found = len(text), f"the {'filter' if start == 'filter' else 'order'} ends too early"
        else:
            found = f"did not expect {_show(error.token)}"
    else:
        expected = set(error.allowed or ())
        found = f"did not expect {_show(text[position])}"
        if text.count("(", 0, position) <= text.count(")", 0, position):
            expected.discard("RPAR")
    hint = ""
    if "STRING" in expected and isinstance(error, UnexpectedToken) and error.token.type == "FIELD":
        hint = f"text stands in quotes: '{_show(error.token)}'"
    elif text[position : position + 1] in ('"', "'") and not isinstance(error, UnexpectedToken):
        hint = "this quote is never closed"
    words = [word for name, word in _WORDS.items() if name in expected]
    words = list(dict.fromkeys(words))
    if len(words) > 1:
        words = [", ".join(words[:-1]) + " or " + words[-1]]
    return _failure(text, start, position, found + (f"; expected {words[0]}" if words else ""), hint)


def _failure(text: str, start: str, position: int, problem: str, hint: str) -> FilterError:
    begin, end = text.rfind("\n", 0, position) + 1, text.find("\n", position)
    line = text[begin:] if end < 0 else text[begin:end]
    column = position - begin
    cut = max(0, column - 60)
    shown = ("…" if cut else "") + line[cut : column + 60] + ("…" if len(line) > column + 60 else "")
    caret = " " * (column - cut + bool(cut)) + "^"
    # One character for one, or the caret would point elsewhere.
    shown = "".join(char if char.isprintable() else " " if char.isspace() else "�" for char in shown)
    what = "filter" if start == "filter" else "order_by"
    message = f"cannot understand the {what}: {problem}\n    {shown}\n    {caret}"
    return FilterError(f"{message}\n{hint}" if hint else message)


def _show(text: str) -> str:
    text = text if len(text) <= 60 else text[:60] + "…"
    return "".join(char if char.isprintable() else "�" for char in text)
