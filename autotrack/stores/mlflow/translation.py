"""What a run of ours looks like in MLflow: `translate`. Nothing here reads a file or asks a server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from autotrack.entities import BROKEN, FAILED, FINISHED, KILLED, RUNNING, LoggedModel, Metric, Note, Run
from autotrack.entities import experiment_id as id_of_experiment
from autotrack.models.mlmodel import FORMAT, ModelInfo
from autotrack.settings import NATIVE_FORMATS
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.data import MlflowDataset, dataset_for
from autotrack.stores.state import RunState

RUN_NAME: Final = "mlflow.runName"
PARENT: Final = "mlflow.parentRunId"
USER: Final = "mlflow.user"
SOURCE_NAME: Final = "mlflow.source.name"
SOURCE_TYPE: Final = "mlflow.source.type"
GIT_COMMIT: Final = "mlflow.source.git.commit"
GIT_BRANCH: Final = "mlflow.source.git.branch"
GIT_REMOTE: Final = "mlflow.source.git.repoURL"
GIT_DIRTY: Final = "mlflow.source.git.dirty"
NOTE: Final = "mlflow.note.content"
"""The tag that MLflow shows as a run's description, as Markdown."""
AUTOLOGGING: Final = "mlflow.autologging"
MODEL_HISTORY: Final = "mlflow.log-model.history"
EXPERIMENT_TAGS: Final[Mapping[str, str]] = {"mlflow.experimentKind": "custom_model_development"}
"""The tags of an experiment that we make: MLflow 3's pages open it on its runs with them, and else on traces."""
RUN_ID_TAG: Final = "autotrack.run_id"
"""The tag that carries our id where MLflow gives the run another one."""

LOCAL: Final = "LOCAL"
ACTIVE_STAGE: Final = "active"
DELETED_STAGE: Final = "deleted"

STATUS_NUMBERS: Final = {RUNNING: 1, "SCHEDULED": 2, FINISHED: 3, FAILED: 4, KILLED: 5}
"""The numbers of MLflow's run statuses; there is no other."""

_MOST_NOTES: Final = 50


@dataclass(frozen=True, slots=True)
class MlflowModel:
    """A model of a run: an entry of the run's ``mlflow.log-model.history``, and a logged model of MLflow 3.

    Parameters
    ----------
    model_id : ``m-`` and 32 hexadecimal digits, a function of our run's id and the path.
    name : what MLflow 3 lists it as.
    path : where it stands among the run's artifacts.
    created : milliseconds since the epoch.
    history : the entry, JSON types only.
    registered_model_name : the name under which it is to be registered.
    """

    model_id: str
    name: str
    path: str
    created: int
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    history: Mapping[str, Any] = field(default_factory=dict)
    registered_model_name: str | None = None


@dataclass(frozen=True, slots=True)
class MlflowRun:
    """A run as MLflow keeps it. Every key and value is one that MLflow takes.

    Parameters
    ----------
    run_id : ours; ``id_is_valid`` tells whether MLflow takes it, where the run's id is ours to choose.
    experiment_id : ours, a function of the experiment's name; a server gives another one.
    parent_run_id : our id of the parent, which is also in the tag ``mlflow.parentRunId``.
    metrics : the points of each metric, in the order in which they count.
    keys : our keys of the params, metrics and tags that had to be renamed, by theirs, each under ``"params"``,
        ``"metrics"`` or ``"tags"``.
    shortened : what MLflow has not whole: ``"params.C"``, ``"tags.x"``.
    """

    run_id: str
    run_name: str
    experiment: str
    experiment_id: str
    status: str
    start_time: int
    end_time: int | None
    user: str
    lifecycle_stage: str
    deleted_time: int | None
    parent_run_id: str | None
    params: Mapping[str, str]
    metrics: Mapping[str, tuple[Metric, ...]]
    tags: Mapping[str, str]
    datasets: tuple[MlflowDataset, ...] = ()
    models: tuple[MlflowModel, ...] = ()
    keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shortened: tuple[str, ...] = ()

    @property
    def id_is_valid(self) -> bool:
        """Whether MLflow takes our id."""
        return limits.run_id_is_valid(self.run_id)


def translate(
    state: RunState,
    facts: Mapping[str, Any],
    mlmodels: Mapping[str, ModelInfo] | None = None,
    *,
    run_id: str | None = None,
    parent_run_id: str | None = None,
) -> MlflowRun:
    """A run of ours as MLflow has it.

    Parameters
    ----------
    facts : of the process that made it.
    mlmodels : what the ``MLmodel`` files of its models say, by the models' paths, where they can be read.
    run_id, parent_run_id : the ids that MLflow gave the run and its parent, where they are not ours.
    """
    run = state.run(facts)
    params, param_keys, long_params = _texts(run.params, limits.MAX_PARAM, "params")
    tags, tag_keys, long_tags = _texts(tags_for(run, parent_run_id), limits.MAX_TAG, "tags")
    models = tuple(model_for(model, run, params, tags, mlmodels or {}, run_id or run.run_id) for model in run.models)
    if models:
        tags[MODEL_HISTORY] = history_of(models)
    metrics: dict[str, tuple[Metric, ...]] = {}
    metric_keys: dict[str, str] = {}
    for key in run.metrics:
        theirs = limits.key_for(key)
        metrics[theirs] = tuple(point_for(point, theirs) for point in state.history(key))
        if theirs != key:
            metric_keys[theirs] = key
    source: dict[str, str] = {key: tags[key] for key in (USER, SOURCE_NAME, SOURCE_TYPE, GIT_COMMIT) if key in tags}
    return MlflowRun(
        run_id=run.run_id,
        run_name=limits.cut(run.name, limits.MAX_TAG) or "unnamed",
        experiment=limits.name_for(run.experiment, limits.MAX_EXPERIMENT_NAME),
        experiment_id=id_of_experiment(run.experiment),
        status=status_for(run),
        start_time=limits.time_for(run.start_time or 0),
        end_time=None if run.end_time is None else limits.time_for(run.end_time),
        user=tags.get(USER, ""),
        lifecycle_stage=ACTIVE_STAGE if run.deleted_time is None else DELETED_STAGE,
        deleted_time=None if run.deleted_time is None else limits.time_for(run.deleted_time),
        parent_run_id=run.parent_run_id,
        params=params,
        metrics=metrics,
        tags=tags,
        datasets=tuple(dataset_for(dataset, source) for dataset in run.datasets),
        models=models,
        keys={"params": param_keys, "metrics": metric_keys, "tags": tag_keys},
        shortened=(*long_params, *long_tags),
    )


def status_for(run: Run) -> str:
    """The status that MLflow knows."""
    if run.status == BROKEN:
        return RUNNING
    if run.status in STATUS_NUMBERS:
        return run.status
    return FINISHED if run.error is None else FAILED


def tags_for(run: Run, parent_run_id: str | None = None) -> dict[str, str]:
    """The run's tags and those by which MLflow tells name, parent, user, source and notes; the run's own win."""
    tags = {RUN_NAME: limits.cut(run.name, limits.MAX_TAG) or "unnamed"}
    parent = parent_run_id or run.parent_run_id
    if parent:
        tags[PARENT] = parent
    facts = source_facts(run.process)
    if facts.get("user"):
        tags[USER] = facts["user"]
    tags[SOURCE_TYPE] = LOCAL
    if facts.get("script"):
        tags[SOURCE_NAME] = facts["script"]
    git = facts.get("git", {})
    for tag, key in ((GIT_COMMIT, "commit"), (GIT_BRANCH, "branch"), (GIT_REMOTE, "remote"), (GIT_DIRTY, "dirty")):
        if key in git:
            tags[tag] = git[key]
    if "estimator_class" in run.tags or "estimator_name" in run.tags:
        tags[AUTOLOGGING] = "sklearn"
    note = note_for(run.error, run.notes)
    if note:
        tags[NOTE] = note
    return tags | {key: value for key, value in run.tags.items() if key != RUN_NAME}


def source_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Those facts of a process that MLflow's tags tell, as text: ``user``, ``script``, and ``git`` with its parts."""
    found: dict[str, Any] = {key: facts[key] for key in ("user", "script") if isinstance(facts.get(key), str)}
    git = facts.get("git")
    if isinstance(git, Mapping):
        found["git"] = {
            key: str(git[key])
            for key in ("commit", "branch", "remote", "dirty")
            if isinstance(git.get(key), str | bool)
        }
    return found


def note_for(error: str | None, notes: Iterable[Note]) -> str:
    """What went wrong, and what there is to say of the run, in Markdown; empty where there is neither."""
    parts = []
    if error:
        indented = "\n".join("    " + line for line in error.splitlines())
        parts.append(f"**Error**\n\n{indented}")
    notes = list(notes)
    if notes:
        lines = [
            f"- {note.kind}, {note.subject}: {' '.join(note.message.split())}"
            + (f" ({note.count} times)" if note.count != 1 else "")
            for note in notes[:_MOST_NOTES]
        ]
        if len(notes) > _MOST_NOTES:
            lines.append(f"- and {len(notes) - _MOST_NOTES} more")
        parts.append("**Notes**\n\n" + "\n".join(lines))
    return limits.cut("\n\n".join(parts), limits.MAX_TAG)


def point_for(metric: Metric, key: str) -> Metric:
    """A point of a metric as MLflow takes it."""
    if key == metric.key and 0 <= metric.timestamp <= limits.LATEST_TIME:
        return metric
    return Metric(key, metric.value, metric.step, limits.time_for(metric.timestamp))


def model_for(
    model: LoggedModel,
    run: Run,
    params: Mapping[str, str],
    tags: Mapping[str, str],
    mlmodels: Mapping[str, ModelInfo],
    run_id: str,
) -> MlflowModel:
    """A model of a run as MLflow has it; ``params`` and ``tags`` are the run's, as MLflow has them."""
    model_id = "m-" + hashlib.md5(f"{run.run_id}\0{model.path}".encode("utf-8", "surrogatepass")).hexdigest()
    path = limits.clean(model.path)
    info = mlmodels.get(model.path)
    own = {key: tags[key] for key in (USER, SOURCE_NAME, SOURCE_TYPE, GIT_COMMIT) if key in tags}
    if model.estimator_class:
        own["estimator_class"] = limits.cut(model.estimator_class, limits.MAX_TAG)
    return MlflowModel(
        model_id=model_id,
        name=limits.model_name_for(model_name(model)),
        path=path,
        created=limits.time_for(run.end_time or run.start_time or 0),
        params=params,
        tags=own,
        history={
            "run_id": run_id,
            "artifact_path": path,
            "utc_time_created": _utc(run.end_time or run.start_time or 0) if info is None else info.created,
            "model_uuid": model_id[2:] if info is None else info.model_uuid,
            "flavors": _flavors(model, run)
            if info is None
            else {name: dict(info.flavors[name]) for name in info.flavors},
        },
        registered_model_name=model.registered_model_name,
    )


def model_name(model: LoggedModel) -> str:
    """What MLflow 3 lists a model as: its class.

    It is never the path: MLflow shows what stands under a run's path and in the run's logged model of that name
    as one folder, and would list each file twice.
    """
    name = model.estimator_class.rpartition(".")[2] or "estimator"
    return f"{name} model" if name == model.path else name


def history_of(models: Iterable[MlflowModel]) -> str:
    """The value of the tag ``mlflow.log-model.history``, by which MLflow 2 knows of models.

    It cannot be cut, as it is JSON: the flavors of later models are left out where it would be too long, then models.
    """
    entries = [dict(model.history) for model in models]
    for entry in reversed(entries):
        text = json.dumps(entries)
        if len(text) <= limits.MAX_TAG:
            return text
        entry["flavors"] = {flavor: {} for flavor in entry["flavors"]}
    while len(text := json.dumps(entries)) > limits.MAX_TAG:
        entries.pop()
    return text


def _flavors(model: LoggedModel, run: Run) -> dict[str, Any]:
    packages = run.process.get("packages")
    if model.serialization_format in NATIVE_FORMATS:
        name = model.serialization_format
        return {name: {"code": None}, "python_function": {"loader_module": f"mlflow.{name}"}}
    version = packages.get("scikit-learn", "") if isinstance(packages, Mapping) else ""
    sklearn = {
        "pickled_model": "model.skops" if model.serialization_format == "skops" else "model.pkl",
        "serialization_format": limits.clean(model.serialization_format),
        "sklearn_version": str(version),
        "code": None,
    }
    function = {"loader_module": "mlflow.sklearn", "model_path": sklearn["pickled_model"], "predict_fn": "predict"}
    return {"sklearn": sklearn, "python_function": function}


def _utc(milliseconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(limits.time_for(milliseconds) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _texts(texts: Mapping[str, str], limit: int, what: str) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Keys and values as MLflow takes them, our keys of the renamed ones by theirs, and what had to be cut."""
    found: dict[str, str] = {}
    renamed: dict[str, str] = {}
    shortened = []
    for key, text in texts.items():
        theirs = limits.key_for(key)
        found[theirs] = limits.cut(text, limit)
        if theirs != key:
            renamed[theirs] = key
        if found[theirs] != text:
            shortened.append(f"{what}.{theirs}")
    return found, renamed, shortened


MLFLOW_FORMAT: Final = FORMAT
"""The release of MLflow whose formats these are."""
