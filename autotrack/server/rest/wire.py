"""Runs and experiments as MLflow's clients read them, JSON types only.

What an MLflow client tells and autotrack has no place for stands in tags of the run whose names begin with
`HIDDEN`; the API does not show these tags, and tells what is in them where MLflow has a field for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from autotrack.entities import ACTIVE, HIDDEN_TAGS, Dataset, Metric, Run
from autotrack.entities import experiment_id as id_of_experiment
from autotrack.server.rest.parsing import finite
from autotrack.stores.glances import Points
from autotrack.stores.mlflow.data import CONTEXT_TAG, dataset_for
from autotrack.stores.mlflow.translation import PARENT, RUN_NAME, USER, status_for, tags_for

HIDDEN: Final = HIDDEN_TAGS
"""Begins the names of tags that the API does not show."""
MODEL_INPUTS: Final = HIDDEN + "model_inputs"
"""Tag: a JSON list of the ids of the logged models that a run used."""
MODEL_OUTPUTS: Final = HIDDEN + "model_outputs"
"""Tag: a JSON list of pairs, the id of a logged model that a run made and the step at which it did."""
MODEL_METRICS: Final = HIDDEN + "model_metrics"
"""Tag: a JSON object, the metrics that were logged for logged models by the models' ids, see `model_metrics`."""

CLIENT: Final = "mlflow-"
"""Begins the ids of processes that were described by the tags of an MLflow client."""

ARTIFACTS: Final = "mlflow-artifacts:/"

experiment_id: Final = lru_cache(maxsize=10_000)(id_of_experiment)


def artifact_location(experiment: str) -> str:
    """Where an MLflow client finds the artifacts of an experiment's runs: always through this server.

    Parameters
    ----------
    experiment : its id.
    """
    return ARTIFACTS + experiment


def artifact_uri(experiment: str, run_id: str) -> str:
    """Where an MLflow client finds the artifacts of a run."""
    return f"{ARTIFACTS}{experiment}/{run_id}/artifacts"


def shown_tags(run: Run) -> dict[str, str]:
    """A run's tags as MLflow has them: with those by which it knows names, parents, users and sources."""
    if run.process_id and not run.process_id.startswith(CLIENT):
        tags = tags_for(run)  # autotrack itself recorded it
        tags[RUN_NAME] = run.name
    else:
        tags = {**run.tags, RUN_NAME: run.name}
        if run.parent_run_id:
            tags[PARENT] = run.parent_run_id
    if any(key.startswith(HIDDEN) for key in tags):
        return {key: value for key, value in tags.items() if not key.startswith(HIDDEN)}
    return tags


def run_json(run: Run, points: Points) -> dict[str, Any]:
    """A run.

    Parameters
    ----------
    points : where its metrics stand (`autotrack.stores.glances.last_points`).
    """
    tags = shown_tags(run)
    nowhere = (0, 0)
    metrics = []
    for key, value in run.metrics.items():
        step, timestamp = points.get(key, nowhere)
        metrics.append({"key": key, "value": finite(value), "timestamp": timestamp, "step": step})
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    if run.datasets:
        inputs["dataset_inputs"] = dataset_inputs(run, tags)
    if MODEL_INPUTS in run.tags:
        inputs["model_inputs"] = [{"model_id": model_id} for model_id in model_inputs(run)]
    if MODEL_OUTPUTS in run.tags:
        outputs["model_outputs"] = [{"model_id": model_id, "step": step} for model_id, step in model_outputs(run)]
    return {
        "info": info_json(run, tags),
        "data": {
            "metrics": metrics,
            "params": [{"key": key, "value": value} for key, value in run.params.items()],
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        },
        "inputs": inputs,
        "outputs": outputs,
    }


def info_json(run: Run, tags: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What MLflow calls the info of a run.

    Parameters
    ----------
    tags : the run's, as `shown_tags` has them.
    """
    if tags is None:
        tags = shown_tags(run)
    experiment = experiment_id(run.experiment)
    info = {
        "run_id": run.run_id,
        "run_uuid": run.run_id,
        "run_name": run.name,
        "experiment_id": experiment,
        "user_id": tags.get(USER, ""),
        "status": status_for(run),
        "start_time": run.start_time or 0,
        "artifact_uri": artifact_uri(experiment, run.run_id),
        "lifecycle_stage": run.lifecycle_stage,
    }
    if run.end_time is not None:
        info["end_time"] = run.end_time
    return info


def metric_json(metric: Metric) -> dict[str, Any]:
    """A point of a metric."""
    return {
        "key": metric.key,
        "value": finite(metric.value),
        "timestamp": metric.timestamp,
        "step": metric.step,
    }


def experiment_json(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment.

    Parameters
    ----------
    name : which its runs give, on which its id depends.
    facts : what was told of it (`autotrack.events.ExperimentDescribed`).
    """
    number = experiment_id(name)
    told: dict[str, Any] = {
        "experiment_id": number,
        "name": shown_name(name, facts),
        "artifact_location": artifact_location(number),
        "lifecycle_stage": facts.get("stage") or ACTIVE,
        "tags": [{"key": key, "value": value} for key, value in experiment_tags(facts).items()],
    }
    for key, fact in (("creation_time", "created_time"), ("last_update_time", "updated_time")):
        if type(facts.get(fact)) is int:
            told[key] = facts[fact]
    return told


def shown_name(name: str, facts: Mapping[str, Any]) -> str:
    """What an experiment is called now."""
    shown = facts.get("shown_name")
    return shown if isinstance(shown, str) and shown else name


def experiment_tags(facts: Mapping[str, Any]) -> dict[str, str]:
    """The tags among the facts of an experiment."""
    return {
        key.removeprefix("tag."): value
        for key, value in facts.items()
        if key.startswith("tag.") and isinstance(value, str)
    }


def dataset_inputs(run: Run, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """The datasets of a run, each with the tags of its use."""
    source_tags = {key: value for key, value in tags.items() if key == USER or key.startswith("mlflow.source.")}
    return [dataset_input(dataset, source_tags) for dataset in run.datasets]


def dataset_input(dataset: Dataset, source_tags: Mapping[str, str]) -> dict[str, Any]:
    """A dataset with the tags of its use: as MLflow told of it, where it did."""
    told = dataset.source
    if told.get("source_type") is not None or told.get("source") is not None:
        names = ("source_type", "source", "schema", "profile")
        about = {"name": told.get("name", dataset.name), "digest": told.get("digest", dataset.digest)}
        about |= {name: told[name] for name in names if isinstance(told.get(name), str)}
        kept = _object(told.get("tags", ""))
        return {"tags": _pairs(kept or {CONTEXT_TAG: dataset.context}), "dataset": about}
    made = dataset_for(dataset, source_tags)
    about = {"name": made.name, "digest": made.digest, "source_type": made.source_type, "source": made.source}
    if made.schema is not None:
        about["schema"] = made.schema
    if made.profile is not None:
        about["profile"] = made.profile
    return {"tags": _pairs(made.tags), "dataset": about}


def model_inputs(run: Run) -> list[str]:
    """The ids of the logged models that an MLflow client said a run used."""
    return [model_id for model_id in _list(run.tags.get(MODEL_INPUTS, "")) if isinstance(model_id, str)]


def model_outputs(run: Run) -> list[tuple[str, int]]:
    """The ids of the logged models that an MLflow client said a run made, with the steps."""
    pairs = [pair for pair in _list(run.tags.get(MODEL_OUTPUTS, "")) if isinstance(pair, list) and len(pair) == 2]
    return [(str(model_id), int(step)) for model_id, step in pairs if isinstance(step, int)]


def model_metrics(run: Run) -> dict[str, list[dict[str, Any]]]:
    """The metrics that were logged for logged models, by the models' ids.

    Each has ``key``, ``value``, ``timestamp``, ``step``, and where it was told ``dataset_name``, ``dataset_digest``; of
    one key and dataset there is the last.
    """
    found = _object(run.tags.get(MODEL_METRICS, ""))
    return {
        model_id: [metric for metric in metrics if isinstance(metric, dict)]
        for model_id, metrics in found.items()
        if isinstance(metrics, list)
    }


def _pairs(texts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in texts.items()]


def _list(text: str) -> Sequence[Any]:
    found = _value(text)
    return found if isinstance(found, list) else []


def _object(text: str) -> dict[str, Any]:
    found = _value(text)
    return found if isinstance(found, dict) else {}


def _value(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def runs_json(runs: Iterable[Run], points: Mapping[str, Points]) -> list[dict[str, Any]]:
    """Runs, with where their metrics stand by the runs' ids."""
    nothing: Points = {}
    return [run_json(run, points.get(run.run_id, nothing)) for run in runs]
