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
    from autotrack.query.registering import (
        delete_model_alias,
        delete_model_version,
        delete_registered_model,
        get_model_version,
        get_registered_model,
        list_model_versions,
        list_registered_models,
        register_model,
        set_model_alias,
        update_model_version,
        update_registered_model,
    )
    from autotrack.query.showing import ui
    from autotrack.query.table import search_runs
    from autotrack.query.view import RunView

__all__ = [
    "RunView",
    "delete_model_alias",
    "delete_model_version",
    "delete_registered_model",
    "delete_runs",
    "experiments",
    "get_model_version",
    "get_registered_model",
    "get_run",
    "list_model_versions",
    "list_registered_models",
    "list_runs",
    "load_model",
    "register_model",
    "restore_runs",
    "search_runs",
    "set_model_alias",
    "ui",
    "update_model_version",
    "update_registered_model",
]

_HOMES = {
    "RunView": "view",
    "delete_model_alias": "registering",
    "delete_model_version": "registering",
    "delete_registered_model": "registering",
    "delete_runs": "editing",
    "experiments": "finding",
    "get_model_version": "registering",
    "get_registered_model": "registering",
    "get_run": "finding",
    "list_model_versions": "registering",
    "list_registered_models": "registering",
    "list_runs": "finding",
    "load_model": "loading",
    "register_model": "registering",
    "restore_runs": "editing",
    "search_runs": "table",
    "set_model_alias": "registering",
    "ui": "showing",
    "update_model_version": "registering",
    "update_registered_model": "registering",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'autotrack.query' has no attribute {name!r}")
    value = getattr(import_module(f"autotrack.query.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
