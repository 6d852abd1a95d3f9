"""Random writes, some broken off at a random moment: a bucket shows what a folder would, whole or not at all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from buckets import InMemory, Killed, Mortal, Shown, shown, storage_in, without_empty
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from autotrack.errors import StoreError
from autotrack.stores.artifacts.folder import FolderArtifacts
from autotrack.stores.artifacts.object_client import Bucket, Changed, Missing

PATHS = ("a", "a/b", "a/b/c", "a/d", "e", "e/%41")
NAMES = ("b", "d", "b/c", "x")

Content = str | tuple[str, ...]
WRITES = st.tuples(
    st.sampled_from(PATHS),
    st.one_of(st.sampled_from(("one", "two")), st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map(tuple)),
    st.sampled_from(("1", "2")),
    st.none() | st.integers(0, 5),
)


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


def answers(bucket: Bucket, folder: Path) -> list[Any]:
    """What a bucket says to the same requests. Marks of versions differ between buckets: only their use is told."""
    folder.mkdir()
    told: list[Any] = []

    def ask(request: Callable[[], Any]) -> None:
        try:
            told.append(request())
        except (Missing, Changed, StoreError, OSError) as error:
            told.append(type(error))

    def mark(key: str) -> dict[str, str]:
        return bucket.read(key)[1]

    (folder / "file").write_text("content")
    source = folder / "file"
    for key in ("run/m", "run/m", "run/a/b", "run/a", "other/é %41", "runner/x"):
        ask(lambda: bucket.write(key, key.encode(), None))  # noqa: B023
    first = mark("run/m")
    ask(lambda: bucket.write("run/m", b"second", first))
    ask(lambda: bucket.write("run/m", b"third", first))
    ask(lambda: bucket.write("run/m", b"fourth", None))
    ask(lambda: bucket.write("run/none", b"x", first))
    ask(lambda: bucket.write("run/m", b"fifth", mark("run/m")))
    told.append(mark("run/m") == mark("run/m") != first)
    for key in ("run/m", "run/a", "run/new"):
        ask(lambda: bucket.upload(source, key))  # noqa: B023
        ask(lambda: bucket.read(key)[0])  # noqa: B023
    ask(lambda: bucket.upload(folder / "missing", "run/m"))
    for key in ("run/new", "run/none", "run"):
        ask(lambda: bucket.read(key)[0])  # noqa: B023
        ask(lambda: bucket.download(key, folder / "fetched"))  # noqa: B023
    ask(lambda: bucket.download("run/a", folder / "fetched"))
    told.append((folder / "fetched").read_text())
    for keys in ([], ["run/none"], ["run/a", "run/none", "run/a/none"]):
        ask(lambda: bucket.delete(keys))  # noqa: B023
    told.append(bucket.folders())
    now = time.time()
    for prefix in ("run", "run/a", "run/m", "other", "none"):
        found = bucket.listing(prefix)
        assert all(now - 60 < object.modified < now + 60 for object in found)
        told.append(sorted(object[:2] for object in found))
    return told


def test_a_bucket_in_memory_answers_as_a_real_one(s3_uri: str, tmp_path: Path) -> None:
    in_memory = answers(InMemory(), tmp_path / "memory")
    assert in_memory == answers(Bucket(s3_uri, timeout=10), tmp_path / "real")
    assert in_memory.count(Changed) == 4
    assert in_memory.count(Missing) == 4


# To make a failing example smaller takes minutes; what is small is found by test_object_store_sequences.
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
FIXTURES = [HealthCheck.function_scoped_fixture]


@given(writes=st.lists(WRITES, min_size=1, max_size=6))
@settings(max_examples=30, phases=UNSHRUNK, deadline=None, suppress_health_check=FIXTURES)
def test_a_bucket_shows_what_a_folder_would(writes: list[Any], tmp_path: Path) -> None:
    compare_with_a_folder(InMemory(), writes, tmp_path)


@given(writes=st.lists(WRITES, min_size=1, max_size=4))
@settings(max_examples=4, phases=UNSHRUNK, deadline=None, suppress_health_check=FIXTURES)
def test_a_real_bucket_shows_what_a_folder_would(writes: list[Any], s3_uri: str, tmp_path: Path) -> None:
    compare_with_a_folder(Mortal(s3_uri, timeout=10), writes, tmp_path)


def compare_with_a_folder(bucket: Mortal, writes: list[Any], tmp_path: Path) -> None:
    """Write the same to the bucket, killed now and then, and to a folder."""
    run_id = os.urandom(8).hex()
    place = tmp_path / run_id
    place.mkdir()
    storage, folder = storage_in(bucket), FolderArtifacts(place / "folder")
    after: Shown = {}
    for number, (path, content, version, dies_after) in enumerate(writes):
        source = make(place / str(number), content, version)
        before, refused = after, False
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
    storage = storage_in(bucket)
    after: Shown = {}
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


def test_a_first_folder_is_killed_at_every_step(tmp_path: Path) -> None:
    folder = make(tmp_path / "folder", ("b", "d", "x"), "1")
    bucket = InMemory()
    storage = storage_in(bucket)
    for steps in range(5):
        bucket.left = steps
        with pytest.raises(Killed):
            storage.put(f"run{steps}", "a", folder)
        assert shown(storage, f"run{steps}") == {}
    bucket.left = 5
    storage.put("run", "a", folder)
    assert list(shown(storage, "run")) == ["a", "a/b", "a/d", "a/x"]
