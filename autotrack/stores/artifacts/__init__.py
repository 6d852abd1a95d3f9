"""Where the files of runs are kept: a folder, an object store, a database. `open_artifacts` finds one by its URI."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autotrack.errors import StoreError
from autotrack.settings import scheme_of

if TYPE_CHECKING:
    from autotrack.stores.artifacts.base import ArtifactStorage

__all__ = ["OBJECT_STORES", "open_artifacts"]

OBJECT_STORES: Final = ("s3", "gs", "az")
"""Schemes of object stores, which need the extra ``cloud``; ``abfs`` and ``abfss`` are other words for ``az``."""

_ALIASES: Final = ("abfs", "abfss")


def open_artifacts(uri: str | os.PathLike[str]) -> ArtifactStorage:
    """Open the storage of artifacts that a URI or path names.

    A path or ``file:`` URI is a folder, which need not exist; ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX`` and
    ``az://CONTAINER/PREFIX`` are object stores, whose region, endpoint and credentials come from the environment.

    Raises
    ------
    StoreError
        When the URI is none of these, carries credentials, or names a place that cannot be; when the package for
        object stores is not installed. Nothing is asked of a server yet.
    """
    text = os.fspath(uri)
    scheme = "" if isinstance(uri, os.PathLike) else scheme_of(text)
    if not text.strip():
        raise StoreError(f"{text!r} names no place for artifacts; write a folder, or 's3://bucket/prefix'")
    if scheme in OBJECT_STORES or scheme in _ALIASES:
        from autotrack.stores.artifacts.object_store import ObjectArtifacts

        return ObjectArtifacts(text)
    from autotrack.stores.artifacts.folder import FolderArtifacts, path_of_uri

    if not scheme:
        return FolderArtifacts(Path(text))
    if scheme == "file":
        return FolderArtifacts(path_of_uri(text))
    known = ", ".join(f"{name}://" for name in OBJECT_STORES)
    raise StoreError(f"no place for artifacts is called {scheme}:; there are {known}, file: and folders")
