"""What autotrack knows of other libraries: one module or folder each, one row in this table each."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple


class Known(NamedTuple):
    """Where an integration is, ``"module:class"``, and the module whose import wakes it; not loaded before that."""

    place: str
    wakes_on: str


KNOWN: Final = MappingProxyType(
    {
        "sklearn": Known("autotrack.integrations.sklearn:Sklearn", wakes_on="sklearn.base"),
        "matplotlib": Known("autotrack.integrations.matplotlib:Matplotlib", wakes_on="matplotlib.figure"),
    }
)
