"""`open_store`: which URI opens which store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from autotrack.errors import StoreError
from autotrack.stores import open_store
from autotrack.stores.base import Store
from autotrack.stores.local import LocalStore
from autotrack.stores.memory import MemoryStore
from autotrack.testing.samples import Journal, started


def _folder(store: Store) -> Path:
    assert isinstance(store, LocalStore)
    return store.folder


def test_a_path_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for uri in ("runs", "./runs", tmp_path / "runs", str(tmp_path / "runs"), Path("runs")):
        assert _folder(open_store(uri)) == tmp_path / "runs"
    assert _folder(open_store("./odd:name")) == tmp_path / "odd:name"
    assert _folder(open_store(Path("odd:name"))) == tmp_path / "odd:name"
    assert not (tmp_path / "runs").exists()


def test_a_letter_before_a_colon_is_a_drive() -> None:
    assert _folder(open_store("C:\\runs")).name.endswith("runs")


def test_a_file_uri_is_a_folder(tmp_path: Path) -> None:
    for uri in ("file:///a/b%20c", "file:/a/b%20c", "FILE://localhost/a/b%20c"):
        assert _folder(open_store(uri)) == Path("/a/b c")
    folder = tmp_path / "ü #?%20"
    assert _folder(open_store(folder.as_uri())) == folder
    with pytest.raises(StoreError, match="another host"):
        open_store("file://elsewhere/a")


def test_a_stores_uri_opens_it_again(tmp_path: Path) -> None:
    for uri in (str(tmp_path / "runs"), "memory:x", "memory:"):
        assert open_store(open_store(uri).uri).uri == uri


def test_an_unknown_scheme_is_named_with_those_there_are() -> None:
    for uri in ("postgresql+psycopg://host/db", "nothing:x"):
        with pytest.raises(StoreError, match="there are file:, memory:.* and folders") as caught:
            open_store(uri)
        assert uri in str(caught.value)


def test_nothing_is_no_store() -> None:
    for uri in ("", "  "):
        with pytest.raises(StoreError, match="names no store"):
            open_store(uri)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        open_store(tmp_path / "f")


def test_other_packages_add_schemes_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_store.py").write_text(
        "from autotrack.stores.memory import MemoryStore\ndef make(uri): return MemoryStore('theirs ' + uri)\n"
    )
    info = tmp_path / "their_store-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-store\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[autotrack.stores]\ntheirs = their_store:make\nbroken = their_store:missing\n[other]\nelse = json:loads\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert open_store("theirs://x").uri == "memory:theirs theirs://x"
    assert open_store("theirs+driver://x").uri == "memory:theirs theirs+driver://x"
    with pytest.raises(StoreError, match="broken: of their-store cannot be loaded"):
        open_store("broken:")
    with pytest.raises(StoreError, match="there are broken:, file:, memory:,.* theirs: and folders"):
        open_store("else:")


def test_importing_the_package_loads_no_store() -> None:
    program = "import sys, autotrack.stores as s; bad = {'sqlite3', 'lark', 'importlib.metadata', 'tempfile'}; "
    program += "print(bad & set(sys.modules)); s.open_store('memory:'); assert 'sqlite3' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "set()"


def test_a_memory_store_is_shared_by_name_until_it_is_forgotten() -> None:
    first = open_store("memory:shared")
    first.apply(Journal().entries(started("a" * 32)))
    first.close()
    assert open_store("memory:shared").search_runs()
    assert open_store("memory:other").search_runs() == []
    MemoryStore.forget("memory:shared")
    assert open_store("memory:shared").search_runs() == []


def test_the_artifacts_of_a_memory_store_go_when_the_process_does() -> None:
    program = (
        "import os, sys; from autotrack.stores import open_store; folder = open_store('memory:').artifact_folder('r')\n"
        "(folder / 'f').write_text('x'); print(folder, flush=True)\n"
        "if os.fork() == 0: sys.exit()\n"
        "os.wait(); assert (folder / 'f').exists()"
    )
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not Path(result.stdout.strip()).parent.exists()
