"""What autotrack knows of other libraries: one module or folder each, one row in this table each."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

KNOWN: Final = MappingProxyType(
    {
        "sklearn": "autotrack.integrations.sklearn:Sklearn",
        "matplotlib": "autotrack.integrations.matplotlib:Matplotlib",
    }
)
"""Name → where its `Integration` is. Imported when the library it observes is."""

MODULES: Final = MappingProxyType({"sklearn": "sklearn.base", "matplotlib": "matplotlib.figure"})
"""Name → the module whose import wakes the integration."""
