"""Logged models as they are kept: made, changed, completed.

A change reads the model as it is and writes it anew, whole; `autotrack.server.rest.holding` lets one request at a time
do that for a run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from autotrack import digests
from autotrack.entities import FINISHED, LoggedModel, Metric, Run
from autotrack.errors import ArtifactNotFound, ModelError
from autotrack.events import Event, ModelLogged, RunEnded, RunStarted, TagsSet, number_to_json
from autotrack.models.mlmodel import MLMODEL, read_mlmodel
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import locating, model_ids
from autotrack.server.rest.clock import now
from autotrack.server.rest.holding import held, in_thread
from autotrack.server.rest.parsing import shown
from autotrack.server.rest.storing import models_of
from autotrack.stores.artifacts.folder import PARTIAL
from autotrack.stores.base import Store

if TYPE_CHECKING:
    from autotrack.server.site import Site

PENDING: Final = "LOGGED_MODEL_PENDING"
READY: Final = "LOGGED_MODEL_READY"
STATUSES: Final = {"LOGGED_MODEL_STATUS_UNSPECIFIED": 0, PENDING: 1, READY: 2, "LOGGED_MODEL_UPLOAD_FAILED": 3}
DELETED: Final = "deleted"
UNNAMED: Final = "model"

_NOT_IN_NAME: Final = ("/", ":", ".", "%", '"', "'")
_NOT_IN_PATH: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\\;?#&<>|*]")
_CACHES: Final = "__pycache__"

Alter = Callable[[Run, LoggedModel], LoggedModel]


async def create(
    site: Site,
    experiment: str,
    *,
    name: str | None,
    model_type: str | None,
    source_run_id: str | None,
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> tuple[Run, LoggedModel]:
    """A model whose files are to come. Without a run that it is from, it gets one of its own.

    Parameters
    ----------
    experiment : the name that runs of the experiment give.

    Raises
    ------
    Problem
        For a name that no model can have, or a run that is not there.
    """
    name = checked_name(name)
    store, time = site.store, now()
    details: dict[str, Any] = {"name": name, "status": PENDING, "created": time, "updated": time}
    details |= {"params": dict(params), "tags": dict(tags)}
    if model_type:
        details["model_type"] = model_type
    events: list[Event] = []
    if source_run_id:
        run = await site.read(locating.run_of, store, source_run_id)
        if run.deleted_time is not None:
            raise Problem(problems.INVALID, f"run {run.run_id} is deleted; restore it before a model is logged to it")
        run_id = run.run_id
    else:
        run_id = uuid4().hex
        details["source_run_id"] = ""
        events = [RunStarted(run_id, name, time, experiment), RunEnded(run_id, FINISHED, time)]
        if "mlflow.user" in tags:
            events.append(TagsSet(run_id, {"mlflow.user": tags["mlflow.user"]}))
    async with held(store, models_of(run_id)):
        path = await site.read(_free_path, store, run_id, name) if source_run_id else _folder_for(name)
        model = LoggedModel(path, model_id=model_ids.id_of(run_id, path), details=details)
        await site.write(*events, ModelLogged(run_id, model))
    return await site.read(locating.logged_model, store, model.model_id)


def checked_name(name: str | None) -> str:
    """A name that MLflow's clients take for a logged model's; `UNNAMED` for none.

    Raises
    ------
    Problem
        For another.
    """
    if name is None:
        return UNNAMED
    if not name.strip() or len(name) > 200 or any(char in name for char in _NOT_IN_NAME):
        refused = " ".join(_NOT_IN_NAME)
        raise Problem(
            problems.INVALID,
            f"Invalid model name ({shown(name)}): it is text of at most 200 characters without {refused}",
        )
    return name


def _folder_for(name: str) -> str:
    folder = _NOT_IN_PATH.sub("_", name).strip(" ") or UNNAMED
    while len(folder.encode()) > 200:
        folder = folder[:-1]
    return f"{folder}_" if PARTIAL.search(folder) else folder


def _free_path(store: Store, run_id: str, name: str) -> str:
    """The model's name, where nothing else stands there, else one with a number behind it."""
    taken = {model.path.partition("/")[0] for model in store.get_run(run_id).models}
    taken |= {artifact.path for artifact in store.artifacts(run_id)}
    folder = _folder_for(name)
    path, number = folder, 1
    while path in taken:
        number += 1
        path = f"{folder}-{number}"
    return path


async def change(site: Site, model_id: str, alter: Alter) -> tuple[Run, LoggedModel]:
    """Change what is known of a model, with no other change of it between reading and writing.

    Raises
    ------
    Problem
        When there is no such model, or ``alter`` raises it.
    """
    run_id = model_ids.run_of(model_id)
    async with held(site.store, models_of(run_id or model_id)):
        run, model = await site.read(there, site.store, model_id)
        changed = await in_thread(alter, run, model)
        if changed != model:
            details = {**changed.details, "updated": now()}
            await site.write(ModelLogged(run.run_id, replace(changed, details=details)))
            run, model = await site.read(locating.logged_model, site.store, model_id)
        return run, model


def there(store: Store, model_id: str) -> tuple[Run, LoggedModel]:
    """As `locating.logged_model`, for models that are not deleted."""
    run, model = locating.logged_model(store, model_id)
    if is_deleted(model):
        raise Problem(problems.NOT_FOUND, f"Logged model with ID {shown(model_id)} not found: it was deleted.")
    return run, model


def is_deleted(model: LoggedModel) -> bool:
    """Whether a client deleted it."""
    return bool(model.details.get("stage") == DELETED)


def joined(model: LoggedModel, key: str, texts: Mapping[str, str]) -> LoggedModel:
    """The model with some more params or tags."""
    return replace(model, details={**model.details, key: {**model.details.get(key, {}), **texts}})


def listed(tag: str, entry: Mapping[str, Any]) -> Alter:
    """Put an entry behind those of a tag that is a JSON list."""

    def alter(run: Run, model: LoggedModel) -> LoggedModel:
        try:
            kept = json.loads(model.details.get("tags", {}).get(tag, "[]"))
        except ValueError:
            kept = []
        kept = [*(kept if isinstance(kept, list) else []), dict(entry)]
        return joined(model, "tags", {tag: json.dumps(kept)})

    return alter


def finalized(store: Store, status: str) -> Alter:
    """Let a model have this status; of one that is ready, see what it is."""

    def alter(run: Run, model: LoggedModel) -> LoggedModel:
        changed = replace(model, details={**model.details, "status": status})
        return described(store, run, changed) if status == READY else changed

    return alter


def described(store: Store, run: Run, model: LoggedModel) -> LoggedModel:
    """The model with what its files say: class, format, size, digest. Nothing is unpickled; blocks."""
    try:
        file = store.artifact_path(run.run_id, f"{model.path}/{MLMODEL}")
        info = read_mlmodel(file.parent)
    except (ArtifactNotFound, ModelError):  # one whose files are elsewhere, or of a kind that we do not know
        form = kind = ""
    else:
        form, kind = info.serialization_format, info.estimator_class
        if not kind and "sklearn" in info.flavors and model.path.partition("-")[0] == UNNAMED:
            kind = run.tags.get("estimator_class", "")  # MLflow's autologging tells it of the run
    size, digest = _measured(store, run.run_id, model.path)
    return replace(
        model,
        estimator_class=kind or model.estimator_class,
        serialization_format=form or model.serialization_format,
        size=size,
        digest=digest,
    )


def _measured(store: Store, run_id: str, path: str) -> tuple[int | None, str]:
    """Size and digest of a folder among a run's artifacts; nothing for one without files."""
    found: dict[str, str] = {}
    size = 0
    folders = [path]
    while folders:
        for artifact in store.artifacts(run_id, folders.pop()):
            name = artifact.path[len(path) + 1 :]
            if artifact.is_dir:
                if artifact.path.rpartition("/")[2] != _CACHES:
                    folders.append(artifact.path)
                continue
            size += artifact.size or 0
            found[name] = artifact.digest
    if not found:
        return None, ""
    if all(map(digests.is_digest, found.values())):
        return size, digests.of_digests(found)
    return size, digests.of_folder(store.artifact_path(run_id, path))


async def log_metrics(site: Site, run_id: str, told: Iterable[tuple[Metric, Mapping[str, Any]]]) -> None:
    """Let logged models have metrics that a run was told for them.

    Parameters
    ----------
    run_id : the run that they were logged to, which may be another than the models'.
    told : each metric with ``model_id``, and where it was told ``dataset_name`` and ``dataset_digest``.

    Raises
    ------
    Problem
        When there is no such model.
    """
    by_model: dict[str, list[dict[str, Any]]] = {}
    for metric, about in told:
        entry = {
            "key": metric.key,
            "value": number_to_json(metric.value),
            "timestamp": metric.timestamp,
            "step": metric.step,
            "run_id": run_id,
        }
        entry |= {name: about[name] for name in ("dataset_name", "dataset_digest") if about.get(name)}
        by_model.setdefault(str(about["model_id"]), []).append(entry)
    for model_id, entries in by_model.items():
        await change(site, model_id, _with_metrics(entries))


def _with_metrics(entries: Sequence[dict[str, Any]]) -> Alter:
    def alter(run: Run, model: LoggedModel) -> LoggedModel:
        return replace(model, details={**model.details, "metrics": latest([*_metrics(model), *entries])})

    return alter


def latest(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each metric, data and run the last value, by step, then time."""
    last: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in entries:
        place = tuple(entry.get(name) for name in ("key", "dataset_name", "dataset_digest", "run_id"))
        kept = last.get(place)
        if kept is None or (kept["step"], kept["timestamp"]) <= (entry["step"], entry["timestamp"]):
            last[place] = dict(entry)
    return list(last.values())


def _metrics(model: LoggedModel) -> list[dict[str, Any]]:
    found = model.details.get("metrics")
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
