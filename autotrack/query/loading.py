"""Load the model of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from autotrack import digests
from autotrack.entities import LoggedModel
from autotrack.errors import ArtifactNotFound, ModelError, StoreError
from autotrack.query import text
from autotrack.query.finding import get_run
from autotrack.query.sources import StoreLike
from autotrack.query.view import RunView

_FORM = (
    "'runs:/<run id>/model' (an id, its beginning, a name or 'latest'), 'models:/<name>/<version or latest>', "
    "'models:/<name>@<alias>', or a model's folder"
)


def load_model(
    uri: str | os.PathLike[str], *, store: StoreLike = None, trusted_types: Iterable[str | type] | None = None
) -> Any:
    """Load a model that was recorded. It is unpickled: load only what you trust.

    Parameters
    ----------
    uri : ``"runs:/<run>/model"``, where ``<run>`` is whatever `get_run` takes; ``"models:/<name>/3"``,
        ``"models:/<name>@champion"`` or ``"models:/<name>/latest"`` (the greatest number) for a version of a registered
        model; or the path of a model's folder.
    store : where to look; the store in force when left out.
    trusted_types : dotted names of types, or the types, that a model in the skops format may be built of, beside those
        that skops trusts and the plain parts of scikit-learn. With it, even empty, a pickle is refused.

    Raises
    ------
    RunNotFound, AmbiguousRun
        As `get_run`.
    ModelError
        When the URI is none, the run has no such model, it is not what was logged (its digest is another one; nothing
        of it is unpickled then), or it cannot be loaded here.
    """
    if isinstance(uri, os.PathLike):
        return _load_folder(Path(uri), trusted_types)
    if not isinstance(uri, str) or not uri.strip():
        raise ModelError(f"{uri!r} is no model; expected {_FORM}")
    scheme, colon, rest = uri.strip().partition(":/")
    if colon and scheme == "runs":
        reference, _, path = rest.strip("/").partition("/")
        if not reference or not path:
            raise ModelError(f"{text.plain(uri)!r} is no model URI; expected {_FORM}")
        return load_from_run(get_run(reference, store=store), path, trusted_types)
    if uri.strip().startswith("models:"):
        from autotrack.query.registered import find_registered

        found = find_registered(uri.strip(), store)
        return load_from_run(found.run, found.path, trusted_types, digest=found.digest)
    if colon and len(scheme) > 1 and "/" not in scheme:
        raise ModelError(f"{text.plain(uri)!r}: cannot load from {text.plain(scheme)!r}; expected {_FORM}")
    if uri.startswith("runs:"):
        raise ModelError(f"{text.plain(uri)!r} is no model URI; expected {_FORM}")
    return _load_folder(Path(uri).expanduser(), trusted_types)


def load_from_run(
    run: RunView, path: str = "model", trusted_types: Iterable[str | type] | None = None, *, digest: str = ""
) -> Any:
    """The run's model at ``path``.

    Parameters
    ----------
    digest : what its folder has to have, where more is known of it than what the run logged last.

    Raises
    ------
    ModelError
        When the run has no such model, or it cannot be loaded here.
    """
    wanted = path.strip("/")
    known = {model.path: model for model in run.models}
    if wanted not in known:
        raise ModelError(_no_model(run, wanted, list(known)))
    try:
        folder = run.artifact_path(wanted)
        _verify(run, known[wanted], folder, digest)
    except ArtifactNotFound as error:
        raise ModelError(
            f"run {run.run_id} ({text.plain(run.name)}) recorded a model at {wanted!r}, but its files are gone: {error}"
        ) from error
    except StoreError as error:
        raise ModelError(f"the model {wanted!r} of run {run.run_id} cannot be loaded: {error}") from error
    return _load(folder, trusted_types)


def _verify(run: RunView, model: LoggedModel, folder: Path, digest: str = "") -> None:
    """Compare a model's folder with its digest, where there is one, before it is unpickled.

    That is the digest that it has to have, or else the one that was logged of it.
    """
    is_fixed = digests.is_digest(digest)
    if is_fixed:
        model = replace(model, digest=digest)
    if not digests.is_digest(model.digest):
        return
    try:
        found = digests.of_folder(folder)
    except OSError as error:
        raise ModelError(f"the model {model.path!r} of run {run.run_id} cannot be read: {error}") from error
    if found == model.digest:
        return
    now = model.digest
    if not is_fixed:  # a run that goes on may have replaced its model since it was looked up
        now = next((other.digest for other in run.refreshed().models if other.path == model.path), now)
    if now == model.digest or now not in ("", found):
        raise ModelError(
            f"{digests.mismatch(run.run_id, model.path, now or model.digest, found)}. It was not loaded; if you know "
            f"why, load the folder itself: {text.plain(str(folder))}"
        )


def _load_folder(folder: Path, trusted_types: Iterable[str | type] | None) -> Any:
    if not folder.is_dir():
        raise ModelError(f"no model at {text.plain(str(folder))!r}: there is no such folder; expected {_FORM}")
    return _load(folder, trusted_types)


def _load(folder: Path, trusted_types: Iterable[str | type] | None) -> Any:
    from autotrack.models.loading import load_model as load

    return load(folder, trusted_types=trusted_types)


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
