"""Logged models as MLflow's clients read them, JSON types only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autotrack.entities import LoggedModel, Run
from autotrack.events import number_from_json
from autotrack.server.rest import locating, model_ids, wire
from autotrack.server.rest.model_records import READY, latest
from autotrack.server.rest.parsing import finite
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.translation import GIT_COMMIT, SOURCE_NAME, SOURCE_TYPE, USER

_OF_THE_RUN = (USER, SOURCE_NAME, SOURCE_TYPE, GIT_COMMIT)


@dataclass(frozen=True, slots=True)
class Shown:
    """A logged model as clients see it, one that autotrack recorded by itself too.

    ``metrics`` has for each value ``key``, ``value``, ``timestamp``, ``step``, ``run_id`` and, where it was told,
    ``dataset_name`` and ``dataset_digest``.
    """

    model_id: str
    experiment_id: str
    name: str
    model_type: str
    status: str
    source_run_id: str
    created: int
    updated: int
    artifact_uri: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """The model, as an answer has it."""
        info: dict[str, Any] = {
            "model_id": self.model_id,
            "experiment_id": self.experiment_id,
            "name": self.name,
            "creation_timestamp_ms": self.created,
            "last_updated_timestamp_ms": self.updated,
            "artifact_uri": self.artifact_uri,
            "status": self.status,
            "tags": [{"key": key, "value": value} for key, value in self.tags.items()],
        }
        if self.model_type:
            info["model_type"] = self.model_type
        if self.source_run_id:
            info["source_run_id"] = self.source_run_id
        metrics = [entry | {"value": finite(entry["value"]), "model_id": self.model_id} for entry in self.metrics]
        params = [{"key": key, "value": value} for key, value in self.params.items()]
        return {"info": info, "data": {"params": params, "metrics": metrics}}


def shown(run: Run, model: LoggedModel) -> Shown:
    """A model of a run as clients see it."""
    told = model.details
    created = _whole(told.get("created"), run.end_time or run.start_time or 0)
    model_id = model_ids.id_of(run.run_id, model.path)
    tags = _texts(told.get("tags"))
    if not model.model_id:
        of_run = wire.shown_tags(run)
        tags = {key: of_run[key] for key in _OF_THE_RUN if key in of_run} | tags
    if model.estimator_class:
        tags = {"estimator_class": model.estimator_class} | tags
    return Shown(
        model_id=model_id,
        experiment_id=run.experiment_id,
        name=limits.model_name_for(locating.shown_name(model)),
        model_type=_text(told.get("model_type")),
        status=_text(told.get("status")) or READY,
        source_run_id=_text(told.get("source_run_id", run.run_id)),
        created=created,
        updated=_whole(told.get("updated"), created),
        artifact_uri=locating.model_location(run, model),
        params=_texts(told.get("params")) if "params" in told or model.model_id else run.params,
        tags=tags,
        metrics=_metrics(run, model, model_id, created),
    )


def _metrics(run: Run, model: LoggedModel, model_id: str, created: int) -> list[dict[str, Any]]:
    told = model.details.get("metrics")
    found = [entry for one in (told if isinstance(told, list) else []) if (entry := _metric(one, run)) is not None]
    found += [entry for one in wire.model_metrics(run).get(model_id, []) if (entry := _metric(one, run)) is not None]
    if not found and not model.model_id:  # the run is the model's, and so are its metrics
        nowhere = {"timestamp": created, "step": 0, "run_id": run.run_id}
        found = [{"key": key, "value": value, **nowhere} for key, value in run.metrics.items()]
    return latest(found)


def _metric(told: Any, run: Run) -> dict[str, Any] | None:
    if not isinstance(told, dict) or not isinstance(told.get("key"), str):
        return None
    try:
        entry = {"key": told["key"], "value": number_from_json(told["value"])}
    except (KeyError, TypeError, ValueError):
        return None
    entry |= {"timestamp": _whole(told.get("timestamp"), 0), "step": _whole(told.get("step"), 0)}
    entry["run_id"] = _text(told.get("run_id")) or run.run_id
    return entry | {name: told[name] for name in ("dataset_name", "dataset_digest") if _text(told.get(name))}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any, otherwise: int) -> int:
    return value if type(value) is int else otherwise


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    return {key: text for key, text in value.items() if isinstance(key, str) and isinstance(text, str)}
