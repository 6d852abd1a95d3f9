"""The first screen: the runs, all of them or those of one experiment."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from autotrack.entities import CANDIDATE, Experiment, Run
from autotrack.errors import FilterError, PageTokenError
from autotrack.events import number_to_json
from autotrack.query import text
from autotrack.query.view import last_line
from autotrack.server import problems
from autotrack.server.pages import formatting, runs_columns, views
from autotrack.server.pages.runs_asked import Asked, asked_of
from autotrack.server.problems import Problem
from autotrack.server.routing import READ, Endpoint
from autotrack.stores import paging
from autotrack.stores.base import ACTIVE_RUNS, ALL_RUNS, DELETED_RUNS, Store, at_rest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from autotrack.server.site import Site

COUNTED: Final = 1_000
"""Runs that a filter finds are counted so far; beyond, a table says "more than"."""

MOST_CHILDREN: Final = 200
"""Child runs that open below their parent; the rest has a table of its own."""

_SCORE: Final = "mean_test_score"
_SHOWN: Final = 160
"""Characters of a value that a cell of the page holds."""


async def page(site: Site, request: Request) -> Response:
    """The table. What is wrong with a filter is told above the runs, which are shown without it."""
    asked = asked_of(request)
    try:
        data = await site.read(build, site.store, asked)
    except FilterError as error:
        data = await site.read(build, site.store, replace(asked, filter="", grouped=asked.grouped or True))
        data = {**data, "filter": asked.filter, "filter_error": str(error)}
    return views.html(site, request, "runs.html", {**data, **dressed(asked, data)})


async def twin(site: Site, request: Request) -> Response:
    """The same as JSON."""
    return views.json(await site.read(build, site.store, asked_of(request)))


async def children(site: Site, request: Request) -> Response:
    """The rows of the runs that were made inside one, for the table of the same query."""
    asked, run_id = asked_of(request), request.path_params["run_id"]
    data = await site.read(_build_children, site.store, asked, run_id)
    return views.html(site, request, "runs_children.html", {**data, **dressed(asked, data), "depth": 1})


async def names(site: Site, request: Request) -> Response:
    """What can be filtered by and shown: the names of params, metrics and tags."""
    identity = request.query_params.get("experiment_id")

    def read(store: Store) -> dict[str, Any]:
        experiment = None if identity is None else _experiment(store, store.experiments(), identity).name
        found = paging.names_of(store, experiment)
        return {
            "params": found.params,
            "metrics": found.metrics,
            "tags": found.tags,
            "columns": runs_columns.offered(found),
        }

    return views.json(await site.read(read, site.store))


def build(store: Store, asked: Asked) -> dict[str, Any]:
    """A table of runs as JSON types.

    Raises
    ------
    FilterError
        When the filter cannot be understood.
    Problem
        For an experiment or a column that there is not, and a page that cannot be gone on from.
    """
    with at_rest(store):
        return _build(store, asked)


def _build(store: Store, asked: Asked) -> dict[str, Any]:
    experiments = store.experiments()
    experiment = None if asked.experiment_id is None else _experiment(store, experiments, asked.experiment_id)
    within = None if experiment is None else [experiment.name]
    orders = [runs_columns.order(key) for key in asked.sort]
    try:
        found = paging.page_runs(
            store,
            asked.filter or None,
            orders,
            asked.limit,
            experiments=within,
            view=asked.view,
            after=asked.after,
            top_level=asked.is_grouped,
        )
    except PageTokenError as error:
        raise Problem(problems.INVALID, f"{error}; begin with the first page again") from error
    if asked.filter or asked.is_grouped or asked.view != ACTIVE_RUNS:
        count = paging.count_runs(
            store,
            asked.filter or None,
            experiments=within,
            view=asked.view,
            at_most=COUNTED + 1,
            top_level=asked.is_grouped,
        )
        counted = min(count, COUNTED)
    else:
        count = counted = sum(one.run_count for one in experiments if experiment is None or one.name == experiment.name)
    shown = [one for one in experiments if one.facts.get("stage") != "deleted"]
    chosen = asked.columns
    if chosen is None:
        chosen = tuple(runs_columns.suiting(found.runs, with_experiment=experiment is None and len(shown) > 1))
    columns = [runs_columns.column(identity) for identity in chosen if identity != runs_columns.NAME.id]
    counts: dict[str, int] = {}
    if asked.is_grouped:
        counts = paging.count_children(store, [run.run_id for run in found.runs], view=asked.view)
    return {
        "experiment": None if experiment is None else _experiment_json(experiment),
        "experiments": [_experiment_json(one) for one in shown],
        "filter": asked.filter,
        "filter_error": None,
        "sort": list(asked.sort),
        "view": asked.view,
        "grouped": asked.is_grouped,
        "columns": [_column_json(column, asked) for column in [runs_columns.NAME, *columns]],
        "columns_chosen": asked.columns is not None,
        "count": counted,
        "count_is_least": counted < count,
        "runs": [_row(run, columns, counts.get(run.run_id, 0)) for run in found.runs],
        "next": None if found.next is None else asked.url(after=found.next),
        "first": None if asked.after is None else asked.url(),
        "now": int(time.time() * 1000),
        "nothing_recorded": not found.runs and _holds_nothing(store, asked),
    }


def dressed(asked: Asked, data: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows beside the data: texts of cells, links."""
    columns, rows = data["columns"][1:], data["runs"]
    cells: list[list[tuple[str, str, Any, str]]] = [[] for _ in rows]
    for column in columns:
        kind, identity = column["kind"], column["id"]
        values = [row["values"][identity] for row in rows]
        if kind == "number":
            texts = formatting.aligned([None if value is None else float(value) for value in values])
        else:
            texts = ["" if value is None else text.shortened(str(value), _SHOWN) for value in values]
        for row, value, shown in zip(cells, values, texts):
            row.append((kind, shown, value, shown if kind == "text" and len(shown) > 24 else ""))
    return {
        "cells": cells,
        "links": {
            "active": asked.url(view=ACTIVE_RUNS),
            "deleted": asked.url(view=DELETED_RUNS),
            "grouped": asked.url(grouped=True if asked.filter else None),
            "flat": asked.url(grouped=None if asked.filter else False),
            "unfiltered": asked.url(filter="", grouped=None),
            "unsorted": asked.url(sort=()),
        },
        "query": asked.url().partition("?")[2],
        "examples": _examples(asked, data),
    }


def _examples(asked: Asked, data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Filters that find some of the runs shown, with the address of each."""
    found: list[str] = []
    for column in data["columns"][1:]:
        values = [row["values"][column["id"]] for row in data["runs"]]
        numbers = sorted(value for value in values if isinstance(value, float) and column["kind"] == "number")
        if column["id"].startswith("metrics.") and numbers and not any(one.startswith("metrics") for one in found):
            found.append(f"{_filter_field(column)} >= {numbers[len(numbers) // 2]:.3g}")
        texts = [value for value in values if isinstance(value, str) and len(value) < 24]
        if column["id"].startswith("params.") and texts and not any(one.startswith("params") for one in found):
            quoted = texts[0].replace("'", "''")
            found.append(f"{_filter_field(column)} = '{quoted}'")
    found += ["status = 'FAILED'", "run_name LIKE '%Forest%'", f"start_time >= '{time.strftime('%Y-%m-%d')}'"]
    return [(one, asked.url(filter=one, grouped=None)) for one in found]


def _filter_field(column: Mapping[str, Any]) -> str:
    """A field as a person would type it: quoted only where it has to be."""
    entity, _, key = column["id"].partition(".")
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return f"{entity}.{key}" if plain else str(runs_columns.column(column["id"]).field)


def _build_children(store: Store, asked: Asked, run_id: str) -> dict[str, Any]:
    columns = [runs_columns.column(one) for one in asked.columns or () if one != runs_columns.NAME.id]
    found = paging.children_of(store, [run_id], view=asked.view, limit_each=MOST_CHILDREN + 1)[run_id]
    quoted = run_id.replace("'", "''")
    counts = paging.count_children(store, [run.run_id for run in found], view=asked.view)
    return {
        "columns": [_column_json(column, asked) for column in [runs_columns.NAME, *columns]],
        "runs": [_row(run, columns, counts.get(run.run_id, 0)) for run in found[:MOST_CHILDREN]],
        "filter": "",
        "more": asked.url(filter=f"parent_run_id = '{quoted}'", grouped=None) if len(found) > MOST_CHILDREN else None,
        "grouped": True,
        "view": asked.view,
    }


def _row(run: Run, columns: Sequence[runs_columns.Column], n_children: int) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "name": run.name,
        "status": run.status,
        "start_time": run.start_time,
        "end_time": run.end_time,
        "experiment": run.experiment,
        "parent_run_id": run.parent_run_id,
        "deleted_time": run.deleted_time,
        "broken": run.broken,
        "error": last_line(run.error) if run.error else None,
        "candidate": run.tags.get(CANDIDATE),
        "candidate_score": number_to_json(run.metrics[_SCORE]) if _SCORE in run.metrics else None,
        "note": run.tags.get(runs_columns.NOTE_TAG) or None,
        "children": n_children,
        "values": {column.id: runs_columns.value(run, column) for column in columns},
    }


def _column_json(column: runs_columns.Column, asked: Asked) -> dict[str, Any]:
    down = column.downwards_first
    return {
        "id": column.id,
        "label": column.label,
        "kind": column.kind,
        "group": column.group,
        "direction": asked.direction(column.id),
        "place": next((n for n, key in enumerate(asked.sort, 1) if key.removeprefix("-") == column.id), None),
        "sort": asked.sorted_by(column.id, downwards_first=down) if column.field else None,
        "sort_further": asked.sorted_by(column.id, downwards_first=down, further=True) if column.field else None,
    }


def _experiment_json(experiment: Experiment) -> dict[str, Any]:
    return {
        "experiment_id": experiment.experiment_id,
        "name": str(experiment.facts.get("shown_name") or experiment.name),
        "runs": experiment.run_count,
    }


def _experiment(store: Store, known: Sequence[Experiment], identity: str) -> Experiment:
    """The experiment of an id, also one of which all runs are deleted."""
    for experiment in known:
        if experiment.experiment_id == identity:
            return experiment
    quoted = identity.replace("'", "''")
    found = store.search_runs(f"experiment_id = '{quoted}'", (), 1, view=ALL_RUNS)
    if not found:
        raise Problem(problems.NOT_FOUND, f"there is no experiment with the id {identity[:100]!r}")
    return Experiment(identity, found[0].experiment)


def _holds_nothing(store: Store, asked: Asked) -> bool:
    """Whether there is nothing to see in the whole store, whatever one asks for."""
    return asked.view == ACTIVE_RUNS and asked.after is None and not store.search_runs(None, (), 1, view=ALL_RUNS)


ENDPOINTS: Final = [
    Endpoint("GET", "/runs.json", twin, READ),
    Endpoint("GET", "/experiments/{experiment_id}.json", twin, READ),
    Endpoint("GET", "/names.json", names, READ),
    Endpoint("GET", "/", page, READ, "page"),
    Endpoint("GET", "/runs", page, READ, "page"),
    Endpoint("GET", "/experiments/{experiment_id}", page, READ, "page"),
    Endpoint("GET", "/runs/{run_id}/children", children, READ, "page"),
]
