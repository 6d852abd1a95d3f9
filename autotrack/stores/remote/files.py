"""The files of runs on a server of ours: sent and fetched a piece at a time, verified, and kept in the user's cache."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from autotrack.entities import Artifact
from autotrack.errors import StoreError
from autotrack.stores.artifacts.cache import ArtifactCache
from autotrack.stores.artifacts.folder import parts_of
from autotrack.stores.remote import wire
from autotrack.stores.remote.calls import Calls

_MOST_FILES: Final = 10_000


class RemoteFiles:
    """Files behind the API of a server."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._cache = ArtifactCache()

    def listing(self, run_id: str, path: str) -> list[Artifact]:
        """See `Store.artifacts`."""
        told = self._calls.ask("artifacts/list", run_id=run_id, path=path)
        return [wire.artifact_from_json(one) for one in told["artifacts"]]

    def fetch(self, run_id: str, path: str) -> Path:
        """See `Store.artifact_path`."""
        told = self._calls.ask("artifacts/about", run_id=run_id, path=path)
        files = [str(name) for name in told["files"]]
        is_dir = bool(told["is_dir"])

        def write(target: Path) -> None:
            if not is_dir:
                self._download(run_id, path, target)
                return
            target.mkdir()
            for name in files:
                parts = parts_of(name)
                if not parts:
                    raise StoreError(f"{name!r} of run {run_id!r} can be no file on this machine")
                place = target.joinpath(*parts)
                place.parent.mkdir(parents=True, exist_ok=True)
                self._download(run_id, f"{path}/{name}" if path else name, place)

        if len(files) > _MOST_FILES:
            raise StoreError(f"{path!r} of run {run_id!r} has {len(files):,} files, more than {_MOST_FILES:,}")
        return self._cache.fetched(run_id, path, str(told["digest"]), write)

    def put(self, run_id: str, path: str, source: Path) -> None:
        """See `Store.put_artifact`. A folder is sent file by file to a place of its own, and put whole then."""
        if not source.is_dir():
            if not source.is_file():
                raise StoreError(f"cannot read {source}: there is no such file")
            self._calls.upload("artifacts/file", source, run_id=run_id, path=path)
            return
        upload, count = secrets.token_hex(16), 0
        for place, folders, names in os.walk(source):
            folders.sort()
            inside = Path(place).relative_to(source).as_posix()
            for name in sorted(names):
                below = name if inside == "." else f"{inside}/{name}"
                self._calls.upload("artifacts/staged", Path(place, name), upload=upload, path=below)
                count += 1
        self._calls.ask("artifacts/put-staged", upload=upload, run_id=run_id, path=path, files=count)

    def _download(self, run_id: str, path: str, target: Path) -> None:
        with target.open("wb") as file:
            self._calls.download("artifacts/file", file, run_id=run_id, path=path)
