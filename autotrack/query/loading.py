"""Load a model, from wherever it is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from autotrack import digests
from autotrack.errors import ModelError
from autotrack.query import text
from autotrack.query.locating import LocatedModel, locate_in_run, locate_model
from autotrack.query.sources import StoreLike
from autotrack.query.view import RunView


def load_model(
    uri: str | os.PathLike[str],
    *,
    store: StoreLike = None,
    trusted: bool = False,
    trusted_types: Iterable[str | type] | None = None,
) -> Any:
    """Load a model. A pickle runs what stands in it, so it is loaded only from places that you trust.

    Parameters
    ----------
    uri : ``"runs:/<run>/model"``, where ``<run>`` is whatever `get_run` takes; ``"models:/<name>/3"``,
        ``"models:/<name>@champion"`` or ``"models:/<name>/latest"`` (the greatest number) for a version of a registered
        model; the path or ``file:`` URI of a model's folder; or ``"s3://…"``, ``"gs://…"`` or ``"az://…"`` of one in an
        object store.
    store : where to look; the store in force when left out.
    trusted : load a pickle wherever it comes from. Without it one is loaded from your own folder store, from
        ``memory:``, and from what the option ``trusted_sources`` names. A skops file needs no trust.
    trusted_types : dotted names of types, or the types, that a model in the skops format may be built of, beside those
        that skops trusts and the plain parts of scikit-learn. With it, even empty, a pickle is refused.

    Raises
    ------
    RunNotFound, AmbiguousRun
        As `get_run`.
    ModelRefused
        When it is a pickle from a place that is not trusted; the message says why, and how to trust it.
    ModelError
        When the URI is none, the run has no such model, it is not what was logged (its digest is another one; nothing
        of it is unpickled then), or it cannot be loaded here.
    """
    found = locate_model(uri, store=store)
    if trusted and not found.reference.startswith(("runs:", "models:")):
        found = replace(found, digest="")  # the way to load what somebody has changed on purpose
    return load_located(found, trusted=trusted, trusted_types=trusted_types)


def load_from_run(
    run: RunView,
    path: str = "model",
    trusted_types: Iterable[str | type] | None = None,
    *,
    trusted: bool = False,
) -> Any:
    """The run's model at ``path``.

    Raises
    ------
    ModelRefused, ModelError
        As `load_model`.
    """
    return load_located(locate_in_run(run, path), trusted=trusted, trusted_types=trusted_types)


def load_located(
    found: LocatedModel, *, trusted: bool = False, trusted_types: Iterable[str | type] | None = None
) -> Any:
    """Load a model that `locate_model` found; the one way that all others go.

    Raises
    ------
    ModelRefused, ModelError
        As `load_model`.
    """
    from autotrack.models.loading import DigestMismatch
    from autotrack.models.loading import load_model as load

    # A generator of types would be empty the second time.
    types = trusted_types if trusted_types is None or isinstance(trusted_types, (str, type)) else list(trusted_types)

    def attempt(digest: str) -> Any:
        return load(
            found.folder, trusted=trusted or not found.doubt, doubt=found.doubt, digest=digest, trusted_types=types
        )

    try:
        return attempt(found.digest)
    except DigestMismatch as error:
        now = _digest_now(found)
        if now != found.digest and now in ("", error.found):
            return attempt(now)
        raise _mismatch(found, now or found.digest, error.found) from error


def verified_digest(found: LocatedModel) -> LocatedModel:
    """The same without its digest, after that was compared with the folder's.

    Raises
    ------
    ModelError
        When it is not what was logged.
    """
    from autotrack.models.files import ModelFiles

    if found.digest:
        with ModelFiles(found.folder) as files:
            taken = files.digest()
        if taken != found.digest and _digest_now(found) not in ("", taken):
            raise _mismatch(found, found.digest, taken)
    return replace(found, digest="")


def _digest_now(found: LocatedModel) -> str:
    """The digest that the run has logged by now: one that goes on may have replaced its model since it was found."""
    if found.run is None or found.reference.startswith("models:"):  # a version never changes
        return found.digest
    models = found.run.refreshed().models
    return next((model.digest for model in models if model.path == found.path), found.digest)


def _mismatch(found: LocatedModel, logged: str, taken: str) -> ModelError:
    if found.run is None:
        return ModelError(f"{text.plain(found.reference)} has the digest {taken}, and should have {logged}")
    return ModelError(
        f"{digests.mismatch(found.run.run_id, found.path, logged, taken)}. It was not loaded; if you know why, load "
        f"the folder itself: load_model({text.plain(str(found.folder))!r}, trusted=True)"
    )
