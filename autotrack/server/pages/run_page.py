"""One run's page: how good it is and what changed first, then all that was recorded."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from autotrack.entities import CANDIDATE, RUNNING, Artifact, LoggedModel, Run
from autotrack.errors import AutotrackError
from autotrack.query.view import RunView, last_line
from autotrack.server.pages import run_before, run_facts, run_metrics, run_models, run_plots, run_trace
from autotrack.server.pages.previews import IMAGES
from autotrack.server.pages.views import view
from autotrack.server.places import told
from autotrack.stores.base import ALL_RUNS, Store
from autotrack.stores.registry import registry_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

NOTE: Final = "mlflow.note.content"
"""The tag that holds what people write about a run, as MLflow has it."""

_HIDDEN: Final = (NOTE, "estimator_name", "estimator_class", "mlflow.log-model.history", "mlflow.runName")
_CHILDREN: Final = 25
_FILES: Final = 200
_NAMES: Final = 50
_SMALL: Final = 4 * 2**20
_DIAGRAM: Final = "estimator.html"
_PICTURES: Final = 24


async def build(site: Site, request: Request) -> dict[str, Any]:
    """All that the page shows."""
    found = await site.read(look, site.store, request.path_params["run_id"])
    return {**found, "server": str(request.base_url).rstrip("/")}


def look(store: Store, run_id: str) -> dict[str, Any]:
    """Read a run and what stands around it.

    Raises
    ------
    RunNotFound
        When there is none.
    """
    run = store.get_run(run_id)
    view_ = RunView(run, store)
    files, troubles = _files(view_)
    paths = {file.path for file in files}
    info = run_metrics.info_of(_content(store, run, paths, "metric_info.json"))
    metrics = run_metrics.table(run, info)
    plots, unread = run_plots.read(view_)
    histories = run_plots.history_plots(store, run)
    models = [run_models.describe(store, run, model) for model in run.models]
    old = run_before.before(store, run)
    params = run_facts.params(run, run_models.changed_params(models))
    difference = None if old is None else run_before.difference(old, run)
    if difference is not None:
        known = {row["key"]: not row["is_default"] for row in params if row["is_default"] is not None}
        run_before.part_params(difference, known)
    large = run_metrics.headline(metrics, run)
    _mark_changes(large, difference)
    return {
        "title": run.name or "unnamed run",
        "run": _head(run),
        "headline": large,
        "is_held_out": any(metric["data"] not in (run_metrics.TRAINING, "") for metric in large),
        "difference": difference,
        "first_plot": run_plots.first(plots) or (histories[0] if histories else None),
        "plots": plots,
        "histories": histories,
        "pictures": _pictures(files, run),
        "params": params,
        "metrics": metrics,
        "datasets": [run_facts.dataset(data) for data in run.datasets],
        "models": models,
        "versions": _versions(store, run),
        "has_registry": registry_of(store) is not None,
        "diagram": _DIAGRAM if _DIAGRAM in paths else None,
        "trace": _trace(store, run, paths),
        "notes": run_facts.notes(run),
        "tags": run_facts.tags(run, _HIDDEN),
        "note": run.tags.get(NOTE, ""),
        "environment": run_facts.environment(run.process),
        "command": run_facts.command(run.process),
        "checkout": run_facts.checkout(run.process),
        **_around(store, run),
        "files": [
            {"path": file.path, "size": file.size, "digest": file.digest} for file in files if not _is_in(file, run)
        ][:_FILES],
        "n_files": len(files),
        "files_size": sum(file.size or 0 for file in files),
        "problems": [*troubles, *unread],
    }


def _head(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "run_name": run.name,
        "experiment": run.experiment,
        "experiment_id": run.experiment_id,
        "status": run.status,
        "is_running": run.status == RUNNING,
        "start_time": run.start_time,
        "end_time": run.end_time,
        "duration": run.duration,
        "deleted_time": run.deleted_time,
        "broken": run.broken,
        "estimator_name": run.tags.get("estimator_name", ""),
        "estimator_class": run.tags.get("estimator_class", ""),
        "parent_run_id": run.parent_run_id,
        "error": run.error,
        "error_line": last_line(run.error) if run.error else None,
    }


def _mark_changes(large: list[dict[str, Any]], difference: dict[str, Any] | None) -> None:
    """Tell of the large metrics what they were in the run before."""
    changes = {row["key"]: row for row in difference["metrics"]} if difference is not None else {}
    for metric in large:
        row = changes.get(metric["key"])
        metric["before"] = None if row is None else row["old"]
        metric["change"] = None if row is None else row["change"]
        metric["is_more"] = None if row is None else row["is_more"]


def _files(run: RunView) -> tuple[list[Artifact], list[str]]:
    try:
        return run.artifact_files(), []
    except (AutotrackError, OSError) as error:
        return [], [f"the artifacts cannot be listed: {told(error, run.store)}"]


def _pictures(files: list[Artifact], run: Run) -> list[str]:
    """Pictures among the files, as other tools log plots; ROC curves first."""
    found = [file.path for file in files if PurePosixPath(file.path).suffix.lower() in IMAGES and not _is_in(file, run)]
    return sorted(found, key=lambda path: ("roc" not in path, path))[:_PICTURES]


def _is_in(file: Artifact, run: Run) -> bool:
    """Whether a file is a model's: the model is listed as one."""
    return any(file.path.startswith(f"{model.path}/") for model in run.models)


def _content(store: Store, run: Run, paths: set[str], path: str) -> bytes:
    """A small file's content; nothing where it cannot be read."""
    if path not in paths:
        return b""
    try:
        place = store.artifact_path(run.run_id, path)
        return place.read_bytes() if place.stat().st_size <= _SMALL else b""
    except (AutotrackError, OSError):
        return b""


def _trace(store: Store, run: Run, paths: set[str]) -> dict[str, Any] | None:
    return run_trace.flame(_content(store, run, paths, run_trace.TRACE))


def _around(store: Store, run: Run) -> dict[str, Any]:
    """The run that this one is inside of, and those inside it: the best candidates of a search, else the newest."""
    parent = None
    if run.parent_run_id is not None:
        try:
            found = store.get_run(run.parent_run_id)
            parent = {"run_id": found.run_id, "run_name": found.name}
        except AutotrackError:
            parent = {"run_id": run.parent_run_id, "run_name": run.parent_run_id}
    condition = "attributes.parent_run_id = '" + run.run_id.replace("'", "''") + "'"
    view_: Any = "active" if run.deleted_time is None else ALL_RUNS
    order = ["metrics.rank_test_score ASC", "start_time DESC"]
    children = store.search_runs(condition, order, limit=_CHILDREN + 1, view=view_)
    return {
        "parent": parent,
        "children": [_child(child) for child in children[:_CHILDREN]],
        "more_children": len(children) > _CHILDREN,
        "children_filter": condition,
        "is_search": any(CANDIDATE in child.tags for child in children),
    }


def _child(run: Run) -> dict[str, Any]:
    metrics = run_metrics.table(run)
    return {
        "run_id": run.run_id,
        "run_name": run.name,
        "status": run.status,
        "duration": run.duration,
        "headline": run_metrics.headline(metrics, run)[:3],
        "rank": run.metrics.get("rank_test_score"),
    }


def _versions(store: Store, run: Run) -> list[dict[str, Any]]:
    """The registered versions that come from this run."""
    registry = registry_of(store)
    if registry is None or not run.models:
        return []
    names = {model.registered_model_name for model in run.models if model.registered_model_name}
    try:
        known = [model.name for model in registry.registered_models()]
        names = {*names} & set(known) | set(known[:_NAMES])
        return [
            {"name": version.name, "version": version.version, "path": version.path, "aliases": list(version.aliases)}
            for name in sorted(names)
            for version in registry.model_versions(name)
            if version.run_id == run.run_id
        ]
    except AutotrackError:
        return []


def model_of(run: Run, path: str) -> LoggedModel | None:
    """The run's model at a path."""
    return next((model for model in run.models if model.path == path), None)


ENDPOINTS: Final = view("/runs/{run_id}", "run.html", build)
