"""The registered models: all of them, one with its versions, one version with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from autotrack.entities import ModelVersion, RegisteredModel, Run, shown_tags
from autotrack.errors import AutotrackError, ModelNotFound
from autotrack.query.registered import as_shown
from autotrack.server.pages import run_before, run_facts, run_metrics, run_models
from autotrack.server.pages.run_page import model_of
from autotrack.server.pages.views import view
from autotrack.stores.base import Store
from autotrack.stores.registry import RegistryStore, registry_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from autotrack.server.site import Site

_WITH_RUNS: Final = 100
"""So many models or versions of a list are shown with what their runs say."""
_ON_SAME_DATA: Final = 8


async def build_all(site: Site, request: Request) -> dict[str, Any]:
    """Every registered model, with its latest version."""

    def look() -> dict[str, Any]:
        registry = registry_of(site.store)
        found = [] if registry is None else registry.registered_models()
        return {
            "title": "Models",
            "has_registry": registry is not None,
            "models": [
                {**_model(model), "latest": None if registry is None else _latest(registry, model, at < _WITH_RUNS)}
                for at, model in enumerate(found)
            ],
        }

    return await site.read(look)


def _latest(registry: RegistryStore, model: RegisteredModel, with_run: bool) -> dict[str, Any] | None:
    if model.latest_version is None:
        return None
    try:
        version = registry.model_version(model.name, model.latest_version)
    except ModelNotFound:  # deleted meanwhile
        return None
    return {**_version(version), "run": _run(registry, version) if with_run else None}


async def build_model(site: Site, request: Request) -> dict[str, Any]:
    """One registered model and its versions, the newest first."""
    name = request.path_params["name"]

    def look() -> dict[str, Any]:
        registry = site.registry
        model = registry.registered_model(name)
        versions = sorted(registry.model_versions(name), key=lambda version: -version.version)
        return {
            "title": model.name,
            "model": _model(model),
            "versions": [
                {**_version(version), "run": _run(registry, version) if at < _WITH_RUNS else None}
                for at, version in enumerate(versions)
            ],
        }

    return await site.read(look)


async def build_version(site: Site, request: Request) -> dict[str, Any]:
    """One version: its run and data, what differs from the version before, signature, how to load it."""
    name, number = request.path_params["name"], request.path_params["version"]

    def look() -> dict[str, Any]:
        registry = site.registry
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise ModelNotFound(f"{number[:50]!r} is no version of the model {name!r}; expected a number")
        version = registry.model_version(name, int(number))
        versions = registry.model_versions(name)
        older = [one for one in versions if one.version < version.version]
        run = _tolerant_run(registry, version.run_id)
        model = None if run is None else _described(registry, run, version)
        return {
            "title": f"{version.name} / {version.version}",
            "version": _version(version),
            "numbers": [one.version for one in versions],
            "run": None if run is None else _told(run),
            "datasets": [] if run is None else [run_facts.dataset(data) for data in run.datasets],
            "same_data": [] if run is None else _on_same_data(registry, run),
            "model": model,
            "difference": _difference(registry, older[-1], run, model) if older and run is not None else None,
        }

    found = await site.read(look)
    return {**found, "server": str(request.base_url).rstrip("/")}


def _model(model: RegisteredModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "latest_version": model.latest_version,
        "created_time": model.created_time,
        "description": model.description,
        "tags": shown_tags(model.tags),
        "aliases": dict(sorted(model.aliases.items())),
    }


def _version(version: ModelVersion) -> dict[str, Any]:
    version = as_shown(version)
    return {
        "name": version.name,
        "version": version.version,
        "run_id": version.run_id,
        "path": version.path,
        "digest": version.digest,
        "created_time": version.created_time,
        "description": version.description,
        "tags": dict(version.tags),
        "aliases": list(version.aliases),
        "stage": version.stage,
    }


def _tolerant_run(store: Store, run_id: str) -> Run | None:
    try:
        return store.get_run(run_id)
    except AutotrackError:
        return None


def _run(store: Store, version: ModelVersion) -> dict[str, Any] | None:
    run = _tolerant_run(store, version.run_id)
    return None if run is None else _told(run)


def _told(run: Run) -> dict[str, Any]:
    metrics = run_metrics.table(run)
    return {
        "run_id": run.run_id,
        "run_name": run.name,
        "status": run.status,
        "start_time": run.start_time,
        "experiment": run.experiment,
        "experiment_id": run.experiment_id,
        "deleted_time": run.deleted_time,
        "estimator_class": run.tags.get("estimator_class", ""),
        "headline": run_metrics.headline(metrics, run),
        "data": [{"name": data.name, "context": data.context, "digest": data.digest} for data in run.datasets],
    }


def _described(store: Store, run: Run, version: ModelVersion) -> dict[str, Any] | None:
    model = model_of(run, version.path)
    if model is None:
        return None
    return run_models.describe(store, run, model, uri=_uri(version))


def _uri(version: ModelVersion) -> str:
    """The alias where there is one: it stays when a better version comes."""
    alias = f"@{version.aliases[0]}" if version.aliases else f"/{version.version}"
    return f"models:/{version.name}{alias}"


def _on_same_data(store: Store, run: Run) -> list[dict[str, Any]]:
    """Other runs that saw the same training data, the newest."""
    digest = next((data.digest for data in run.datasets if data.context == "train" and data.digest), "")
    if not digest:
        return []
    condition = "datasets.digest = '" + digest.replace("'", "''") + "' AND attributes.parent_run_id IS NULL"
    found = store.search_runs(condition, ["start_time DESC"], limit=_ON_SAME_DATA + 1)
    return [_told(other) for other in found if other.run_id != run.run_id][:_ON_SAME_DATA]


def _difference(
    registry: RegistryStore, old: ModelVersion, new_run: Run, new_model: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """What differs from the version before, in its run and in what the model's own files say."""
    old_run = _tolerant_run(registry, old.run_id)
    if old_run is None:
        return None
    found = run_before.difference(old_run, new_run)
    run_before.part_params(found, run_models.changed_params([dict(new_model)] if new_model is not None else []))
    old_model = model_of(old_run, old.path)
    before = None if old_model is None else run_models.describe(registry, old_run, old_model, deep=False)
    own = []
    if before is not None and new_model is not None:
        for key, was, now in (
            ("class", before["estimator_class"], new_model["estimator_class"]),
            ("format", before["serialization_format"], new_model["serialization_format"]),
            ("inputs", _columns(before, "inputs"), _columns(new_model, "inputs")),
            ("outputs", _columns(before, "outputs"), _columns(new_model, "outputs")),
            ("requirements", ", ".join(before["requirements"]), ", ".join(new_model["requirements"])),
        ):
            if was != now:
                own.append({"key": key, "old": was or None, "new": now or None})
    return {**found, "version": old.version, "model": own, "is_any": found["is_any"] or bool(own)}


def _columns(model: Mapping[str, Any], side: str) -> str:
    signature = model["signature"]
    specs = signature[side] if signature else []
    return ", ".join(
        f"{place if spec['name'] is None else spec['name']}: {spec['type']}" for place, spec in enumerate(specs)
    )


ENDPOINTS: Final = [
    *view("/models", "models.html", build_all),
    *view("/models/{name}", "model.html", build_model),
    view("/models/{name}/", "model.html", build_model)[-1],
    *view("/models/{name}/{version}", "model_version.html", build_version),
]
"""All of them, one, one version."""
