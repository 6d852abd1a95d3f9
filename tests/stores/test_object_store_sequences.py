"""All short sequences of writes, each killed before every request and collected behind: nothing is lost or half there.

The states of a bucket that writes and kills lead to are few when two of them count as one that differ only by the
random names in them: every state is written to once in every way, and what a reader then sees is compared with what a
folder would show. The bucket is one in memory, which `test_object_store_random` holds against a real one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from buckets import InMemory, Killed, storage_in

from autotrack.digests import of_bytes
from autotrack.errors import StoreError
from autotrack.stores.artifacts import object_store
from autotrack.stores.artifacts.object_store import ObjectArtifacts

RUN = "run"
PATHS = ("a", "a/b", "a/b/c")
CONTENTS: dict[str, dict[str, str]] = {
    "file": {"": "1"},
    "other file": {"": "2"},
    "folder": {"b": "1"},
    "deep folder": {"b/c": "1", "d": "1"},
}
TEXTS = {of_bytes(text.encode()): text for text in ("1", "2")}

Write = tuple[str, str]
Objects = dict[str, tuple[bytes, int]]


class State(NamedTuple):
    """What is in the bucket, what a folder would show, and the writes that led there."""

    objects: Objects
    files: dict[str, str]
    writes: tuple[str, ...]


class Explorer:
    """Goes from a state to all that one write leads to."""

    def __init__(self, folder: Path) -> None:
        self.bucket = InMemory()
        self.storage: ObjectArtifacts = storage_in(self.bucket)
        self.known: set[object] = set()
        self.writes = 0
        self.sources = {}
        for name, files in CONTENTS.items():
            self.sources[name] = folder / name
            for path, text in files.items():
                (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / name / path).write_text(text)

    def shown(self) -> dict[str, str]:
        """The files that a reader sees, after making sure that they are listed and there."""
        objects = self.storage._objects(RUN)
        found = {}
        for path, file in objects.files().items():
            found[path] = self.bucket.read(f"{RUN}/{file.key}")[0].decode()
            assert not file.digest or TEXTS[file.digest] == found[path]
        assert not set(found) & objects.folders(), "both file and folder"
        return found

    def after(self, state: State, write: Write, *, kills: bool) -> Iterator[State]:
        """The states after a write, whole or killed anywhere, that are new; what a reader sees is checked in all."""
        path, content = write
        expected = as_a_folder(state.files, write)
        steps = 0 if kills else None
        while True:
            self.bucket.objects = dict(state.objects)
            self.bucket.left = steps
            self.writes += 1
            was_killed, told = False, (*state.writes, f"put {content} at {path}")
            refused: StoreError | None = None
            try:
                self.storage.put(RUN, path, self.sources[content])
            except StoreError as error:
                refused = error
            except Killed:
                was_killed, told = True, (*told, f"killed after {steps} requests")
            self.bucket.left = None
            assert was_killed or (refused is not None) == (expected is None), f"{refused or 'not refused'}: {told}"
            now = self.shown()
            after = state.files if expected is None else expected
            assert now == after or (was_killed and now == state.files), f"{now} is seen: {told}"
            if (kept := self._new(State(self.bucket.objects, now, told))) is not None:
                yield kept
                yield from self._collected(kept)
            if not was_killed:
                return
            assert steps is not None
            steps += 1

    def _collected(self, state: State) -> Iterator[State]:
        """The states after the garbage of one is removed, wholly or until the sweeper was killed."""
        for steps in (*range(self.garbage()), None):
            self.bucket.objects = dict(state.objects)
            self.bucket.left = steps
            told = (*state.writes, "collect" if steps is None else f"collect, killed after {steps} requests")
            try:
                self.storage.collect(self.storage.garbage(0))
            except Killed:
                assert steps is not None
            self.bucket.left = None
            assert self.shown() == state.files, f"garbage was seen: {told}"
            if steps is None:
                assert self.garbage() == 0, f"garbage is left: {told}"
            if (kept := self._new(State(self.bucket.objects, state.files, told))) is not None:
                yield kept
                yield from self._collected(kept)

    def garbage(self) -> int:
        """How many objects are garbage."""
        return len(self.storage.garbage(0))

    def _new(self, state: State) -> State | None:
        names: dict[str, str] = {}

        def numbered(match: re.Match[str]) -> str:
            return names.setdefault(match[0], f"random {len(names)}")

        mark = repr([(key, self.bucket.objects[key][0]) for key in sorted(state.objects, key=_without_random)])
        mark = re.sub(r"\b[0-9a-f]{32}\b(?!\.json)", numbered, mark)
        if mark in self.known:
            return None
        self.known.add(mark)
        return state._replace(objects=dict(state.objects))


def _without_random(key: str) -> str:
    return re.sub(r"\b[0-9a-f]{32}/", "", key)


def as_a_folder(files: dict[str, str], write: Write) -> dict[str, str] | None:
    """The files after a write to a folder; ``None`` when it is refused because a file is in the way."""
    path, content = write
    if any(path.startswith(file + "/") for file in files):
        return None
    kept = {file: text for file, text in files.items() if file != path and not file.startswith(path + "/")}
    return kept | {f"{path}/{name}".rstrip("/"): text for name, text in CONTENTS[content].items()}


def explore(folder: Path, writes: list[Write], depth: int, reverse: bool) -> Explorer:
    """Every sequence of writes of this length at most."""
    explorer = Explorer(folder)
    explorer.bucket.reverse = reverse
    states = [State({}, {}, ())]
    for _ in range(depth):
        states = [new for state in states for write in writes for new in explorer.after(state, write, kills=True)]
    return explorer


class OneByOne:
    """In the place of the threads that upload: a writer is killed between the same requests each time."""

    def __init__(self, _: int) -> None:
        pass

    def __enter__(self) -> OneByOne:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    map = staticmethod(map)


@pytest.fixture(autouse=True)
def _one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "ThreadPoolExecutor", OneByOne)


@pytest.mark.parametrize("reverse", [False, True], ids=["in-order", "in-reverse"])
def test_three_writes_of_files_and_folders(tmp_path: Path, reverse: bool) -> None:
    writes = [(path, content) for path in PATHS for content in ("file", "folder")]
    assert explore(tmp_path, writes, 3, reverse).writes > 1000, "so few are not all there are"


def test_two_writes_of_all_kinds(tmp_path: Path) -> None:
    writes = [(path, content) for path in PATHS for content in CONTENTS]
    assert explore(tmp_path, writes, 2, reverse=False).writes > 1000, "so few are not all there are"
