"""Registered models in SQLite, PostgreSQL and MariaDB, held against the contract of every registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import emptied, shared_mariadb_uri, shared_postgres_uri

from autotrack.stores.base import Store
from autotrack.stores.database.store import DatabaseStore
from autotrack.stores.registry import RegistryStore
from autotrack.testing import RegistryContract

__all__ = ["shared_mariadb_uri", "shared_postgres_uri"]


class DatabaseRegistryContract(RegistryContract):
    """Opens the store that the fixture ``store_uri`` names."""

    @pytest.fixture
    def store(self, store_uri: str) -> Iterator[Store]:
        self.opened: list[DatabaseStore] = [emptied(store_uri)]
        yield self.opened[0]
        for store in self.opened:
            store.close()

    def reopen(self, store: RegistryStore) -> RegistryStore:
        self.opened.append(DatabaseStore(self.opened[0]._database.address))
        return self.opened[-1]


class TestSQLite(DatabaseRegistryContract):
    @pytest.fixture
    def store_uri(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/runs.db"


class TestPostgreSQL(DatabaseRegistryContract):
    @pytest.fixture
    def store_uri(self, shared_postgres_uri: str) -> str:
        return shared_postgres_uri


class TestMariaDB(DatabaseRegistryContract):
    @pytest.fixture
    def store_uri(self, shared_mariadb_uri: str) -> str:
        return shared_mariadb_uri
