"""Experiments: made, read, found, renamed, tagged, deleted and restored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from autotrack.entities import ACTIVE, DELETED, RUNNING, Run
from autotrack.events import Event, ExperimentDescribed, LifecycleSet
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import calls, catalog, fields, filtering, wire
from autotrack.server.rest.catalog import Entry
from autotrack.server.rest.clock import now
from autotrack.server.rest.holding import held
from autotrack.server.rest.parsing import Message, choice, integer, shown, text, texts, to_json, wrong
from autotrack.server.routing import READ, WRITE
from autotrack.server.site import Site
from autotrack.stores import tokens
from autotrack.stores.base import ACTIVE_RUNS, ALL_RUNS, DELETED_RUNS, View
from autotrack.stores.filters import parse_filter, parse_orders
from autotrack.stores.matching import matches, sort_runs
from autotrack.stores.mlflow.data import CONTEXT_TAG

_TIMES: Final = {"creation_time": "created_time", "last_update_time": "updated_time"}
_DELETED_TIME: Final = "deleted_time"
"""Fact: when the experiment was deleted, and with it its active runs."""
_MAX_RESULTS: Final = 1000
_NAMES: Final = "experiments"


async def _create(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    name = values["name"]
    async with held(site.store, _NAMES):
        await site.read(_refuse_taken, site, name)
        kept = await site.read(catalog.free_name, site, name)
        number = wire.experiment_id(kept)
        _refuse_location(values["artifact_location"], number)
        time = now()
        facts: dict[str, Any] = {"created_time": time, "updated_time": time, "stage": ACTIVE}
        if kept != name:
            facts["shown_name"] = name
        facts |= {f"tag.{key}": value for key, value in (values["tags"] or {}).items()}
        await site.write(ExperimentDescribed(kept, facts))
    return {"experiment_id": number}


def _refuse_taken(site: Site, name: str) -> None:
    entry = catalog.by_shown_name(site, name)
    if entry is None:
        return
    if entry.is_active:
        raise Problem(problems.EXISTS, f"Experiment(name={name}) already exists.")
    message = (
        f"Experiment(name={name}) already exists in deleted state. You can restore the experiment (its id is "
        f"{entry.experiment_id}), or give the new one another name."
    )
    raise Problem(problems.EXISTS, message)


def _refuse_location(location: str | None, number: str) -> None:
    if not location or location.rstrip("/") in (wire.artifact_location(number), wire.ARTIFACTS.rstrip("/")):
        return
    hint = "artifacts are always kept by this server, in the place it was started with; leave out artifact_location"
    raise wrong("artifact_location", location, hint)


async def _get(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    entry = await site.read(catalog.by_id, site, values["experiment_id"])
    return {"experiment": wire.experiment_json(entry.name, entry.facts)}


async def _get_by_name(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    name = values["experiment_name"]
    entry = await site.read(catalog.by_shown_name, site, name)
    if entry is None:
        raise Problem(problems.NOT_FOUND, f"Could not find experiment with name {shown(name)}")
    return {"experiment": wire.experiment_json(entry.name, entry.facts)}


async def _existing(site: Site, experiment_id: str, stage: str) -> Entry:
    """An experiment in this stage; one in the other is taken for none, as MLflow does."""
    entry = await site.read(catalog.by_id, site, experiment_id)
    if entry.stage != stage:
        message = f"No Experiment with id={experiment_id} exists that is {stage}; this one is {entry.stage}"
        raise Problem(problems.NOT_FOUND, message)
    return entry


async def _update(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    name = values["new_name"]
    async with held(site.store, _NAMES):
        entry = await _existing(site, values["experiment_id"], ACTIVE)
        if name and name != entry.shown_name:
            await site.read(_refuse_taken, site, name)
            await site.write(ExperimentDescribed(entry.name, {"shown_name": name, "updated_time": now()}))
    return {}


async def _delete(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    entry = await _existing(site, values["experiment_id"], ACTIVE)
    time = now()
    runs = await site.read(_run_ids, site, entry, ACTIVE_RUNS)
    facts = {"stage": DELETED, "updated_time": time, _DELETED_TIME: time}
    events: list[Event] = [LifecycleSet(run_id, DELETED, time) for run_id, _ in runs]
    await site.write(ExperimentDescribed(entry.name, facts), *events)
    return {}


async def _restore(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    entry = await _existing(site, values["experiment_id"], DELETED)
    time, deleted = now(), entry.facts.get(_DELETED_TIME)
    runs = await site.read(_run_ids, site, entry, DELETED_RUNS)
    # Runs that were deleted before the experiment was stay so.
    events: list[Event] = [LifecycleSet(run_id, ACTIVE, time) for run_id, when in runs if when == deleted]
    facts = {"stage": ACTIVE, "updated_time": time, _DELETED_TIME: None}
    await site.write(ExperimentDescribed(entry.name, facts), *events)
    return {}


def _run_ids(site: Site, entry: Entry, view: View) -> list[tuple[str, int | None]]:
    runs = site.store.search_runs(experiment=entry.name, view=view)
    return [(run.run_id, run.deleted_time) for run in runs]


async def _set_tag(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    entry = await _existing(site, values["experiment_id"], ACTIVE)
    facts = {f"tag.{values['key']}": values["value"] or "", "updated_time": now()}
    await site.write(ExperimentDescribed(entry.name, facts))
    return {}


async def _delete_tag(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    key = values["key"]
    entry = await _existing(site, values["experiment_id"], ACTIVE)
    if key not in wire.experiment_tags(entry.facts):
        message = f"No tag with name: {shown(key)} in experiment with id {entry.experiment_id}"
        raise Problem(problems.NOT_FOUND, message)
    await site.write(ExperimentDescribed(entry.name, {f"tag.{key}": None, "updated_time": now()}))
    return {}


async def _search(site: Site, values: dict[str, Any]) -> Any:
    limit = values["max_results"]
    if limit is None:
        limit = min(_MAX_RESULTS, site.options.page_size)
    if not 0 < limit <= site.options.page_size:
        raise wrong("max_results", limit, f"it is from 1 to {site.options.page_size}")
    return await site.read(_found, site, values, limit)


def _found(site: Site, values: dict[str, Any], limit: int) -> dict[str, Any]:
    filter, orders = values["filter"] or "", [one for one in values["order_by"] if one.strip()]
    names = tuple(_TIMES)
    expression = parse_filter(filtering.with_attributes(filter, names, "metrics"))
    keys = parse_orders([filtering.with_attributes(one, names, "metrics") for one in orders])
    view = fields.VIEW_OF[values["view_type"]]
    entries = catalog.all_of(site.store)
    shown_as = (_as_run(number, entry) for number, entry in entries.items() if _is_in(entry, view))
    runs = sorted((run for run in shown_as if matches(expression, run)), key=_newest)
    if keys:
        runs = sort_runs(runs, keys)
    search = tokens.search_digest(_NAMES, filter, orders, None, view, False)
    begin = _begin(runs, search, values["page_token"])
    page = runs[begin : begin + limit]
    told: dict[str, Any] = {
        "experiments": [wire.experiment_json(run.experiment, entries[run.run_id].facts) for run in page]
    }
    if page and begin + limit < len(runs):
        told["next_page_token"] = tokens.encode(search, [], [page[-1].run_id, begin + limit])
    return told


def _as_run(number: str, entry: Entry) -> Run:
    """An experiment in the form of a run, by which the filter language knows names, tags and numbers."""
    times = {filtering.PREFIX + name: entry.facts.get(fact) for name, fact in _TIMES.items()}
    metrics = {name: float(time) for name, time in times.items() if type(time) is int}
    tags = wire.experiment_tags(entry.facts)
    return Run(number, entry.shown_name, entry.name, RUNNING, metrics=metrics, tags=tags)


def _newest(run: Run) -> tuple[float, str]:
    """By this the experiments are sorted: those made last first."""
    return -run.metrics.get(filtering.PREFIX + "creation_time", 0.0), run.run_id


def _is_in(entry: Entry, view: View) -> bool:
    return view == ALL_RUNS or entry.is_active == (view == ACTIVE_RUNS)


def _begin(runs: Sequence[Run], search: bytes, token: str | None) -> int:
    """Where a page begins: behind the experiment that the one before ended with."""
    if not token:
        return 0
    ties = tokens.decode(search, token).ties
    if len(ties) != 2 or not isinstance(ties[1], int) or ties[1] < 0:
        raise tokens.refused()
    number = next((number for number, run in enumerate(runs) if run.run_id == ties[0]), None)
    return ties[1] if number is None else number + 1


async def _search_datasets(site: Site, values: dict[str, Any]) -> bytes:
    numbers = values["experiment_ids"]
    if len(numbers) > _MOST_EXPERIMENTS:
        hint = f"there are {len(numbers)} and may be {_MOST_EXPERIMENTS}"
        raise wrong("experiment_ids", numbers, hint)

    def read() -> bytes:
        entries = catalog.all_of(site.store)
        found: dict[tuple[str, str, str, str], None] = {}
        for number in numbers:
            if number in entries:
                name = entries[number].name
                for run in site.store.search_runs(None, (), _RECENT, experiment=name):
                    for told in wire.dataset_inputs(run, {}):
                        context = next((t["value"] for t in told["tags"] if t["key"] == CONTEXT_TAG), "")
                        found[number, told["dataset"]["name"], told["dataset"]["digest"], context] = None
        names = ("experiment_id", "name", "digest", "context")
        return to_json({"dataset_summaries": [dict(zip(names, one)) for one in found]})

    return await site.read(read)


_MOST_EXPERIMENTS: Final = 20
_RECENT: Final = 1000
"""So many runs of an experiment are looked at for its datasets, the newest ones."""

_CREATE: Final = Message(
    "CreateExperiment",
    text("name", needed=True, most=fields.LONGEST_EXPERIMENT),
    text("artifact_location"),
    fields.tags(),
)
_SEARCH: Final = Message(
    "SearchExperiments",
    integer("max_results"),
    fields.PAGE_TOKEN,
    fields.FILTER,
    texts("order_by"),
    choice("view_type", fields.VIEWS),
)
_ONE: Final = Message("GetExperiment", fields.EXPERIMENT_ID)
_BY_NAME: Final = Message("GetExperimentByName", text("experiment_name", needed=True))
_RENAME: Final = Message(
    "UpdateExperiment", fields.EXPERIMENT_ID, text("new_name", needed=True, most=fields.LONGEST_EXPERIMENT)
)
_TAG: Final = Message("SetExperimentTag", fields.EXPERIMENT_ID, fields.KEY, text("value"))
_UNTAG: Final = Message("DeleteExperimentTag", fields.EXPERIMENT_ID, fields.KEY)
_DATASETS: Final = Message("SearchDatasets", texts("experiment_ids", needed=True))

ENDPOINTS: Final = [
    *calls.endpoints("POST", "/experiments/create", _CREATE, _create, WRITE),
    *calls.endpoints("GET", "/experiments/get", _ONE, _get, READ),
    *calls.endpoints("GET", "/experiments/get-by-name", _BY_NAME, _get_by_name, READ),
    *calls.endpoints("GET", "/experiments/list", _SEARCH, _search, READ),
    *calls.endpoints("GET", "/experiments/search", _SEARCH, _search, READ),
    *calls.endpoints("POST", "/experiments/search", _SEARCH, _search, READ),
    *calls.endpoints("POST", "/experiments/update", _RENAME, _update, WRITE),
    *calls.endpoints("POST", "/experiments/delete", _ONE, _delete, WRITE),
    *calls.endpoints("POST", "/experiments/restore", _ONE, _restore, WRITE),
    *calls.endpoints("POST", "/experiments/set-experiment-tag", _TAG, _set_tag, WRITE),
    *calls.endpoints("POST", "/experiments/delete-experiment-tag", _UNTAG, _delete_tag, WRITE),
    *calls.endpoints("POST", "/experiments/search-datasets", _DATASETS, _search_datasets, READ),
]
