"""The root of the reading half: look runs up, look at them, load their models.

Nothing here imports the writing half, pandas or any other third-party package before it is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autotrack.query.editing import delete_runs, restore_runs
    from autotrack.query.finding import experiments, get_run, list_runs
    from autotrack.query.loading import load_model
    from autotrack.query.table import search_runs
    from autotrack.query.view import RunView

__all__ = [
    "RunView",
    "delete_runs",
    "experiments",
    "get_run",
    "list_runs",
    "load_model",
    "restore_runs",
    "search_runs",
]

_HOMES = {
    "RunView": "view",
    "delete_runs": "editing",
    "experiments": "finding",
    "get_run": "finding",
    "list_runs": "finding",
    "load_model": "loading",
    "restore_runs": "editing",
    "search_runs": "table",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'autotrack.query' has no attribute {name!r}")
    value = getattr(import_module(f"autotrack.query.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
