"""Runs: made, read, ended, renamed, deleted and restored."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Final
from weakref import WeakKeyDictionary

from autotrack.entities import ACTIVE, DELETED, RUNNING, Run
from autotrack.events import Event, LifecycleSet, ProcessDescribed, RunEnded, TagsSet
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import calls, catalog, fields, wire
from autotrack.server.rest.clock import now
from autotrack.server.rest.parsing import Message, choice, integer, shown, text, to_json
from autotrack.server.rest.recording import active, no_run, run_of, started_again
from autotrack.server.routing import READ, WRITE
from autotrack.server.site import Site
from autotrack.stores.glances import last_points, outline
from autotrack.stores.mlflow.translation import (
    GIT_BRANCH,
    GIT_COMMIT,
    GIT_REMOTE,
    PARENT,
    RUN_NAME,
    SOURCE_NAME,
    USER,
)

_MOST_DESCRIBED: Final = 10_000
_described: WeakKeyDictionary[Site, set[str]] = WeakKeyDictionary()
"""Of each site: the processes that this worker has described."""


async def _create(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    entry = await site.read(catalog.by_id, site, values["experiment_id"] or "0")
    if not entry.is_active:
        message = f"The experiment {entry.experiment_id} must be in the 'active' state. Current state is {entry.stage}."
        raise Problem(problems.INVALID, message)
    run_id = secrets.token_hex(16)
    tags: dict[str, str] = values["tags"] or {}
    name, tagged = values["run_name"] or "", tags.pop(RUN_NAME, "")
    if name and tagged and name != tagged:
        message = (
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name={shown(name)}, mlflow.runName={shown(tagged)})."
        )
        raise Problem(problems.INVALID, message)
    user = values["user_id"]
    if user and USER not in tags:
        tags[USER] = user
    facts = _facts(tags)
    run = Run(
        run_id=run_id,
        name=name or tagged or _name(tags, run_id),
        experiment=entry.name,
        status=RUNNING,
        start_time=now() if values["start_time"] is None else values["start_time"],
        parent_run_id=tags.pop(PARENT, "") or None,
        process_id=_process_id(facts),
        tags=dict(sorted(tags.items())),
    )
    events: list[Event] = [started_again(run)]
    if tags:
        events.append(TagsSet(run_id, tags))
    described = _described.setdefault(site, set())
    is_new = bool(facts) and run.process_id not in described
    if is_new:
        events.insert(0, ProcessDescribed(run.process_id, facts))
    await site.write(*events)
    if is_new and len(described) < _MOST_DESCRIBED:
        described.add(run.process_id)
    return {"run": wire.run_json(run, {})}


def _facts(tags: Mapping[str, str]) -> dict[str, Any]:
    """What the tags of a client tell of the program that makes the run, as autotrack's pages and filters know it."""
    facts: dict[str, Any] = {
        fact: tags[tag] for fact, tag in (("user", USER), ("script", SOURCE_NAME)) if tags.get(tag)
    }
    git = {
        fact: tags[tag]
        for fact, tag in (("commit", GIT_COMMIT), ("branch", GIT_BRANCH), ("remote", GIT_REMOTE))
        if tags.get(tag)
    }
    return facts | ({"git": git} if git else {})


def _process_id(facts: Mapping[str, Any]) -> str:
    if not facts:
        return ""
    return wire.CLIENT + hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


def _name(tags: Mapping[str, str], run_id: str) -> str:
    """A name for a run that was given none: from the script's, where it is known."""
    stem = PurePosixPath(tags.get(SOURCE_NAME, "").replace("\\", "/")).stem[:50].strip()
    return f"{stem or 'run'}-{run_id[:6]}"


async def _get(site: Site, values: dict[str, Any]) -> Any:
    def read() -> bytes:
        run = run_of(site, values["run_id"])
        points = last_points(site.store, [run])
        return to_json({"run": wire.run_json(run, points.get(run.run_id, {}))})

    return await site.read(read)


async def _update(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    run_id = values["run_id"]
    run = active(await site.read(outline, site.store, run_id, (), (USER,)), run_id)
    status, end_time, name = values["status"], values["end_time"], values["run_name"]
    events: list[Event] = []
    if status in (RUNNING, "SCHEDULED"):
        if run.status != RUNNING:
            events.append(RunEnded(run_id, RUNNING, now()))
            run = replace(run, status=RUNNING, end_time=None)
    elif status is not None or (end_time is not None and run.status != RUNNING):
        ended = end_time if end_time is not None else now() if run.end_time is None else run.end_time
        run = replace(run, status=status or run.status, end_time=ended)
        events.append(RunEnded(run_id, run.status, ended, run.error))
    if name:
        run = replace(run, name=name)
        events.append(started_again(run))
    await site.write(*events)
    return {"run_info": wire.info_json(run)}


async def _set_stage(site: Site, run_id: str, stage: str) -> dict[str, Any]:
    run = await site.read(outline, site.store, run_id)
    if run is None:
        raise no_run(run_id)
    if run.lifecycle_stage != stage:
        await site.write(LifecycleSet(run_id, stage, now()))
    return {}


async def _delete(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    return await _set_stage(site, values["run_id"], DELETED)


async def _restore(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    return await _set_stage(site, values["run_id"], ACTIVE)


_CREATE: Final = Message(
    "CreateRun",
    text("experiment_id"),
    text("user_id"),
    text("run_name"),
    integer("start_time"),
    fields.tags(),
)
_UPDATE: Final = Message(
    "UpdateRun", fields.RUN_ID, choice("status", fields.STATUSES), integer("end_time"), text("run_name")
)
_ONE: Final = Message("GetRun", fields.RUN_ID)

ENDPOINTS: Final = [
    *calls.endpoints("POST", "/runs/create", _CREATE, _create, WRITE),
    *calls.endpoints("GET", "/runs/get", _ONE, _get, READ),
    *calls.endpoints("POST", "/runs/update", _UPDATE, _update, WRITE),
    *calls.endpoints("POST", "/runs/delete", Message("DeleteRun", fields.RUN_ID), _delete, WRITE),
    *calls.endpoints("POST", "/runs/restore", Message("RestoreRun", fields.RUN_ID), _restore, WRITE),
]
