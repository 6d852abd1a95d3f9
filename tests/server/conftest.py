"""Clients of the REST API over several stores; each test finds a store in which others left their runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asking import Client

from autotrack.stores import open_store
from autotrack.stores.memory import MemoryStore


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Clients over a store in memory and one in a database."""
    if request.param == "memory":
        uri = f"memory:{request.module.__name__}"
    else:
        uri = f"sqlite:///{tmp_path_factory.mktemp('api')}/runs.db"
    store = open_store(uri)
    client = Client(store)
    yield client
    client.close()
    store.close()
    MemoryStore.forget(uri)
