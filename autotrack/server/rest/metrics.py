"""The histories of metrics: of one run by pages, of many runs at once, and thinned out for plots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from autotrack.entities import Metric
from autotrack.errors import RunNotFound
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import calls, fields, wire
from autotrack.server.rest.parsing import Message, integer, text, texts, to_json, wrong
from autotrack.server.rest.recording import no_run
from autotrack.server.routing import READ
from autotrack.server.site import Site
from autotrack.stores import tokens

_MOST_RUNS: Final = 100
_MOST_POINTS: Final = 25_000
"""Points that all runs together have in one answer."""
_MOST_STEPS: Final = 2500
"""Steps that one run has in a thinned-out answer."""


async def _history(site: Site, values: dict[str, Any]) -> bytes:
    run_id, key, limit = values["run_id"], values["metric_key"], values["max_results"]
    if limit is not None and limit <= 0:
        raise wrong("max_results", limit, "it is a positive whole number")

    def read() -> bytes:
        points = _points(site, run_id, key)
        search = tokens.search_digest("history", None, [run_id, key], None, "all", False)
        begin = _begin(points, search, values["page_token"])
        page = points[begin:] if limit is None else points[begin : begin + limit]
        told: dict[str, Any] = {"metrics": [wire.metric_json(point) for point in page]}
        if page and begin + len(page) < len(points):
            told["next_page_token"] = _token(points, begin + len(page), search)
        return to_json(told)

    return await site.read(read)


def _points(site: Site, run_id: str, key: str) -> list[Metric]:
    try:
        return site.store.metric_history(run_id, key)
    except RunNotFound:
        raise no_run(run_id) from None


def _token(points: list[Metric], reached: int, search: bytes) -> str:
    """The token of the place behind the first points: it counts those that are equal to the last of them."""
    last = points[reached - 1]
    equal = 1
    while equal < reached and _place(points[reached - 1 - equal]) == _place(last):
        equal += 1
    return tokens.encode(search, [], [last.step, last.timestamp, equal])


def _begin(points: list[Metric], search: bytes, token: str | None) -> int:
    if not token:
        return 0
    ties = tokens.decode(search, token).ties
    if len(ties) != 3 or not all(isinstance(one, int) for one in ties):
        raise tokens.refused()
    step, timestamp, equal = (int(one or 0) for one in ties)
    for number, point in enumerate(points):
        if _place(point) > (step, timestamp):
            return number
        if _place(point) == (step, timestamp):
            equal -= 1
            if equal < 0:
                return number
    return len(points)


def _place(point: Metric) -> tuple[int, int]:
    return point.step, point.timestamp


async def _bulk(site: Site, values: dict[str, Any]) -> bytes:
    run_ids = _few(values["run_ids"])
    limit = values["max_results"]
    limit = _MOST_POINTS if limit is None else min(limit, _MOST_POINTS)

    def read() -> bytes:
        found: list[dict[str, Any]] = []
        for run_id, points in _histories(site, sorted(run_ids), values["metric_key"]):
            by_time = sorted(points, key=lambda point: (point.timestamp, point.step))
            found += [{**wire.metric_json(point), "run_id": run_id} for point in by_time[: limit - len(found)]]
            if len(found) >= limit:
                break
        return to_json({"metrics": found})

    return await site.read(read)


async def _interval(site: Site, values: dict[str, Any]) -> bytes:
    run_ids, start, end = _few(values["run_ids"]), values["start_step"], values["end_step"]
    if (start is None) != (end is None):
        message = "If either start step or end step are specified, both must be specified."
        raise Problem(problems.INVALID, message)
    if start is not None and start > end:
        message = f"end_step must be greater than start_step. Found start_step={start} and end_step={end}."
        raise Problem(problems.INVALID, message)
    limit = _MOST_STEPS if values["max_results"] is None else values["max_results"]

    def read() -> bytes:
        histories = list(_histories(site, run_ids, values["metric_key"]))
        steps: set[int] = set()
        ends: set[int] = set()
        for _, points in histories:
            inside = [point.step for point in points if start is None or start <= point.step <= end]
            steps.update(inside)
            ends.update((inside[0], inside[-1]) if inside else ())
        chosen = ends | set(_thinned(sorted(steps), limit))
        found = [
            {**wire.metric_json(point), "run_id": run_id}
            for run_id, points in histories
            for point in _thinned([point for point in points if point.step in chosen], limit)
        ]
        return to_json({"metrics": found})

    return await site.read(read)


def _thinned(items: list[Any], count: int) -> list[Any]:
    """As many of these, evenly, the first and the last among them."""
    if len(items) <= count:
        return items
    if count == 1:
        return items[-1:]
    last = len(items) - 1
    return [items[round(number * last / (count - 1))] for number in range(count)]


def _few(run_ids: list[str]) -> list[str]:
    if len(run_ids) > _MOST_RUNS:
        raise wrong("run_ids", run_ids, f"there are {len(run_ids)} and may be {_MOST_RUNS}")
    return list(dict.fromkeys(run_ids))


def _histories(site: Site, run_ids: Iterable[str], key: str) -> Iterator[tuple[str, list[Metric]]]:
    for run_id in run_ids:
        yield run_id, _points(site, run_id, key)


_KEY: Final = text("metric_key", needed=True)
_RUNS: Final = texts("run_ids", needed=True, aliases=("run_id",))
_HISTORY: Final = Message("GetMetricHistory", fields.RUN_ID, _KEY, integer("max_results"), fields.PAGE_TOKEN)
_BULK: Final = Message("GetMetricHistoryBulk", _RUNS, _KEY, integer("max_results", least=1))
_INTERVAL: Final = Message(
    "GetMetricHistoryBulkInterval",
    _RUNS,
    _KEY,
    integer("start_step"),
    integer("end_step"),
    integer("max_results", least=1, most=_MOST_STEPS),
)

ENDPOINTS: Final = [
    *calls.endpoints("GET", "/metrics/get-history", _HISTORY, _history, READ),
    *calls.endpoints("GET", "/metrics/get-history-bulk", _BULK, _bulk, READ),
    *calls.endpoints("GET", "/metrics/get-history-bulk-interval", _INTERVAL, _interval, READ),
]
