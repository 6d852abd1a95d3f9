"""Registered models in a database: see `autotrack.stores.registry.ModelRegistry`.

Every change of a name holds its row of ``registered_models``, so that numbers are given one after the other, and an
alias never points to a version that is just being deleted. A run's row is locked before a name's, here as where events
are applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from autotrack.entities import ModelVersion, RegisteredModel
from autotrack.errors import ModelNotFound
from autotrack.stores.database import registry_rows as rows
from autotrack.stores.database import tables
from autotrack.stores.database.codes import digest, escape
from autotrack.stores.database.engine import Database
from autotrack.stores.database.inserting import insert
from autotrack.stores.database.registry_rows import ALIASES, DELETED, MODELS, THERE, VERSIONS, Locked, Source
from autotrack.stores.registry import aliased, checked_alias, checked_name, checked_tags, taken

T = TypeVar("T")


class DatabaseRegistry:
    """The part of `DatabaseStore` that keeps registered models."""

    _database: Database

    @property
    def uri(self) -> str:
        """As `Store.uri`."""
        raise NotImplementedError

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
        """See `ModelRegistry.create_model_version`."""
        checked_name(name)
        checked = checked_tags(tags)

        def create(connection: Connection) -> ModelVersion:
            _hold_run(connection, run_id)
            model = rows.lock(connection, [name], make=True)[name]
            source = Source(run_id, path, digest, None)
            number = rows.add_versions(connection, model, [source], description=description, logged=False)
            rows.set_tags(connection, model.id, number, checked)
            return self._version(connection, name, number)

        return self._database.write(create)

    def registered_models(self) -> list[RegisteredModel]:
        """See `ModelRegistry.registered_models`."""
        return self._database.read(rows.read_models)

    def registered_model(self, name: str) -> RegisteredModel:
        """See `ModelRegistry.registered_model`."""
        return self._database.read(lambda connection: self._model(connection, name))

    def model_versions(self, name: str) -> list[ModelVersion]:
        """See `ModelRegistry.model_versions`."""
        found = self._database.read(lambda connection: rows.read_versions(connection, name))
        if found is None:
            raise self._no_model(name)
        return found

    def model_version(self, name: str, version: int) -> ModelVersion:
        """See `ModelRegistry.model_version`."""
        return self._database.read(lambda connection: self._version(connection, name, version))

    def create_registered_model(
        self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """See `ModelRegistry.create_registered_model`."""
        checked_name(name)
        checked = checked_tags(tags)

        def create(connection: Connection) -> RegisteredModel:
            model = rows.lock(connection, [name], make=True)[name]
            if model.state == THERE:
                raise taken(name)
            rows.show(connection, model, description)
            rows.set_tags(connection, model.id, 0, checked)
            return self._model(connection, name)

        return self._database.write(create)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """See `ModelRegistry.rename_registered_model`."""
        if name == new_name:
            return self.registered_model(name)

        def rename(connection: Connection) -> RegisteredModel:
            self._model(connection, name)
            checked_name(new_name)
            locked = rows.lock(connection, [name, new_name], make=True)
            if locked[name].state != THERE:
                raise self._no_model(name)
            if locked[new_name].state == THERE:
                raise taken(new_name)
            rows.move(connection, locked[name], locked[new_name])
            return self._model(connection, new_name)

        return self._database.write(rename)

    def update_registered_model(
        self, name: str, *, description: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> RegisteredModel:
        """See `ModelRegistry.update_registered_model`."""
        checked = checked_tags(tags)

        def change(connection: Connection, model: Locked) -> RegisteredModel:
            if description is not None:
                told = sa.update(tables.registered_models).where(MODELS.id == model.id)
                connection.execute(told.values(description=description))
            rows.set_tags(connection, model.id, 0, checked)
            return self._model(connection, name)

        return self._change(name, change)

    def update_model_version(
        self, name: str, version: int, *, description: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> ModelVersion:
        """See `ModelRegistry.update_model_version`."""
        checked = checked_tags(tags)

        def change(connection: Connection, model: Locked) -> ModelVersion:
            self._version(connection, name, version)
            if description is not None:
                told = sa.update(tables.model_versions).where(VERSIONS.model == model.id, VERSIONS.version == version)
                connection.execute(told.values(description=description))
            rows.set_tags(connection, model.id, version, checked)
            return self._version(connection, name, version)

        return self._change(name, change)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """See `ModelRegistry.set_alias`."""
        checked_alias(alias)

        def change(connection: Connection, model: Locked) -> None:
            self._version(connection, name, version)
            _delete_alias(connection, model, alias)
            insert(connection, tables.model_aliases, [(model.id, digest(alias), escape(alias), version)])

        self._change(name, change)

    def delete_alias(self, name: str, alias: str) -> None:
        """See `ModelRegistry.delete_alias`."""

        def change(connection: Connection, model: Locked) -> None:
            if not _delete_alias(connection, model, alias):
                raise ModelNotFound(f"the model {name!r} has no alias {alias!r} in {self.uri}")

        self._change(name, change)

    def delete_model_version(self, name: str, version: int) -> None:
        """See `ModelRegistry.delete_model_version`."""

        def change(connection: Connection, model: Locked) -> None:
            found = self._version(connection, name, version)
            if found.aliases:
                raise aliased(name, version, found.aliases)
            _delete_versions(connection, model, VERSIONS.version == version, tables.model_tags.c.version == version)

        self._change(name, change)

    def delete_registered_model(self, name: str) -> None:
        """See `ModelRegistry.delete_registered_model`."""

        def change(connection: Connection, model: Locked) -> None:
            found = self._model(connection, name)
            for alias, version in found.aliases.items():
                raise aliased(name, version, [alias])
            _delete_versions(connection, model, sa.true(), sa.true())
            gone = sa.update(tables.registered_models).where(MODELS.id == model.id)
            connection.execute(gone.values(state=DELETED, description=""))

        self._change(name, change)

    def _change(self, name: str, change: Callable[[Connection, Locked], T]) -> T:
        """Do something to a registered model while nobody else does."""

        def write(connection: Connection) -> T:
            model = rows.lock(connection, [name], make=False).get(name)
            if model is None or model.state != THERE:
                raise self._no_model(name)
            return change(connection, model)

        return self._database.write(write)

    def _model(self, connection: Connection, name: str) -> RegisteredModel:
        found = rows.read_models(connection, name)
        if not found:
            raise self._no_model(name)
        return found[0]

    def _version(self, connection: Connection, name: str, version: int) -> ModelVersion:
        found = rows.read_versions(connection, name, version if 0 < version < 2**63 else 0)
        if found is None:
            raise self._no_model(name)
        if not found:
            raise ModelNotFound(f"the model {name!r} has no version {version} in {self.uri}")
        return found[0]

    def _no_model(self, name: str) -> ModelNotFound:
        return ModelNotFound(f"no model {name!r} is registered in {self.uri}")


def _hold_run(connection: Connection, run_id: str) -> None:
    """Keep a run, if there is one, from being removed for good until its version is there."""
    runs = tables.runs.c
    connection.execute(sa.select(runs.id).where(runs.hash == digest(run_id)).with_for_update()).all()


def _delete_alias(connection: Connection, model: Locked, alias: str) -> bool:
    gone = sa.delete(tables.model_aliases).where(ALIASES.model == model.id, ALIASES.hash == digest(alias))
    return connection.execute(gone).rowcount > 0


def _delete_versions(
    connection: Connection, model: Locked, which: sa.ColumnElement[bool], tags: sa.ColumnElement[bool]
) -> None:
    gone = sa.update(tables.model_versions).where(VERSIONS.model == model.id, which)
    connection.execute(gone.values(state=DELETED, description=""))
    connection.execute(sa.delete(tables.model_tags).where(tables.model_tags.c.model == model.id, tags))
