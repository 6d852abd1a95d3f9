"""Which of the packages that an extra brings are here, told without importing them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec


def missing(names: Iterable[str]) -> list[str]:
    """Those of these packages that are not installed."""
    return [name for name in names if not _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # somebody has put it out of reach
        return False
