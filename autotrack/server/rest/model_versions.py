"""Versions of registered models: making, finding and describing them, their stages, where their files are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from autotrack.entities import ModelVersion
from autotrack.errors import ModelNotFound, RunNotFound
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import calls, fields, listing, locating, model_records, registry_wire, sources
from autotrack.server.rest.holding import held
from autotrack.server.rest.listing import ATTRIBUTE, Clause, Language
from autotrack.server.rest.locating import Place
from autotrack.server.rest.logged_models import record_folder
from autotrack.server.rest.parsing import Message, flag, integer, shown, text, texts
from autotrack.server.rest.registered_models import LONGEST_TAG, NAME, find, new_tags, touched
from autotrack.server.rest.storing import download, model_at
from autotrack.server.routing import READ, WRITE, Endpoint
from autotrack.stores.base import Store
from autotrack.stores.registry import RegistryStore, checked_name

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

_VERSION: Final = text("version", needed=True)
_DESCRIPTION: Final = text("description", most=1_000_000)
_CREATE: Final = Message(
    "CreateModelVersion",
    NAME,
    text("source", needed=True),
    text("run_id"),
    fields.tags(),
    text("run_link", most=2000),
    _DESCRIPTION,
    text("model_id"),
)
_GET: Final = Message("GetModelVersion", NAME, _VERSION)
_UPDATE: Final = Message("UpdateModelVersion", NAME, _VERSION, _DESCRIPTION)
_DELETE: Final = Message("DeleteModelVersion", NAME, _VERSION)
_SEARCH: Final = Message(
    "SearchModelVersions",
    fields.FILTER,
    integer("max_results", least=0, most=200_000),
    texts("order_by"),
    fields.PAGE_TOKEN,
)
_URI: Final = Message("GetModelVersionDownloadUri", NAME, _VERSION)
_MOVE: Final = Message(
    "TransitionModelVersionStage", NAME, _VERSION, text("stage", needed=True), flag("archive_existing_versions")
)
_SET_TAG: Final = Message("SetModelVersionTag", NAME, _VERSION, fields.KEY, text("value", most=LONGEST_TAG))
_DELETE_TAG: Final = Message("DeleteModelVersionTag", NAME, _VERSION, fields.KEY)
_FILE: Final = Message("GetModelVersionArtifact", NAME, _VERSION, text("path", needed=True))

_PAGE: Final = 10_000
_VERSIONS_TAG: Final = "mlflow.modelVersions"
"""The tag of a logged model by which clients know its versions: a JSON list of names and numbers."""
_LANGUAGE: Final = Language(
    {
        "name": False,
        "version_number": True,
        "run_id": False,
        "source_path": False,
        "creation_timestamp": True,
        "last_updated_timestamp": True,
    },
    aliases={"version": "version_number", "source": "source_path"},
)


async def create(site: Site, values: dict[str, Any]) -> Any:
    """The next version of a registered model."""
    registry, name = site.registry, values["name"]
    checked_name(name)
    tags = new_tags(values["tags"])
    run, path = await site.read(sources.resolve, registry, values["source"], values["run_id"], values["model_id"])
    model = await record_folder(site, run.run_id, path)
    if model is None:
        raise Problem(problems.INVALID, f"Invalid model version source: run {run.run_id} has nothing at {shown(path)}")
    kept = {registry_wire.SOURCE: values["source"], registry_wire.RUN_LINK: values["run_link"]}
    tags |= {key: value for key, value in kept.items() if value}

    def make() -> ModelVersion:
        find(registry, name)
        return registry.create_model_version(
            name, run.run_id, path, digest=model.digest, description=values["description"] or "", tags=tags
        )

    made = await site.read(make)
    if model.model_id:
        await _note_version(site, model.model_id, made)
    return {"model_version": registry_wire.version_json(made)}


async def _note_version(site: Site, model_id: str, version: ModelVersion) -> None:
    entry = {"name": version.name, "version": version.version}
    await model_records.change(site, model_id, model_records.listed(_VERSIONS_TAG, entry))


def number_of(version: str) -> int:
    """The number of a version.

    Raises
    ------
    Problem
        For what is no number.
    """
    if version.isascii() and version.isdigit() and len(version) < 19:
        return int(version)
    raise Problem(problems.INVALID, f"Parameter 'version' must be an integer, got {shown(version)}.")


def version_of(registry: RegistryStore, values: dict[str, Any]) -> ModelVersion:
    """A version; blocks.

    Raises
    ------
    Problem
        When there is none.
    """
    name, number = values["name"], number_of(values["version"])
    try:
        return registry.model_version(name, number)
    except ModelNotFound:
        raise Problem(problems.NOT_FOUND, f"Model Version (name={shown(name)}, version={number}) not found") from None


async def get(site: Site, values: dict[str, Any]) -> Any:
    """One version."""
    return _answer(await site.read(version_of, site.registry, values))


async def update(site: Site, values: dict[str, Any]) -> Any:
    """Describe one otherwise."""

    def change() -> ModelVersion:
        found = version_of(site.registry, values)
        return site.registry.update_model_version(
            found.name, found.version, description=values["description"] or "", tags=touched()
        )

    return _answer(await site.read(change))


async def delete(site: Site, values: dict[str, Any]) -> Any:
    """Delete one with its aliases; its run and files stay."""

    def change() -> None:
        found = version_of(site.registry, values)
        for alias in found.aliases:
            site.registry.delete_alias(found.name, alias)
        site.registry.delete_model_version(found.name, found.version)

    await site.read(change)
    return {}


async def search(site: Site, values: dict[str, Any]) -> Any:
    """Those that a filter names, in order, page by page."""
    clauses = _LANGUAGE.parse(values["filter"])
    orders = [_LANGUAGE.order(told) for told in values["order_by"]] or [("last_updated_timestamp", True)]

    def read() -> dict[str, Any]:
        registry = site.registry
        found = [
            version
            for name in _names(registry, clauses)
            for version in registry.model_versions(name)
            if all(clause.holds(_value(version, clause)) for clause in clauses)
        ]
        there, token = listing.page(
            found,
            lambda version: (*(_attribute(version, name) for name, _ in orders), version.name, version.version),
            [*(descending for _, descending in orders), False, True],
            values["max_results"] or _PAGE,
            ["model versions", values["filter"], values["order_by"]],
            values["page_token"] or "",
        )
        told = [registry_wire.version_json(version) for version in there]
        return {"model_versions": told} | ({"next_page_token": token} if token else {})

    return await site.read(read)


def _names(registry: RegistryStore, clauses: list[Clause]) -> list[str]:
    """The registered models that a filter leaves."""
    wanted = [clause for clause in clauses if clause.entity == ATTRIBUTE and clause.key == "name"]
    return [model.name for model in registry.registered_models() if all(one.holds(model.name) for one in wanted)]


def _value(version: ModelVersion, clause: Clause) -> Any:
    return _attribute(version, clause.key) if clause.entity == ATTRIBUTE else version.tags.get(clause.key)


def _attribute(version: ModelVersion, name: str) -> str | int:
    match name:
        case "name":
            return version.name
        case "version_number":
            return version.version
        case "run_id":
            return version.run_id
        case "source_path":
            return registry_wire.source_of(version)
        case "creation_timestamp":
            return version.created_time or 0
        case _:
            return registry_wire.updated(version.tags, version.created_time)


async def download_uri(site: Site, values: dict[str, Any]) -> Any:
    """Where the files of a version are, for a client."""

    def read() -> dict[str, Any]:
        place = _place(site.registry, values)
        model = model_at(place.run, place.path)
        if model is not None:
            return {"artifact_uri": locating.model_location(place.run, model)}
        return {"artifact_uri": f"{locating.run_location(place.run)}/{place.path}"}

    return await site.read(read)


def _place(registry: RegistryStore, values: dict[str, Any]) -> Place:
    found = version_of(registry, values)
    try:
        return Place(registry.get_run(found.run_id), found.path)
    except RunNotFound:
        raise Problem(
            problems.NOT_FOUND,
            f"version {found.version} of {shown(found.name)} is from run {found.run_id}, which is not here any more",
        ) from None


async def move(site: Site, values: dict[str, Any]) -> Any:
    """Let a version have a stage."""
    stage = registry_wire.checked_stage(values["stage"])
    archives = bool(values["archive_existing_versions"])
    if archives and stage not in (registry_wire.STAGING, registry_wire.PRODUCTION):
        raise Problem(
            problems.INVALID,
            f"archive_existing_versions is for {registry_wire.STAGING} and {registry_wire.PRODUCTION}, not for {stage}",
        )

    def change() -> ModelVersion:
        registry = site.registry
        found = version_of(registry, values)
        if archives:
            for other in registry.model_versions(found.name):
                if other.version != found.version and registry_wire.stage_of(other) == stage:
                    tags = touched() | {registry_wire.STAGE: registry_wire.ARCHIVED}
                    registry.update_model_version(other.name, other.version, tags=tags)
        tags = touched() | {registry_wire.STAGE: stage}
        return registry.update_model_version(found.name, found.version, tags=tags)

    async with held(site.store, f"stages of {values['name']}"):
        return _answer(await site.read(change))


async def set_tag(site: Site, values: dict[str, Any]) -> Any:
    """Set a tag of one."""
    tags = touched() | {registry_wire.settable(values["key"]): values["value"] or ""}
    await site.read(_tag, site.registry, values, tags)
    return {}


async def delete_tag(site: Site, values: dict[str, Any]) -> Any:
    """Take a tag away."""
    tags = touched() | {registry_wire.settable(values["key"]): None}
    await site.read(_tag, site.registry, values, tags)
    return {}


def _tag(registry: RegistryStore, values: dict[str, Any], tags: dict[str, str | None]) -> None:
    found = version_of(registry, values)
    registry.update_model_version(found.name, found.version, tags=tags)


async def get_file(site: Site, request: Request) -> Response:
    """One file of a version."""
    values = _FILE.read_query(request.query_params.multi_items())
    path = locating.checked(values["path"])

    def place(store: Store) -> Place:
        found = _place(site.registry, values)
        return Place(found.run, f"{found.path}/{path}")

    return await download(site, request, place)


def _answer(version: ModelVersion) -> dict[str, Any]:
    return {"model_version": registry_wire.version_json(version)}


_PATH: Final = "/model-versions"
ENDPOINTS: Final = [
    *calls.endpoints("POST", f"{_PATH}/create", _CREATE, create, WRITE),
    *calls.endpoints("GET", f"{_PATH}/get", _GET, get, READ),
    *calls.endpoints("PATCH", f"{_PATH}/update", _UPDATE, update, WRITE),
    *calls.endpoints("DELETE", f"{_PATH}/delete", _DELETE, delete, WRITE),
    *calls.endpoints("GET", f"{_PATH}/search", _SEARCH, search, READ),
    *calls.endpoints("GET", f"{_PATH}/get-download-uri", _URI, download_uri, READ),
    *calls.endpoints("POST", f"{_PATH}/transition-stage", _MOVE, move, WRITE),
    *calls.endpoints("POST", f"{_PATH}/set-tag", _SET_TAG, set_tag, WRITE),
    *calls.endpoints("DELETE", f"{_PATH}/delete-tag", _DELETE_TAG, delete_tag, WRITE),
    Endpoint("GET", "/model-versions/get-artifact", get_file, READ),
]
