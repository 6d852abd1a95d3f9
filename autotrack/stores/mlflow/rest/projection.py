"""From a run's state to what MLflow is to hold of it: the fields it has, and the document for what they cannot say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from autotrack.entities import BROKEN, Metric, Run
from autotrack.events import Entry, MetricsLogged
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.data import MlflowDataset
from autotrack.stores.mlflow.rest.client import Json, pairs
from autotrack.stores.mlflow.rest.document import PREFIX, Document
from autotrack.stores.mlflow.translation import PARENT, RUN_NAME, MlflowRun, point_for
from autotrack.stores.state import RunState, clamp

MLFLOW: Final = "mlflow."
MAX_FLOAT: Final = 1.7976931348623157e308
"""MLflow's databases hold this in the place of infinity."""


@dataclass(frozen=True, slots=True)
class Native:
    """What MLflow will hold of a run once everything is written, as far as it decides what the document has to say."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    experiment: str
    start_time: int


def document_for(
    state: RunState,
    target: MlflowRun,
    native: Native,
    at: Mapping[str, int],
    *,
    homes: Mapping[str, str],
    model_ids: Mapping[str, str],
    refused: frozenset[str] = frozenset(),
) -> tuple[Document, bool]:
    """The document of a run, and whether MLflow's own search finds it by all that is in it.

    Parameters
    ----------
    refused : metrics, by MLflow's keys, of which MLflow does not have every point.
    """
    run = state.run({})
    uneven = [key for key in run.metrics if limits.key_for(key) in refused or not _is_even(key, state.history(key))]
    kept = replace(
        run,
        params={key: text for key, text in run.params.items() if native.params.get(key) != text},
        metrics={key: run.metrics[key] for key in uneven},
        tags={key: text for key, text in run.tags.items() if native.tags.get(key) != text or is_reserved(key)},
        process={},
    )
    document = Document(
        run=kept,
        at=dict(at),
        start=state.started[0] if state.started is not None else None,
        hidden={kind: sorted(keys) for kind, keys in target.keys.items() if keys},
        files=tuple(state.artifacts.in_order()),
        model_ids={path: model_ids[path] for path in (model.path for model in run.models) if path in model_ids},
        uneven=tuple(uneven),
        told={"name": target.run_name, "experiment": native.experiment},
        homes=dict(homes),
    )
    exact = (
        not (kept.params or kept.metrics or any(native.tags.get(key) != text for key, text in kept.tags.items()))
        and (target.run_name, target.experiment, native.experiment) == (run.name, run.experiment, run.experiment)
        and (native.start_time, target.end_time) == (run.start_time, run.end_time)
        and target.status == run.status
        and run.status != BROKEN
    )
    return document, exact


def is_reserved(key: str) -> bool:
    """Whether a tag is one of those by which MLflow, or we, say something of our own."""
    return key.startswith((MLFLOW, PREFIX))


def _is_even(key: str, points: list[Metric]) -> bool:
    """Whether MLflow gives back these points, and their last value, as they are."""
    if not limits.key_is_valid(key) or len({(point.step, point.timestamp) for point in points}) < len(points):
        return False
    return all(
        limits.time_for(point.timestamp) == point.timestamp and abs(point.value) != MAX_FLOAT for point in points
    )


def tags_to_set(target: MlflowRun, parent: str | None) -> dict[str, str]:
    """The tags of a run, but for those that MLflow sets by itself or that would name a parent it does not have."""
    tags = {key: text for key, text in target.tags.items() if key != RUN_NAME}
    if parent is None and tags.get(PARENT) == target.parent_run_id:
        tags.pop(PARENT, None)
    return tags


def new_points(entries: Iterable[Entry]) -> list[Metric]:
    """The points of metrics in entries, as MLflow takes them."""
    points = []
    for entry in entries:
        if isinstance(entry.event, MetricsLogged):
            for metric in entry.event.metrics:
                kept = Metric(metric.key, float(metric.value), clamp(metric.step), clamp(metric.timestamp))
                points.append(point_for(kept, limits.key_for(metric.key)))
    return points


def point_json(point: Metric) -> Json:
    """A point as the API takes it."""
    value: Any = point.value
    if value != value:
        value = "NaN"
    elif value in (float("inf"), -float("inf")):
        value = "Infinity" if value > 0 else "-Infinity"
    return {"key": point.key, "value": value, "timestamp": point.timestamp, "step": point.step}


def dataset_json(dataset: MlflowDataset) -> Json:
    """A dataset as the API takes it."""
    data: Json = {"name": dataset.name, "digest": dataset.digest}
    data |= {"source_type": dataset.source_type, "source": dataset.source}
    if dataset.schema is not None:
        data["schema"] = dataset.schema
    if dataset.profile is not None:
        data["profile"] = dataset.profile
    return {"tags": pairs(dataset.tags), "dataset": data}


def told_name(run: Run, native_name: str, told: Mapping[str, Any]) -> str:
    """The run's name, or the one that somebody gave it in MLflow since."""
    return run.name if native_name == told.get("name") else native_name


def history_key(point: Mapping[str, Any]) -> tuple[Any, ...]:
    """What MLflow tells one point from another by; its spelling of numbers does not matter."""
    value = float(point["value"])
    if abs(value) == float("inf"):
        value = MAX_FLOAT if value > 0 else -MAX_FLOAT
    return ("NaN" if value != value else value, int(point.get("timestamp", 0)), int(point.get("step", 0)))
