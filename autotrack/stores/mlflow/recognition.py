"""What MLflow's records are as runs of ours: for folders and servers that MLflow wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from autotrack.entities import DEFAULT_EXPERIMENT, FAILED, FINISHED, KILLED, RUNNING, LoggedModel, Metric, Run
from autotrack.settings import NATIVE_FORMATS
from autotrack.stores.mlflow.data import MlflowDataset, dataset_from
from autotrack.stores.mlflow.translation import (
    GIT_BRANCH,
    GIT_COMMIT,
    GIT_DIRTY,
    GIT_REMOTE,
    MODEL_HISTORY,
    PARENT,
    RUN_NAME,
    SOURCE_NAME,
    STATUS_NUMBERS,
    USER,
)

_STATUSES: Final = {number: status for status, number in STATUS_NUMBERS.items()}


def status_from(status: Any) -> str:
    """Our status for one of MLflow's, a number or a word; a run that waits for its start is running to us."""
    word = _STATUSES.get(status, "") if isinstance(status, int) else str(status).upper()
    return word if word in (FINISHED, FAILED, KILLED) else RUNNING


def run_from(
    info: Mapping[str, Any],
    *,
    experiment: str = DEFAULT_EXPERIMENT,
    params: Mapping[str, str],
    points: Iterable[Metric],
    tags: Mapping[str, str],
    datasets: Iterable[MlflowDataset] = (),
    models: Iterable[LoggedModel] = (),
    run_id: str | None = None,
) -> Run:
    """A run that MLflow keeps as one of ours.

    Parameters
    ----------
    info : ``run_id``, ``run_name``, ``status``, ``start_time``, ``end_time``, ``user_id``, ``lifecycle_stage`` and
        ``deleted_time``, as far as there are.
    points : of its metrics, all or the last ones.
    models : logged models of MLflow 3; those of the tag ``mlflow.log-model.history`` are joined to them.
    run_id : instead of the one that ``info`` tells.
    """
    found = {model.path: model for model in models_from(tags.get(MODEL_HISTORY, ""))}
    for model in models:
        found.setdefault(model.path, model)
    start, end = _milliseconds(info.get("start_time")), _milliseconds(info.get("end_time"))
    deleted = info.get("lifecycle_stage") == "deleted"
    deleted_time = _milliseconds(info.get("deleted_time"))
    return Run(
        run_id=run_id or str(info.get("run_id") or info.get("run_uuid") or ""),
        name=str(info.get("run_name") or tags.get(RUN_NAME) or ""),
        experiment=experiment,
        status=status_from(info.get("status")),
        start_time=start,
        end_time=end,
        parent_run_id=tags.get(PARENT) or None,
        params={key: params[key] for key in sorted(params)},
        metrics=last_values(points),
        tags={key: tags[key] for key in sorted(tags)},
        datasets=tuple(dataset_from(dataset) for dataset in datasets),
        models=tuple(found.values()),
        process=facts_from(tags, str(info.get("user_id") or "")),
        deleted_time=(deleted_time or end or start or 0) if deleted else None,
    )


def last_values(points: Iterable[Metric]) -> dict[str, float]:
    """The value of each metric: that of the last step, then time; of several there the last one."""
    last: dict[str, Metric] = {}
    for point in points:
        kept = last.get(point.key)
        if kept is None or (kept.step, kept.timestamp) <= (point.step, point.timestamp):
            last[point.key] = point
    return {key: last[key].value for key in sorted(last)}


def facts_from(tags: Mapping[str, str], user: str = "") -> dict[str, Any]:
    """What MLflow's tags tell of the process that made a run, as our facts."""
    facts: dict[str, Any] = {}
    if tags.get(USER) or user:
        facts["user"] = tags.get(USER) or user
    if tags.get(SOURCE_NAME):
        facts["script"] = tags[SOURCE_NAME]
    git: dict[str, Any] = {}
    for tag, key in ((GIT_COMMIT, "commit"), (GIT_BRANCH, "branch"), (GIT_REMOTE, "remote")):
        if tags.get(tag):
            git[key] = tags[tag]
    if GIT_DIRTY in tags:
        git["dirty"] = tags[GIT_DIRTY].lower() == "true"
    if git:
        facts["git"] = git
    return facts


def models_from(history: str) -> list[LoggedModel]:
    """The models that a tag ``mlflow.log-model.history`` names; of one path the last."""
    try:
        entries = json.loads(history) if history else []
    except (ValueError, RecursionError):
        return []
    found: dict[str, LoggedModel] = {}
    for entry in entries if isinstance(entries, list) else []:
        path = entry.get("artifact_path") if isinstance(entry, dict) else None
        if isinstance(path, str) and path:
            flavors = entry.get("flavors")
            sklearn = flavors.get("sklearn") if isinstance(flavors, dict) else None
            written = sklearn.get("serialization_format") if isinstance(sklearn, dict) else None
            if written is None and isinstance(flavors, dict):
                written = next((name for name in NATIVE_FORMATS if name in flavors), None)
            found[path] = LoggedModel(path, serialization_format=written if isinstance(written, str) else "")
    return list(found.values())


def _milliseconds(value: Any) -> int | None:
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        return None
