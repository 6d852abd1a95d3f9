"""MLflow's REST API: what its clients, its command line and autotrack's own ``http://`` store call."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from autotrack.server.routing import Endpoint

MODULES: Final[tuple[str, ...]] = (
    "artifacts",
    "logged_models",
    "model_versions",
    "proxy",
    "registered_models",
    "info",
    "experiments",
    "runs",
    "recording",
    "inputs",
    "metrics",
    "searching",
)
"""The modules here that have ``ENDPOINTS``, a line each."""


def endpoints() -> list[Endpoint]:
    """Every endpoint of the API."""
    return [endpoint for name in MODULES for endpoint in import_module(f"autotrack.server.rest.{name}").ENDPOINTS]
