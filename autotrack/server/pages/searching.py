"""``/runs/{run_id}/search``: what a parameter search tried, and how good and slow it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from autotrack.entities import CANDIDATE, FAILED, Run
from autotrack.errors import ArtifactNotFound
from autotrack.query.view import last_line
from autotrack.server import problems
from autotrack.server.pages import axes, candidates
from autotrack.server.pages.axes import Axis
from autotrack.server.pages.candidates import MOST_BYTES, RESULTS, Candidate, Results
from autotrack.server.pages.views import view
from autotrack.server.places import told
from autotrack.server.problems import Problem
from autotrack.stores.base import ALL_RUNS, Store, at_rest

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

_ROWS: Final = 200
_LINES: Final = 300
_AXES: Final = 10
_POINTS: Final = 2_000


async def build(site: Site, request: Request) -> Mapping[str, Any]:
    """The page."""
    query = request.query_params
    return await site.read(
        searched,
        site.store,
        request.path_params["run_id"],
        scorer=query.get("scorer", ""),
        x=query.get("x", ""),
        y=query.get("y", ""),
        everything=query.get("all") == "1",
    )


def searched(
    store: Store, run_id: str, *, scorer: str = "", x: str = "", y: str = "", everything: bool = False
) -> dict[str, Any]:
    """What the page shows.

    Parameters
    ----------
    scorer, x, y : what is chosen: a scorer, and the params of the map; empty for our choice.
    everything : all candidates in the table, not only the best.

    Raises
    ------
    RunNotFound
        When there is no such run.
    Problem
        When it is no search, or its table cannot be read.
    """
    with at_rest(store):
        run = store.get_run(run_id)
        results = _read(store, run, scorer)
        children = _children(store, run)
    found = results.candidates
    across, up = _pair(results, x, y)
    best = next((place for place, one in enumerate(found) if one.score is not None), None)
    entries = [_entry(place, one, children, place == best) for place, one in enumerate(found)]
    shown = found[:_LINES]
    return {
        "title": f"Search of {run.name}",
        "run": {"run_id": run.run_id, "run_name": run.name, "status": run.status, "experiment": run.experiment},
        "scorers": results.scorers,
        "scorer": results.scorer,
        "folds": results.folds,
        "count": len(found),
        "evaluations": results.evaluations,
        "failed": sum(entry["failed"] for entry in entries),
        "best": None if best is None else entries[best],
        "varied": results.varied,
        "fixed": results.fixed,
        "is_halving": any(one.round is not None for one in found),
        "has_train": any(one.train is not None for one in found),
        "x": across,
        "y": up,
        "url": f"/runs/{quote(run.run_id)}/search",
        "more_url": _more(run, results, across, up) if len(found) > _ROWS and not everything else "",
        "candidates": entries if everything else entries[:_ROWS],
        "map": _map(results, entries, across, up),
        "parallel": _parallel(results, shown, best),
        "plots": {
            "cloud": _cloud(results, across, up, best),
            "curve": _curve(results) if len(results.varied) == 1 else None,
            "time": _time(results, best),
        },
    }


def _read(store: Store, run: Run, scorer: str) -> Results:
    try:
        path = store.artifact_path(run.run_id, RESULTS)
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES:,} bytes")
        return candidates.read(path.read_bytes(), scorer, run.params.get("refit", ""))
    except ArtifactNotFound as error:
        raise Problem(
            problems.NOT_FOUND, f"run {run.run_id} ({run.name}) has no {RESULTS}: it is no parameter search"
        ) from error
    except (OSError, ValueError) as error:
        reason = told(error, store)
        raise Problem(problems.NOT_FOUND, f"{RESULTS} of run {run.run_id} cannot be read: {reason}") from error


def _children(store: Store, run: Run) -> dict[int, Run]:
    quoted = run.run_id.replace("'", "''")
    found = {}
    for child in store.search_runs(f"attributes.parent_run_id = '{quoted}'", view=ALL_RUNS):
        number = child.tags.get(CANDIDATE, "")
        if number.isascii() and number.isdigit() and child.deleted_time is None:
            found[int(number)] = child
    return found


def _entry(place: int, one: Candidate, children: Mapping[int, Run], is_best: bool) -> dict[str, Any]:
    child = children.get(one.row)
    failed = one.score is None or (child is not None and child.status == FAILED)
    return {
        "place": place,
        "row": one.row,
        "label": one.label,
        "params": dict(one.params),
        "score": one.score,
        "std": one.std,
        "train": one.train,
        "rank": one.rank,
        "seconds": one.seconds,
        "round": one.round,
        "resources": one.resources,
        "best": is_best,
        "failed": failed,
        "error": last_line(child.error) if child is not None and child.error else "",
        "run_id": None if child is None else child.run_id,
    }


def _pair(results: Results, x: str, y: str) -> tuple[str, str]:
    names = results.varied
    across = x if x in names else next(iter(names), "")
    up = y if y in names and y != across else next((name for name in names if name != across), "")
    return across, up


def _more(run: Run, results: Results, x: str, y: str) -> str:
    chosen = {"scorer": results.scorer, "x": x, "y": y, "all": "1"}
    return f"/runs/{quote(run.run_id)}/search?{urlencode({key: value for key, value in chosen.items() if value})}"


def _map(results: Results, entries: Sequence[Mapping[str, Any]], x: str, y: str) -> dict[str, Any] | None:
    """The heat map: a cell has the best candidate over all other params, with a shade from 0 to 9."""
    found = candidates.grid(results, x, y) if x and y else None
    if found is None:
        return None
    scores = [entry["score"] for entry in entries if entry["score"] is not None]
    low, high = min(scores, default=0.0), max(scores, default=0.0)

    def cell(place: int | None, tried: int) -> dict[str, Any] | None:
        if place is None:
            return None
        entry = entries[place]
        score = entry["score"]
        shade = None if score is None else round(9 * (score - low) / (high - low)) if high > low else 9
        kept = {key: entry[key] for key in ("place", "score", "std", "label", "run_id", "best", "failed")}
        return kept | {"shade": shade, "tried": tried}

    rows = [
        [cell(place, tried) for place, tried in zip(line, counts, strict=True)]
        for line, counts in zip(found["cells"], found["tried"], strict=True)
    ]
    others = [name for name in results.varied if name not in (x, y)]
    return {"columns": found["columns"], "rows": found["rows"], "cells": rows, "others": others}


def _parallel(results: Results, shown: Sequence[Candidate], best: int | None) -> dict[str, Any] | None:
    if not results.varied or len(shown) < 2:
        return None
    names = results.varied[:_AXES]
    columns = [Axis(name, [one.params.get(name) for one in shown]) for name in names]
    columns.append(Axis(f"mean {results.scorer}", [one.score for one in shown]))
    notes = [f"{_AXES} of {len(results.varied)} params"] if len(results.varied) > _AXES else []
    if len(shown) < len(results.candidates):
        notes.append(f"the best {len(shown)} of {len(results.candidates):,} candidates")
    drawn = axes.parallel(columns, [one.label for one in shown], best=() if best is None else (best,))
    return drawn | {"note": "; ".join(notes)}


def _cloud(results: Results, x: str, y: str, best: int | None) -> dict[str, Any] | None:
    """Two params of which few pairs were tried: a point per candidate, coloured by its score."""
    if not x or not y or candidates.grid(results, x, y) is not None:
        return None
    tried = results.candidates[:_POINTS]
    across, up = (Axis(name, [one.params.get(name) for one in tried]) for name in (x, y))
    points = [
        {"name": one.label, "x": across.values[at], "y": up.values[at], "value": one.score, "best": at == best}
        for at, one in enumerate(tried)
        if one.score is not None and across.values[at] is not None and up.values[at] is not None
    ]
    if not points:
        return None
    return {
        "kind": "candidates",
        "title": f"{results.scorer} over {x} and {y}",
        "xlabel": x,
        "ylabel": y,
        "value_name": f"mean {results.scorer}",
        "log_x": across.is_log,
        "log_y": up.is_log,
        "points": points,
    }


def _curve(results: Results) -> dict[str, Any] | None:
    """One param: its scores, with what they vary by."""
    name = results.varied[0]
    tried = [one for one in results.candidates if one.score is not None and name in one.params]
    axis = Axis(name, [one.params[name] for one in tried])
    if not tried:
        return None
    order = sorted(
        range(len(tried)), key=lambda at: axis.values[at] if axis.is_number else axis.texts.index(axis.values[at])
    )
    series = []
    for label, mean, std in (("training", "train", None), ("validation", "score", "std")):
        values = [getattr(tried[at], mean) for at in order]
        if any(value is not None for value in values):
            line = {"name": label, "x": [axis.values[at] for at in order], "y": values}
            series.append(line | ({"std": [getattr(tried[at], std) for at in order]} if std else {}))
    return {
        "kind": "validation_curve",
        "title": f"{results.scorer} over {name}",
        "xlabel": name,
        "ylabel": f"mean {results.scorer}",
        "log": axis.is_log,
        "series": series,
    }


def _time(results: Results, best: int | None) -> dict[str, Any] | None:
    tried = [
        (at, one)
        for at, one in enumerate(results.candidates[:_POINTS])
        if one.score is not None and one.seconds is not None
    ]
    if len(tried) < 2:
        return None
    seconds = Axis("seconds", [one.seconds for _, one in tried])
    return {
        "kind": "candidates",
        "title": "Time against score",
        "xlabel": "seconds of a fit, on the mean",
        "ylabel": f"mean {results.scorer}",
        "log_x": seconds.is_log,
        "log_y": False,
        "points": [
            {"name": one.label, "x": one.seconds, "y": one.score, "value": one.score, "best": at == best}
            for at, one in tried
        ],
    }


ENDPOINTS: Final = view("/runs/{run_id}/search", "search.html", build)
