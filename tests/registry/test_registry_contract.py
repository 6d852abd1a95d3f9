"""The stores that keep registered models, held against the contract that anyone's is held against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrack.stores import open_store
from autotrack.stores.local import LocalStore
from autotrack.stores.memory import MemoryStore
from autotrack.stores.registry import RegistryStore
from autotrack.testing import RegistryContract


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


class TestLocalStore(RegistryContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[RegistryStore]:
        self.opened = [LocalStore(tmp_path / ".autotrack")]
        yield self.opened[0]
        for opened in self.opened:
            opened.close()

    def reopen(self, store: RegistryStore) -> RegistryStore:
        self.opened.append(LocalStore(store.uri))
        return self.opened[-1]


class TestLocalStoreWithoutItsIndex(TestLocalStore):
    """What was registered survives the loss of the index, and is not registered once more for it."""

    def reopen(self, store: RegistryStore) -> RegistryStore:
        for name in ("runs.db", "runs.db-wal", "runs.db-shm", "runs.db-journal"):
            (Path(store.uri) / name).unlink(missing_ok=True)
        return super().reopen(store)
