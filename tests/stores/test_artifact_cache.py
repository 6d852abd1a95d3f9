"""What was fetched is kept by its content, for all processes, and not for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autotrack.digests import of_bytes, of_folder
from autotrack.errors import StoreError
from autotrack.stores.artifacts.cache import ArtifactCache, cache_folder
from autotrack.testing.storages import files_of, tree


class Source:
    """Writes a file, and counts how often it was asked to."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.digest = of_bytes(content)
        self.asked = 0

    def __call__(self, target: Path) -> None:
        self.asked += 1
        target.write_bytes(self.content)


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    return ArtifactCache(tmp_path / "cache")


def age(path: Path, seconds: float) -> None:
    os.utime(path.parent, (time.time() - seconds,) * 2)


def test_the_same_content_is_fetched_once(cache: ArtifactCache, tmp_path: Path) -> None:
    source = Source(b"content")
    first = cache.fetched("run", "d/f.txt", source.digest, source)
    assert (first.name, first.read_bytes()) == ("f.txt", b"content")
    again = ArtifactCache(tmp_path / "cache").fetched("other run", "e/f.txt", source.digest, source)
    assert (again, source.asked) == (first, 1)
    assert cache.fetched("run", "g.txt", source.digest, source).name == "g.txt"


def test_content_of_unknown_digest_is_asked_for_each_time_and_kept_once(cache: ArtifactCache) -> None:
    source = Source(b"old")
    old = cache.fetched("run", "f", "", source)
    assert cache.fetched("run", "f", "", source) == old
    assert source.asked == 2
    source.content = b"new"
    assert cache.fetched("run", "f", "", source).read_bytes() == b"new"
    assert old.read_bytes() == b"old"
    assert cache.fetched("run", "f", of_bytes(b"old"), source) == old
    assert source.asked == 3


def test_a_folder_is_kept_as_a_file_is(cache: ArtifactCache, tmp_path: Path) -> None:
    model = tree(tmp_path / "model", "MLmodel", "code/m.py")
    asked = []

    def write(target: Path) -> None:
        asked.append(target)
        tree(target, "MLmodel", "code/m.py")

    found = cache.fetched("run", "models/best", of_folder(model), write)
    assert (found.name, files_of(found)) == ("best", ["MLmodel", "code/m.py"])
    assert cache.fetched("run", "models/best", of_folder(model), write) == found
    assert len(asked) == 1
    (found / "MLmodel").chmod(0o644)
    (found / "MLmodel").write_text("changed")
    assert of_folder(cache.fetched("run", "models/best", of_folder(model), write)) == of_folder(model)
    assert len(asked) == 2


def test_what_was_changed_on_disk_is_fetched_anew(cache: ArtifactCache, tmp_path: Path) -> None:
    source = Source(b"content")
    found = cache.fetched("run", "f", source.digest, source)
    if os.name != "nt":
        assert found.stat().st_mode & 0o222 == 0
    for meddle in (lambda: found.write_bytes(b"changed"), found.unlink):
        found.chmod(0o644)
        meddle()
        for asker in (cache, ArtifactCache(tmp_path / "cache")):
            assert asker.fetched("run", "f", source.digest, source).read_bytes() == b"content"
    assert source.asked == 3


def test_what_is_not_what_was_asked_for_is_refused_and_not_kept(cache: ArtifactCache, tmp_path: Path) -> None:
    source = Source(b"damaged")
    wanted = of_bytes(b"content")
    with pytest.raises(StoreError, match="artifact 'd/f' of run 'run' is not what was logged") as caught:
        cache.fetched("run", "d/f", wanted, source)
    assert wanted in str(caught.value)
    assert source.digest in str(caught.value)

    def fails(target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyError("the storage's own error")

    with pytest.raises(KeyError, match="own error"):
        cache.fetched("run", "f", wanted, fails)
    assert files_of(tmp_path / "cache") == []


def test_what_was_not_asked_for_longest_is_removed(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path / "cache", most_bytes=2500)
    found = []
    for number in range(4):
        source = Source(bytes([number]) * 1000)
        found.append(cache.fetched("run", "f", source.digest, source))
    for path, hours in zip(found, (5, 2, 4, 3)):
        age(path, hours * 3600)
    cache.sweep()
    assert [path.exists() for path in found] == [False, True, False, True]
    age(found[3], 31 * 86400)
    cache.sweep()
    assert [path.exists() for path in found] == [False, True, False, False]


def test_what_was_asked_for_lately_stays(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path / "cache", most_bytes=0)
    source = Source(b"content")
    found = cache.fetched("run", "f", source.digest, source)
    age(found, 90000)
    assert cache.fetched("run", "f", source.digest, source) == found
    cache.sweep()
    assert found.exists()
    assert source.asked == 1
    # What a killed process was writing goes in time.
    left = found.parent.parent.parent / ".tmp-0123"
    left.mkdir()
    cache.sweep()
    assert left.exists()
    age(left / "x", 90000)
    cache.sweep()
    assert not left.exists()


def test_where_it_stands_is_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOTRACK_CACHE_DIR", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x"
    monkeypatch.delenv("AUTOTRACK_CACHE_DIR")
    monkeypatch.setenv("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME", str(tmp_path / "y"))
    assert cache_folder() == tmp_path / "y" / "autotrack"


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, where the folder should be")
    program = (
        "import os; from pathlib import Path; from autotrack.stores.artifacts.cache import ArtifactCache\n"
        f"cache = ArtifactCache(Path({str(tmp_path / 'cache')!r}))\n"
        "found = cache.fetched('run', 'f', '', lambda target: target.write_text('x'))\n"
        "print(found, flush=True)\n"
        "if os.fork() == 0: raise SystemExit\n"
        "os.wait(); assert found.read_text() == 'x'"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "autotrack-artifacts-" in done.stdout
    assert not Path(done.stdout.strip()).exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"]


def test_a_full_disk_is_a_store_error(cache: ArtifactCache) -> None:
    def write(target: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="artifact 'f' of run 'run' cannot be kept on this machine: .*No space left"):
        cache.fetched("run", "f", "", write)


def test_many_processes_and_threads_at_once_see_whole_content(tmp_path: Path) -> None:
    program = (
        "import sys; from concurrent.futures import ThreadPoolExecutor; from pathlib import Path\n"
        "from autotrack.digests import of_folder; from autotrack.stores.artifacts.cache import ArtifactCache\n"
        "from autotrack.testing.storages import tree\n"
        "names = [f'f{n}' for n in range(20)]; digest = sys.argv[2]\n"
        "def ask(n):\n"
        "    cache = ArtifactCache(Path(sys.argv[1]))\n"
        "    found = cache.fetched('run', 'm', digest, lambda target: tree(target, *names))\n"
        "    assert of_folder(found) == digest\n"
        "with ThreadPoolExecutor(4) as pool: list(pool.map(ask, range(12)))\n"
    )
    digest = of_folder(tree(tmp_path / "model", *(f"f{number}" for number in range(20))))
    command = [sys.executable, "-c", program, str(tmp_path / "cache"), digest]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: subprocess.run(command, capture_output=True, text=True), range(4)))
    assert [process.stderr for process in done] == [""] * 4
    assert not [path for path in (tmp_path / "cache" / "artifacts").iterdir() if path.name.startswith(".tmp")]
