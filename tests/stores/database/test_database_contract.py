"""The SQL store on SQLite, PostgreSQL and MariaDB, held against the contract of every store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.testing import StoreContract


class DatabaseContract(StoreContract):
    """Opens the store that the fixture ``store_uri`` names."""

    store_uri: str

    @pytest.fixture
    def store(self, store_uri: str) -> Iterator[Store]:
        self.store_uri = store_uri
        self.opened = [open_store(store_uri)]
        yield self.opened[0]
        for store in self.opened:
            store.close()

    def reopen(self, store: Store) -> Store:
        store.close()
        self.opened.append(open_store(self.store_uri))
        return self.opened[-1]


class TestSQLite(DatabaseContract):
    @pytest.fixture
    def store_uri(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/runs.db"


class TestPostgreSQL(DatabaseContract):
    @pytest.fixture
    def store_uri(self, postgres_uri: str) -> str:
        return postgres_uri


class TestMariaDB(DatabaseContract):
    @pytest.fixture
    def store_uri(self, mariadb_uri: str) -> str:
        return mariadb_uri


class TestSQLiteWithArtifactsInAFolder(DatabaseContract):
    @pytest.fixture
    def store_uri(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/runs.db?artifacts={tmp_path}/files"
