"""The plots of a run as JSON, the one that its page shows first, and metrics over their steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from autotrack.entities import Metric, Run
from autotrack.errors import AutotrackError
from autotrack.events import number_to_json
from autotrack.query import plots as query_plots
from autotrack.query.view import RunView
from autotrack.server import problems
from autotrack.server.pages.views import view
from autotrack.server.places import told, without_places
from autotrack.server.problems import Problem
from autotrack.stores.base import Store, histories

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

_TRAINING: Final = "training_"
_PREFERRED: Final = (
    "roc_curve",
    "predicted_vs_actual",
    "confusion_matrix",
    "residuals",
    "precision_recall_curve",
    "heat_map",
    "learning_curve",
    "validation_curve",
    "calibration_curve",
    "scatter",
)
"""Kinds of plots, the one first that says most about a model."""

_HISTORY: Final = 500
_MOST_HISTORIES: Final = 60
_ALIASES: Final = {"auc": "AUC", "average_precision": "average precision", "brier_score": "Brier score"}


def to_json(value: Any) -> Any:
    """A plot with texts for what JSON has no numbers for."""
    if isinstance(value, float):
        return number_to_json(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def read(run: RunView) -> tuple[list[dict[str, Any]], list[str]]:
    """The run's plots, each as `entry` has it, and what of its files cannot be read."""
    try:
        found, problems = query_plots.read(run)
    except (AutotrackError, OSError) as error:
        return [], [f"the plots cannot be listed: {told(error, run.store)}"]
    return [entry(name, to_json(plot)) for name, plot in found.items()], [
        without_places(problem, run.store) for problem in problems
    ]


def entry(name: str, plot: Mapping[str, Any]) -> dict[str, Any]:
    """One plot: ``name``, ``kind``, ``title``, ``subtitle``, ``note``, ``about`` (a sentence), and ``data``."""
    told = {key: str(plot.get(key) or "") for key in ("kind", "title", "subtitle", "note")}
    return {"name": name, **told, "title": told["title"] or name, "about": _about(plot) or name, "data": plot}


def _about(plot: Mapping[str, Any]) -> str:
    """What a plot shows, for those who do not see it."""
    parts = [str(plot[key]) for key in ("title", "subtitle") if plot.get(key)]
    lines = plot.get("series")
    for line in lines[:5] if isinstance(lines, list) else ():
        if isinstance(line, Mapping):
            told = [f"{said} {line[key]:.4g}" for key, said in _ALIASES.items() if isinstance(line.get(key), float)]
            parts += [": ".join(part for part in (str(line.get("name", "")), ", ".join(told)) if part)] if told else []
    return ". ".join(parts)


def first(plots: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The plot that says most about a model: of held-out data where there is one."""

    def rank(place: int) -> tuple[bool, int, int]:
        kind = plots[place]["data"].get("kind")
        known = _PREFERRED.index(kind) if kind in _PREFERRED else len(_PREFERRED)
        return (plots[place]["name"].startswith(_TRAINING), known, place)

    return plots[min(range(len(plots)), key=rank)] if plots else None


def history_plots(store: Store, run: Run) -> list[dict[str, Any]]:
    """Every metric that has several steps, as a plot of lines over them; those of folds are marked as such."""
    found: list[dict[str, Any]] = []
    for key, points in histories(store, run).items():
        if len(points) > 1 and points[0].step != points[-1].step and len(found) < _MOST_HISTORIES:
            found.append(entry(key, _history(key, points)))
    return sorted(found, key=lambda plot: plot["name"])


def _history(key: str, points: Sequence[Metric]) -> dict[str, Any]:
    kept = _thinned(points)
    plot: dict[str, Any] = {
        "kind": "iterations",
        "title": key,
        "xlabel": "step",
        "ylabel": key,
        "series": [
            {"name": "", "x": [point.step for point in kept], "y": [number_to_json(point.value) for point in kept]}
        ],
    }
    if len(kept) < len(points):
        plot["note"] = f"{len(kept):,} of {len(points):,} points"
    return plot


def _thinned(points: Sequence[Metric]) -> list[Metric]:
    """At most so many points, with the lowest and highest of each stretch among them."""
    if len(points) <= _HISTORY:
        return list(points)
    length = math.ceil(len(points) / (_HISTORY // 2 - 1))
    kept = {0, len(points) - 1}
    for begin in range(0, len(points), length):
        stretch = range(begin, min(begin + length, len(points)))
        known = [place for place in stretch if not math.isnan(points[place].value)] or list(stretch)
        kept |= {min(known, key=lambda at: points[at].value), max(known, key=lambda at: points[at].value)}
    return [points[place] for place in sorted(kept)]


async def build(site: Site, request: Request) -> dict[str, Any]:
    """All plots of a run, or those that ``?name=`` names, metrics over their steps among them."""
    run_id = request.path_params["run_id"]
    wanted = request.query_params.getlist("name")

    def look() -> dict[str, Any]:
        run = site.store.get_run(run_id)
        plots, troubles = read(RunView(run, site.store))
        plots += history_plots(site.store, run)
        known = {plot["name"] for plot in plots}
        for name in wanted:
            if name not in known:
                there = ", ".join(sorted(known)[:20]) or "none"
                raise Problem(problems.NOT_FOUND, f"run {run.run_id} has no plot {name[:200]!r}; it has {there}")
        return {
            "title": f"Plots of {run.name}",
            "run": {"run_id": run.run_id, "run_name": run.name},
            "plots": [plot for plot in plots if not wanted or plot["name"] in wanted],
            "problems": troubles,
            "chosen": wanted,
        }

    return await site.read(look)


ENDPOINTS: Final = view("/runs/{run_id}/plots", "plots.html", build)
