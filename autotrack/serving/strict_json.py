"""JSON as strict as it has to be: no key twice, no half characters, no nesting that exhausts the stack."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from autotrack.serving.problems import BadInput, show

try:
    import orjson
except ImportError:  # it only makes this faster
    orjson = None  # type: ignore[assignment]

_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_BOM: Final = b"\xef\xbb\xbf"


def loads(body: bytes | memoryview, count_keys: Callable[[Any], int]) -> Any:
    """Read a JSON text in UTF-8; ``NaN``, ``Infinity`` and ``-Infinity`` are read as Python and MLflow do.

    Parameters
    ----------
    count_keys : the number of keys in all objects that are usual in such a text. Where the text has as many colons,
        no key can have been there twice; only where it has more the text is read again, slower, to make sure.

    Raises
    ------
    BadInput
        ``not_json``, ``too_deep`` or ``duplicate_key``.
    """
    data = bytes(body)
    if data.startswith(_BOM):
        data = data[len(_BOM) :]
    if orjson is not None:
        try:
            value = orjson.loads(data)
        except (orjson.JSONDecodeError, RecursionError):
            pass  # the slower reader says why, or takes it
        else:
            if count_keys(value) == data.count(b":"):
                return value
    return _read(data)


def _read(data: bytes) -> Any:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput("not_json", f"the request is not text in UTF-8: byte {error.start} is not") from None
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise BadInput("not_json", _describe(text, error)) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # a whole number of more digits than Python reads
        raise BadInput("not_json", "the request holds a number of more digits than are read") from None
    if _HALF.search(data):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except RecursionError:
            raise _too_deep() from None
        except UnicodeEncodeError:
            raise BadInput("not_json", r"the request holds half of a surrogate pair (\ud800 to \udfff)") from None
    return value


def _describe(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return "the request has no body: send JSON"
    near = text[max(error.pos - 10, 0) : error.pos + 20]
    return f"the request is not JSON: {error.msg} in line {error.lineno}, column {error.colno}, near {show(near)}"


def _too_deep() -> BadInput:
    return BadInput("too_deep", "the request nests lists or objects deeper than they are read, about 1,000 deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadInput("duplicate_key", f"the key {show(twice)} is there twice in one object", columns=(twice,))
    return found
