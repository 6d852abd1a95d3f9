"""What people do with the registry: register models, list and describe versions, move aliases, delete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from autotrack.entities import LoggedModel, ModelVersion, RegisteredModel
from autotrack.errors import ModelError, ModelNotFound, StoreError
from autotrack.query import text
from autotrack.query.finding import find_run
from autotrack.query.registered import RegisteredReference, find_registered, find_version
from autotrack.query.sources import StoreLike, reading
from autotrack.stores.base import Store
from autotrack.stores.registry import RegistryStore, checked_alias, checked_name, registry_of

Tags = Mapping[str, str | None]


@contextmanager
def registry(store: StoreLike = None) -> Iterator[RegistryStore]:
    """As `autotrack.query.sources.reading`, for a store that keeps registered models.

    Raises
    ------
    StoreError
        When it keeps none.
    """
    with reading(store) as opened:
        found = registry_of(opened)
        if found is None:
            raise StoreError(
                f"{text.plain(opened.uri)} keeps no registered models; a folder or a database (sqlite:///…) does"
            )
        yield found


def register_model(
    model_uri: str,
    name: str,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    alias: str | None = None,
    store: StoreLike = None,
) -> ModelVersion:
    """Register a recorded model: make of it the next version of a name.

    Parameters
    ----------
    model_uri : ``"runs:/<run>/<path>"``, where ``<run>`` is whatever `get_run` takes and ``<path>`` mostly ``model``;
        or a version of another name, ``"models:/<name>/3"``.
    name : of the registered model, which is made where there is none; a text without ``/`` and ``:``.
    description, tags : of the version.
    alias : points to the new version from now on.
    store : as for `autotrack.get_run`; the run and the version are in the same store.

    Raises
    ------
    RunNotFound, AmbiguousRun
        As `get_run`.
    ModelError
        When the run has no such model, or for a name or alias that cannot be.
    StoreError
        When the store keeps no registered models, or it could not be stored.
    """
    checked_name(name)
    if alias is not None:
        checked_alias(alias)
    with registry(store) as opened:
        run_id, model = find_model(model_uri, opened)
        version = opened.create_model_version(
            name, run_id, model.path, digest=model.digest, description=description, tags=tags
        )
        if alias is None:
            return version
        opened.set_alias(name, alias, version.version)
        return opened.model_version(name, version.version)


def find_model(model_uri: str, store: Store) -> tuple[str, LoggedModel]:
    """The run's id and the model that a ``runs:/`` or ``models:/`` URI names.

    Raises
    ------
    RunNotFound, AmbiguousRun
        As `get_run`.
    ModelError
        When there is no such model, or it is no such URI.
    """
    wanted = model_uri.strip() if isinstance(model_uri, str) else ""
    if wanted.startswith("models:"):
        found = find_registered(wanted, store)
        run_id, path = found.run.run_id, found.path
        run, digest = store.get_run(run_id), found.digest
    elif wanted.startswith("runs:/"):
        reference, _, path = wanted.removeprefix("runs:").strip("/").partition("/")
        if not reference or not path:
            raise ModelError(f"{text.plain(wanted)!r} is no model URI; expected 'runs:/<run>/<path>', such as 'model'")
        run, digest = find_run(store, reference), ""
    else:
        raise ModelError(f"{model_uri!r:.200} is no model URI; expected 'runs:/<run>/<path>' or 'models:/<name>/3'")
    known = {model.path: model for model in run.models}
    if path not in known:
        there = f"it has {', '.join(repr(text.plain(one)) for one in known)}" if known else "it has none"
        raise ModelError(f"run {run.run_id} ({text.plain(run.name)}) has no model {text.plain(path)!r}; {there}")
    model = known[path]
    return run.run_id, LoggedModel(path, model.estimator_class, digest=digest or model.digest)


def list_registered_models(*, store: StoreLike = None) -> list[RegisteredModel]:
    """Every registered model, by name.

    Raises
    ------
    StoreError
        When the store keeps no registered models.
    """
    with registry(store) as opened:
        return opened.registered_models()


def get_registered_model(name: str, *, store: StoreLike = None) -> RegisteredModel:
    """One registered model: its description, tags, aliases and latest version.

    Raises
    ------
    ModelNotFound
        When there is none of that name.
    """
    with registry(store) as opened:
        return opened.registered_model(name)


def list_model_versions(name: str, *, store: StoreLike = None) -> list[ModelVersion]:
    """The versions of a registered model, by number.

    Raises
    ------
    ModelNotFound
        When there is no registered model of that name.
    """
    with registry(store) as opened:
        return opened.model_versions(name)


def get_model_version(name: str, version: int | str, *, store: StoreLike = None) -> ModelVersion:
    """One version of a registered model.

    Parameters
    ----------
    version : its number, ``"latest"`` for the greatest, ``"@champion"`` for the one of an alias, or a stage.

    Raises
    ------
    ModelNotFound
        When there is none; the message says what there is.
    """
    with registry(store) as opened:
        return find_version(opened, _reference(name, version))


def set_model_alias(name: str, alias: str, version: int | str, *, store: StoreLike = None) -> ModelVersion:
    """Let an alias point to a version, and to no other any more. Gives back that version.

    Parameters
    ----------
    version : as for `get_model_version`.

    Raises
    ------
    ModelNotFound
        When there is no such version.
    ModelError
        For an alias that would read as a version or a stage.
    """
    checked_alias(alias)
    with registry(store) as opened:
        number = find_version(opened, _reference(name, version)).version
        opened.set_alias(name, alias, number)
        return opened.model_version(name, number)


def delete_model_alias(name: str, alias: str, *, store: StoreLike = None) -> None:
    """Take an alias away; the version stays.

    Raises
    ------
    ModelNotFound
        When there is no such model or alias.
    """
    with registry(store) as opened:
        opened.delete_alias(name, alias)


def update_registered_model(
    name: str, *, description: str | None = None, tags: Tags | None = None, store: StoreLike = None
) -> RegisteredModel:
    """Describe a registered model otherwise.

    Parameters
    ----------
    description : the new one; ``None`` leaves it as it is.
    tags : to be set; ``None`` for a value takes the tag away.

    Raises
    ------
    ModelNotFound
        When there is none of that name.
    """
    with registry(store) as opened:
        return opened.update_registered_model(name, description=description, tags=tags)


def update_model_version(
    name: str,
    version: int | str,
    *,
    description: str | None = None,
    tags: Tags | None = None,
    store: StoreLike = None,
) -> ModelVersion:
    """Describe a version otherwise, as `update_registered_model`. What it points to never changes.

    Raises
    ------
    ModelNotFound
        When there is none.
    """
    with registry(store) as opened:
        number = find_version(opened, _reference(name, version)).version
        return opened.update_model_version(name, number, description=description, tags=tags)


def delete_model_version(name: str, version: int, *, store: StoreLike = None) -> None:
    """Delete a version. Its run and its files stay, and its number is not given again.

    Raises
    ------
    ModelNotFound
        When there is none.
    ModelError
        When an alias points to it.
    """
    with registry(store) as opened:
        opened.delete_model_version(name, _number(name, version))


def delete_registered_model(name: str, *, store: StoreLike = None) -> None:
    """Delete a registered model with all its versions. Their runs and files stay.

    Raises
    ------
    ModelNotFound
        When there is none of that name.
    ModelError
        When an alias points to one of its versions.
    """
    with registry(store) as opened:
        opened.delete_registered_model(name)


def _reference(name: str, version: int | str) -> RegisteredReference:
    if isinstance(version, str) and version.startswith("@"):
        return RegisteredReference(name, alias=version[1:])
    if isinstance(version, str) and version.strip() and not version.strip().isdecimal():
        return RegisteredReference(name, version.strip())
    return RegisteredReference(name, str(_number(name, version)))


def _number(name: str, version: int | str) -> int:
    """A version's number; a text of digits, as MLflow gives it, will do."""
    try:
        if isinstance(version, bool):
            raise TypeError
        return int(version)
    except (TypeError, ValueError):
        raise ModelNotFound(f"{version!r:.100} is no version of the model {name!r}; expected a number") from None
