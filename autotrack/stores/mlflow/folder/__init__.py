"""``mlruns:DIR``: MLflow's folder of experiments and runs."""

from __future__ import annotations

from autotrack.stores.mlflow.folder.store import MlrunsStore, open_uri

__all__ = ["MlrunsStore", "open_uri"]
