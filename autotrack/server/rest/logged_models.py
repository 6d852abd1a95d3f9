"""Logged models, which MLflow 3 keeps beside runs: here they are the models among a run's artifacts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from autotrack.entities import LoggedModel, Run
from autotrack.events import ModelLogged
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import calls, catalog, fields, locating, model_records, model_search, model_wire
from autotrack.server.rest.artifacts import file_info
from autotrack.server.rest.holding import held, in_thread
from autotrack.server.rest.locating import Place
from autotrack.server.rest.parsing import Message, choice, flag, shown, text
from autotrack.server.rest.storing import download, model_at, models_of
from autotrack.server.routing import READ, WRITE, Endpoint
from autotrack.stores.base import Store

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

_ID: Final = text("model_id", needed=True)
_CREATE: Final = Message(
    "CreateLoggedModel",
    fields.EXPERIMENT_ID,
    text("name"),
    text("model_type", most=500),
    text("source_run_id"),
    fields.params(),
    fields.tags(),
)
_GET: Final = Message("GetLoggedModel", _ID, flag("allow_deleted"))
_FINALIZE: Final = Message("FinalizeLoggedModel", _ID, choice("status", model_records.STATUSES, needed=True))
_DELETE: Final = Message("DeleteLoggedModel", _ID)
_PARAMS: Final = Message("LogLoggedModelParamsRequest", _ID, fields.params())
_SET_TAGS: Final = Message("SetLoggedModelTags", _ID, fields.tags())
_DELETE_TAG: Final = Message("DeleteLoggedModelTag", _ID, text("tag_key", needed=True))
_LIST: Final = Message("ListLoggedModelArtifacts", _ID, text("artifact_directory_path"), text("page_token"))
_FILE: Final = Message("GetLoggedModelArtifact", text("artifact_file_path", needed=True))


async def create(site: Site, values: dict[str, Any]) -> Any:
    """A model whose files are to come."""
    entry = await site.read(catalog.by_id, site, values["experiment_id"])
    if not entry.is_active:
        raise Problem(problems.INVALID, f"experiment {entry.experiment_id} is deleted; restore it first")
    made = await model_records.create(
        site,
        entry.name,
        name=values["name"] or None,
        model_type=values["model_type"],
        source_run_id=values["source_run_id"],
        params=values["params"] or {},
        tags=values["tags"] or {},
    )
    return _answer(*made)


async def get(site: Site, values: dict[str, Any]) -> Any:
    """One model."""
    find = locating.logged_model if values["allow_deleted"] else model_records.there
    return _answer(*await site.read(find, site.store, values["model_id"]))


async def finalize(site: Site, values: dict[str, Any]) -> Any:
    """All files are there, or will not come."""
    alter = model_records.finalized(site.store, values["status"])
    return _answer(*await model_records.change(site, values["model_id"], alter))


async def delete(site: Site, values: dict[str, Any]) -> Any:
    """Put a model out of sight; its files stay with its run."""

    def alter(run: Run, model: LoggedModel) -> LoggedModel:
        return replace(model, details={**model.details, "stage": model_records.DELETED})

    await model_records.change(site, values["model_id"], alter)
    return {}


async def log_params(site: Site, values: dict[str, Any]) -> Any:
    """More params of a model."""
    params = values["params"] or {}
    await model_records.change(
        site, values["model_id"], lambda run, model: model_records.joined(model, "params", params)
    )
    return {}


async def set_tags(site: Site, values: dict[str, Any]) -> Any:
    """More tags of a model, or other values of those it has."""
    tags = values["tags"] or {}
    changed = await model_records.change(
        site, values["model_id"], lambda run, model: model_records.joined(model, "tags", tags)
    )
    return _answer(*changed)


async def delete_tag(site: Site, values: dict[str, Any]) -> Any:
    """Take a tag away."""
    key = values["tag_key"]

    def alter(run: Run, model: LoggedModel) -> LoggedModel:
        tags = dict(model.details.get("tags", {}))
        if tags.pop(key, None) is None:
            raise Problem(problems.NOT_FOUND, f"No tag with key {shown(key)} for model with ID {values['model_id']}.")
        return replace(model, details={**model.details, "tags": tags})

    await model_records.change(site, values["model_id"], alter)
    return {}


async def list_files(site: Site, values: dict[str, Any]) -> Any:
    """The files and folders directly below a path of a model."""
    path = locating.checked(values["artifact_directory_path"] or "")

    def read() -> dict[str, Any]:
        run, model = model_records.there(site.store, values["model_id"])
        found = site.store.artifacts(run.run_id, f"{model.path}/{path}" if path else model.path)
        files = [file_info(one, model.path) for one in found]
        return {"root_uri": locating.model_location(run, model), "files": files}

    return await site.read(read)


async def get_file(site: Site, request: Request) -> Response:
    """One file of a model."""
    values = _FILE.read_query(request.query_params.multi_items())
    path = locating.checked(values["artifact_file_path"])

    def place(store: Store) -> Place:
        run, model = model_records.there(store, request.path_params["model_id"])
        return Place(run, f"{model.path}/{path}", model)

    return await download(site, request, place)


async def record_folder(site: Site, run_id: str, path: str) -> LoggedModel | None:
    """The model that stands at a path of a run, recorded if it was not; ``None`` where nothing stands.

    Raises
    ------
    StoreError
        When it could not be stored.
    """
    store = site.store
    async with held(store, models_of(run_id)):
        run = await site.read(locating.run_of, store, run_id)
        known = model_at(run, path)
        files = await site.read(store.artifacts, run_id, path)
        if known is not None and (known.digest or not files):
            return known
        if not files:
            return None
        model: LoggedModel = await in_thread(model_records.described, store, run, known or LoggedModel(path))
        await site.write(ModelLogged(run_id, model))
        return model


async def search(site: Site, values: dict[str, Any]) -> Any:
    """Models of some experiments, filtered, in order, page by page."""
    return await site.read(model_search.search, site, values)


def _answer(run: Run, model: LoggedModel) -> dict[str, Any]:
    return {"model": model_wire.shown(run, model).to_json()}


_ONE: Final = "/logged-models/{model_id}"
ENDPOINTS: Final = [
    *calls.endpoints("POST", "/logged-models", _CREATE, create, WRITE),
    *calls.endpoints("POST", "/logged-models/search", model_search.MESSAGE, search, READ),
    *calls.endpoints("GET", _ONE, _GET, get, READ),
    *calls.endpoints("PATCH", _ONE, _FINALIZE, finalize, WRITE),
    *calls.endpoints("DELETE", _ONE, _DELETE, delete, WRITE),
    *calls.endpoints("POST", f"{_ONE}/params", _PARAMS, log_params, WRITE),
    *calls.endpoints("PATCH", f"{_ONE}/tags", _SET_TAGS, set_tags, WRITE),
    *calls.endpoints("DELETE", f"{_ONE}/tags/{{tag_key:path}}", _DELETE_TAG, delete_tag, WRITE),
    *calls.endpoints("GET", f"{_ONE}/artifacts/directories", _LIST, list_files, READ),
    *[Endpoint("GET", f"{prefix}/2.0/mlflow{_ONE}/artifacts/files", get_file, READ) for prefix in calls.PREFIXES],
]
