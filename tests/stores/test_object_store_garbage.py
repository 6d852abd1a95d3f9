"""What is garbage in a bucket, and what never is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from buckets import InMemory, Killed, Mortal, shown, storage_in

from autotrack.stores.artifacts.object_layout import manifest_key
from autotrack.stores.artifacts.object_store import ObjectArtifacts
from autotrack.testing.storages import tree, written

HOUR = 3600.0


@pytest.fixture
def bucket() -> InMemory:
    return InMemory()


@pytest.fixture
def storage(bucket: InMemory) -> ObjectArtifacts:
    return storage_in(bucket)


def put_killed(storage: ObjectArtifacts, bucket: Mortal, path: str, source: Path, after: int) -> None:
    """Put something and be killed after so many requests."""
    bucket.left = after
    with pytest.raises(Killed):
        storage.put("run", path, source)
    bucket.left = None


def collected(storage: ObjectArtifacts) -> dict[str, str | None]:
    """What is seen when the garbage is gone."""
    storage.collect(storage.garbage(0))
    assert storage.garbage(0) == []
    return shown(storage, "run")


def check_files_over_folders(storage: ObjectArtifacts, tmp_path: Path) -> None:
    """Put a file over a folder that is above another's manifest, and again."""
    file = written(tmp_path / "file", b"one")
    storage.put("run", "a", file)
    storage.put("run", "e/%41", tree(tmp_path / "folder", "b"))
    for puts in (2, 1, 1):
        for _ in range(puts):
            storage.put("run", "e", file)
        assert shown(storage, "run") == collected(storage) == {"a": "one", "e": "one"}


def test_a_file_in_the_place_of_a_folder_above_another_put_again_is_kept(
    storage: ObjectArtifacts, tmp_path: Path
) -> None:
    check_files_over_folders(storage, tmp_path)


def test_a_real_bucket_keeps_a_file_in_the_place_of_a_folder_above_another(s3_uri: str, tmp_path: Path) -> None:
    check_files_over_folders(ObjectArtifacts(s3_uri, timeout=10), tmp_path)


def test_a_file_below_a_folder_that_was_never_finished_is_kept(
    storage: ObjectArtifacts, bucket: InMemory, tmp_path: Path
) -> None:
    folder = tree(tmp_path / "folder", "b", "c")
    put_killed(storage, bucket, "a", folder, after=2)
    for _ in range(2):
        storage.put("run", "a/f", folder / "b")
    storage.put("run", "a/d", folder)
    assert collected(storage) == {"a": None, "a/f": "b", "a/d": None, "a/d/b": "b", "a/d/c": "c"}


def test_a_file_over_other_folders_is_seen_only_when_they_are_gone(
    storage: ObjectArtifacts, bucket: InMemory, tmp_path: Path
) -> None:
    file = written(tmp_path / "file", b"one")
    storage.put("run", "e/x", tree(tmp_path / "folder", "b"))
    put_killed(storage, bucket, "e", file, after=1)
    assert shown(storage, "run") == {"e": None, "e/x": None, "e/x/b": "b"}
    assert storage.fetch("run", "e", []).is_dir()
    put_killed(storage, bucket, "e", file, after=2)
    assert shown(storage, "run") == {"e": "one"}


@pytest.mark.parametrize("reverse", [False, True])
def test_a_sweeper_that_is_killed_shows_nothing_that_was_hidden(
    storage: ObjectArtifacts, bucket: InMemory, tmp_path: Path, reverse: bool
) -> None:
    bucket.reverse = reverse
    put_killed(storage, bucket, "a", tree(tmp_path / "folder", "b", "c", "d"), after=3)
    for left in (2, 1, 0):
        bucket.left = 1
        if left:
            with pytest.raises(Killed):
                storage.collect(storage.garbage(0))
        else:
            storage.collect(storage.garbage(0))
        bucket.left = None
        assert len(bucket.objects) == left
        assert shown(storage, "run") == {}


def test_what_hides_an_upload_under_way_is_no_garbage_however_old(
    storage: ObjectArtifacts, bucket: InMemory, tmp_path: Path
) -> None:
    put_killed(storage, bucket, "a", tree(tmp_path / "folder", "b", "c"), after=3)
    manifest = f"run/{manifest_key('a')}"
    for key in (manifest, "run/a/b"):
        bucket.modified[key] -= 2 * HOUR
    young = [key for key in bucket.objects if bucket.modified[key] > bucket.modified[manifest] + HOUR]
    storage.collect(storage.garbage(HOUR))
    assert sorted(bucket.objects) == sorted([*young, manifest])
    assert young
    assert shown(storage, "run") == {}
    for key in young:
        bucket.modified[key] -= 2 * HOUR
    storage.collect(storage.garbage(HOUR))
    assert bucket.objects == {}


def test_an_upload_that_goes_on_is_as_young_as_its_writer(
    storage: ObjectArtifacts, bucket: InMemory, tmp_path: Path
) -> None:
    folder = tree(tmp_path / "folder", "b", "c")
    for after in (2, 1):
        put_killed(storage, bucket, "a", folder, after)
        assert all(item.place.endswith("/a/b") for item in storage.garbage(HOUR))
        for key in bucket.objects:
            bucket.modified[key] -= 2 * HOUR
    assert len(storage.garbage(HOUR)) == len(bucket.objects)


@pytest.mark.parametrize("again", ["same", "other"])
def test_what_was_shown_since_it_was_found_is_not_removed(
    storage: ObjectArtifacts, bucket: InMemory, tmp_path: Path, again: str
) -> None:
    sources: dict[str, Callable[[], Path]] = {
        "same": lambda: tmp_path / "folder",
        "other": lambda: tree(tmp_path / "other", "b"),
    }
    put_killed(storage, bucket, "a", tree(tmp_path / "folder", "b", "c"), after=2)
    garbage = storage.garbage(0)
    assert len(garbage) == 2
    storage.put("run", "a", sources[again]())
    before = shown(storage, "run")
    storage.collect(garbage)
    assert before == shown(storage, "run") == collected(storage)
    assert "a/b" in before


def test_what_was_shown_by_a_manifest_of_an_earlier_writer_is_kept(
    storage: ObjectArtifacts, bucket: InMemory, tmp_path: Path
) -> None:
    """It called a file in the place of a folder not complete."""
    check_files_over_folders(storage, tmp_path)
    key = f"run/{manifest_key('e')}"
    data, version = bucket.objects[key]
    bucket.objects[key] = json.dumps({**json.loads(data), "complete": False}).encode(), version
    assert collected(storage) == {"a": "one", "e": "one"}
