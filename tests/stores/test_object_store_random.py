"""Random writes, some broken off at a random moment: a bucket shows what a folder would, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotrack.errors import StoreError
from autotrack.stores.artifacts.base import ArtifactStorage
from autotrack.stores.artifacts.folder import FolderArtifacts
from autotrack.stores.artifacts.object_client import Bucket
from autotrack.stores.artifacts.object_store import ObjectArtifacts

PATHS = ("a", "a/b", "a/b/c", "a/d", "e", "e/%41")
NAMES = ("b", "d", "b/c", "x")

Content = str | tuple[str, ...]
WRITES = st.tuples(
    st.sampled_from(PATHS),
    st.one_of(st.sampled_from(("one", "two")), st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(tuple)),
    st.sampled_from(("1", "2")),
    st.none() | st.integers(0, 5),
)


class Killed(BaseException):
    """Ends a writer, as a signal does."""


class Mortal(Bucket):
    """A bucket whose writer ends when it has asked for so many changes."""

    left: int | None = None

    def _count(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    def upload(self, source: Path, key: str) -> tuple[int, str]:
        self._count()
        return super().upload(source, key)

    def write(self, key: str, data: bytes, replacing: dict[str, str] | None) -> None:
        self._count()
        super().write(key, data, replacing)

    def delete(self, keys: Any) -> None:
        for key in list(keys):
            self._count()
            super().delete([key])


def make(place: Path, content: Content, version: str) -> Path:
    """A file or folder as it was drawn; a name that is both file and folder is the folder."""
    if isinstance(content, str):
        place.write_text(content + version)
        return place
    place.mkdir()
    for name in sorted(content, reverse=True):
        if not (place / name).exists():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_text(name + version)
    return place


def shown(storage: ArtifactStorage, run_id: str) -> dict[str, str | None]:
    """Everything a reader sees: files with what is in them, folders without."""
    found: dict[str, str | None] = {}
    waiting = [""]
    while waiting:
        for artifact in storage.listing(run_id, waiting.pop(), []):
            if artifact.is_dir:
                waiting.append(artifact.path)
            found[artifact.path] = None if artifact.is_dir else storage.fetch(run_id, artifact.path, []).read_text()
    return found


def without_empty(files: dict[str, str | None]) -> dict[str, str | None]:
    """Without folders that hold no file, of which a folder keeps some that a bucket does not."""
    return {
        path: text
        for path, text in files.items()
        if text is not None or any(other.startswith(path + "/") and files[other] is not None for other in files)
    }


@given(writes=st.lists(WRITES, min_size=1, max_size=6))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_bucket_shows_what_a_folder_would(writes: list[Any], s3_uri: str, tmp_path: Path) -> None:
    run_id = os.urandom(8).hex()
    place = tmp_path / run_id
    place.mkdir()
    bucket = Mortal(s3_uri, timeout=10)
    storage, folder = ObjectArtifacts(s3_uri, timeout=10), FolderArtifacts(place / "folder")
    storage._bucket = bucket  # type: ignore[misc]
    for number, (path, content, version, dies_after) in enumerate(writes):
        source = make(place / str(number), content, version)
        before = without_empty(shown(folder, run_id))
        refused = False
        try:
            folder.put(run_id, path, source)
        except StoreError:
            refused = True
        after = without_empty(shown(folder, run_id))
        bucket.left = dies_after
        try:
            storage.put(run_id, path, source)
            assert not refused, "the folder refused it"
        except StoreError:
            assert refused, "the folder took it"
        except Killed:
            bucket.left = None
            seen = without_empty(shown(storage, run_id))
            assert seen in (before, after), "neither what was there nor what was to be"
            storage.put(run_id, path, source)  # the writer starts again
        bucket.left = None
        assert without_empty(shown(storage, run_id)) == after
    storage.collect(storage.garbage(0))
    assert without_empty(shown(storage, run_id)) == after
    assert [item for item in storage.garbage(0) if item.run_id == run_id] == []
    storage.remove(run_id)
    shutil.rmtree(place)


def test_the_writer_is_killed_at_every_step(s3_uri: str, tmp_path: Path) -> None:
    """Of a folder that is replaced, put into, and made a file."""
    first = make(tmp_path / "first", ("b", "d", "x"), "1")
    second = make(tmp_path / "second", ("b/c", "d"), "2")
    file = make(tmp_path / "file", "one", "")
    bucket = Mortal(s3_uri, timeout=10)
    storage = ObjectArtifacts(s3_uri, timeout=10)
    storage._bucket = bucket  # type: ignore[misc]
    after: dict[str, str | None] = {}
    for path, source in (("a", first), ("a", second), ("a/d", file), ("a", file), ("a", first)):
        before, seen = after, []
        for steps in range(20):
            bucket.left = steps
            try:
                storage.put("run", path, source)
            except Killed:
                bucket.left = None
                seen.append(shown(storage, "run"))
                continue
            break
        else:
            pytest.fail("it never came to an end")
        bucket.left = None
        after = shown(storage, "run")
        assert after != before
        assert seen[0] == before
        assert all(now in (before, after) for now in seen)
    storage.collect(storage.garbage(0))
    assert shown(storage, "run") == after


def test_a_first_folder_is_killed_at_every_step(s3_uri: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "folder", ("b", "d", "x"), "1")
    bucket = Mortal(s3_uri, timeout=10)
    storage = ObjectArtifacts(s3_uri, timeout=10)
    storage._bucket = bucket  # type: ignore[misc]
    for steps in range(5):
        bucket.left = steps
        with pytest.raises(Killed):
            storage.put(f"run{steps}", "a", folder)
        assert shown(storage, f"run{steps}") == {}
    bucket.left = 5
    storage.put("run", "a", folder)
    assert list(shown(storage, "run")) == ["a", "a/b", "a/d", "a/x"]
