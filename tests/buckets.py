"""A bucket in memory that answers as a real one does, and writers that end at a given request."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from autotrack.digests import of_bytes
from autotrack.errors import StoreError
from autotrack.stores.artifacts.base import ArtifactStorage
from autotrack.stores.artifacts.object_client import Bucket, Changed, Found, Missing
from autotrack.stores.artifacts.object_store import ObjectArtifacts

Shown = dict[str, str | None]
"""What a reader sees, by path: the text of files, ``None`` for folders."""


class Killed(BaseException):
    """Ends a writer, as a signal does."""


class Mortal(Bucket):
    """A bucket whose writer ends when it has asked for ``left`` changes; ``None`` for one that lives."""

    left: int | None = None

    def upload(self, source: Path, key: str) -> tuple[int, str]:
        self.count()
        return super().upload(source, key)

    def write(self, key: str, data: bytes, replacing: dict[str, str] | None) -> None:
        self.count()
        super().write(key, data, replacing)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.count()
            super().delete([key])

    def count(self) -> None:
        """One change more."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


class InMemory(Mortal):
    """A mortal bucket in a dictionary, ``objects``, which a test may copy and put back: key → (content, version).

    The objects that one request removes go in the order of their keys, or in ``reverse``: a server promises neither.
    ``modified`` tells when an object was put, in seconds since the epoch.
    """

    reverse = False

    def __init__(self, uri: str = "s3://memory") -> None:
        super().__init__(uri)
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.modified: dict[str, float] = {}
        self._version = 0

    def listing(self, prefix: str) -> list[Found]:
        names = sorted(key for key in self.objects if key.startswith(prefix + "/"))
        return [Found(key, len(self.objects[key][0]), self.modified[key]) for key in names]

    def folders(self) -> list[str]:
        return sorted({key.partition("/")[0] for key in self.objects if "/" in key})

    def read(self, key: str) -> tuple[bytes, dict[str, str]]:
        if key not in self.objects:
            raise Missing(key)
        data, version = self.objects[key]
        return data, {"e_tag": str(version)}

    def write(self, key: str, data: bytes, replacing: dict[str, str] | None) -> None:
        self.count()
        there = self.objects.get(key)
        if (None if there is None else {"e_tag": str(there[1])}) != replacing:
            raise Changed(key)
        self._put(key, data)

    def upload(self, source: Path, key: str) -> tuple[int, str]:
        self.count()
        try:
            data = source.read_bytes()
        except OSError as error:
            raise StoreError(f"{source} cannot be read: {error.strerror}") from error
        self._put(key, data)
        return len(data), of_bytes(data)

    def download(self, key: str, target: Path) -> None:
        data, _ = self.read(key)
        with target.open("xb") as file:
            file.write(data)

    def delete(self, keys: Iterable[str]) -> None:
        for key in sorted(keys, reverse=self.reverse):
            self.count()
            self.objects.pop(key, None)

    def _put(self, key: str, data: bytes) -> None:
        self._version += 1
        self.objects[key] = data, self._version
        self.modified[key] = time.time()


def storage_in(bucket: Bucket) -> ObjectArtifacts:
    """A storage on this bucket."""
    storage = ObjectArtifacts(bucket.uri, timeout=10)
    storage._bucket = bucket  # type: ignore[misc]
    return storage


def shown(storage: ArtifactStorage, run_id: str) -> Shown:
    """Everything a reader sees."""
    found: Shown = {}
    waiting = [""]
    while waiting:
        for artifact in storage.listing(run_id, waiting.pop(), []):
            assert artifact.path not in found, "it is listed twice"
            if artifact.is_dir:
                waiting.append(artifact.path)
            found[artifact.path] = None if artifact.is_dir else storage.fetch(run_id, artifact.path, []).read_text()
    return found


def without_empty(files: Shown) -> Shown:
    """Without folders that hold no file, of which a folder keeps some that a bucket does not."""
    return {
        path: text
        for path, text in files.items()
        if text is not None or any(other.startswith(path + "/") and files[other] is not None for other in files)
    }
