"""What autotrack knows of other libraries: one module or folder each, one row in this table each."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple


class Known(NamedTuple):
    """One integration.

    Parameters
    ----------
    place : where it is, ``"module:class"``; not loaded before it wakes.
    wakes_on : the module whose import wakes it.
    since : the oldest version of the library that it observes; older ones are left alone, and the runs say so.
    """

    place: str
    wakes_on: str
    since: str


KNOWN: Final = MappingProxyType(
    {
        "sklearn": Known("autotrack.integrations.sklearn:Sklearn", wakes_on="sklearn.base", since="1.5"),
        "matplotlib": Known("autotrack.integrations.matplotlib:Matplotlib", wakes_on="matplotlib.figure", since="3.8"),
    }
)
