"""The web UI: pages drawn on the server, each with a ``.json`` twin; what moves in them is done by plain scripts."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from autotrack.server.routing import Endpoint

MODULES: Final[tuple[str, ...]] = (
    "static_files",
    "live",
    "actions",
    "runs",
    "run_page",
    "run_plots",
    "files_page",
    "models_page",
    "model_actions",
    "comparing",
    "searching",
    "about",
)
"""The modules here that have ``ENDPOINTS``."""


def endpoints() -> list[Endpoint]:
    """Every endpoint of the pages."""
    return [endpoint for name in MODULES for endpoint in import_module(f"autotrack.server.pages.{name}").ENDPOINTS]
