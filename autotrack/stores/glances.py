"""Small questions that a server asks at every request: may this run be written to, where do its metrics stand.

A store that answers one faster than by whole runs has a method of the same name, without the first parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autotrack.entities import Run
from autotrack.errors import RunNotFound
from autotrack.stores.base import ALL_RUNS, Store, View, histories
from autotrack.stores.paging import Page, page_runs

Points = Mapping[str, tuple[int, int]]
"""The step and the timestamp of the last value of each metric of a run, by key."""


def outline(store: Store, run_id: str, params: Collection[str] = (), tags: Collection[str] = ()) -> Run | None:
    """A run without metrics, datasets, models, notes and facts of its process; ``None`` where there is none.

    Parameters
    ----------
    params, tags : keys of those that the answer shall have, where the run does.
    """
    native = _native(store, "outline")
    if native is not None:
        found: Run | None = native(run_id, params, tags)
        return found
    try:
        run = store.get_run(run_id)
    except RunNotFound:
        return None
    return replace(
        run,
        params={key: run.params[key] for key in params if key in run.params},
        tags={key: run.tags[key] for key in tags if key in run.tags},
        metrics={},
        datasets=(),
        models=(),
        notes=(),
        process={},
    )


def last_points(store: Store, runs: Sequence[Run]) -> dict[str, Points]:
    """Where the metrics of runs stand, by the runs' ids: what belongs to the values in `Run.metrics`."""
    native = _native(store, "last_points")
    if native is not None:
        found: dict[str, Points] = native([run.run_id for run in runs])
        return found
    points: dict[str, Points] = {}
    for run in runs:
        try:
            told = histories(store, run) if run.metrics else {}
        except RunNotFound:  # removed meanwhile
            told = {}
        points[run.run_id] = {
            key: (history[-1].step, history[-1].timestamp) for key, history in told.items() if history
        }
    return points


def page_with_points(
    store: Store,
    filter: str | None,
    order_by: Sequence[str],
    limit: int,
    *,
    experiments: Sequence[str] | None,
    view: View,
    after: str | None,
) -> tuple[Page, Mapping[str, Points]]:
    """A page of a search (`autotrack.stores.paging.page_runs`) and where the metrics of its runs stand."""
    asked: dict[str, Any] = {"experiments": experiments, "view": view, "after": after}
    native = _native(store, "page_with_points")
    if native is not None:
        found: tuple[Page, Mapping[str, Points]] = native(filter, order_by, limit, **asked)
        return found
    page = page_runs(store, filter, order_by, limit, **asked)
    return page, last_points(store, page.runs)


def experiment_facts(store: Store, names: Collection[str] | None = None) -> dict[str, Mapping[str, Any]]:
    """What was told of experiments, by the names that runs give; an empty mapping for one that only runs name.

    Parameters
    ----------
    names : the ones that are wanted; those that the store does not know are not in the answer. ``None`` for all, also
        those whose runs are all deleted.
    """
    native = _native(store, "experiment_facts")
    if native is not None:
        found: dict[str, Mapping[str, Any]] = native(names)
        return found
    told: dict[str, Mapping[str, Any]] = {one.name: one.facts for one in store.experiments()}
    if names is None or any(name not in told for name in names):
        for run in store.search_runs(view=ALL_RUNS):
            told.setdefault(run.experiment, {})
    return told if names is None else {name: told[name] for name in names if name in told}


def _native(store: Store, name: str) -> Callable[..., Any] | None:
    method = getattr(store, name, None)
    return method if callable(method) else None
