"""What keeps the files of runs, for stores whose events are elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from autotrack.entities import Artifact, LoggedModel
from autotrack.stores.base import Garbage


@runtime_checkable
class ArtifactStorage(Protocol):
    """The artifacts of many runs, below one root.

    Paths are relative to a run's artifacts, with forward slashes. ``logged`` is what the events of the run name: its
    files with sizes and digests, and its model folders. Nothing outside of a run's own place is ever read or written,
    whatever a path says. Every method may be called from several threads.
    """

    @property
    def uri(self) -> str:
        """What opens this storage again, without secrets."""
        ...

    def put(self, run_id: str, path: str, source: Path) -> None:
        """Put a file or folder in the place of what stands there: see `autotrack.stores.base.Store.put_artifact`.

        Raises
        ------
        StoreError
            When it cannot be read or written, or the path leaves the run's place.
        """
        ...

    def listing(self, run_id: str, path: str, logged: Iterable[Artifact]) -> list[Artifact]:
        """The files and folders directly below ``path``, by name; empty for a path that is no folder."""
        ...

    def fetch(self, run_id: str, path: str, logged: Iterable[Artifact | LoggedModel]) -> Path:
        """Where the file or folder stands on this machine's disk, fetched first where need be, its digest verified.

        Raises
        ------
        ArtifactNotFound
            When there is none; the message says what there is.
        StoreError
            When it cannot be read, or is not what was logged.
        """
        ...

    def runs(self) -> Iterator[str]:
        """The ids of the runs that have files here."""
        ...

    def remove(self, run_id: str) -> None:
        """Remove all files of a run for good."""
        ...

    def close(self) -> None:
        """Let go of connections and of what was fetched."""
        ...


@runtime_checkable
class Swept(Protocol):
    """A storage in which killed writers leave what nobody sees; beside `ArtifactStorage`, not every one needs it."""

    def garbage(self, older_than: float = ...) -> list[Garbage]:
        """What `collect` would remove: of writes that broke off ``older_than`` seconds ago or longer."""
        ...

    def collect(self, garbage: Sequence[Garbage]) -> None:
        """Remove these for good.

        Raises
        ------
        StoreError
            When one cannot be removed.
        """
        ...
