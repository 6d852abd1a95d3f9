"""The API that stores of ours speak with a server of ours: `Store` and `ModelRegistry`, call by call, nothing lost."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from autotrack.server.routing import Endpoint

MODULES: Final = ("runs", "files", "registry")
"""The modules here that have ``ENDPOINTS``."""


def endpoints() -> list[Endpoint]:
    """Every endpoint of this API."""
    return [endpoint for name in MODULES for endpoint in import_module(f"autotrack.server.native.{name}").ENDPOINTS]
