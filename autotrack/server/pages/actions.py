"""What the pages change: runs are deleted and restored, tagged, given a note or another name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from autotrack.entities import ACTIVE, DELETED, Run
from autotrack.errors import RunNotFound
from autotrack.events import Event, RunStarted, TagsDeleted, TagsSet
from autotrack.query import editing
from autotrack.server import problems
from autotrack.server.pages import views
from autotrack.server.pages.bodies import json_object
from autotrack.server.problems import Problem
from autotrack.server.routing import READ, WRITE, Endpoint
from autotrack.stores.base import Store

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from autotrack.server.site import Site

MOST_RUNS: Final = 2_000
"""Runs that one request may change."""

MOST_BYTES: Final = 4 * 2**20
RUN_NAME_TAG: Final = "mlflow.runName"


async def delete(site: Site, request: Request) -> Response:
    """Delete runs and those inside them; the answer has the ids of all that are deleted now and were not."""
    run_ids = _run_ids(await json_object(request, MOST_BYTES))

    def apply(store: Store) -> list[str]:
        runs = editing.deleting(store, _runs(store, run_ids))
        editing.set_stage(store, runs, DELETED)
        return [run.run_id for run in runs]

    return views.json({"run_ids": await site.read(apply, site.store)})


async def restore(site: Site, request: Request) -> Response:
    """Undo `delete`."""
    run_ids = _run_ids(await json_object(request, MOST_BYTES))

    def apply(store: Store) -> list[str]:
        runs = editing.restoring(store, _runs(store, run_ids))
        editing.set_stage(store, runs, ACTIVE)
        return [run.run_id for run in runs]

    return views.json({"run_ids": await site.read(apply, site.store)})


async def tags(site: Site, request: Request) -> Response:
    """Set and take away tags of runs."""
    body = await json_object(request, MOST_BYTES)
    run_ids = _run_ids(body)
    new, gone = _texts(body.get("set") or {}), body.get("delete") or []
    if not isinstance(gone, list) or not all(isinstance(key, str) and key for key in gone):
        raise Problem(problems.INVALID, "delete: expected a list of tags' keys")
    await site.read(_runs, site.store, run_ids)
    events: list[Event] = []
    for run_id in run_ids:
        if new:
            events.append(TagsSet(run_id, new))
        if gone:
            events.append(TagsDeleted(run_id, tuple(gone)))
    await site.write(*events)
    return views.json({"run_ids": run_ids})


async def rename(site: Site, request: Request) -> Response:
    """Give a run another name."""
    body = await json_object(request, MOST_BYTES)
    run_id, name = body.get("run_id"), body.get("name")
    if not isinstance(run_id, str) or not isinstance(name, str) or not name.strip():
        raise Problem(problems.INVALID, "expected a run_id and a name that is not blank")
    run = await site.read(site.store.get_run, run_id)
    if run.start_time is None:
        raise Problem(problems.INVALID, f"run {run.run_id} cannot be renamed: {run.broken or 'its start is unknown'}")
    await site.write(*_renaming(run, run.start_time, name.strip()))
    return views.json({"run_id": run.run_id, "name": name.strip()})


def _renaming(run: Run, start_time: int, name: str) -> list[Event]:
    # A start that is told again replaces the one before; all else in it stays as it was.
    events: list[Event] = [RunStarted(run.run_id, name, start_time, run.experiment, run.parent_run_id, run.process_id)]
    if RUN_NAME_TAG in run.tags:
        events.append(TagsSet(run.run_id, {RUN_NAME_TAG: name}))
    return events


async def shown_tags(site: Site, request: Request) -> Response:
    """The name and the tags of a run, to be edited."""
    run = await site.read(site.store.get_run, request.path_params["run_id"])
    return views.json({"run_id": run.run_id, "name": run.name, "tags": dict(run.tags)})


def _run_ids(body: dict[str, Any]) -> list[str]:
    found = body.get("run_ids")
    if not isinstance(found, list) or not found or not all(isinstance(one, str) and one for one in found):
        raise Problem(problems.INVALID, "run_ids: expected a list of the ids of one run or more")
    if len(found) > MOST_RUNS:
        raise Problem(problems.INVALID, f"run_ids: {len(found):,} are more than the {MOST_RUNS:,} of one request")
    return list(dict.fromkeys(found))


def _texts(told: Any) -> dict[str, str]:
    if not isinstance(told, dict) or not all(key and isinstance(value, str) for key, value in told.items()):
        raise Problem(problems.INVALID, "set: expected tags by key, both text, the key not empty")
    return told


def _runs(store: Store, run_ids: list[str]) -> list[Run]:
    """The runs of these ids.

    Raises
    ------
    RunNotFound
        When one is that of no run: whoever asks for several wants all of them or none.
    """
    known = {run.run_id: run for run in editing.store_runs(store, run_ids)}
    for run_id in run_ids:
        if run_id not in known:
            raise RunNotFound(f"there is no run with the id {run_id[:100]!r}")
    return [known[run_id] for run_id in run_ids]


ENDPOINTS: Final = [
    Endpoint("POST", "/actions/delete", delete, WRITE),
    Endpoint("POST", "/actions/restore", restore, WRITE),
    Endpoint("POST", "/actions/tags", tags, WRITE),
    Endpoint("POST", "/actions/rename", rename, WRITE),
    Endpoint("GET", "/runs/{run_id}/tags.json", shown_tags, READ),
]
