"""Inputs made from valid ones: texts, bytes and JSON values, changed in one place or in many."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence
from typing import Any, Final

ODD_CHARACTERS: Final = "\0\n\r\t\x1b\x85\u200b\u202e\ufeff\ud800\udfffÅßǆ\u0345漢🎉'\"`()%_.,\\"
NUMBERS: Final = (
    *("0", "-0", "1e999", "-1e999", "9" * 25, "9" * 400, "9" * 5000, "1e-400", ".5", "5.", "+1", "1_000", "٣", "0x1"),
    *("inf", "-infinity", "nan", "1e308", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1.5"),
)
ODD_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 2**63, -(2**64), 10**400, 1.5, 1e308, float("inf"), float("-inf"), float("nan")),
    *("", "\0", "\ud800", "a", "NaN", "Infinity", "1e999", "9" * 5000, "x" * 300),
    *([], [[]], [None], [1, 2], ["ab", "cd"], [["k", 1]], [[1, 2]], {}, {"": ""}, {"k": None}, {"a": {"b": []}}),
)

_FIELDS: Final = (
    *("metrics.m", "metrics.`a b`", 'metrics."f1 score"', "params.p", "params.'it''s'", "tags.t", "tags.a.b/c:d@e%+-"),
    *("status", "name", "attributes.run_id", "experiment", "experiment_id", "start_time", "end_time", "duration"),
    *("error", "broken", "user", "script", "parent_run_id", "datasets.name", "datasets.digest", "models.path"),
    *("model.registered_model_name", "METRICS.m", "Run.Name", "metrics.\ud800", "nothing", "metrics.", "a.b", "été"),
)
_COMPARATORS: Final = ("=", "==", "!=", "<>", "<", "<=", ">", ">=")


def grammatical_filter(draw: random.Random, depth: int = 0) -> str:
    """A filter that the grammar makes; it may still mean nothing."""
    kind = draw.random()
    if depth < 6 and kind < 0.35:
        words = draw.choice((" and ", " OR ", " Or ", " AND "))
        return words.join(grammatical_filter(draw, depth + 1) for _ in range(draw.randint(2, 3)))
    if depth < 6 and kind < 0.5:
        return draw.choice(("({})", "not {}", "NOT ({})")).format(grammatical_filter(draw, depth + 1))
    return comparison(draw)


def comparison(draw: random.Random) -> str:
    """One comparison of a filter."""
    field, kind = draw.choice(_FIELDS), draw.random()
    if kind < 0.55:
        return f"{field} {draw.choice(_COMPARATORS)} {literal(draw)}"
    negated = draw.choice(("", "not "))
    if kind < 0.7:
        return f"{field} {negated}{draw.choice(('like', 'ILIKE'))} {text_literal(draw)}"
    if kind < 0.9:
        values = ", ".join(literal(draw) for _ in range(draw.randint(1, 4)))
        return f"{field} {negated}in ({values})"
    return f"{field} is {negated}null"


def literal(draw: random.Random) -> str:
    """A number or a text in quotes."""
    if draw.random() < 0.5:
        return draw.choice(NUMBERS) if draw.random() < 0.4 else str(draw.choice((1, 2, -1, 0.5, 3000, draw.random())))
    return text_literal(draw)


def text_literal(draw: random.Random) -> str:
    """A text in quotes, often one that matches something."""
    words = ("a", "FINISHED", "finished", "%", "a%", "_", "%%_%", "2026-05-01", "1970-01-01T00:00:03+00:00", "0", "10")
    found = draw.choice(words) if draw.random() < 0.6 else text(draw, 8)
    quote = draw.choice("'\"")
    return quote + found.replace(quote, quote * 2) + quote


def text(draw: random.Random, longest: int) -> str:
    """A text of ordinary and odd characters."""
    alphabet = string.printable if draw.random() < 0.6 else ODD_CHARACTERS
    made = "".join(draw.choice(alphabet) for _ in range(draw.randint(0, longest)))
    return made + chr(draw.randint(0, 0x10FFFF)) if draw.random() < 0.1 else made


def mutated_text(draw: random.Random, corpus: Sequence[str]) -> str:
    """A text of the corpus, changed in a few places."""
    found = draw.choice(corpus)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        found = draw.choice(_TEXT_CHANGES)(draw, found, corpus)
    return found


def mutated_bytes(draw: random.Random, data: bytes) -> bytes:
    """Bytes, changed in a few places: flipped, cut, doubled, overwritten."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        place, kind = draw.randint(0, max(0, len(changed) - 1)), draw.randint(0, 6)
        if kind == 0 and changed:
            changed[place] ^= 1 << draw.randint(0, 7)
        elif kind == 1:
            del changed[place:]
        elif kind == 2:
            del changed[place : place + draw.randint(1, 40)]
        elif kind == 3:
            changed[place:place] = changed[place : place + draw.randint(1, 200)]
        elif kind == 4:
            changed[place:place] = draw.randbytes(draw.randint(1, 8))
        elif kind == 5:
            changed[place:place] = draw.choice(
                (b"\n", b"\0", b"[" * 2000, b'{"a":' * 1000, b"\xed\xa0\x80", b"\xff", b'"')
            )
        else:
            number = draw.choice(NUMBERS).encode()
            digits = [index for index, byte in enumerate(changed) if 48 <= byte <= 57]
            if digits:
                start = draw.choice(digits)
                changed[start : start + 1] = number
    return bytes(changed)


def mutated_value(draw: random.Random, value: Any) -> Any:
    """A JSON value with one of its parts put out, doubled, renamed or replaced by an odd one."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(list(value))
        rest = dict(value)
        kind = draw.random()
        if kind < 0.12:
            del rest[key]
        elif kind < 0.2:
            rest[draw.choice(("", "\ud800", "type", "run_id", text(draw, 4)))] = rest.pop(key)
        elif kind < 0.3:
            rest[key] = odd_value(draw)
        else:
            rest[key] = mutated_value(draw, value[key])
        return rest
    if isinstance(value, list) and value and draw.random() < 0.8:
        index = draw.randrange(len(value))
        kind = draw.random()
        if kind < 0.15:
            return value[:index] + value[index + 1 :]
        if kind < 0.3:
            return [*value, value[index]]
        return [*value[:index], mutated_value(draw, value[index]), *value[index + 1 :]]
    return odd_value(draw)


def odd_value(draw: random.Random) -> Any:
    """A JSON value that nobody expects there."""
    if draw.random() < 0.02:
        nested: Any = 0
        for _ in range(draw.choice((5, 200, 900))):
            nested = [nested] if draw.random() < 0.5 else {"a": nested}
        return nested
    return draw.choice(ODD_VALUES)


def _replace(draw: random.Random, found: str, corpus: Sequence[str]) -> str:
    place = draw.randint(0, len(found))
    return found[:place] + text(draw, 3) + found[place + draw.randint(0, 2) :]


def _splice(draw: random.Random, found: str, corpus: Sequence[str]) -> str:
    other = draw.choice(corpus)
    return found[: draw.randint(0, len(found))] + other[draw.randint(0, len(other)) :]


def _cut(draw: random.Random, found: str, corpus: Sequence[str]) -> str:
    start = draw.randint(0, len(found))
    return found[:start] + found[start + draw.randint(1, 12) :]


def _join(draw: random.Random, found: str, corpus: Sequence[str]) -> str:
    return f"{found}{draw.choice((' and ', ' or ', ' ', ',', ' not ', ' in '))}{draw.choice(corpus)}"


def _nest(draw: random.Random, found: str, corpus: Sequence[str]) -> str:
    opening, closing = draw.choice((("(", ")"), ("not ", ""), ("not (", ")"), ("((", "))")))
    times = draw.choice((1, 2, 10, 24, 60, 300))
    return opening * times + found + closing * (times - draw.choice((0, 0, 0, 1)))


def _number(draw: random.Random, found: str, corpus: Sequence[str]) -> str:
    digits = [index for index, char in enumerate(found) if char.isdigit()]
    if not digits:
        return found + draw.choice(NUMBERS)
    place = draw.choice(digits)
    return found[:place] + draw.choice(NUMBERS) + found[place + 1 :]


def _case(draw: random.Random, found: str, corpus: Sequence[str]) -> str:
    return found.swapcase() if draw.random() < 0.5 else found.upper()


def _repeat(draw: random.Random, found: str, corpus: Sequence[str]) -> str:
    start = draw.randint(0, len(found))
    piece = found[start : start + draw.randint(1, 10)]
    return found[:start] + piece * draw.choice((2, 3, 50)) + found[start:]


_TEXT_CHANGES: Final[tuple[Callable[[random.Random, str, Sequence[str]], str], ...]] = (
    *(_replace, _replace, _splice, _cut, _join, _nest, _number, _case, _repeat),
)
