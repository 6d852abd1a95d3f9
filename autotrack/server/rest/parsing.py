"""What a request says, read as protobuf's JSON is read: tolerantly where nothing is lost, else refused with the place.

A `Message` is a table of fields. Reading gives a mapping with an entry for each field: ``None`` (or an empty list) for
one that is missing or ``null``. Fields that are not in the table are passed over. Integers may come as text; numbers
may be ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``; a word of a fixed set may be given by its number.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from autotrack.server import problems
from autotrack.server.problems import Problem

Reader = Callable[[Any, str], Any]
"""Takes a JSON value and its place (``metrics[3].value``), gives what handlers work with."""

MAX_INT64: Final = 2**63 - 1
_INTEGER: Final = re.compile(r"\s*[+-]?[0-9]{1,25}(?:\.0{0,25})?\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Parameters
    ----------
    read : raises `Problem` for what it may not be.
    schema : what it may be, as JSON Schema.
    needed : whether a request without it, or with an empty one, is refused.
    many : whether it is a list, which in a query string is written by repeating it.
    aliases : former names of the field, read where the name itself is missing.
    """

    name: str
    read: Reader
    schema: Mapping[str, Any] = field(default_factory=dict)
    needed: bool = False
    many: bool = False
    aliases: tuple[str, ...] = ()


class Message:
    """A table of fields.

    Parameters
    ----------
    name : as MLflow calls it, for the description of the API.
    """

    def __init__(self, name: str, *fields: Field) -> None:
        self.name = name
        self.fields = fields

    def read(self, data: Any, place: str = "") -> dict[str, Any]:
        """The fields of a JSON object.

        Raises
        ------
        Problem
            When it is none, or a field is missing or cannot be what it is.
        """
        if data is None:
            data = {}
        if type(data) is not dict:
            raise wrong(place or "the request", data, "it is a JSON object")
        values: dict[str, Any] = {}
        for one in self.fields:
            value = data.get(one.name)
            if value is None:
                value = next((found for name in one.aliases if (found := data.get(name)) is not None), None)
            here = f"{place}.{one.name}" if place else one.name
            if value is None:
                if one.needed:
                    raise missing(here)
                values[one.name] = [] if one.many else None
                continue
            value = one.read(value, here)
            if one.needed and (value == "" or (one.many and not value)):
                raise missing(here)
            values[one.name] = value
        return values

    def read_query(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """The fields of a query string.

        Raises
        ------
        Problem
            As for `read`.
        """
        data: dict[str, Any] = {}
        repeated = {name for one in self.fields if one.many for name in (one.name, *one.aliases)}
        for name, value in pairs:
            if name in repeated:
                data.setdefault(name, []).append(value)
            elif name not in data:
                data[name] = value
        return self.read(data)

    def schema(self) -> dict[str, Any]:
        """The message as JSON Schema."""
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {one.name: dict(one.schema) for one in self.fields},
        }
        needed = [one.name for one in self.fields if one.needed]
        if needed:
            schema["required"] = needed
        return schema


def text(name: str, *, needed: bool = False, most: int | None = None, aliases: tuple[str, ...] = ()) -> Field:
    """A field of text, of at most ``most`` characters."""

    def read(value: Any, place: str) -> str:
        if type(value) is not str:
            raise wrong(place, value, "it is text")
        if most is not None and len(value) > most:
            raise wrong(place, value, f"it has {len(value):,} characters and may have {most}")
        return value

    schema: dict[str, Any] = {"type": "string"}
    if most is not None:
        schema["maxLength"] = most
    return Field(name, read, schema, needed, aliases=aliases)


def integer(
    name: str, *, needed: bool = False, least: int | None = None, most: int = MAX_INT64, aliases: tuple[str, ...] = ()
) -> Field:
    """A field with a whole number of 64 bits."""
    lowest = -MAX_INT64 - 1 if least is None else least

    def read(value: Any, place: str) -> int:
        number = whole(value)
        if number is None:
            raise wrong(place, value, "it is a whole number of 64 bits")
        if not lowest <= number <= most:
            raise wrong(place, value, f"it is from {lowest} to {most}")
        return number

    schema: dict[str, Any] = {"type": "integer", "minimum": lowest, "maximum": most}
    return Field(name, read, schema, needed, aliases=aliases)


def number(name: str, *, needed: bool = False) -> Field:
    """A field with a number that may be NaN or infinite."""

    def read(value: Any, place: str) -> float:
        found = real(value)
        if found is None:
            raise wrong(place, value, 'it is a number, "NaN", "Infinity" or "-Infinity"')
        return found

    return Field(name, read, {"type": ["number", "string"]}, needed)


def flag(name: str) -> Field:
    """A field that is true or false."""

    def read(value: Any, place: str) -> bool:
        if type(value) is bool:
            return value
        if value in ("true", "True", "TRUE", "1"):  # as query strings have it
            return True
        if value in ("false", "False", "FALSE", "0", ""):
            return False
        raise wrong(place, value, "it is true or false")

    return Field(name, read, {"type": "boolean"})


def choice(name: str, words: Mapping[str, int], *, needed: bool = False) -> Field:
    """A field with one word of a set; ``words`` tells for each the number that protobuf has for it."""
    by_number = {number: word for word, number in words.items()}
    shown = ", ".join(words)

    def read(value: Any, place: str) -> str:
        if type(value) is str:
            if value in words:
                return value
            if value.isascii() and value.isdigit() and len(value) < 10:
                value = int(value)
        if type(value) is int and value in by_number:
            return by_number[value]
        raise wrong(place, value, f"it is one of {shown}")

    return Field(name, read, {"type": "string", "enum": list(words)}, needed)


def texts(name: str, *, needed: bool = False, aliases: tuple[str, ...] = ()) -> Field:
    """A field with a list of texts."""

    def read(value: Any, place: str) -> list[str]:
        for position, item in enumerate(items(value, place)):
            if type(item) is not str:
                raise wrong(f"{place}[{position}]", item, "it is text")
        return list(value)

    schema = {"type": "array", "items": {"type": "string"}}
    return Field(name, read, schema, needed, many=True, aliases=aliases)


def one(name: str, message: Message, *, needed: bool = False) -> Field:
    """A field with another message."""
    return Field(name, message.read, message.schema(), needed)


def many(name: str, message: Message, *, needed: bool = False) -> Field:
    """A field with a list of messages."""

    def read(value: Any, place: str) -> list[dict[str, Any]]:
        return [message.read(item, f"{place}[{position}]") for position, item in enumerate(items(value, place))]

    return Field(name, read, {"type": "array", "items": message.schema()}, needed, many=True)


def items(value: Any, place: str) -> list[Any]:
    """A JSON array.

    Raises
    ------
    Problem
        For anything else.
    """
    if type(value) is not list:
        raise wrong(place, value, "it is a list")
    return value


def whole(value: Any) -> int | None:
    """A whole number, written as number or text; ``None`` for anything else."""
    if type(value) is int:
        found = value
    elif type(value) is float:
        if not value.is_integer() or abs(value) > 2**63:
            return None
        found = int(value)
    elif type(value) is str and _INTEGER.fullmatch(value):
        found = int(value.partition(".")[0])
    else:
        return None
    return found if -MAX_INT64 - 1 <= found <= MAX_INT64 else None


def real(value: Any) -> float | None:
    """A number, written as number or text; ``None`` for anything else."""
    if type(value) is float:
        return value
    if type(value) is int or (type(value) is str and len(value) <= 400 and "_" not in value):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return None
    return None


def from_json(body: bytes) -> Any:
    """The value of a JSON text; an empty one has none, which is ``None``.

    The bare words ``NaN``, ``Infinity`` and ``-Infinity`` are numbers, as other writers of JSON have them.

    Raises
    ------
    Problem
        When it is no JSON.
    """
    if not body or body.isspace():
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as first:
        try:
            return json.loads(body)
        except RecursionError:
            raise Problem(problems.BAD_REQUEST, "the body is nested too deep to be read") from None
        except ValueError:
            raise Problem(problems.BAD_REQUEST, f"the body is no JSON that can be read: {first}") from None


def to_json(value: Any) -> bytes:
    """JSON of a value; texts with lone surrogates are escaped, numbers that JSON lacks are texts."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()


def finite(value: float) -> float | str:
    """A number as protobuf's JSON has it."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def shown(value: Any) -> str:
    """A value of a request, shortened, for a message."""
    try:
        text = json.dumps(value[:300] if isinstance(value, str) else value)
    except (TypeError, ValueError, RecursionError):
        text = repr(type(value).__name__)
    return text if len(text) <= 120 else f"{text[:120]}…"


def wrong(place: str, value: Any, hint: str) -> Problem:
    """The problem of a value that cannot be what it is."""
    return Problem(problems.INVALID, f"Invalid value {shown(value)} for parameter '{place}' supplied: {hint}")


def missing(place: str) -> Problem:
    """The problem of a value that is needed."""
    return Problem(problems.INVALID, f"Missing value for required parameter '{place}'")
