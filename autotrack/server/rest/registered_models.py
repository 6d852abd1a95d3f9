"""Registered models: making, finding and describing them, their aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from autotrack.entities import RegisteredModel
from autotrack.errors import ModelNotFound
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import calls, fields, listing, registry_wire
from autotrack.server.rest.clock import now
from autotrack.server.rest.listing import ATTRIBUTE, Language
from autotrack.server.rest.parsing import Message, integer, shown, text, texts
from autotrack.server.routing import READ, WRITE
from autotrack.stores.registry import RegistryStore, checked_name

if TYPE_CHECKING:
    from autotrack.server.site import Site

LONGEST_TAG: Final = 100_000
NAME: Final = text("name", needed=True)
_DESCRIPTION: Final = text("description", most=1_000_000)
_ALIAS: Final = text("alias", needed=True)

_CREATE: Final = Message("CreateRegisteredModel", NAME, fields.tags(), _DESCRIPTION)
_GET: Final = Message("GetRegisteredModel", NAME)
_RENAME: Final = Message("RenameRegisteredModel", NAME, text("new_name", needed=True))
_UPDATE: Final = Message("UpdateRegisteredModel", NAME, _DESCRIPTION)
_DELETE: Final = Message("DeleteRegisteredModel", NAME)
_SEARCH: Final = Message(
    "SearchRegisteredModels",
    fields.FILTER,
    integer("max_results", least=0, most=1000),
    texts("order_by"),
    fields.PAGE_TOKEN,
)
_LATEST: Final = Message("GetLatestVersions", NAME, texts("stages"))
_SET_TAG: Final = Message("SetRegisteredModelTag", NAME, fields.KEY, text("value", most=LONGEST_TAG))
_DELETE_TAG: Final = Message("DeleteRegisteredModelTag", NAME, fields.KEY)
_SET_ALIAS: Final = Message("SetRegisteredModelAlias", NAME, _ALIAS, text("version", needed=True))
_DELETE_ALIAS: Final = Message("DeleteRegisteredModelAlias", NAME, _ALIAS)
_GET_ALIAS: Final = Message("GetModelVersionByAlias", NAME, _ALIAS)

_PAGE: Final = 100
_LANGUAGE: Final = Language({"name": False, "creation_timestamp": True, "last_updated_timestamp": True})


async def create(site: Site, values: dict[str, Any]) -> Any:
    """A registered model without versions."""
    name, tags = values["name"], new_tags(values["tags"])

    def make() -> dict[str, Any]:
        registry = site.registry
        refuse_existing(registry, name)
        made = registry.create_registered_model(name, description=values["description"] or "", tags=tags)
        return {"registered_model": registry_wire.model_json(made, [])}

    return await site.read(make)


def new_tags(tags: dict[str, str] | None) -> dict[str, str]:
    """The tags of what is to be made.

    Raises
    ------
    Problem
        When one is hidden, or says that it is a prompt.
    """
    found = {registry_wire.settable(key): value for key, value in (tags or {}).items()}
    if found.get(listing.IS_PROMPT, "false").lower() == "true":
        raise Problem(problems.NOT_IMPLEMENTED, "prompts are not kept here: autotrack's registry is for fitted models")
    return found


def refuse_existing(registry: RegistryStore, name: str) -> None:
    """Raise `Problem` when there is a registered model of that name, or can be none."""
    checked_name(name)
    try:
        registry.registered_model(name)
    except ModelNotFound:
        return
    raise Problem(problems.EXISTS, f"Registered Model (name={shown(name)}) already exists.")


async def get(site: Site, values: dict[str, Any]) -> Any:
    """One of them."""
    return await site.read(lambda: _answer(site.registry, find(site.registry, values["name"])))


def find(registry: RegistryStore, name: str) -> RegisteredModel:
    """A registered model.

    Raises
    ------
    Problem
        When there is none of that name.
    """
    try:
        return registry.registered_model(name)
    except ModelNotFound:
        raise Problem(problems.NOT_FOUND, f"Registered Model with name={shown(name)} not found") from None


def touched() -> dict[str, str | None]:
    """The tag that says when something was changed."""
    return {registry_wire.UPDATED: str(now())}


async def rename(site: Site, values: dict[str, Any]) -> Any:
    """Give one another name; its versions go with it."""
    name, other = values["name"], values["new_name"]

    def change() -> dict[str, Any]:
        registry = site.registry
        find(registry, name)
        if other != name:
            refuse_existing(registry, other)
            registry.rename_registered_model(name, other)
        return _answer(registry, registry.update_registered_model(other, tags=touched()))

    return await site.read(change)


async def update(site: Site, values: dict[str, Any]) -> Any:
    """Describe one otherwise."""

    def change() -> dict[str, Any]:
        registry = site.registry
        find(registry, values["name"])
        changed = registry.update_registered_model(
            values["name"], description=values["description"] or "", tags=touched()
        )
        return _answer(registry, changed)

    return await site.read(change)


async def delete(site: Site, values: dict[str, Any]) -> Any:
    """Delete one with its versions and aliases; runs and files stay."""

    def change() -> None:
        registry = site.registry
        for alias in find(registry, values["name"]).aliases:
            registry.delete_alias(values["name"], alias)
        registry.delete_registered_model(values["name"])

    await site.read(change)
    return {}


async def search(site: Site, values: dict[str, Any]) -> Any:
    """Those that a filter names, in order, page by page."""
    clauses = _LANGUAGE.parse(values["filter"])
    orders = [_LANGUAGE.order(told) for told in values["order_by"]]

    def read() -> dict[str, Any]:
        registry = site.registry
        found = [
            model
            for model in registry.registered_models()
            if all(
                clause.holds(_value(model, clause.key) if clause.entity == ATTRIBUTE else model.tags.get(clause.key))
                for clause in clauses
            )
        ]
        there, token = listing.page(
            found,
            lambda model: (*(_value(model, name) for name, _ in orders), model.name),
            [*(descending for _, descending in orders), False],
            values["max_results"] or _PAGE,
            ["registered models", values["filter"], values["order_by"]],
            values["page_token"] or "",
        )
        told = [registry_wire.model_json(model, registry.model_versions(model.name)) for model in there]
        return {"registered_models": told} | ({"next_page_token": token} if token else {})

    return await site.read(read)


def _value(model: RegisteredModel, name: str) -> str | int:
    if name == "name":
        return model.name
    if name == "creation_timestamp":
        return model.created_time or 0
    return registry_wire.updated(model.tags, model.created_time)


async def latest(site: Site, values: dict[str, Any]) -> Any:
    """The greatest version in each stage."""
    stages = [registry_wire.checked_stage(stage) for stage in values["stages"]] or registry_wire.STAGES

    def read() -> dict[str, Any]:
        find(site.registry, values["name"])
        found = registry_wire.latest_of(site.registry.model_versions(values["name"]), stages)
        return {"model_versions": [registry_wire.version_json(version) for version in found]}

    return await site.read(read)


async def set_tag(site: Site, values: dict[str, Any]) -> Any:
    """Set a tag of one."""
    tags = touched() | {registry_wire.settable(values["key"]): values["value"] or ""}

    def change() -> None:
        find(site.registry, values["name"])
        site.registry.update_registered_model(values["name"], tags=tags)

    await site.read(change)
    return {}


async def delete_tag(site: Site, values: dict[str, Any]) -> Any:
    """Take a tag away."""
    tags = touched() | {registry_wire.settable(values["key"]): None}

    def change() -> None:
        find(site.registry, values["name"])
        site.registry.update_registered_model(values["name"], tags=tags)

    await site.read(change)
    return {}


async def set_alias(site: Site, values: dict[str, Any]) -> Any:
    """Let an alias point to a version."""
    from autotrack.server.rest.model_versions import number_of

    number = number_of(values["version"])

    def change() -> None:
        find(site.registry, values["name"])
        site.registry.set_alias(values["name"], values["alias"], number)

    await site.read(change)
    return {}


async def delete_alias(site: Site, values: dict[str, Any]) -> Any:
    """Take an alias away; one that is not there already is gone."""

    def change() -> None:
        if values["alias"] in find(site.registry, values["name"]).aliases:
            site.registry.delete_alias(values["name"], values["alias"])

    await site.read(change)
    return {}


async def get_by_alias(site: Site, values: dict[str, Any]) -> Any:
    """The version that an alias points to."""

    def read() -> dict[str, Any]:
        registry = site.registry
        number = find(registry, values["name"]).aliases.get(values["alias"])
        if number is None:
            # The code is MLflow's: clients tell by it that there is no such alias.
            raise Problem(problems.INVALID, f"Registered model alias {shown(values['alias'])} not found.")
        return {"model_version": registry_wire.version_json(registry.model_version(values["name"], number))}

    return await site.read(read)


def _answer(registry: RegistryStore, model: RegisteredModel) -> dict[str, Any]:
    return {"registered_model": registry_wire.model_json(model, registry.model_versions(model.name))}


_PATH: Final = "/registered-models"
ENDPOINTS: Final = [
    *calls.endpoints("POST", f"{_PATH}/create", _CREATE, create, WRITE),
    *calls.endpoints("GET", f"{_PATH}/get", _GET, get, READ),
    *calls.endpoints("POST", f"{_PATH}/rename", _RENAME, rename, WRITE),
    *calls.endpoints("PATCH", f"{_PATH}/update", _UPDATE, update, WRITE),
    *calls.endpoints("DELETE", f"{_PATH}/delete", _DELETE, delete, WRITE),
    *calls.endpoints("GET", f"{_PATH}/search", _SEARCH, search, READ),
    *calls.endpoints("GET", f"{_PATH}/get-latest-versions", _LATEST, latest, READ),
    *calls.endpoints("POST", f"{_PATH}/get-latest-versions", _LATEST, latest, READ),
    *calls.endpoints("POST", f"{_PATH}/set-tag", _SET_TAG, set_tag, WRITE),
    *calls.endpoints("DELETE", f"{_PATH}/delete-tag", _DELETE_TAG, delete_tag, WRITE),
    *calls.endpoints("POST", f"{_PATH}/alias", _SET_ALIAS, set_alias, WRITE),
    *calls.endpoints("DELETE", f"{_PATH}/alias", _DELETE_ALIAS, delete_alias, WRITE),
    *calls.endpoints("GET", f"{_PATH}/alias", _GET_ALIAS, get_by_alias, READ),
]
