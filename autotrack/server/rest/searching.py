"""Finding runs, a page at a time."""

from __future__ import annotations

from typing import Any, Final

from autotrack.server.rest import calls, catalog, fields, filtering, wire
from autotrack.server.rest.parsing import Message, choice, integer, texts, to_json, wrong
from autotrack.server.routing import READ
from autotrack.server.site import Site
from autotrack.stores.glances import page_with_points

_MAX_RESULTS: Final = 1000
"""Runs of a page where the client does not say."""


async def _search(site: Site, values: dict[str, Any]) -> bytes:
    limit = values["max_results"]
    if limit is None:
        limit = min(_MAX_RESULTS, site.options.page_size)
    if not 0 <= limit <= site.options.page_size:
        raise wrong("max_results", limit, f"it is from 0 to {site.options.page_size}")
    return await site.read(_found, site, values, limit)


def _found(site: Site, values: dict[str, Any], limit: int) -> bytes:
    page, points = page_with_points(
        site.store,
        filtering.runs_filter(values["filter"]),
        filtering.runs_orders(values["order_by"]),
        limit,
        experiments=catalog.names_of(site, values["experiment_ids"]),
        view=fields.VIEW_OF[values["run_view_type"]],
        after=values["page_token"] or None,
    )
    told: dict[str, Any] = {"runs": wire.runs_json(page.runs, points)}
    if page.next is not None:
        told["next_page_token"] = page.next
    return to_json(told)


_SEARCH: Final = Message(
    "SearchRuns",
    texts("experiment_ids"),
    fields.FILTER,
    choice("run_view_type", fields.VIEWS),
    integer("max_results"),
    texts("order_by"),
    fields.PAGE_TOKEN,
)

ENDPOINTS: Final = calls.endpoints("POST", "/runs/search", _SEARCH, _search, READ)
