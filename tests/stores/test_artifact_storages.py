"""The places for artifacts that are built in, held against the contract of every one; and which URI opens which."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotrack import exchanging
from autotrack.entities import Artifact
from autotrack.errors import ArtifactNotFound, StoreError
from autotrack.stores.artifacts import open_artifacts
from autotrack.stores.artifacts.base import ArtifactStorage, Swept
from autotrack.stores.artifacts.folder import FolderArtifacts
from autotrack.stores.base import Garbage
from autotrack.testing import ArtifactStorageContract
from autotrack.testing.storages import ODD_RUNS


class KeepsEmptyFolders(ArtifactStorageContract):
    """What these storages do beyond the contract."""

    def test_an_empty_folder_is_there(self, storage: ArtifactStorage, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        storage.put("a", "d/empty", tmp_path / "empty")
        assert storage.listing("a", "d", []) == [Artifact("d/empty", is_dir=True)]
        assert list(self.reopen(storage).fetch("a", "d/empty", []).iterdir()) == []

    @pytest.mark.parametrize("run_id", ODD_RUNS)
    def test_no_place_is_named_after_an_odd_id(self, storage: ArtifactStorage, tmp_path: Path, run_id: str) -> None:
        (tmp_path / "f").write_text("x")
        for source in (tmp_path / "f", tmp_path):
            with pytest.raises(StoreError):
                storage.put(run_id, "x", source)
        with pytest.raises(ArtifactNotFound):
            storage.fetch(run_id, "x", [])


class TestFolder(KeepsEmptyFolders):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> ArtifactStorage:
        return open_artifacts(tmp_path / "artifacts")

    def reopen(self, storage: ArtifactStorage) -> ArtifactStorage:
        storage.close()
        return open_artifacts(storage.uri)


class TestS3(KeepsEmptyFolders):
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


def test_what_a_killed_writer_left_in_a_folder_is_garbage(tmp_path: Path) -> None:
    program = (
        "import os, shutil, sys; from pathlib import Path; from autotrack.stores.artifacts import open_artifacts\n"
        "real, shutil.copyfile = shutil.copyfile, lambda *args, **kw: (real(*args, **kw), os._exit(9))\n"
        "open_artifacts('files').put('run', 'd/' + sys.argv[1], Path(sys.argv[1]))"
    )
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "f").write_text("x")
    storage = open_artifacts("files")
    assert isinstance(storage, Swept)
    storage.put("run", "d/kept", tmp_path / "file")
    for name in ("file", "folder"):
        # A file and a folder are copied by different functions.
        code = program if name == "file" else program.replace("shutil.copyfile", "shutil.copytree")
        assert subprocess.run([sys.executable, "-c", code, name], cwd=tmp_path).returncode == 9
    assert [a.path for a in storage.listing("run", "d", [])] == ["d/kept"]
    assert storage.garbage() == []
    garbage = storage.garbage(0)
    found = [(item.kind, item.run_id, Path(item.place).name.partition(".tmp-")[0]) for item in garbage]
    assert found == [("partial", "run", "file"), ("partial", "run", "folder")]
    storage.collect([*garbage, Garbage("partial", str(tmp_path / "files" / "run" / "d" / "kept"))])
    assert storage.garbage(0) == []
    assert [a.path for a in storage.listing("run", "d", [])] == ["d/kept"]


@pytest.mark.skipif(exchanging._renameat2() is None, reason="the system cannot exchange two folders")
def test_a_folder_that_is_put_again_is_there_all_the_time(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "MLmodel").write_text("a model")
    storage = FolderArtifacts(tmp_path / "artifacts")
    storage.put("a" * 32, "model", source)
    target, missing, done = tmp_path / "artifacts" / ("a" * 32) / "model", [], threading.Event()

    def look() -> None:
        while not done.is_set():
            if not target.exists():
                missing.append(1)

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(300):
        storage.put("a" * 32, "model", source)
    done.set()
    thread.join()
    assert missing == []
    assert [path.name for path in target.parent.iterdir()] == ["model"]
