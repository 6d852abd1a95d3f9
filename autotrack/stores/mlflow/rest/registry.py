"""Registered models on an MLflow server: see `autotrack.stores.registry.ModelRegistry`.

They are MLflow's own, so that its pages and clients see them, and what they register is seen here. What a version of
ours points to stands in a tag of it (`autotrack.stores.mlflow.versions`).

A registered model that is deleted here stays on the server without versions, with a tag that hides it here: MLflow
would number a new one of that name from 1 again, and ``models:/NAME/1`` would be another model than it was.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any, Final

from autotrack.entities import ModelVersion, RegisteredModel
from autotrack.errors import ModelNotFound, StoreError
from autotrack.stores.mlflow.rest.catalog import Catalog, tags_of
from autotrack.stores.mlflow.rest.client import Client, Json
from autotrack.stores.mlflow.rest.document import ID_TAG
from autotrack.stores.mlflow.rest.models import SOURCE_TAG, Models
from autotrack.stores.mlflow.rest.registry_calls import RegistryCalls, translated
from autotrack.stores.mlflow.rest.transport import Refused
from autotrack.stores.mlflow.versions import (
    DELETED_TAG,
    MAX_VERSION,
    VERSION_TAG,
    Source,
    from_tag,
    own_tags,
    path_from,
    shown_tags,
    stage_from,
    to_tag,
)
from autotrack.stores.registry import aliased, checked_alias, checked_name, taken

_ATTEMPTS: Final = 8


class ServerRegistry:
    """The part of `MlflowServerStore` that keeps registered models."""

    _client: Client
    _catalog: Catalog
    _models: Models

    @property
    def uri(self) -> str:
        """As `Store.uri`."""
        raise NotImplementedError

    @property
    def _calls(self) -> RegistryCalls:
        return RegistryCalls(self._client)

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
        """See `ModelRegistry.create_model_version`. The run has to be on this server."""
        checked_name(name)
        own = {key: text for key, text in own_tags(tags).items() if text is not None}
        native = self._catalog.native(run_id)
        source = Source(run_id, path, digest)
        self._models.find(native, [path], self._catalog.document(native))
        with translated():
            self._client.create_registered_model(name)
            made = create_version(self._models, name, native, source, description=description, tags=own)
        return _version(made, source, ())

    def registered_models(self) -> list[RegisteredModel]:
        """See `ModelRegistry.registered_models`."""
        found = [_model(model) for model in self._calls.models() if _is_there(model)]
        return sorted(found, key=lambda model: model.name)

    def registered_model(self, name: str) -> RegisteredModel:
        """See `ModelRegistry.registered_model`."""
        return _model(self._found(name))

    def model_versions(self, name: str) -> list[ModelVersion]:
        """See `ModelRegistry.model_versions`."""
        aliases = _aliases(self._found(name))
        natives: dict[str, Json | None] = {}
        found = []
        for data in self._calls.versions(name):
            number = int(data["version"])
            names = [alias for alias, version in aliases.items() if version == number]
            found.append(_version(data, self._source(data, natives), names))
        return sorted(found, key=lambda version: version.version)

    def model_version(self, name: str, version: int) -> ModelVersion:
        """See `ModelRegistry.model_version`."""
        data = self._found_version(name, version)
        return _version(data, self._source(data, {}), data.get("aliases", ()))

    def create_registered_model(
        self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """See `ModelRegistry.create_registered_model`."""
        own = {key: text for key, text in own_tags(tags).items() if text is not None}
        hidden = self._hidden(name)
        with translated():
            if hidden is None:
                self._calls.create_model(name, description, own)
            else:
                self._calls.describe_model(name, description)
                for key, text in own.items():
                    self._calls.set_model_tag(name, key, text)
                self._calls.set_model_tag(name, DELETED_TAG, None)
        return self.registered_model(name)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """See `ModelRegistry.rename_registered_model`. Afterwards MLflow numbers the old name from 1 again."""
        self._found(name)
        if name != new_name:
            hidden = self._hidden(new_name)
            with translated():
                if hidden is not None:
                    self._calls.delete_model(new_name)
                self._calls.rename_model(name, new_name)
        return self.registered_model(new_name)

    def _hidden(self, name: str) -> Json | None:
        """The registered model of a name that is not there for us; ``None`` where the server has none either.

        Raises
        ------
        ModelError
            When one is there.
        """
        model = self._calls.model(checked_name(name))
        if model is not None and _is_there(model):
            raise taken(name)
        return model

    def update_registered_model(
        self, name: str, *, description: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> RegisteredModel:
        """See `ModelRegistry.update_registered_model`."""
        checked = own_tags(tags)
        self._found(name)
        with translated():
            if description is not None:
                self._calls.describe_model(name, description)
            for key, value in checked.items():
                self._calls.set_model_tag(name, key, value)
        return self.registered_model(name)

    def update_model_version(
        self, name: str, version: int, *, description: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> ModelVersion:
        """See `ModelRegistry.update_model_version`."""
        checked = own_tags(tags)
        self._found_version(name, version)
        with translated():
            if description is not None:
                self._calls.describe_version(name, version, description)
            for key, value in checked.items():
                self._calls.set_version_tag(name, version, key, value)
        return self.model_version(name, version)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """See `ModelRegistry.set_alias`. MLflow takes no ``.`` in it."""
        checked_alias(alias)
        self._found_version(name, version)
        with translated():
            self._calls.set_alias(name, alias, version)

    def delete_alias(self, name: str, alias: str) -> None:
        """See `ModelRegistry.delete_alias`."""
        if alias not in _aliases(self._found(name)):
            raise ModelNotFound(f"the model {name!r} has no alias {alias!r} in {self.uri}")
        with translated():
            self._calls.delete_alias(name, alias)

    def delete_model_version(self, name: str, version: int) -> None:
        """See `ModelRegistry.delete_model_version`. The server itself would delete its aliases with it."""
        found = self._found_version(name, version)
        if found.get("aliases"):
            raise aliased(name, version, sorted(found["aliases"]))
        model = self._found(name)
        with translated():
            if DELETED_TAG in _tags(model):  # it came back since: without versions it is not gone again
                self._calls.set_model_tag(name, DELETED_TAG, None)
            self._calls.delete_version(name, version)

    def delete_registered_model(self, name: str) -> None:
        """See `ModelRegistry.delete_registered_model`."""
        model = self._found(name)
        for alias, version in sorted(_aliases(model).items()):
            raise aliased(name, version, [alias])
        with translated():
            for data in self._calls.versions(name):
                self._calls.delete_version(name, int(data["version"]))
            self._calls.describe_model(name, "")
            for key in _tags(model):
                self._calls.set_model_tag(name, key, None)
            self._calls.set_model_tag(name, DELETED_TAG, "1")

    def _found(self, name: str) -> Json:
        model = self._calls.model(name) if name else None
        if model is None or not _is_there(model):
            raise ModelNotFound(f"no model {name!r} is registered in {self.uri}")
        return model

    def _found_version(self, name: str, version: int) -> Json:
        data = self._calls.version(name, version) if name and 0 < version <= MAX_VERSION else None
        if data is None:
            self._found(name)
            raise ModelNotFound(f"the model {name!r} has no version {version} in {self.uri}")
        return data

    def _source(self, data: Json, natives: dict[str, Json | None]) -> Source:
        """What a version points to. ``natives`` keeps the runs that were looked up."""
        tags = _tags(data)
        source = from_tag(tags.get(VERSION_TAG)) or _from_old_tag(tags.get(SOURCE_TAG))
        if source is not None:
            return source
        native_id, place = str(data.get("run_id") or ""), str(data.get("source") or "")
        if native_id and native_id not in natives:
            natives[native_id] = self._client.run(native_id)
        native = natives.get(native_id)
        run_id, ids = native_id, {}
        if native is not None and ID_TAG in tags_of(native):
            try:
                document = self._catalog.document(native)
            except StoreError:  # the run says so itself, when it is read
                document = None
            if document is not None:
                run_id, ids = document.run.run_id, {model: path for path, model in document.model_ids.items()}
        model_id = str(data.get("model_id") or "") or place.removeprefix("models:/")
        if model_id.startswith("m-"):
            if model_id in ids:
                return Source(run_id, ids[model_id])
            model = self._calls.logged_model(model_id)
            if model is not None:
                return Source(run_id, str(model["info"].get("name", "")))
        return Source(run_id, path_from(place, str(native["info"].get("artifact_uri", "")) if native else ""))


def create_version(
    models: Models, name: str, native: Json, source: Source, *, description: str = "", tags: Mapping[str, str]
) -> Json:
    """Make a version of a registered model that is there; tried again where others made one at the same time."""
    place, model_id = models.place_of(native, source.path)
    given = {VERSION_TAG: to_tag(source), **tags}
    attempt = 0
    while True:
        try:
            native_id = str(native["info"]["run_id"])
            return models.client.create_version(name, place, native_id, model_id, given, description)
        except Refused as error:
            attempt += 1
            if attempt == _ATTEMPTS or "Model Version creation error" not in str(error):
                raise
        time.sleep(random.SystemRandom().random() * 0.1 * attempt)


def _model(data: Json) -> RegisteredModel:
    versions = [int(version["version"]) for version in data.get("latest_versions", ())]
    return RegisteredModel(
        name=str(data["name"]),
        latest_version=max(versions, default=None),
        created_time=_time(data),
        description=str(data.get("description") or ""),
        tags=shown_tags(_tags(data)),
        aliases=_aliases(data),
    )


def _version(data: Json, source: Source, aliases: Any) -> ModelVersion:
    return ModelVersion(
        name=str(data["name"]),
        version=int(data["version"]),
        run_id=source.run_id,
        path=source.path,
        digest=source.digest,
        created_time=_time(data),
        description=str(data.get("description") or ""),
        tags=shown_tags(_tags(data)),
        aliases=tuple(sorted(str(alias) for alias in aliases)),
        stage=stage_from(data.get("current_stage")),
    )


def _is_there(model: Json) -> bool:
    return bool(model.get("latest_versions")) or DELETED_TAG not in _tags(model)


def _aliases(model: Json) -> dict[str, int]:
    found = {str(item["alias"]): int(item["version"]) for item in model.get("aliases", ())}
    return {alias: found[alias] for alias in sorted(found)}


def _tags(data: Json) -> dict[str, str]:
    return {str(tag["key"]): str(tag.get("value", "")) for tag in data.get("tags", ())}


def _time(data: Json) -> int | None:
    created = data.get("creation_timestamp")
    return None if created is None else int(created)


def _from_old_tag(text: str | None) -> Source | None:
    """What the tag of an earlier version of ours says: ``RUN/PATH@DIGEST``."""
    run_id, slash, rest = (text or "").partition("/")
    path, _, digest = rest.partition("@sha256:")
    return Source(run_id, path, f"sha256:{digest}" if digest else "", True) if slash else None
