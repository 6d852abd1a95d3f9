"""A real MLflow tracking server, held against the contract that every store is held against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.testing import StoreContract


class TestMlflowServerStore(StoreContract):
    keeps_experiment_facts = False

    @pytest.fixture
    def store(self, mlflow_uri: str) -> Iterator[Store]:
        store = open_store(mlflow_uri)
        yield store
        store.close()

    def reopen(self, store: Store) -> Store:
        store.close()
        return open_store(store.uri)
