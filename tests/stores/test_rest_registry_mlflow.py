"""Registered models on a real MLflow tracking server, held against the contract of every registry, and MLflow's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autotrack.stores.base import Store
from autotrack.stores.mlflow.rest.store import MlflowServerStore
from autotrack.testing import RegistryContract
from autotrack.testing.registry import RegistryStore


class TestMlflowServerStore(RegistryContract):
    @pytest.fixture
    def store(self, mlflow_uri: str) -> Iterator[Store]:
        self.opened: list[MlflowServerStore] = [MlflowServerStore(mlflow_uri)]
        yield self.opened[0]
        for store in self.opened:
            store.close()

    def reopen(self, store: RegistryStore) -> RegistryStore:
        self.opened.append(MlflowServerStore(store.uri))
        return self.opened[-1]
