"""The model folder: writing it, describing it, loading it.

The folder is the one that MLflow's tools read (``MLmodel``, ``model.pkl``, ``requirements.txt`` …), and what stands in
it never needs autotrack. Names are resolved when they are first used, so that importing this package loads neither
PyYAML nor cloudpickle nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autotrack.models.folder import warm_up, write_model
    from autotrack.models.loading import ModelVersionWarning, load_model
    from autotrack.models.mlmodel import ModelInfo, read_mlmodel
    from autotrack.models.requirements import Requirements, find_requirements
    from autotrack.models.signature import ColumnSpec, Inferred, Signature, TensorSpec, infer_signature

_HOMES = {
    "ColumnSpec": "signature",
    "Inferred": "signature",
    "ModelInfo": "mlmodel",
    "ModelVersionWarning": "loading",
    "Requirements": "requirements",
    "Signature": "signature",
    "TensorSpec": "signature",
    "find_requirements": "requirements",
    "infer_signature": "signature",
    "load_model": "loading",
    "read_mlmodel": "mlmodel",
    "warm_up": "folder",
    "write_model": "folder",
}

__all__ = [
    "ColumnSpec",
    "Inferred",
    "ModelInfo",
    "ModelVersionWarning",
    "Requirements",
    "Signature",
    "TensorSpec",
    "find_requirements",
    "infer_signature",
    "load_model",
    "read_mlmodel",
    "warm_up",
    "write_model",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
