"""A run's artifacts in a folder: listing them, and finding one without ever leaving the folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from autotrack.entities import Artifact
from autotrack.errors import ArtifactNotFound

_SHOWN: Final = 10


def folder_name_is_safe(run_id: str) -> bool:
    """Whether a run id, which may come from anybody's journal, can name a folder."""
    return run_id not in ("", ".", "..") and not any(char in run_id for char in "/\\\0:")


def find(root: Path, run_id: str, path: str, logged: Iterable[Artifact]) -> Path:
    """Where an artifact stands.

    Parameters
    ----------
    root : the folder with one folder per run.
    path : relative to the run's folder; blank for that folder itself.
    logged : the artifacts that events name.

    Raises
    ------
    ArtifactNotFound
        When there is none, or when ``path`` leaves the run's folder; the message says what there is.
    """
    parts = _parts(path)
    if parts is None or not folder_name_is_safe(run_id):
        raise ArtifactNotFound(f"{path!r} is not a path inside the artifacts of run {run_id!r}")
    logged = list(logged)
    folder = root / run_id
    target = folder.joinpath(*parts)
    try:
        real = os.path.realpath(target, strict=True)
    except (OSError, ValueError):
        raise ArtifactNotFound(_missing(root, run_id, path, parts, logged)) from None
    base = _base(folder)
    if real != base and not real.startswith(base + os.sep):
        raise ArtifactNotFound(f"{path!r} is a link that leads out of the artifacts of run {run_id!r}")
    return target


def listing(root: Path, run_id: str, path: str, logged: Iterable[Artifact]) -> list[Artifact]:
    """The files and folders directly below ``path``: what stands on disk, and what events name besides.

    Links that lead out of the run's folder are left out. Empty for a path that is no folder.
    """
    parts = _parts(path)
    if parts is None:
        return []
    found: dict[str, Artifact] = {}
    for artifact in logged:
        named = _parts(artifact.path)
        if not named or named[: len(parts)] != parts or len(named) == len(parts):
            continue
        below = "/".join(named[: len(parts) + 1])
        if len(named) > len(parts) + 1:
            found[below] = Artifact(below, is_dir=True)
        else:
            found.setdefault(below, Artifact(below, artifact.size, artifact.digest, artifact.is_dir))
    if folder_name_is_safe(run_id):
        for artifact in _on_disk(root / run_id, parts):
            known = found.get(artifact.path)
            digest = known.digest if known is not None else ""
            found[artifact.path] = Artifact(artifact.path, artifact.size, digest, artifact.is_dir)
    return [found[name] for name in sorted(found)]


def _base(folder: Path) -> str:
    """Where a run's folder really stands: below its store's, also when somebody put a link in its place."""
    root = folder.parent
    return os.path.join(os.path.realpath(root.parent), root.name, folder.name)


def _on_disk(folder: Path, parts: list[str]) -> list[Artifact]:
    found: list[Artifact] = []
    try:
        base = _base(folder)
        here = os.path.realpath(folder.joinpath(*parts), strict=True)
        if here != base and not here.startswith(base + os.sep):
            return []
        with os.scandir(here) as entries:
            for entry in entries:
                real = os.path.realpath(entry.path)
                if real.startswith(base + os.sep) and os.path.exists(real):
                    is_dir = entry.is_dir()
                    size = None if is_dir else entry.stat().st_size
                    found.append(Artifact("/".join([*parts, entry.name]), size, is_dir=is_dir))
    except (OSError, ValueError):
        return found
    return found


def _parts(path: str) -> list[str] | None:
    """The parts of a relative path; ``None`` for one that is absolute, climbs, or could not be a path."""
    windows = os.name == "nt"
    if "\0" in path or path.startswith("/") or (windows and ("\\" in path or ":" in path)):
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return None if ".." in parts else parts


def _missing(root: Path, run_id: str, path: str, parts: list[str], logged: list[Artifact]) -> str:
    there = sorted(artifact.path + "/" * artifact.is_dir for artifact in _on_disk(root / run_id, []))
    shown = ", ".join(there[:_SHOWN]) + (f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else "")
    what = f"its artifacts are {shown}" if there else "it has no artifacts on disk"
    was_logged = any(_parts(artifact.path) == parts for artifact in logged)
    lost = " was recorded, and is no longer on disk" if was_logged else " does not exist"
    return f"artifact {path!r} of run {run_id!r}{lost}; looked in {root / run_id}; {what}"
