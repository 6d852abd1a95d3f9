"""Registered models in an MLflow folder, held against the contract of every registry."""

from __future__ import annotations

from autotrack.stores.mlflow.folder import MlrunsStore
from autotrack.stores.registry import RegistryStore
from autotrack.testing import RegistryContract
from autotrack.testing.registry import ODD_NAMES


class TestMlrunsStore(RegistryContract):
    odd_names = (*(name for name in ODD_NAMES if "%" not in name), "two\nlines")  # MLflow takes no '%'

    def reopen(self, store: RegistryStore) -> RegistryStore:
        assert isinstance(store, MlrunsStore)
        return MlrunsStore(store.folder)
