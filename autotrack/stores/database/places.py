"""Places in a search: what comes behind a run, as conditions.

What a run is sorted by, its key, is a number, a text or nothing, as `autotrack.stores.tokens` writes it down; the
tables hold the codes of numbers, and of params the code and the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import sqlalchemy as sa

from autotrack.stores.database.codes import TEXT, code, decode, escape, head
from autotrack.stores.database.comparing import constant
from autotrack.stores.database.conditions import RUNS
from autotrack.stores.expressions import Order
from autotrack.stores.state import NO_START
from autotrack.stores.tokens import Plain

_BROKEN: Final = 1
"""What runs are sorted by that are broken."""


def bounds(order: Order, key: Plain) -> list[Any]:
    """What the values of `Conditions.terms` are compared with."""
    field = order.field
    if key is None:
        return [None]
    if field.entity == "param":
        return [TEXT, key] if isinstance(key, str) else [code(float(key))]
    if field.entity == "metric" or (field.entity == "attribute" and field.key == "duration"):
        return [code(float(cast(float, key)))]
    if field.entity == "attribute" and field.key == "broken":
        return [_BROKEN]
    return [key]


def key_of(order: Order, values: Sequence[Any]) -> Plain:
    """Undo `bounds`."""
    field, value = order.field, values[0]
    if value is None:
        return None
    if field.entity == "param" and value == TEXT:
        return str(values[1])
    if field.entity in ("param", "metric") or (field.entity == "attribute" and field.key == "duration"):
        return decode(value)
    if field.entity == "attribute" and field.key == "broken":
        return NO_START
    return cast(Plain, value)


@dataclass(frozen=True, slots=True)
class Behind:
    """Only the runs that come behind all those with one key. ``order`` is that of the key."""

    order: Order
    key: Plain

    def test(self, values: Sequence[Any]) -> Any:
        """That a run comes behind, by what `Conditions.terms` sorts by."""
        if self.key is None:
            return constant(False)
        first, *others = bounds(self.order, self.key)
        tests = [self._turned(values[0], first), values[0].is_(None)]
        if others:
            tests.append(sa.and_(values[0] == first, self._turned(values[1], others[0])))
        return sa.or_(*tests)

    def older(self, by_index: bool) -> Any:
        """That a run began earlier: of those newest first it comes behind. The key is an age."""
        age: Any = RUNS.age if by_index else RUNS.age + sa.literal_column("0", sa.BigInteger())
        return age < self.key

    def beyond(self, column: Any) -> Any:
        """That a row comes behind, by the code of a number or by a time."""
        return self._turned(column, bounds(self.order, self.key)[0])

    def beyond_text(self, start: Any, column: Any) -> Any:
        """That a row comes behind, by a text and its head."""
        text = cast(str, self.key)
        begin = head(escape(text))
        further = sa.and_(start == begin, self._turned(column, text))
        # The bound by itself is what an index begins with.
        bound = start <= begin if self.order.descending else start >= begin
        return sa.and_(bound, sa.or_(self._turned(start, begin), further))

    def _turned(self, value: Any, bound: Any) -> Any:
        return value < bound if self.order.descending else value > bound
