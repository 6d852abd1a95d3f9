"""Artifacts from one store into another: streamed through this machine's disk, verified, never twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from autotrack.digests import PREFIX, of_file, of_folder
from autotrack.entities import Artifact, LoggedModel
from autotrack.errors import ArtifactNotFound, AutotrackError
from autotrack.moving.reading import Known, walk
from autotrack.stores.base import Store


@dataclass(slots=True)
class Carried:
    """What came of a run's artifacts.

    ``logged`` are those that stand in the target now, other than the files of model folders. ``lost`` names what the
    source records and does not have any more, ``unreadable`` what it has and could not be carried.
    """

    logged: dict[str, Artifact] = field(default_factory=dict)
    files: int = 0
    size: int = 0
    lost: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


class _Unfit(Exception):
    """What the source gives is not what was logged."""


def carry(source: Store, known: Known, target: Store, there: Known | None, put: Callable[[str, Path], None]) -> Carried:
    """Copy what the target lacks of a run's artifacts; errors of ``put`` are the caller's.

    Parameters
    ----------
    known, there : what source and target know of the run. Files are compared by size and digest, model folders by
        their digest and the sizes of their files; where the source has no digest, by their content.
    put : takes a path of the run, and where the file or folder stands on this machine's disk.
    """
    carried = Carried()
    there = there if there is not None else Known(known.run)
    folders = _outermost(known.run.models)
    for model in folders:
        inside = _sizes_below(known.files, model.path)
        like_it = inside == _sizes_below(there.files, model.path)
        if not inside:
            if model.path not in known.files:
                carried.lost.append(f"the model {model.path!r}")
        elif not (like_it and model.digest and _digest_of(there, model.path) == model.digest):
            has_it = partial(_has_model, model, target if like_it else None, known.run.run_id)
            _carry(source, known.run.run_id, model.path, carried, has_it, put)
            if any(path in there.files and there.files[path].digest for path in inside):
                _log_anew(source, target, known.run.run_id, model.path, carried)
    for path, artifact in known.files.items():
        other = there.files.get(path)
        if any(path.startswith(model.path + "/") for model in folders):
            continue
        if other is not None and artifact.digest and _same(artifact, other):
            carried.logged[path] = artifact
        else:
            _carry(source, known.run.run_id, path, carried, partial(_has_file, artifact, other, carried), put)
    return carried


def _carry(
    source: Store,
    run_id: str,
    path: str,
    carried: Carried,
    target_has: Callable[[Path], bool],
    put: Callable[[str, Path], None],
) -> None:
    """Copy one file or folder, unless its content shows that the target has it."""
    try:
        found = source.artifact_path(run_id, path)
        if target_has(found):
            return
        files = [found] if found.is_file() else [file for file in found.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
    except ArtifactNotFound:
        carried.lost.append(f"the artifact {path!r}")
        return
    except (AutotrackError, OSError, _Unfit) as error:
        carried.unreadable.append(f"the artifact {path!r}: {error}")
        return
    put(path, found)
    carried.files += len(files)
    carried.size += size


def _log_anew(source: Store, target: Store, run_id: str, folder: str, carried: Carried) -> None:
    """Files that were logged by themselves before their folder was as a model: their digests go with their content."""
    for listed in walk(target, run_id, folder):
        if listed.digest:
            try:
                found = source.artifact_path(run_id, listed.path)
                digest = of_file(found)
            except (AutotrackError, OSError):
                continue  # it was said with the folder, or is the target's own
            if digest != listed.digest:
                carried.logged[listed.path] = Artifact(listed.path, found.stat().st_size, digest)


def _has_file(artifact: Artifact, other: Artifact | None, carried: Carried, found: Path) -> bool:
    """Whether the target has this file, and what is to be logged of it."""
    digest = of_file(found)
    if artifact.digest.startswith(PREFIX) and artifact.digest != digest:
        raise _Unfit(f"it is damaged: {artifact.digest} was logged, and its content is {digest}")
    whole = replace(artifact, size=found.stat().st_size, digest=artifact.digest or digest)
    carried.logged[artifact.path] = whole
    return other is not None and _same(whole, other)


def _has_model(model: LoggedModel, target: Store | None, run_id: str, found: Path) -> bool:
    """Whether the content of the target's folder is the same; no target where already the sizes of its files differ."""
    digest = of_folder(found)
    if model.digest.startswith(PREFIX) and model.digest != digest:
        raise _Unfit(f"it is damaged: {model.digest} was logged, and its content is {digest}")
    return target is not None and of_folder(target.artifact_path(run_id, model.path)) == digest


def _same(artifact: Artifact, other: Artifact) -> bool:
    return artifact.size == other.size and artifact.digest == other.digest


def _outermost(models: Iterable[LoggedModel]) -> list[LoggedModel]:
    found: list[LoggedModel] = []
    for model in sorted(models, key=lambda model: len(model.path)):
        if not any((model.path + "/").startswith(other.path + "/") for other in found):
            found.append(model)
    return found


def _digest_of(known: Known, path: str) -> str:
    return next((model.digest for model in known.run.models if model.path == path), "")


def _sizes_below(files: Mapping[str, Artifact], folder: str) -> dict[str, int | None]:
    return {path: artifact.size for path, artifact in files.items() if path.startswith(folder + "/")}
