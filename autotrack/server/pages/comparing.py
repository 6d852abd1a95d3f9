"""``/compare``: runs side by side. All that is chosen on the page stands in its address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from autotrack.errors import RunNotFound
from autotrack.query.finding import find_run
from autotrack.query.view import RunView
from autotrack.server import problems
from autotrack.server.pages import compared_plots, compared_programs, compared_values
from autotrack.server.pages.compared_values import Labels
from autotrack.server.pages.views import view
from autotrack.server.places import without_places
from autotrack.server.problems import Problem
from autotrack.stores.base import Store, at_rest

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

MOST: Final = 50
"""So many runs are compared at once."""

COLOURS: Final = 8
"""So many colours there are; the ninth run has the first one's again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address says.

    Parameters
    ----------
    runs : ids, or what else `find_run` takes.
    metric, x, y : what the pictures show: a metric's key, and ``params.KEY`` or ``metrics.KEY``; empty for our choice.
    between : the two runs whose programs are compared; empty for the first two.
    """

    runs: tuple[str, ...]
    metric: str = ""
    x: str = ""
    y: str = ""
    between: tuple[str, ...] = ()

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Asked:
        """From a query string's parameters."""
        runs = tuple(dict.fromkeys(_listed(query.get("runs", ""))))
        return cls(
            runs,
            query.get("metric", ""),
            query.get("x", ""),
            query.get("y", ""),
            tuple(_listed(query.get("between", "")))[:2],
        )

    def url(self, runs: Sequence[str] | None = None, **changed: str) -> str:
        """The address of the page with something changed."""
        asked = {"runs": ",".join(self.runs if runs is None else runs), "metric": self.metric, "x": self.x, "y": self.y}
        asked |= {"between": ",".join(self.between), **changed}
        return "/compare?" + urlencode({name: value for name, value in asked.items() if value}, safe=",")


async def build(site: Site, request: Request) -> Mapping[str, Any]:
    """The page."""
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():  # a form of check boxes gives `runs` once for each
        query[name] = f"{query[name]},{value}" if name == "runs" and name in query else value
    asked = Asked.read(query)
    if len(asked.runs) > MOST:
        raise Problem(
            problems.INVALID,
            f"{len(asked.runs)} runs are asked for, and at most {MOST} are compared at once: choose fewer of them, or "
            "filter the table of runs",
        )
    return await site.read(compared, site.store, asked)


def compared(store: Store, asked: Asked) -> dict[str, Any]:
    """What the page shows.

    Raises
    ------
    Problem
        When runs are asked for, and none of them is there.
    """
    with at_rest(store):
        views, missing = _find(store, asked.runs)
        if asked.runs and not views:
            raise Problem(problems.NOT_FOUND, f"none of these runs is here: {'; '.join(missing)}")
        data: dict[str, Any] = {"title": _title(views), "runs": [], "missing": missing, "most": MOST}
        if not views:
            return data
        values = compared_values.differences(views)
        labels = Labels(views, values)
        ids = [one.run_id for one in views]
        data["runs"] = [
            _entry(one, index, labels, asked.url([other for other in ids if other != one.run_id]))
            for index, one in enumerate(views)
        ]
        data |= values
        choice = compared_plots.choose(views, values, asked.metric, asked.x, asked.y)
        data["choice"] = choice
        data["plots"] = compared_plots.plots(views, labels, values, choice)
        data["datasets"] = compared_values.datasets(views)
        pair = _pair(ids, asked.between)
        data["programs"] = None
        if pair is not None:
            left, right = (views[ids.index(one)] for one in pair)
            data["programs"] = compared_programs.between(left, right)
        return data


def _find(store: Store, references: Sequence[str]) -> tuple[list[RunView], list[str]]:
    """The runs that are there, once each, and what is to be said of the others."""
    found: dict[str, RunView] = {}
    missing = []
    for reference in references:
        try:
            run = store.get_run(reference)
        except RunNotFound:
            try:
                run = find_run(store, reference)
            except RunNotFound as error:
                missing.append(without_places(str(error), store).partition("\n")[0])
                continue
        found[run.run_id] = RunView(run, store)
    return list(found.values()), missing


def _entry(run: RunView, index: int, labels: Labels, without: str) -> dict[str, Any]:
    start, end = run.start_time, run.end_time
    return {
        "run_id": run.run_id,
        "run_name": run.name,
        "label": labels[index],
        "colour": index % COLOURS + 1,
        "status": run.status,
        "experiment": run.experiment,
        "experiment_id": run.experiment_id,
        "estimator": run.tags.get("estimator_name", ""),
        "start_time": None if start is None else round(start.timestamp() * 1000),
        "duration": run.duration,
        "is_running": end is None and run.status == "RUNNING",
        "deleted": run.deleted_time is not None,
        "without": without,
    }


def _pair(ids: Sequence[str], between: Sequence[str]) -> tuple[str, str] | None:
    known = [one for one in between if one in ids]
    chosen = [*known, *(one for one in ids if one not in known)][:2]
    return (chosen[0], chosen[1]) if len(chosen) == 2 else None


def _title(views: Sequence[RunView]) -> str:
    if len(views) == 1:
        return f"Compare {views[0].name} with another run"
    names = {one.name for one in views}
    of = f" of {next(iter(names))}" if len(names) == 1 and "" not in names else ""
    return f"Compare {len(views)} runs{of}" if views else "Compare runs"


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


ENDPOINTS: Final = view("/compare", "compare.html", build)
