"""Registered models in an MLflow folder: see `autotrack.stores.registry.ModelRegistry`.

MLflow's own files are all there is, but for a file in a run's folder that says of which of its models a version was
made. As on a server, a registered model that is deleted here stays as a folder without versions, with a tag that hides
it here: MLflow would number a new one of that name from 1 again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from autotrack.entities import ModelVersion, RegisteredModel
from autotrack.errors import ModelError, ModelNotFound
from autotrack.stores.mlflow.folder.known import Known
from autotrack.stores.mlflow.folder.layout import ARTIFACTS, Layout, uri_of
from autotrack.stores.mlflow.folder.registering import Logged
from autotrack.stores.mlflow.folder.registry_files import (
    DELETED_STAGE,
    Entry,
    RegistryFiles,
    check_texts,
    checked_folder_name,
)
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
from autotrack.stores.registry import aliased, checked_alias, taken

T = TypeVar("T")


class FolderRegistry:
    """The part of `MlrunsStore` that keeps registered models."""

    _layout: Layout

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self._registry = RegistryFiles(self.folder)
        self._logged = Logged()

    @property
    def uri(self) -> str:
        """As `Store.uri`."""
        raise NotImplementedError

    def _with_lock(self, use: Callable[[], T]) -> T:
        raise NotImplementedError

    def _find(self, run_id: str) -> Known:
        raise NotImplementedError

    def _fresh(self, path: Path) -> Known:
        raise NotImplementedError

    def _all(self) -> Iterable[Known]:
        raise NotImplementedError

    def _anchor(self) -> None:
        """Have MLflow's absolute URIs right where the folder was moved: it finds our models by them."""
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
        """See `ModelRegistry.create_model_version`. The run has to be in this folder."""
        checked_folder_name(name)
        own = {key: text for key, text in own_tags(tags).items() if text is not None}
        check_texts(description, own)

        def create() -> ModelVersion:
            known = self._find(run_id)
            self._anchor()
            self._register(self._all())
            with self._registry.locked():
                number = self._make(name, known, Source(run_id, path, digest), description, own)
                return self._version(name, number)

        return self._with_lock(create)

    def registered_models(self) -> list[RegisteredModel]:
        """See `ModelRegistry.registered_models`."""

        def read() -> list[RegisteredModel]:
            self._register(self._all())
            found = [(name, self._registry.model(name)) for name in self._registry.names()]
            there = [name for name, entry in found if entry is not None and self._registry.is_there(entry)]
            return [self._model(name) for name in there]

        return self._with_lock(read)

    def registered_model(self, name: str) -> RegisteredModel:
        """See `ModelRegistry.registered_model`."""
        return self._ask(lambda: self._model(name))

    def model_versions(self, name: str) -> list[ModelVersion]:
        """See `ModelRegistry.model_versions`."""

        def read() -> list[ModelVersion]:
            self._entry(name)
            return [self._told(name, number, entry) for number, entry in self._registry.versions(name)]

        return self._ask(read)

    def model_version(self, name: str, version: int) -> ModelVersion:
        """See `ModelRegistry.model_version`."""
        return self._ask(lambda: self._version(name, version))

    def create_registered_model(
        self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """See `ModelRegistry.create_registered_model`."""
        checked_folder_name(name)
        own = own_tags(tags)
        check_texts(description, own)

        def create() -> RegisteredModel:
            self._layout.make_root()
            self._register(self._all())
            self._anchor()
            with self._registry.locked():
                self._check_is_free(name)
                self._registry.make_model(name)
                entry = self._registry.model(name)
                if entry is None:
                    raise ModelError(f"the folder of the model {name!r} in {self.uri} cannot be read")
                self._registry.save(entry, creation_timestamp=entry.meta["last_updated_timestamp"])
                self._describe(entry, description, {**own, DELETED_TAG: None})
                return self._model(name)

        return self._with_lock(create)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """See `ModelRegistry.rename_registered_model`."""

        def rename() -> RegisteredModel:
            self._entry(name)
            if name != new_name:
                checked_folder_name(new_name)
                self._check_is_free(new_name)
                self._registry.rename(name, new_name)
            return self._model(new_name)

        return self._change(rename)

    def _check_is_free(self, name: str) -> None:
        found = self._registry.model(name)
        if found is not None and self._registry.is_there(found):
            raise taken(name)

    def update_registered_model(
        self, name: str, *, description: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> RegisteredModel:
        """See `ModelRegistry.update_registered_model`."""
        checked = own_tags(tags)
        check_texts(description, checked)

        def change() -> RegisteredModel:
            self._describe(self._entry(name), description, checked)
            return self._model(name)

        return self._change(change)

    def update_model_version(
        self, name: str, version: int, *, description: str | None = None, tags: Mapping[str, str | None] | None = None
    ) -> ModelVersion:
        """See `ModelRegistry.update_model_version`."""
        checked = own_tags(tags)
        check_texts(description, checked)

        def change() -> ModelVersion:
            self._describe(self._version_entry(name, version), description, checked)
            return self._version(name, version)

        return self._change(change)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """See `ModelRegistry.set_alias`. MLflow takes no ``.`` in it."""
        if "." in checked_alias(alias):
            raise ModelError(f"{alias!r} cannot be an alias in an MLflow folder: it takes no '.'")

        def change() -> None:
            self._version_entry(name, version)
            self._registry.set_alias(name, alias, version)

        self._change(change)

    def delete_alias(self, name: str, alias: str) -> None:
        """See `ModelRegistry.delete_alias`."""

        def change() -> None:
            self._entry(name)
            if alias not in self._registry.aliases(name):
                raise ModelNotFound(f"the model {name!r} has no alias {alias!r} in {self.uri}")
            self._registry.set_alias(name, alias, None)

        self._change(change)

    def delete_model_version(self, name: str, version: int) -> None:
        """See `ModelRegistry.delete_model_version`. MLflow itself would delete its aliases with it."""

        def change() -> None:
            entry = self._version_entry(name, version)
            aliases = self._version(name, version).aliases
            if aliases:
                raise aliased(name, version, aliases)
            # If the model came back since it was deleted, it is not gone again without versions.
            self._registry.set_tags(self._entry(name), {DELETED_TAG: None})
            self._registry.save(entry, current_stage=DELETED_STAGE)

        self._change(change)

    def delete_registered_model(self, name: str) -> None:
        """See `ModelRegistry.delete_registered_model`."""

        def change() -> None:
            model = self._entry(name)
            for alias, version in self._registry.aliases(name).items():
                raise aliased(name, version, [alias])
            for _, entry in self._registry.versions(name):
                self._registry.save(entry, current_stage=DELETED_STAGE)
            self._registry.save(model, description=None)
            self._registry.set_tags(model, {**dict.fromkeys(model.tags), DELETED_TAG: "1"})

        self._change(change)

    def _describe(self, entry: Entry, description: str | None, tags: Mapping[str, str | None]) -> None:
        self._registry.set_tags(entry, tags)
        if description is not None:
            self._registry.save(entry, description=description or None)

    def _ask(self, question: Callable[[], T]) -> T:
        def ask() -> T:
            self._register(self._all())
            return question()

        return self._with_lock(ask)

    def _change(self, change: Callable[[], T]) -> T:
        """Change something that is there, with no other of us between. What is not there makes no folder."""

        def locked() -> T:
            self._register(self._all())
            if not self._registry.folder.is_dir():
                return change()
            self._anchor()
            with self._registry.locked():
                return change()

        return self._with_lock(locked)

    def _registry_problems(self) -> list[str]:
        """What of the registered models cannot be read or made."""
        self._registry.problems = []
        self._register(self._all())
        for name in self._registry.names():
            if self._registry.model(name) is not None:
                list(self._registry.versions(name))
        return self._registry.problems

    # Models that runs have logged

    def _register(self, runs: Iterable[Known]) -> None:
        """Make versions of the models that these runs have logged under a name, each once, by their start.

        In a folder that cannot be written there are those that there are.
        """
        missing = [known for known in runs if any(self._logged.missing(known))]
        if not missing:
            return
        try:
            with self._registry.locked():
                sources: dict[str, set[tuple[str, str]]] = {}
                for known in sorted(missing, key=lambda known: known.age):
                    self._register_run(known, sources)
        except OSError as error:
            self._registry.problems.append(f"versions of logged models cannot be made: {error}")

    def _register_run(self, known: Known, sources: dict[str, set[tuple[str, str]]]) -> None:
        for name, path, digest in list(self._logged.missing(known)):
            if name not in sources:
                # Somebody may have been stopped before he wrote down that he had made the version.
                entries = (self._registry.version(name, n, deleted=True) for n in self._registry.numbers(name))
                made = [from_tag(entry.tags.get(VERSION_TAG)) for entry in entries if entry is not None]
                sources[name] = {source[:2] for source in made if source is not None and source.logged}
            if (known.run_id, path) not in sources[name]:
                try:
                    self._make(name, known, Source(known.run_id, path, digest, logged=True), "", {})
                except ModelError as error:
                    self._registry.problems.append(str(error))
                    continue
            self._logged.add(known, name, path)

    def _make(self, name: str, known: Known, source: Source, description: str, tags: Mapping[str, str]) -> int:
        """Make a version; the caller holds the lock."""
        folder = known.told.models.get(source.path)
        place = f"runs:/{known.path.name}/{source.path}"
        meta: dict[str, Any] = {"run_id": known.path.name, "source": place, "storage_location": place}
        if folder is not None:  # one that MLflow 3 has logged
            model_id = folder.parent.name
            meta |= {"source": f"models:/{model_id}", "storage_location": uri_of(folder), "model_id": model_id}
        meta["description"] = description or None
        given = {VERSION_TAG: to_tag(source), **tags}
        self._registry.make_model(name)
        return self._registry.make_version(name, meta, given)

    # Reading

    def _entry(self, name: str) -> Entry:
        found = self._registry.model(name)
        if found is None or not self._registry.is_there(found):
            raise ModelNotFound(f"no model {name!r} is registered in {self.uri}")
        return found

    def _version_entry(self, name: str, version: int) -> Entry:
        self._entry(name)
        found = self._registry.version(name, version) if 0 < version <= MAX_VERSION else None
        if found is None:
            raise ModelNotFound(f"the model {name!r} has no version {version} in {self.uri}")
        return found

    def _model(self, name: str) -> RegisteredModel:
        entry = self._entry(name)
        return RegisteredModel(
            name=name,
            latest_version=max((number for number, _ in self._registry.versions(name)), default=None),
            created_time=entry.created,
            description=entry.description,
            tags=shown_tags(entry.tags),
            aliases=self._registry.aliases(name),
        )

    def _version(self, name: str, version: int) -> ModelVersion:
        return self._told(name, version, self._version_entry(name, version))

    def _told(self, name: str, number: int, entry: Entry) -> ModelVersion:
        source = self._source(entry)
        aliases = self._registry.aliases(name)
        return ModelVersion(
            name=name,
            version=number,
            run_id=source.run_id,
            path=source.path,
            digest=source.digest,
            created_time=entry.created,
            description=entry.description,
            tags=shown_tags(entry.tags),
            aliases=tuple(alias for alias, version in aliases.items() if version == number),
            stage=stage_from(entry.text("current_stage")),
        )

    def _source(self, entry: Entry) -> Source:
        """What a version points to, whoever made it."""
        found = from_tag(entry.tags.get(VERSION_TAG))
        if found is not None:
            return found
        native_id, place = entry.text("run_id"), entry.text("source")
        path = self._layout.find(native_id) if native_id else None
        if path is None:
            return Source(native_id, path_from(place, ""))
        known = self._fresh(path)
        model_id = entry.text("model_id") or place.removeprefix("models:/")
        for name, folder in known.told.models.items():
            if folder.parent.name == model_id:
                return Source(known.run_id, name)
        # An absolute URI tells where the folder stood when it was written.
        _, inside, rest = place.partition(f"/{path.name}/{ARTIFACTS}/")
        return Source(known.run_id, rest.strip("/") if inside else path_from(place, uri_of(path / ARTIFACTS)))
