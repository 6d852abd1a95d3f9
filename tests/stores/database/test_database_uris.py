"""What a database's URI says, what is shown of it, and what is said where it cannot be opened."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from typing import Any

import pytest

from autotrack.errors import StoreError
from autotrack.stores import open_store
from autotrack.stores.artifacts.folder import FolderArtifacts
from autotrack.stores.database import address
from autotrack.stores.database.store import DatabaseStore
from autotrack.testing.samples import Journal, started


def test_the_uri_does_not_tell_the_password() -> None:
    for scheme, shown in (
        ("postgresql", "postgresql"),
        ("postgres", "postgresql"),
        ("postgresql+psycopg", "postgresql"),
        ("mysql", "mysql"),
        ("mariadb", "mariadb"),
    ):
        assert open_store(f"{scheme}://me:s%40cret@host:1234/db").uri == f"{shown}://me:***@host:1234/db"
    assert open_store("postgresql://me@host/db?password=s3cret").uri == "postgresql://me@host/db?password=***"


def test_artifacts_are_taken_off_before_the_driver_sees_them(tmp_path: Path) -> None:
    store = open_store(f"postgresql://me:secret@host/db?sslmode=require&artifacts={tmp_path}/a%20b")
    assert isinstance(store, DatabaseStore)
    assert dict(store._database.address.url.query) == {"sslmode": "require"}
    assert isinstance(store._artifacts, FolderArtifacts)
    assert store._artifacts.folder == tmp_path / "a b"
    assert store.uri == f"postgresql://me:***@host/db?sslmode=require&artifacts={tmp_path}/a%20b"
    again = open_store(f"sqlite:///{tmp_path}/runs.db?artifacts={tmp_path}/files")
    assert open_store(again.uri).uri == again.uri


def test_a_relative_file_stays_where_it_was_when_the_working_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///runs.db")
    monkeypatch.chdir("/")
    store.apply(Journal().entries(started("a" * 32)))
    assert (tmp_path / "runs.db").exists()
    assert store.uri == f"sqlite:///{tmp_path}/runs.db"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file; write sqlite:///FILE"),
        ("postgresql://me:secret@host", "names no database"),
        ("postgresql://me:secret@host:port/db", "is not the URI of a database"),
        ("postgresql+psycopg2://me:secret@host/db", "the driver psycopg2 is not supported; write postgresql://"),
        ("mysql+mysqldb://me:secret@host/db", "the driver mysqldb is not supported"),
        ("mysql://me:secret@host/db?artifacts=", "artifacts= is empty"),
        ("mysql://me:secret@host/db?artifacts=ftp://x", "no place for artifacts"),
    ],
)
def test_a_uri_that_means_nothing_is_refused_without_its_password(uri: str, words: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_store(uri)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "module", "extra"),
    [
        ("sqlite:///x.db", "alembic", "sqlite"),
        ("postgresql://host/db", "psycopg", "postgres"),
        ("mariadb://host/db", "pymysql", "mysql"),
    ],
)
def test_a_missing_package_is_named_with_the_extra(
    uri: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(name: str) -> Any:
        return None if name == module else importlib.util.find_spec(name)

    monkeypatch.setattr(address, "find_spec", find)
    with pytest.raises(StoreError, match=rf"needs {module}.*pip install 'autotrack\[{extra}\]'"):
        open_store(uri)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_server_that_does_not_answer_is_named_without_the_password(scheme: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = open_store(f"{scheme}://me:hush-hush@127.0.0.1:{port}/db")
    with pytest.raises(StoreError) as caught:
        store.search_runs()
    assert f"check that a server runs at 127.0.0.1:{port}" in str(caught.value)
    assert "hush-hush" not in repr(caught.value)


def test_a_wrong_password_is_not_repeated(postgres_uri: str) -> None:
    store = open_store(postgres_uri.replace(":secret@", ":hush-hush@"))
    with pytest.raises(StoreError, match="the user, password and database of the URI") as caught:
        store.search_runs()
    assert "hush-hush" not in repr(caught.value)


def test_a_database_that_does_not_exist_is_named(mariadb_uri: str) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        open_store(mariadb_uri.rpartition("/")[0] + "/nowhere").search_runs()


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="missing/runs.db cannot be opened.*its folder must exist"):
        open_store(f"sqlite:///{tmp_path}/missing/runs.db").search_runs()
    (tmp_path / "text.db").write_text("This is no database, and it is not empty either." * 100)
    with pytest.raises(StoreError, match="text.db.*not a database"):
        open_store(f"sqlite:///{tmp_path}/text.db").search_runs()
