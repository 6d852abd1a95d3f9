"""From what names a model (a run, a registered version, a folder, an object store) to its folder on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from autotrack import digests, settings
from autotrack.errors import ArtifactNotFound, ModelError, RunNotFound, StoreError
from autotrack.query import text, trust
from autotrack.query.finding import get_run
from autotrack.query.sources import Keeper, StoreLike, source
from autotrack.query.view import RunView
from autotrack.stores.artifacts import OBJECT_STORES

FORM: Final = (
    "'runs:/<run id>/model' (an id, its beginning, a name or 'latest'), 'models:/<name>/<version or latest>', "
    "a model's folder, or the URI of one in an object store ('s3://bucket/path')"
)
_OBJECT_SCHEMES: Final = (*OBJECT_STORES, "abfs", "abfss")


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A model's folder, and what is known of where it comes from. Nothing of it was read yet.

    Parameters
    ----------
    reference : what it was asked for by.
    folder : on this machine's disk, fetched where need be.
    doubt : why a pickle in it is not to be loaded unless somebody says so; empty when it comes from a trusted place.
    digest : the one that the folder has to have; empty where none is known.
    run, path : the run that logged it and its path among that run's artifacts; ``None`` and empty where there is none.
    """

    reference: str
    folder: Path
    doubt: str
    digest: str = ""
    run: RunView | None = None
    path: str = ""


def locate_model(uri: str | os.PathLike[str], *, store: StoreLike = None) -> LocatedModel:
    """Find a model by what `autotrack.load_model` takes.

    Raises
    ------
    RunNotFound, AmbiguousRun
        As `autotrack.get_run`.
    ModelError
        When the URI is none, or there is no such model.
    """
    if isinstance(uri, os.PathLike):
        return _in_folder(Path(uri), os.fspath(uri), store)
    if not isinstance(uri, str) or not uri.strip():
        raise ModelError(f"{uri!r} is no model; expected {FORM}")
    reference = uri.strip()
    scheme = settings.scheme_of(reference)
    if scheme == "runs":
        run_reference, _, path = reference.partition(":")[2].strip("/").partition("/")
        if not reference.startswith("runs:/") or not run_reference or not path:
            raise ModelError(f"{text.plain(reference)!r} is no model URI; expected {FORM}")
        return replace(locate_in_run(get_run(run_reference, store=store), path), reference=reference)
    if scheme == "models":
        run, path, digest = _registered(reference, store)
        found = locate_in_run(run, path)
        return replace(found, reference=reference, digest=digest if digests.is_digest(digest) else found.digest)
    if scheme in _OBJECT_SCHEMES:
        return _in_object_store(reference)
    if scheme == "file":
        from autotrack.stores.artifacts.folder import path_of_uri

        try:
            return _in_folder(path_of_uri(reference), reference, store)
        except StoreError as error:
            raise ModelError(str(error)) from error
    place = Path(uri).expanduser()
    if scheme and not place.exists():
        raise ModelError(f"{text.plain(reference)!r}: cannot load from {text.plain(scheme)!r}; expected {FORM}")
    return _in_folder(place, reference, store)


def locate_in_run(run: RunView, path: str = "model") -> LocatedModel:
    """The run's model at ``path``.

    Raises
    ------
    ModelError
        When the run has no such model, or its files are gone.
    """
    wanted = path.strip("/")
    known = {model.path: model for model in run.models}
    if wanted not in known:
        raise ModelError(_no_model(run, wanted, list(known)))
    try:
        folder = run.artifact_path(wanted)
    except ArtifactNotFound as error:
        raise ModelError(
            f"run {run.run_id} ({text.plain(run.name)}) recorded a model at {wanted!r}, but its files are gone: {error}"
        ) from error
    except StoreError as error:
        raise ModelError(f"the model {wanted!r} of run {run.run_id} cannot be loaded: {error}") from error
    digest = known[wanted].digest
    return LocatedModel(
        f"runs:/{run.run_id}/{wanted}",
        folder,
        trust.doubt_of_store(run.store, folder),
        digest if digests.is_digest(digest) else "",
        run,
        wanted,
    )


def _registered(reference: str, store: StoreLike) -> tuple[RunView, str, str]:
    """The run, path and digest of a registered version."""
    from autotrack.query.registered import find_registered

    run, model = find_registered(reference, store)
    return run, model.path, model.digest


def _in_folder(folder: Path, reference: str, store: StoreLike) -> LocatedModel:
    if not folder.is_dir():
        raise ModelError(f"no model at {text.plain(str(folder))!r}: there is no such folder; expected {FORM}")
    return _in_own_store(folder, reference, store) or LocatedModel(
        reference, folder, trust.doubt_of_place(os.path.realpath(folder))
    )


def _in_own_store(folder: Path, reference: str, store: StoreLike) -> LocatedModel | None:
    """A folder among the artifacts of the store that is meant is that run's model, digest and all."""
    from autotrack.stores.local import ARTIFACTS, LocalStore
    from autotrack.stores.memory import MemoryStore

    uri = settings.store_uri() if store is None else store
    if isinstance(uri, (str, os.PathLike)):
        if settings.scheme_of(os.fspath(uri)) not in ("", "file", "memory"):
            return None
        opened = source(store)
        keeper: object = Keeper(opened)
    else:
        opened, keeper = uri, None
    if not isinstance(opened, (LocalStore, MemoryStore)):
        return None
    root = Path(os.path.realpath(opened.root if isinstance(opened, MemoryStore) else opened.folder / ARTIFACTS))
    place = Path(os.path.realpath(folder))
    if not place.is_relative_to(root):
        return None
    run_id, *parts = place.relative_to(root).parts or ("",)
    if run_id and parts:
        try:
            run = RunView(opened.get_run(run_id), opened, keeper)
            return replace(locate_in_run(run, "/".join(parts)), reference=reference)
        except (RunNotFound, ModelError):  # a folder that no event names
            pass
    return LocatedModel(reference, folder, trust.doubt_of_store(opened, folder))


def _in_object_store(uri: str) -> LocatedModel:
    from autotrack.stores.artifacts.fetching import fetch_folder

    try:
        place, folder = fetch_folder(uri)
    except (StoreError, ArtifactNotFound) as error:
        raise ModelError(f"no model at {text.plain(uri)!r}: {error}") from error
    return LocatedModel(uri, folder, trust.doubt_of_place(place))


def _no_model(run: RunView, wanted: str, known: list[str]) -> str:
    who = f"run {run.run_id} ({text.plain(run.name)})"
    if known:
        there = ", ".join(repr(text.plain(path)) for path in known)
        return f"{who} has no model {text.plain(wanted)!r}; it has {there}"
    files = run.artifacts
    if files:
        shown = ", ".join(text.plain(file) for file in files[:8])
        if len(files) > 8:
            shown += f" and {len(files) - 8} more"
        there = f"its artifacts are {shown}"
    else:
        there = "it has no artifacts"
    return f"{who} has no model: {there}. Was log_models off, or could the model not be saved?"
