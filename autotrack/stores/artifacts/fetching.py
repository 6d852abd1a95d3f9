"""One folder of an object store, whoever put it there: fetched whole, and no more than this machine can hold."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from autotrack.errors import ArtifactNotFound, StoreError
from autotrack.stores.artifacts.cache import ArtifactCache, cache_folder
from autotrack.stores.artifacts.folder import parts_of
from autotrack.stores.artifacts.object_client import Bucket, Found, Missing
from autotrack.stores.artifacts.object_layout import HIDDEN, path_of

MOST_FILES: Final = 10_000
_AT_ONCE: Final = 4
_SPARE: Final = 64 * 2**20
"""Bytes of this machine's disk that are left free."""


def fetch_folder(uri: str, *, cache: ArtifactCache | None = None) -> tuple[str, Path]:
    """Fetch all files below a URI such as ``s3://bucket/path``.

    They are streamed into the user's cache, each of the size that the listing told. A folder of a run that autotrack
    put there is fetched as its readers see it, also when it was replaced since.

    Returns
    -------
    tuple
        The URI as the store has it, and where the folder stands on this machine's disk.

    Raises
    ------
    ArtifactNotFound
        When there are none.
    StoreError
        When they cannot be read, have names that this machine cannot write, are more than 10,000, larger than the disk
        has room for, or of another size than was listed.
    """
    bucket = Bucket(uri)
    name = bucket.uri.rpartition("/")[2]
    try:
        files = _wanted(bucket, bucket.listing(""))
    except Missing as error:
        raise ArtifactNotFound(f"{bucket.uri} does not exist: {error}") from error
    if not files:
        return bucket.uri, _of_a_run(bucket.uri, cache)
    keeper = cache or ArtifactCache()
    _check_room(bucket.uri, files)

    def download(item: tuple[str, Found], target: Path) -> None:
        place = target.joinpath(*item[0].split("/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        bucket.download(item[1].key, place)
        if (size := place.stat().st_size) != item[1].size:
            raise StoreError(f"{bucket.uri}/{item[1].key} has {size:,} bytes, and {item[1].size:,} were listed")

    def write(target: Path) -> None:
        target.mkdir()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(lambda item: download(item, target), files.items()):
                pass

    try:
        return bucket.uri, keeper.fetched(bucket.uri, name, "", write)
    except Missing as error:
        raise StoreError(f"{bucket.uri} is being written by others; try again ({error})") from error


def _wanted(bucket: Bucket, found: list[Found]) -> dict[str, Found]:
    """The files by their paths below the folder; what has to do with other folders is left out."""
    files = {}
    for item in found:
        if item.key.endswith("/") and not item.size:  # what consoles make to show a folder
            continue
        path = path_of(item.key)
        parts = parts_of(path)
        if not parts:
            raise StoreError(f"{bucket.uri}/{item.key} can be no file on this machine")
        if parts[0] != HIDDEN:
            files["/".join(parts)] = item
    if len(files) > MOST_FILES:
        raise StoreError(f"{bucket.uri} has {len(files):,} files, more than {MOST_FILES:,}")
    return files


def _check_room(uri: str, files: dict[str, Found]) -> None:
    whole = sum(file.size for file in files.values())
    place = cache_folder()
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if whole > max(0, free - _SPARE):
        raise StoreError(f"{uri} has {whole:,} bytes, and {place} has room for {free:,}")


def _of_a_run(uri: str, cache: ArtifactCache | None) -> Path:
    """A folder that was replaced stands under names of its own, which the manifest of its run tells."""
    from autotrack.stores.artifacts.object_store import ObjectArtifacts

    scheme, _, rest = uri.partition("://")
    parts = rest.split("/")
    for number in range(len(parts) - 2, 0, -1):
        root = f"{scheme}://{'/'.join(parts[:number])}"
        if Bucket(f"{root}/{parts[number]}").listing(HIDDEN):
            return ObjectArtifacts(root, cache=cache).fetch(parts[number], "/".join(parts[number + 1 :]), ())
    raise ArtifactNotFound(f"there is nothing at {uri}")
