"""Entries and runs: what `autotrack.stores.base.Store` and `autotrack.stores.paging` do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import autotrack
from autotrack.events import FORMAT_VERSION
from autotrack.server import problems
from autotrack.server.native.calls import API, Arguments, call, respond
from autotrack.server.places import without_places
from autotrack.server.problems import Problem
from autotrack.server.routing import READ, WRITE, Endpoint
from autotrack.stores import paging
from autotrack.stores.base import histories
from autotrack.stores.remote import wire

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from autotrack.server.site import Site

_MOST_AT_ONCE: Final = 10_000


async def about(site: Site, request: Request) -> Response:
    """What this server is."""
    return respond({"server": "autotrack", "version": autotrack.__version__, "format": FORMAT_VERSION})


def entries(site: Site, arguments: Arguments) -> Any:
    """See `Store.apply`."""
    try:
        told = [wire.entry_from_json(one) for one in arguments.values("entries")]
    except (ValueError, RecursionError) as error:
        raise Problem(problems.INVALID, f"entries: {error!s:.300}") from None
    site.store.apply(told)
    return {}


def get(site: Site, arguments: Arguments) -> Any:
    """See `Store.get_run`."""
    return {"run": wire.run_to_json(site.store.get_run(arguments.text("run_id")))}


def find(site: Site, arguments: Arguments) -> Any:
    """See `Store.find_runs`."""
    return {"runs": [wire.run_to_json(run) for run in site.store.find_runs(arguments.text("reference"))]}


def page(site: Site, arguments: Arguments) -> Any:
    """See `paging.page_runs`."""
    found = paging.page_runs(
        site.store,
        arguments.optional_text("filter"),
        arguments.texts("order_by"),
        min(arguments.whole("limit"), _MOST_AT_ONCE),
        experiments=arguments.optional_texts("experiments"),
        view=arguments.view(),
        after=arguments.optional_text("after"),
        top_level=arguments.flag("top_level"),
    )
    return {"runs": [wire.run_to_json(run) for run in found.runs], "next": found.next}


def count(site: Site, arguments: Arguments) -> Any:
    """See `paging.count_runs`."""
    found = paging.count_runs(
        site.store,
        arguments.optional_text("filter"),
        experiments=arguments.optional_texts("experiments"),
        view=arguments.view(),
        at_most=arguments.optional_whole("at_most"),
        top_level=arguments.flag("top_level"),
    )
    return {"count": found}


def children(site: Site, arguments: Arguments) -> Any:
    """See `paging.children_of`."""
    limit = arguments.optional_whole("limit_each")
    found = paging.children_of(site.store, arguments.texts("run_ids"), view=arguments.view(), limit_each=limit)
    return {"children": [[run_id, [wire.run_to_json(run) for run in runs]] for run_id, runs in found.items()]}


def names(site: Site, arguments: Arguments) -> Any:
    """See `paging.names_of`."""
    found = paging.names_of(site.store, arguments.optional_text("experiment"))
    return {"params": found.params, "metrics": found.metrics, "tags": found.tags}


def mark(site: Site, arguments: Arguments) -> Any:
    """See `paging.change_mark`."""
    return {"mark": paging.change_mark(site.store)}


def history(site: Site, arguments: Arguments) -> Any:
    """See `Store.metric_history`."""
    return {"points": wire.points_to_json(site.store.metric_history(arguments.text("run_id"), arguments.text("key")))}


def all_histories(site: Site, arguments: Arguments) -> Any:
    """See `autotrack.stores.base.histories`."""
    found = histories(site.store, site.store.get_run(arguments.text("run_id")))
    return {"histories": [[key, wire.points_to_json(points)] for key, points in found.items()]}


def experiments(site: Site, arguments: Arguments) -> Any:
    """See `Store.experiments`."""
    return {"experiments": [wire.plain(one) for one in site.store.experiments()]}


def store_problems(site: Site, arguments: Arguments) -> Any:
    """See `Store.problems`; where the store is stays here."""
    return {"problems": [without_places(problem, site.store) for problem in site.store.problems()]}


ENDPOINTS: Final = [
    Endpoint("GET", f"{API}/about", about, READ),
    call("entries", entries, WRITE),
    call("runs/get", get, READ),
    call("runs/find", find, READ),
    call("runs/page", page, READ),
    call("runs/count", count, READ),
    call("runs/children", children, READ),
    call("names", names, READ),
    call("mark", mark, READ),
    call("metrics/history", history, READ),
    call("metrics/histories", all_histories, READ),
    call("experiments", experiments, READ),
    call("problems", store_problems, READ),
]
