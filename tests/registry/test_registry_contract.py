"""The stores that keep registered models, held against the contract that anyone's is held against."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autotrack.stores import open_store
from autotrack.stores.memory import MemoryStore
from autotrack.testing import RegistryContract
from autotrack.testing.registry import RegistryStore


class TestMemoryStore(RegistryContract):
    @pytest.fixture
    def store(self) -> Iterator[RegistryStore]:
        MemoryStore.forget("memory:registry-contract")
        yield MemoryStore("registry-contract")
        MemoryStore.forget("memory:registry-contract")

    def reopen(self, store: RegistryStore) -> RegistryStore:
        opened = open_store(store.uri)
        assert isinstance(opened, MemoryStore)
        return opened
