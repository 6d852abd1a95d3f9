"""What changes make of a registry, in memory; and `ModelRegistry` for a store that keeps nothing but these changes.

A change is a mapping that JSON carries. `RegistryState` says which one a call comes to, or refuses the call, and folds
changes. Where they are kept, and under which lock, is the store's: see `Registering`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeVar

from autotrack.entities import ModelVersion, RegisteredModel
from autotrack.errors import ModelError, ModelNotFound
from autotrack.stores.registry import checked_alias, checked_name, checked_tags, taken

Change = dict[str, Any]
Tags = Mapping[str, str | None]
T = TypeVar("T")

VERSION: Final = "version"
MODEL_CREATED: Final = "model_created"
MODEL_RENAMED: Final = "model_renamed"
MODEL_DESCRIBED: Final = "model_described"
VERSION_DESCRIBED: Final = "version_described"
ALIAS: Final = "alias"
VERSION_DELETED: Final = "version_deleted"
MODEL_DELETED: Final = "model_deleted"
LOST: Final = "lost"
"""Stands for changes that could not be read any more: as many numbers are left out, lest one is given again."""

_SHOWN: Final = 10


class Logged(NamedTuple):
    """A model that a run logged under a registered name. ``time`` is in milliseconds since the epoch."""

    name: str
    run_id: str
    path: str
    digest: str
    time: int | None


@dataclass
class _Model:
    """A name that was registered once.

    ``last`` is the greatest number given, and ``lost`` how many may have been given since; ``is_there`` is false once
    it is deleted.
    """

    last: int = 0
    lost: int = 0
    is_there: bool = False
    created: int | None = None
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    versions: dict[int, ModelVersion] = field(default_factory=dict)


class RegistryState:
    """Names, versions and aliases, folded from changes. Not thread-safe: the caller holds a lock."""

    def __init__(self) -> None:
        self._models: dict[str, _Model] = {}
        self._logged: set[tuple[str, str, str]] = set()

    # What there is

    def models(self) -> list[RegisteredModel]:
        """See `ModelRegistry.registered_models`."""
        return [self.model(name) for name in sorted(self._models) if self._models[name].is_there]

    def model(self, name: str) -> RegisteredModel:
        """See `ModelRegistry.registered_model`."""
        kept = self._find(name)
        latest = next(reversed(kept.versions), None)  # numbers only grow
        aliases = dict(sorted(kept.aliases.items()))
        return RegisteredModel(name, latest, kept.created, kept.description, dict(sorted(kept.tags.items())), aliases)

    def versions(self, name: str) -> list[ModelVersion]:
        """See `ModelRegistry.model_versions`."""
        kept = self._find(name)
        aliases: dict[int, list[str]] = {}
        for alias, version in sorted(kept.aliases.items()):
            aliases.setdefault(version, []).append(alias)
        found = list(kept.versions.values())
        return [replace(one, aliases=tuple(aliases[one.version])) if one.version in aliases else one for one in found]

    def version(self, name: str, number: int) -> ModelVersion:
        """See `ModelRegistry.model_version`."""
        kept = self._find(name)
        found = kept.versions.get(number)
        if found is None:
            raise ModelNotFound(f"the model {name!r} has no version {number}; {_there(kept)}")
        return replace(found, aliases=_aliases_of(kept, number))

    def runs(self) -> dict[str, str]:
        """The runs that versions name, and for each one of these versions, as ``NAME/3``."""
        return {
            version.run_id: f"{name}/{number}"
            for name, kept in self._models.items()
            for number, version in kept.versions.items()
        }

    def is_known(self, logged: Logged) -> bool:
        """Whether this logged model is, or was, a version."""
        return logged[:3] in self._logged

    # What a call comes to

    def create(
        self,
        name: str,
        run_id: str,
        path: str,
        *,
        digest: str = "",
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> Change:
        """See `ModelRegistry.create_model_version`."""
        said = {"description": _checked_text("description", description), "tags": checked_tags(tags)}
        run_id, path = _checked_text("run_id", run_id), _checked_text("path", path)
        digest = _checked_text("digest", digest)
        return self._new(checked_name(name), run_id, path, digest, int(time.time() * 1000)) | said

    def take_in(self, logged: Logged) -> Change:
        """The version that a logged model becomes."""
        return self._new(*logged) | {"logged": True}

    def create_model(self, name: str, description: str, tags: Mapping[str, str] | None) -> Change:
        """See `ModelRegistry.create_registered_model`."""
        self._check_is_free(name)
        said = {"description": _checked_text("description", description), "tags": checked_tags(tags)}
        return {"change": MODEL_CREATED, "name": name, "created": int(time.time() * 1000)} | said

    def rename_model(self, name: str, new_name: str) -> Change:
        """See `ModelRegistry.rename_registered_model`."""
        self._find(name)
        if name != new_name:
            self._check_is_free(new_name)
        return {"change": MODEL_RENAMED, "name": name, "new_name": new_name}

    def describe_model(self, name: str, description: str | None, tags: Tags | None) -> Change:
        """See `ModelRegistry.update_registered_model`."""
        self._find(name)
        return {"change": MODEL_DESCRIBED, "name": name} | _said(description, tags)

    def describe_version(self, name: str, number: int, description: str | None, tags: Tags | None) -> Change:
        """See `ModelRegistry.update_model_version`."""
        self.version(name, number)
        return {"change": VERSION_DESCRIBED, "name": name, "version": number} | _said(description, tags)

    def set_alias(self, name: str, alias: str, number: int) -> Change:
        """See `ModelRegistry.set_alias`."""
        checked_alias(alias)
        self.version(name, number)
        return {"change": ALIAS, "name": name, "alias": alias, "version": number}

    def delete_alias(self, name: str, alias: str) -> Change:
        """See `ModelRegistry.delete_alias`."""
        kept = self._find(name)
        if alias not in kept.aliases:
            raise ModelNotFound(f"the model {name!r} has no alias {alias!r}; {_aliases_there(kept)}")
        return {"change": ALIAS, "name": name, "alias": alias, "version": None}

    def delete_version(self, name: str, number: int) -> Change:
        """See `ModelRegistry.delete_model_version`."""
        self.version(name, number)
        aliases = _aliases_of(self._find(name), number)
        if aliases:
            raise ModelError(
                f"version {number} of the model {name!r} has the alias {_listed(aliases)}, so it is not deleted; move "
                "or delete the alias first"
            )
        return {"change": VERSION_DELETED, "name": name, "version": number}

    def delete_model(self, name: str) -> Change:
        """See `ModelRegistry.delete_registered_model`."""
        kept = self._find(name)
        if kept.aliases:
            raise ModelError(
                f"the model {name!r} has the alias {_listed(sorted(kept.aliases))}, so it is not deleted; delete the "
                "alias first"
            )
        return {"change": MODEL_DELETED, "name": name}

    # Folding

    def fold(self, change: Mapping[str, Any]) -> None:
        """Take in a change.

        Raises
        ------
        ValueError, KeyError, TypeError
            When it has no meaning, or none here; then nothing of it is taken in.
        """
        kind = change["change"]
        if kind == LOST:
            count = _whole(change["count"])
            for kept in self._models.values():
                kept.lost += count
            return
        name = _text(change["name"])
        if kind == VERSION:
            self._fold_version(name, change)
            return
        kept = self._models.get(name, _Model())
        if kind == MODEL_CREATED:
            self._fold_created(name, kept, change)
            return
        if not kept.is_there:
            raise ValueError(f"there is no registered model {name!r}")
        if kind == MODEL_DESCRIBED:
            kept.description, kept.tags = _described(kept.description, kept.tags, change)
            return
        if kind == MODEL_DELETED:
            self._models[name] = _Model(kept.last, kept.lost)
            return
        if kind == MODEL_RENAMED:
            self._fold_renamed(name, kept, _text(change["new_name"]))
            return
        number = None if change["version"] is None else _whole(change["version"])
        if number is not None and number not in kept.versions:
            raise ValueError(f"the model {name!r} has no version {number}")
        if kind == ALIAS:
            alias = _text(change["alias"])
            if number is None:
                kept.aliases.pop(alias, None)
            else:
                kept.aliases[alias] = number
        elif kind == VERSION_DESCRIBED and number is not None:
            one = kept.versions[number]
            description, tags = _described(one.description, one.tags, change)
            kept.versions[number] = replace(one, description=description, tags=tags)
        elif kind == VERSION_DELETED and number is not None:
            del kept.versions[number]
            kept.aliases = {alias: other for alias, other in kept.aliases.items() if other != number}
        else:
            raise ValueError(f"{kind!r:.100} is no change of a registry")

    def _fold_version(self, name: str, change: Mapping[str, Any]) -> None:
        number, created = _whole(change["version"]), change.get("created")
        last = self._models[name].last if name in self._models else 0
        if number <= last:
            raise ValueError(f"the number {number} of the model {name!r} was given before")
        made = ModelVersion(
            name,
            number,
            _text(change["run_id"]),
            _text(change["path"]),
            _text(change.get("digest", "")),
            None if created is None else _whole(created),
            *_described("", {}, change),
        )
        kept = self._models.setdefault(name, _Model())
        if not kept.is_there:
            kept.is_there, kept.created = True, made.created_time
        kept.last, kept.lost = number, 0
        kept.versions[number] = made
        if change.get("logged"):
            self._logged.add((name, made.run_id, made.path))

    def _fold_created(self, name: str, kept: _Model, change: Mapping[str, Any]) -> None:
        if kept.is_there:
            raise ValueError(f"there is a registered model {name!r}")
        created = change.get("created")
        description, tags = _described("", {}, change)
        made = _Model(kept.last, kept.lost, True, None if created is None else _whole(created), description, tags)
        self._models[name] = made

    def _fold_renamed(self, name: str, kept: _Model, new_name: str) -> None:
        if name == new_name:
            return
        former = self._models.get(new_name, _Model())
        if former.is_there:
            raise ValueError(f"there is a registered model {new_name!r}")
        self._models[name] = _Model(kept.last, kept.lost)
        next_number = max(kept.last + kept.lost, former.last + former.lost)
        last = max(kept.last, former.last)
        versions = {number: replace(version, name=new_name) for number, version in kept.versions.items()}
        self._models[new_name] = replace(kept, last=last, lost=next_number - last, versions=versions)

    def _check_is_free(self, name: str) -> None:
        if checked_name(name) in self._models and self._models[name].is_there:
            raise taken(name)

    def _new(self, name: str, run_id: str, path: str, digest: str, created: int | None) -> Change:
        kept = self._models.get(name)
        number = 1 if kept is None else kept.last + kept.lost + 1
        change = {"change": VERSION, "name": name, "version": number, "run_id": run_id, "path": path, "digest": digest}
        return change | {"created": created}

    def _find(self, name: str) -> _Model:
        kept = self._models.get(name)
        if kept is None or not kept.is_there:
            names = [repr(other) for other in sorted(self._models) if self._models[other].is_there]
            more = ", …" if len(names) > _SHOWN else ""
            there = f"there are {', '.join(names[:_SHOWN])}{more}" if names else "there is none at all"
            raise ModelNotFound(f"no model is registered as {name!r}; {there}")
        return kept


class Registering(ABC):
    """`ModelRegistry` for a store that keeps a `RegistryState`: it supplies what is read and written under its lock."""

    @abstractmethod
    def _ask_registry(self, question: Callable[[RegistryState], T]) -> T:
        """The answer of the state as it is now, in which every logged model is a version."""

    @abstractmethod
    def _change_registry(self, plan: Callable[[RegistryState], Change], then: Callable[[RegistryState], T]) -> T:
        """Keep and fold the change that a plan comes to, with no other between, and answer a question then."""

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
        made: list[int] = []

        def plan(state: RegistryState) -> Change:
            change = state.create(name, run_id, path, digest=digest, description=description, tags=tags)
            made.append(change["version"])
            return change

        return self._change_registry(plan, lambda state: state.version(name, made[-1]))

    def registered_models(self) -> list[RegisteredModel]:
        """See `ModelRegistry.registered_models`."""
        return self._ask_registry(RegistryState.models)

    def registered_model(self, name: str) -> RegisteredModel:
        """See `ModelRegistry.registered_model`."""
        return self._ask_registry(lambda state: state.model(name))

    def model_versions(self, name: str) -> list[ModelVersion]:
        """See `ModelRegistry.model_versions`."""
        return self._ask_registry(lambda state: state.versions(name))

    def model_version(self, name: str, version: int) -> ModelVersion:
        """See `ModelRegistry.model_version`."""
        return self._ask_registry(lambda state: state.version(name, version))

    def create_registered_model(
        self, name: str, *, description: str = "", tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """See `ModelRegistry.create_registered_model`."""
        return self._change_registry(
            lambda state: state.create_model(name, description, tags), lambda state: state.model(name)
        )

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """See `ModelRegistry.rename_registered_model`."""
        return self._change_registry(
            lambda state: state.rename_model(name, new_name), lambda state: state.model(new_name)
        )

    def update_registered_model(
        self, name: str, *, description: str | None = None, tags: Tags | None = None
    ) -> RegisteredModel:
        """See `ModelRegistry.update_registered_model`."""
        return self._change_registry(
            lambda state: state.describe_model(name, description, tags), lambda state: state.model(name)
        )

    def update_model_version(
        self, name: str, version: int, *, description: str | None = None, tags: Tags | None = None
    ) -> ModelVersion:
        """See `ModelRegistry.update_model_version`."""
        return self._change_registry(
            lambda state: state.describe_version(name, version, description, tags),
            lambda state: state.version(name, version),
        )

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """See `ModelRegistry.set_alias`."""
        self._change_registry(lambda state: state.set_alias(name, alias, version), _nothing)

    def delete_alias(self, name: str, alias: str) -> None:
        """See `ModelRegistry.delete_alias`."""
        self._change_registry(lambda state: state.delete_alias(name, alias), _nothing)

    def delete_model_version(self, name: str, version: int) -> None:
        """See `ModelRegistry.delete_model_version`."""
        self._change_registry(lambda state: state.delete_version(name, version), _nothing)

    def delete_registered_model(self, name: str) -> None:
        """See `ModelRegistry.delete_registered_model`."""
        self._change_registry(lambda state: state.delete_model(name), _nothing)


def _nothing(state: RegistryState) -> None:
    pass


def _aliases_of(kept: _Model, number: int) -> tuple[str, ...]:
    return tuple(sorted(alias for alias, version in kept.aliases.items() if version == number))


def _there(kept: _Model) -> str:
    numbers = sorted(kept.versions)
    if not numbers:
        return "all its versions were deleted"
    more = "… " if len(numbers) > _SHOWN else ""
    return f"it has {'version' if len(numbers) == 1 else 'versions'} {more}{_listed(numbers[-_SHOWN:])}"


def _aliases_there(kept: _Model) -> str:
    return f"it has {_listed(sorted(kept.aliases))}" if kept.aliases else "it has none"


def _listed(things: Iterable[object]) -> str:
    return ", ".join(map(str, things))


def _described(description: str, tags: Mapping[str, str], change: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    told = change.get("description")
    changed = dict(tags)
    for key, value in change.get("tags", {}).items():
        if value is None:
            changed.pop(_text(key), None)
        else:
            changed[_text(key)] = _text(value)
    return description if told is None else _text(told), dict(sorted(changed.items()))


def _said(description: str | None, tags: Tags | None) -> Change:
    if description is not None:
        _checked_text("description", description)
    return {"description": description, "tags": checked_tags(tags)}


def _checked_text(what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ModelError(f"{what}={value!r:.100}: expected a text")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, found {value!r:.100}")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"expected a whole number, found {value!r:.100}")
    return value
