"""The places for artifacts that are built in, held against the contract of every one; and which URI opens which."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrack.errors import StoreError
from autotrack.stores.artifacts import open_artifacts
from autotrack.stores.artifacts.base import ArtifactStorage
from autotrack.stores.artifacts.folder import FolderArtifacts
from autotrack.testing import ArtifactStorageContract


class TestFolder(ArtifactStorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> ArtifactStorage:
        return open_artifacts(tmp_path / "artifacts")

    def reopen(self, storage: ArtifactStorage) -> ArtifactStorage:
        storage.close()
        return open_artifacts(storage.uri)


class TestS3(ArtifactStorageContract):
    @pytest.fixture
    def storage(self, s3_uri: str) -> Iterator[ArtifactStorage]:
        storage = open_artifacts(s3_uri + "/some prefix/ä")
        yield storage
        storage.close()

    def reopen(self, storage: ArtifactStorage) -> ArtifactStorage:
        storage.close()
        return open_artifacts(storage.uri)


def _folder(uri: str | Path) -> Path:
    storage = open_artifacts(uri)
    assert isinstance(storage, FolderArtifacts)
    return storage.folder


def test_a_path_or_file_uri_is_a_folder(tmp_path: Path) -> None:
    for uri in ("files", tmp_path / "files", str(tmp_path / "files"), (tmp_path / "files").as_uri()):
        assert _folder(uri) == tmp_path / "files"
    assert _folder(Path("s3://odd")) == tmp_path / "s3:" / "odd"
    assert not (tmp_path / "files").exists()
    with pytest.raises(StoreError, match="another host"):
        open_artifacts("file://elsewhere/a")
    (tmp_path / "f").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        open_artifacts(tmp_path / "f")


def test_other_uris_are_refused_with_those_there_are() -> None:
    for uri in ("ftp://host/x", "memory:"):
        with pytest.raises(StoreError, match=r"there are s3://, gs://, az://, file: and folders"):
            open_artifacts(uri)
    with pytest.raises(StoreError, match="names no place"):
        open_artifacts(" ")


def test_only_an_object_store_loads_its_library(tmp_path: Path) -> None:
    program = (
        "import sys; from autotrack.stores.artifacts import open_artifacts\n"
        "open_artifacts('files').listing('a', '', [])\n"
        "assert 'obstore' not in sys.modules and 'sqlite3' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(StoreError, match=r"pip install 'autotrack\[cloud\]'"):
        open_artifacts("s3://bucket")
