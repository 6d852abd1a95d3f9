"""Databases that several tests share, because making the tables takes longer than most tests do."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from services import MariaDB, Postgres

from autotrack.stores import open_store
from autotrack.stores.database.store import DatabaseStore
from autotrack.stores.database.tables import metadata


def emptied(uri: str) -> DatabaseStore:
    """The store of a URI, with nothing in it."""
    store = open_store(uri)
    assert isinstance(store, DatabaseStore)
    with store._database.engine.begin() as connection:
        for table in metadata.tables.values():
            connection.execute(sa.delete(table))
    return store


def created(server: Postgres | MariaDB, count: int = 1) -> Iterator[list[str]]:
    """The URIs of new databases, dropped behind the tests."""
    names = [f"shared_{os.urandom(6).hex()}" for _ in range(count)]
    yield [server.create(name) for name in names]
    for name in names:
        server.drop(name)


@pytest.fixture(scope="class")
def shared_postgres_uri(postgres: Postgres) -> Iterator[str]:
    """A database of PostgreSQL for a class of tests; who uses it empties it first."""
    for uris in created(postgres):
        yield uris[0]


@pytest.fixture(scope="class")
def shared_mariadb_uri(mariadb: MariaDB) -> Iterator[str]:
    """A database of MariaDB for a class of tests; who uses it empties it first."""
    for uris in created(mariadb):
        yield uris[0]
