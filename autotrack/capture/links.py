"""Which run, or whatever else, an object of the user's belongs to."""

from __future__ import annotations

import weakref
from typing import Any


class Links:
    """Which run an object belongs to, without touching the object or keeping it alive."""

    def __init__(self) -> None:
        self._links: dict[int, tuple[weakref.ref[Any], Any]] = {}

    def set(self, thing: Any, value: Any) -> None:
        """Link, replacing an earlier link. Things that take no weak reference are not linked."""
        key = id(thing)

        def gone(reference: weakref.ref[Any]) -> None:
            # The id may already belong to another object.
            held = self._links.get(key)
            if held is not None and held[0] is reference:
                self._links.pop(key, None)

        try:
            self._links[key] = (weakref.ref(thing, gone), value)
        except TypeError:
            return

    def get(self, thing: Any) -> Any:
        """What the object was linked to, else ``None``."""
        held = self._links.get(id(thing))
        return held[1] if held is not None and held[0]() is thing else None

    def clear(self) -> None:
        """Forget every link."""
        self._links.clear()
