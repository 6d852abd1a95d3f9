"""The stores that are built in, held against the contract that anyone's store is held against."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.stores.local import LocalStore
from autotrack.stores.memory import MemoryStore
from autotrack.testing import StoreContract


def test_the_contracts_are_imported_without_pytest() -> None:
    program = "import sys, autotrack.testing; sys.exit('pytest' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        MemoryStore.forget("memory:contract")
        yield open_store("memory:contract")
        MemoryStore.forget("memory:contract")

    def reopen(self, store: Store) -> Store:
        store.close()
        return open_store(store.uri)


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = open_store(tmp_path / ".autotrack")
        yield store
        store.close()

    def reopen(self, store: Store) -> Store:
        store.close()
        return open_store(store.uri)


class TestLocalStoreWithoutItsIndex(TestLocalStore):
    """What is applied survives the loss of the index, because it stands in journals."""

    def reopen(self, store: Store) -> Store:
        store.close()
        assert isinstance(store, LocalStore)
        (store.folder / "runs.db").unlink()
        return open_store(store.uri)


class TestLocalStoreInMemory(TestLocalStore):
    """Where the index cannot be written, the store works the same."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        folder = tmp_path / ".autotrack"
        (folder / "runs.db").mkdir(parents=True)
        store = open_store(folder)
        yield store
        store.close()
