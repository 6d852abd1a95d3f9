"""Where the two halves of the program reach each other without importing each other."""

from __future__ import annotations

from collections.abc import Callable

before_read: list[Callable[[], object]] = []
"""Called before a store is read. The writing half puts its ``flush`` here, so that a script finds what it just did."""
