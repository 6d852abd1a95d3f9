"""What a store is that keeps registered models too: names, their versions, aliases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Protocol, cast, runtime_checkable

from autotrack.entities import ModelVersion, RegisteredModel
from autotrack.errors import ModelError
from autotrack.stores.base import Store

_ALIAS: Final = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_VERSION_LIKE: Final = re.compile(r"[vV]?[0-9]+")
_RESERVED: Final = frozenset({"latest", "staging", "production", "archived", "none"})


def checked_name(name: str) -> str:
    """A name that a registered model can have, as MLflow has it: something, without ``/`` and ``:``.

    Raises
    ------
    ModelError
        For another.
    """
    if not isinstance(name, str) or not is_name(name):
        raise ModelError(f"{name!r} cannot be the name of a registered model: it is a text without '/' and ':'")
    return name


def is_name(name: str) -> bool:
    """Whether a registered model can have this name. A model logged under another is no version of any."""
    return bool(name.strip()) and "/" not in name and ":" not in name


def checked_alias(alias: str) -> str:
    """An alias that can be told from a version and a stage.

    Raises
    ------
    ModelError
        For another.
    """
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
        raise ModelError(f"{alias!r} cannot be an alias: use letters, digits, '_', '-' and '.', at most 255")
    if alias.lower() in _RESERVED or _VERSION_LIKE.fullmatch(alias):
        raise ModelError(f"{alias!r} cannot be an alias: it would read as a version or a stage")
    return alias


def checked_tags(tags: Mapping[str, str | None] | None) -> dict[str, str | None]:
    """Tags that a model or a version can have; none for ``None``.

    Raises
    ------
    ModelError
        For a key that is empty or no text, or a value that is neither a text nor ``None``.
    """
    for key, value in (tags or {}).items():
        if not isinstance(key, str) or not key or not (value is None or isinstance(value, str)):
            raise ModelError(f"tag {key!r}={value!r}: expected a key that is not empty and a value, both text")
    return dict(tags or {})


def taken(name: str) -> ModelError:
    """The error for a name that a registered model has."""
    return ModelError(f"a model is registered as {name!r} already")


def aliased(name: str, version: int, aliases: Iterable[str]) -> ModelError:
    """The error for a version that is not deleted, because these aliases point to it."""
    return ModelError(
        f"version {version} of the model {name!r} has the alias {', '.join(aliases)}, so it is not deleted; move or "
        "delete the alias first"
    )


@runtime_checkable
class ModelRegistry(Protocol):
    """A store that keeps registered models; beside `autotrack.stores.base.Store`, not every store can.

    Guarantees that every one gives, and that `autotrack.testing.RegistryContract` checks:

    Numbers
        The versions of a name are 1, 2, 3 …, whoever makes them at the same time from wherever; a number whose version
        was deleted is not given again, nor is one of a deleted or renamed registered model whose name comes back
        (MLflow's servers begin with 1 again for a name that was renamed). Renamed, versions keep their numbers.
    Logged models
        A model that a run logged with a ``registered_model_name`` is a version of it, made once per run and path when
        the event is applied, or at the latest when somebody asks; those found together count by their runs' start.
        Once deleted it does not come back, nor under the old name once its registered model was renamed. It is one
        though its run be deleted, and only once the run's start is recorded; one whose name no registered model can
        have is none.
    Immutability
        No call changes the run, path or digest of a version.
    """

    def create_model_version(
        self,
        name: str,
        run_id: str,
        path: str,
        *,
        digest: str = "",
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> ModelVersion:
        """A new version, and the registered model where there is none of that name.

        Raises
        ------
        ModelError
            For a name that no registered model can have.
        StoreError
            When it could not be stored.
        """
        ...

    def registered_models(self) -> list[RegisteredModel]:
        """Every registered model, by name."""
        ...

    def registered_model(self, name: str) -> RegisteredModel:
        """One of them.

        Raises
        ------
        ModelNotFound
            When there is none of that name.
        """
        ...

    def model_versions(self, name: str) -> list[ModelVersion]:
        """Its versions, by number.

        Raises
        ------
        ModelNotFound
            When there is no registered model of that name.
        """
        ...

    def model_version(self, name: str, version: int) -> ModelVersion:
        """One version.

        Raises
        ------
        ModelNotFound
            When there is none.
        """
        ...

    def create_registered_model(
        self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """A registered model without versions.

        Raises
        ------
        ModelError
            For a name that no registered model can have, or that one has.
        """
        ...

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give it another name: versions with their numbers, aliases and tags stay. Its own name changes nothing.

        Raises
        ------
        ModelNotFound
            When there is none of that name.
        ModelError
            For a name that no registered model can have, or that another one has.
        """
        ...

    def update_registered_model(
        self, name: str, *, description: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> RegisteredModel:
        """Describe it otherwise: ``None`` leaves the description, or takes a tag away.

        Raises
        ------
        ModelNotFound
            When there is none of that name.
        """
        ...

    def update_model_version(
        self, name: str, version: int, *, description: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> ModelVersion:
        """Describe a version otherwise, as `update_registered_model`.

        Raises
        ------
        ModelNotFound
            When there is none.
        """
        ...

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Let an alias point to a version, and to no other any more.

        Raises
        ------
        ModelNotFound
            When there is no such version.
        ModelError
            For an alias that would read as a version or a stage.
        """
        ...

    def delete_alias(self, name: str, alias: str) -> None:
        """Take an alias away.

        Raises
        ------
        ModelNotFound
            When there is no such model or alias.
        """
        ...

    def delete_model_version(self, name: str, version: int) -> None:
        """Delete a version; its run and its files stay.

        Raises
        ------
        ModelNotFound
            When there is none.
        ModelError
            When an alias points to it; the message names the alias.
        """
        ...

    def delete_registered_model(self, name: str) -> None:
        """Delete a registered model with all its versions; their runs and files stay.

        Raises
        ------
        ModelNotFound
            When there is none of that name.
        ModelError
            When an alias points to one of its versions.
        """
        ...


class RegistryStore(Store, ModelRegistry, Protocol):
    """A store that keeps registered models too."""


def registry_of(store: Store) -> RegistryStore | None:
    """The store, where it keeps registered models."""
    return cast(RegistryStore, store) if isinstance(cast(object, store), ModelRegistry) else None
