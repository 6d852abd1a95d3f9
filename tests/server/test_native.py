"""A server of ours behind ``http://``: the contract of every store, over memory and over a database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import services
from served_app import Served, serving

import autotrack
from autotrack.errors import RunNotFound, StoreError
from autotrack.events import Entry, RunStarted
from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.stores.memory import MemoryStore
from autotrack.stores.registry import RegistryStore
from autotrack.stores.remote.store import AutotrackServerStore
from autotrack.testing import RegistryContract, StoreContract

ROOMS = ("autotrack.server.native",)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """One server for all tests, each of which gives it a store of its own."""
    with serving("memory:native", rooms=ROOMS) as server:
        yield server


@pytest.fixture
def over_memory(server: Served) -> Iterator[str]:
    MemoryStore.forget("memory:native")
    server.site.store = MemoryStore("native")
    yield server.url
    MemoryStore.forget("memory:native")


@pytest.fixture
def over_sqlite(server: Served, tmp_path: Path) -> Iterator[str]:
    server.site.store = store = open_store(f"sqlite:///{tmp_path / 'runs.db'}")
    yield server.url
    store.close()


class ServedContract(StoreContract):
    @pytest.fixture
    def address(self, over_memory: str) -> str:
        return over_memory

    @pytest.fixture
    def store(self, address: str) -> Iterator[Store]:
        opened = open_store(address)
        yield opened
        opened.close()

    def reopen(self, store: Store) -> Store:
        store.close()
        return open_store(store.uri)


class TestOverMemory(ServedContract):
    pass


class TestOverSQLite(ServedContract):
    @pytest.fixture
    def address(self, over_sqlite: str) -> str:
        return over_sqlite


class TestRegistryOverMemory(RegistryContract):
    @pytest.fixture
    def store(self, over_memory: str) -> Iterator[RegistryStore]:
        opened = open_store(over_memory)
        yield opened  # type: ignore[misc]
        opened.close()

    def reopen(self, store: RegistryStore) -> RegistryStore:
        store.close()
        return open_store(store.uri)  # type: ignore[return-value]


def test_a_store_that_is_not_reached_says_so_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://127.0.0.1:{services.free_port()}"
    store = open_store(address)
    assert store.uri == address
    with pytest.raises(StoreError, match="cannot reach the tracking server"):
        store.experiments()


def test_an_autologged_fit_arrives_whole(over_sqlite: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    monkeypatch.setenv("AUTOTRACK_CACHE_DIR", str(tmp_path / "cache"))
    X, y = load_iris(return_X_y=True, as_frame=True)
    autotrack.autolog(store=over_sqlite)
    model = LogisticRegression(max_iter=200).fit(X, y)
    autotrack.autolog(disable=True)
    autotrack.flush(60)
    run = autotrack.get_run("latest", store=over_sqlite)
    assert run.status == "FINISHED"
    assert run.params["max_iter"] == "200"
    assert run.datasets[0].columns[0]["name"] == "sepal length (cm)"
    assert run.environment["packages"]
    assert "training_confusion_matrix" in run.plots
    assert (run.model(trusted=True).predict(X) == model.predict(X)).all()


def test_large_batches_go_in_pieces_and_once(over_memory: str) -> None:
    store = open_store(over_memory)
    assert not isinstance(store, AutotrackServerStore)  # it is asked which it is when it is used
    entries = [
        Entry("20260101T000000-a", number, RunStarted(f"{number:032x}", "x" * 30_000, 0)) for number in range(1, 900)
    ]
    store.apply(entries)
    store.apply(entries)
    assert len(store.search_runs()) == 899
    with pytest.raises(RunNotFound):
        store.get_run("nobody")
