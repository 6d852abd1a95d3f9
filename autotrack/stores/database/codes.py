"""How texts and numbers are written in the tables, so that every database keeps, compares and sorts them exactly.

Texts
    PostgreSQL has no NUL in its texts, and no database has lone surrogates. `escape` writes them as two characters each
    in such a way that the order of code points, equality and prefixes stay as they were.
Numbers
    MySQL has neither NaN nor infinities. `code` makes an integer of a float that sorts as the
    float does.
Keys
    No database indexes texts of any length. Rows are found by `digest`, and sorted by `head`, the first characters.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Iterable
from typing import Final

from autotrack.stores.expressions import param_number

HEAD: Final = 64
"""How many characters of a text stand in an index."""

TEXT: Final = 2**63 - 1
"""The code of a param that does not read as a number: greater than that of every number."""

_ODD: Final = re.compile("[\x00\x01\ud800-\udfff\ue000]")
_ESCAPED: Final = re.compile("\x01(.)|\ue000(.)", re.DOTALL)
_LAST: Final = chr(0x10FFFF)


def escape(text: str) -> str:
    """A text without NUL and surrogates, that sorts among others of its kind as ``text`` does among texts."""
    return _ODD.sub(_escape_one, text) if _ODD.search(text) else text


def unescape(stored: str) -> str:
    """Undo `escape`."""
    return stored if is_plain(stored) else _ESCAPED.sub(_unescape_one, stored)


def is_plain(stored: str) -> bool:
    """Whether nothing of a text is escaped."""
    return "\x01" not in stored and "\ue000" not in stored


def _escape_one(found: re.Match[str]) -> str:
    char = found[0]
    if char < "\x02":
        return "\x01\x01" if char == "\x00" else "\x01\x02"
    return "\ue000\ufffd" if char == "\ue000" else "\ue000" + chr(0x100 + ord(char) - 0xD800)


def _unescape_one(found: re.Match[str]) -> str:
    if found[1]:
        return "\x00" if found[1] == "\x01" else "\x01"
    return "\ue000" if found[2] == "\ufffd" else chr(0xD800 + ord(found[2]) - 0x100)


def head(escaped: str) -> str:
    """The part of an escaped text that stands in an index."""
    return escaped[:HEAD]


def after(prefix: str) -> str | None:
    """The least text greater than every text that begins with ``prefix`` (escaped); ``None`` where there is none."""
    stem = prefix.rstrip(_LAST)
    if not stem:
        return None
    last = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if 0xD800 <= last <= 0xDFFF else last)


def digest(*texts: str) -> bytes:
    """16 bytes that stand for these texts."""
    if len(texts) == 1:
        data = texts[0].encode("utf-8", "surrogatepass")
    else:
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]
        data = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hashlib.sha256(data).digest()[:16]


def digests(texts: Iterable[str]) -> dict[bytes, str]:
    """Texts by their digests, in the order of these, which is the order in which rows are locked."""
    return dict(sorted((digest(text), text) for text in texts))


def code(value: float) -> int | None:
    """An integer of 64 bits that sorts as the float does; ``None`` for NaN, 0 for either zero."""
    if value != value:
        return None
    (bits,) = _INTEGER.unpack(_FLOAT.pack(value))
    return int(bits) if bits >= 0 else -(bits & 0x7FFFFFFFFFFFFFFF)


def code_of_param(text: str) -> int:
    """The code of the number that a param reads as, `TEXT` where it reads as none."""
    number = param_number(text)
    found = None if number is None else code(number)
    return TEXT if found is None else found


def shown(value: float) -> float | None:
    """What stands beside a code for people to read: the value, ``None`` for NaN and infinities."""
    return value if math.isfinite(value) else None


def decode(number: int | None) -> float:
    """The float of a code."""
    if number is None:
        return math.nan
    bits = number if number >= 0 else -number | -0x8000000000000000
    return float(_FLOAT.unpack(_INTEGER.pack(bits))[0])


_FLOAT: Final = struct.Struct("<d")
_INTEGER: Final = struct.Struct("<q")
