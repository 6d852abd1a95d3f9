"""autotrack: one line, and every scikit-learn fit of the script is a recorded run.

    import autotrack
    autotrack.autolog()

Names are resolved when they are first used (PEP 562): importing this package does no work and loads no third-party
package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from autotrack.autologging import autolog, disabled, flush, is_enabled
    from autotrack.entities import Dataset, Metric, ModelVersion, RegisteredModel, Run
    from autotrack.errors import (
        AmbiguousRun,
        ArtifactNotFound,
        AutotrackError,
        FilterError,
        ModelError,
        ModelNotFound,
        PlotError,
        RunNotFound,
        RunStateError,
        SettingsError,
        StoreError,
    )
    from autotrack.query import (
        RunView,
        delete_model_alias,
        delete_model_version,
        delete_registered_model,
        delete_runs,
        experiments,
        get_model_version,
        get_registered_model,
        get_run,
        list_model_versions,
        list_registered_models,
        load_model,
        register_model,
        restore_runs,
        search_runs,
        set_model_alias,
        ui,
        update_model_version,
        update_registered_model,
    )
    from autotrack.settings import set_store, use_store
    from autotrack.stores import open_store
    from autotrack.tracking import (
        ActiveRun,
        active_run,
        end_run,
        log_artifact,
        log_dict,
        log_figure,
        log_metric,
        log_metrics,
        log_model,
        log_param,
        log_params,
        log_text,
        set_tag,
        set_tags,
        start_run,
    )

_HOMES = {
    "autologging": ("autolog", "disabled", "flush", "is_enabled"),
    "entities": ("Dataset", "Metric", "ModelVersion", "RegisteredModel", "Run"),
    "errors": (
        "AmbiguousRun",
        "ArtifactNotFound",
        "AutotrackError",
        "FilterError",
        "ModelError",
        "ModelNotFound",
        "PlotError",
        "RunNotFound",
        "RunStateError",
        "SettingsError",
        "StoreError",
    ),
    "query": (
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
        "load_model",
        "register_model",
        "restore_runs",
        "search_runs",
        "set_model_alias",
        "ui",
        "update_model_version",
        "update_registered_model",
    ),
    "settings": ("set_store", "use_store"),
    "stores": ("open_store",),
    "tracking": (
        "ActiveRun",
        "active_run",
        "end_run",
        "log_artifact",
        "log_dict",
        "log_figure",
        "log_metric",
        "log_metrics",
        "log_model",
        "log_param",
        "log_params",
        "log_text",
        "set_tag",
        "set_tags",
        "start_run",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ActiveRun",
    "AmbiguousRun",
    "ArtifactNotFound",
    "AutotrackError",
    "Dataset",
    "FilterError",
    "Metric",
    "ModelError",
    "ModelNotFound",
    "ModelVersion",
    "PlotError",
    "RegisteredModel",
    "Run",
    "RunNotFound",
    "RunStateError",
    "RunView",
    "SettingsError",
    "StoreError",
    "active_run",
    "autolog",
    "delete_model_alias",
    "delete_model_version",
    "delete_registered_model",
    "delete_runs",
    "disabled",
    "end_run",
    "experiments",
    "flush",
    "get_model_version",
    "get_registered_model",
    "get_run",
    "is_enabled",
    "list_model_versions",
    "list_registered_models",
    "load_model",
    "log_artifact",
    "log_dict",
    "log_figure",
    "log_metric",
    "log_metrics",
    "log_model",
    "log_param",
    "log_params",
    "log_text",
    "open_store",
    "register_model",
    "restore_runs",
    "search_runs",
    "set_model_alias",
    "set_store",
    "set_tag",
    "set_tags",
    "start_run",
    "ui",
    "update_model_version",
    "update_registered_model",
    "use_store",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'autotrack' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(f"autotrack.{home}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
