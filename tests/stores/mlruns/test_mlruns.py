"""``mlruns:DIR`` against the contract of every store, and against memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.testing import StoreContract


class TestMlrunsStore(StoreContract):
    keeps_experiment_facts = False

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = open_store(f"mlruns:{tmp_path / 'mlruns'}")
        yield store
        store.close()

    def reopen(self, store: Store) -> Store:
        store.close()
        return open_store(store.uri)
