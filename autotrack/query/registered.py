"""From ``models:/<name>/<version>`` to the recorded model that is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from autotrack import digests
from autotrack.entities import STAGE_TAG, ModelVersion, RegisteredModel, shown_tags
from autotrack.errors import ModelError, ModelNotFound, RunNotFound
from autotrack.query import text
from autotrack.query.sources import Keeper, StoreLike, source
from autotrack.query.view import RunView
from autotrack.stores.base import Store
from autotrack.stores.registry import RegistryStore, is_name, registry_of

LATEST: Final = "latest"
STAGES: Final = ("Staging", "Production", "Archived")
_FORM: Final = "'models:/<name>/<version>' or 'models:/<name>@<alias>', such as 'models:/churn/3'"
_SLASHED: Final = re.compile(r"(?P<name>.+)/(?P<version>[^/@]+)", re.DOTALL)
_ALIASED: Final = re.compile(r"(?P<name>.+)@(?P<alias>[^/@]+)", re.DOTALL)
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class RegisteredReference:
    """What a ``models:/`` URI asks for: ``version`` is a number, ``"latest"`` or a stage; or else there is an alias."""

    name: str
    version: str = ""
    alias: str = ""


@dataclass(frozen=True, slots=True)
class FoundModel:
    """The model of a registered version.

    Parameters
    ----------
    run : the run that it comes from, which may be deleted.
    path : of the model's folder among that run's artifacts.
    digest : what the folder has to have, empty where it is not known. It was compared with what the run says of the
        model, and not with the folder.
    version : the version, ``None`` where models are only counted, as in a store that is no registry.
    """

    run: RunView
    path: str
    digest: str
    version: ModelVersion | None = None


def find_registered(uri: str, store: StoreLike = None) -> FoundModel:
    """The model of a registered version.

    Parameters
    ----------
    uri : ``models:/<name>/<number>``, ``models:/<name>/latest`` (the greatest number), ``models:/<name>@<alias>``, or
        ``models:/<name>/Production`` where the store has such stages (its greatest number then).
    store : as for `autotrack.get_run`.

    Raises
    ------
    ModelError
        When it is no such URI, the store has no such model, version or alias (the message says what there is), or the
        run is gone, or has logged another model in its place.
    """
    opened = source(store)
    keeper = None if opened is store else Keeper(opened)
    wanted = parse(uri, opened)
    registry = registry_of(opened)
    if registry is None or not is_name(wanted.name):
        from autotrack.query.counted import find_counted

        return find_counted(wanted, opened, keeper)
    version = find_version(registry, wanted)
    run = _run_of(version, opened, keeper)
    logged = next((model.digest for model in run.models if model.path == version.path), "")
    if digests.is_digest(version.digest) and digests.is_digest(logged) and version.digest != logged:
        raise ModelError(
            f"{called(version)} cannot be loaded: run {run.run_id} has logged another model at {version.path!r} since. "
            f"To register that one: autotrack.register_model('runs:/{run.run_id}/{version.path}', "
            f"{text.plain(version.name)!r})"
        )
    return FoundModel(run, version.path, version.digest, version)


def parse(uri: str, store: Store | None = None) -> RegisteredReference:
    """What a ``models:/`` URI asks for.

    Parameters
    ----------
    store : is asked what there is, for the message, where the URI names a model and no version.

    Raises
    ------
    ModelError
        When it is no such URI.
    """
    rest = uri.removeprefix("models:").strip("/")
    if match := _SLASHED.fullmatch(rest):
        name, version = match["name"], match["version"]
        if version.capitalize() not in STAGES and version != LATEST and not _NUMBER.fullmatch(version):
            raise ModelError(
                f"{text.plain(uri)!r}: {text.plain(version)!r} is no version: a number, 'latest' or a stage "
                f"({', '.join(STAGES)}); an alias stands behind '@': {text.plain(f'models:/{name}@{version}')!r}"
            )
        return RegisteredReference(name, version)
    if match := _ALIASED.fullmatch(rest):
        return RegisteredReference(match["name"], alias=match["alias"])
    message = f"{text.plain(uri)!r} names no version of a registered model; expected {_FORM}"
    registry = None if store is None else registry_of(store)
    if registry is not None and is_name(rest):
        try:
            message += f". {_there(registry.registered_model(rest), registry.model_versions(rest))}"
        except ModelNotFound:
            message += f". {_no_model(registry, rest)}"
    raise ModelError(message)


def find_version(store: RegistryStore, wanted: RegisteredReference) -> ModelVersion:
    """The version that is meant.

    Raises
    ------
    ModelNotFound
        When there is none; the message says what there is.
    """
    try:
        model = store.registered_model(wanted.name)
    except ModelNotFound:
        raise ModelNotFound(_no_model(store, wanted.name)) from None
    number: int | None
    if wanted.alias:
        number, what = model.aliases.get(wanted.alias), f"alias {text.plain(wanted.alias)!r}"
    elif wanted.version == LATEST:
        number, what = model.latest_version, "version"
    elif _NUMBER.fullmatch(wanted.version):
        number, what = int(wanted.version), f"version {int(wanted.version)}"
    else:
        stage = wanted.version.capitalize()
        what = f"version in the stage {stage!r}"
        found = [version.version for version in store.model_versions(wanted.name) if version.stage == stage]
        number = max(found, default=None)
    if number is not None:
        try:
            return store.model_version(wanted.name, number)
        except ModelNotFound:
            pass
    place = text.plain(store.uri)
    there = _there(model, store.model_versions(wanted.name))
    raise ModelNotFound(f"the model {text.plain(wanted.name)!r} has no {what} in {place}. {there}")


def as_shown(version: ModelVersion) -> ModelVersion:
    """A version as people see it: without the server's own tags, in the stage that a client of MLflow gave it."""
    stage = version.tags.get(STAGE_TAG) or version.stage
    return replace(version, tags=shown_tags(version.tags), stage="" if stage == "None" else stage)


def called(version: ModelVersion) -> str:
    """A version as a sentence names it."""
    return f"version {version.version} of the model {text.plain(version.name)!r}"


def _run_of(version: ModelVersion, store: Store, keeper: Keeper | None) -> RunView:
    try:
        return RunView(store.get_run(version.run_id), store, keeper)
    except RunNotFound:
        raise ModelError(
            f"{called(version)} comes from the run {text.plain(version.run_id)!r}, which is not in "
            f"{text.plain(store.uri)} any more"
        ) from None


def _there(model: RegisteredModel, versions: Sequence[ModelVersion]) -> str:
    """What there is of a model, as a sentence."""
    numbers = [str(version.version) for version in versions]
    if not numbers:
        return "All its versions were deleted."
    if len(numbers) > 2 and versions[-1].version - versions[0].version == len(numbers) - 1:
        said = f"versions {numbers[0]} to {numbers[-1]}"
    else:
        more = "…, " if len(numbers) > _SHOWN else ""
        said = f"version{'s' if len(numbers) > 1 else ''} {more}{', '.join(numbers[-_SHOWN:])}"
    aliases = [f"{text.plain(alias)} → {number}" for alias, number in model.aliases.items()]
    more = ", …" if len(aliases) > _SHOWN else ""
    return f"It has {said}" + (f", and the aliases {', '.join(aliases[:_SHOWN])}{more}." if aliases else ", no alias.")


def _no_model(store: RegistryStore, name: str) -> str:
    names = [repr(text.plain(model.name)) for model in store.registered_models()]
    more = ", …" if len(names) > _SHOWN else ""
    there = f"there are {', '.join(names[:_SHOWN])}{more}" if names else "there are none"
    place = text.plain(store.uri)
    return (
        f"no model {text.plain(name)!r} is registered in {place} ({there}); autolog(registered_model_name=…) registers "
        "every run's model under a name, autotrack.register_model one of a recorded run"
    )
