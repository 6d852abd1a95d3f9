"""Page tokens: where in a search a page ends, as text that a URL can carry.

A token holds what its last run is sorted by and what settles ties, so that the next page begins behind that place
whether the run is still there or not. It carries a digest of itself and of the search: one that was cut, altered or
made for another search is refused. The digest is no secret, so whoever reads a token checks each value's type.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from autotrack.errors import PageTokenError
from autotrack.stores.base import View
from autotrack.stores.expressions import Order

LONGEST_TEXT: Final = 500
"""Of longer texts a token carries the digest; the text is that of the run then, which must not have changed."""

_VERSION: Final = 1
_DIGEST: Final = 9
_LONGEST_TOKEN: Final = 1_000_000
_LEAST, _GREATEST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Digest:
    """A text too long for a token."""

    hex: str


Value = None | int | float | str | Digest
Plain = None | int | float | str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends.

    Parameters
    ----------
    keys : what the last run is sorted by, in the order of the search.
    ties : what decides between runs that are equal in that.
    """

    keys: tuple[Value, ...]
    ties: tuple[Plain, ...]

    def whole(self, orders: Sequence[Order], now: Callable[[], Sequence[Plain] | None]) -> tuple[Plain, ...]:
        """The keys of a search by these orders, with the long texts.

        Parameters
        ----------
        now : gives the run's keys as they are, ``None`` where it is gone; called when there are long texts.

        Raises
        ------
        PageTokenError
            When there are, and they have changed; when the keys are none of such a search.
        """
        if len(self.keys) != len(orders) or not all(map(_suits, self.keys, orders)):
            raise refused()
        found: list[Plain] = []
        current: Sequence[Plain] | None = None
        for number, key in enumerate(self.keys):
            if isinstance(key, Digest):
                current = now() if current is None else current
                if current is None or _shortened(current[number]) != key:
                    raise PageTokenError(
                        "the run at the end of the page before was changed or removed, and the long text that it was "
                        "sorted by is not in the token; begin again without a page token"
                    )
                found.append(current[number])
            else:
                found.append(key)
        return tuple(found)


def search_digest(
    kind: str,
    filter: str | None,
    order_by: Sequence[str],
    experiments: Sequence[str] | None,
    view: View,
    top_level: bool,
) -> bytes:
    """What tells one search from another; ``kind`` is whose tokens they are."""
    named = None if experiments is None else sorted(set(experiments))
    text = json.dumps([_VERSION, kind, (filter or "").strip(), list(order_by), named, view, bool(top_level)])
    return hashlib.sha256(text.encode()).digest()


def encode(search: bytes, keys: Sequence[Plain], ties: Sequence[Plain]) -> str:
    """The token of a place in a search."""
    told = [[_to_json(_shortened(key)) for key in keys], list(ties)]
    data = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(_checked(search, data) + data).rstrip(b"=").decode()


def decode(search: bytes, token: str) -> Place:
    """The place that a token names.

    Raises
    ------
    PageTokenError
        When it is not a token of this search.
    """
    try:
        if not isinstance(token, str) or len(token) > _LONGEST_TOKEN:
            raise ValueError("no token")
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        data = raw[_DIGEST:]
        if raw[:_DIGEST] != _checked(search, data) or base64.urlsafe_b64encode(raw).rstrip(b"=") != token.encode():
            raise ValueError("another token")
        keys, ties = json.loads(data.decode("utf-8", "surrogatepass"))
        return Place(tuple(_from_json(key) for key in keys), tuple(_plain(tie) for tie in ties))
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise refused() from None


def refused() -> PageTokenError:
    """The error for a token that is none of the search."""
    return PageTokenError(
        "this page token is not one of this search: it was cut or altered, or made with another filter, order, "
        "experiments or view; begin again without a page token, and change nothing but the token from page to page"
    )


def _suits(key: Value, order: Order) -> bool:
    """Whether a run can have this key, so that a database can compare it."""
    if key is None:
        return True
    match order.field.kind:
        case "text":
            return isinstance(key, str | Digest)
        case "number":
            return isinstance(key, int | float)
        case "time":
            return isinstance(key, int)
    return True


def _checked(search: bytes, data: bytes) -> bytes:
    return hashlib.sha256(search + data).digest()[:_DIGEST]


def _shortened(key: Plain) -> Value:
    if isinstance(key, str) and len(key) > LONGEST_TEXT:
        return Digest(hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest())
    return key


def _to_json(key: Value) -> Any:
    return [key.hex] if isinstance(key, Digest) else key


def _from_json(key: Any) -> Value:
    if isinstance(key, list):
        (text,) = key
        if not isinstance(text, str):
            raise TypeError("no digest")
        return Digest(text)
    return _plain(key)


def _plain(value: Any) -> Plain:
    """A value that every database takes."""
    if value is None or isinstance(value, str):
        return value
    if type(value) is int and _LEAST <= value <= _GREATEST:
        return value
    if type(value) is float and value == value:
        return value
    raise TypeError("no value to sort by")
