"""Writing to a run: params, metrics, tags, one at a time or a whole run at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Final

from autotrack.entities import DELETED, Metric, Run
from autotrack.errors import RunNotFound
from autotrack.events import Event, MetricsLogged, ParamsLogged, RunStarted, TagsDeleted, TagsSet
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import calls, fields, locating, logged_models, model_ids, model_records, wire
from autotrack.server.rest.holding import held, lists_of
from autotrack.server.rest.parsing import Message, integer, number, shown, text
from autotrack.server.routing import WRITE
from autotrack.server.site import Site
from autotrack.stores.glances import outline
from autotrack.stores.mlflow.translation import MODEL_HISTORY, PARENT, RUN_NAME

Told = Mapping[str, Any]

_OF_THE_START: Final = frozenset((RUN_NAME, PARENT))
"""Tags that autotrack has as a run's name and parent."""
_HISTORY_NEEDS: Final = ("artifact_path", "flavors", "utc_time_created", "run_id")


async def record(
    site: Site,
    run_id: str,
    params: Mapping[str, str] | None = None,
    metrics: Sequence[tuple[Metric, Told | None]] = (),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log to a run what it has not.

    Raises
    ------
    Problem
        When there is no such active run, or a param has another value; then nothing is logged.
    """
    of_models = [(metric, told) for metric, told in metrics if told is not None]
    async with held(site.store, lists_of(run_id)) if of_models else nullcontext():
        hidden = (wire.MODEL_METRICS,) if of_models else ()
        run = active(await site.read(outline, site.store, run_id, params or (), hidden), run_id)
        events: list[Event] = []
        if params:
            new = _new_params(params, run.params, run_id)
            if new:
                events.append(ParamsLogged(run_id, new))
        if metrics:
            events.append(MetricsLogged(run_id, tuple([metric for metric, _ in metrics])))
        if tags and not _OF_THE_START.isdisjoint(tags):
            events.append(started_again(run, tags.get(RUN_NAME), tags.get(PARENT)))
            tags = {key: value for key, value in tags.items() if key not in _OF_THE_START}
        if of_models:
            told = _with_metrics(run.tags.get(wire.MODEL_METRICS, ""), of_models)
            tags = {**(tags or {}), wire.MODEL_METRICS: told}
        if tags:
            events.append(TagsSet(run_id, tags))
        await site.write(*events)
    # Those of another run's model are kept with the model: an evaluation of its own, say.
    of_others = [
        (metric, told) for metric, told in of_models if model_ids.run_of(str(told["model_id"])) not in (None, run_id)
    ]
    await model_records.log_metrics(site, run_id, of_others)


def active(run: Run | None, run_id: str) -> Run:
    """A run that may be written to.

    Raises
    ------
    Problem
        When there is none, or it is deleted.
    """
    if run is None:
        raise no_run(run_id)
    if run.deleted_time is not None:
        raise not_active(run_id)
    return run


def no_run(run_id: str) -> Problem:
    """The problem of a run that is not there."""
    return Problem(problems.NOT_FOUND, f"Run with id={run_id[:100]} not found")


def not_active(run_id: str) -> Problem:
    """The problem of writing to a run that is deleted."""
    message = f"The run {run_id} must be in the 'active' state. Current state is {DELETED}; restore it first."
    return Problem(problems.INVALID, message)


def run_of(site: Site, run_id: str) -> Run:
    """A whole run; blocks.

    Raises
    ------
    Problem
        When there is none.
    """
    try:
        return site.store.get_run(run_id)
    except RunNotFound:
        raise no_run(run_id) from None


def started_again(run: Run, name: str | None = None, parent_run_id: str | None = None) -> RunStarted:
    """The event that gives a run another name or parent."""
    return RunStarted(
        run.run_id,
        name or run.name,
        run.start_time or 0,
        run.experiment,
        run.parent_run_id if parent_run_id is None else parent_run_id or None,
        run.process_id,
    )


def _new_params(params: Mapping[str, str], there: Mapping[str, str], run_id: str) -> dict[str, str]:
    if not there:
        return dict(params)
    for key, value in params.items():
        if there.get(key, value) != value:
            raise Problem(
                problems.INVALID,
                f"Changing param values is not allowed. Param with key={shown(key)} was already logged with value="
                f"{shown(there[key])} for run ID='{run_id}'. Attempted logging new value {shown(value)}.",
            )
    return {key: value for key, value in params.items() if key not in there}


def _with_metrics(text: str, metrics: Sequence[tuple[Metric, Told]]) -> str:
    """The hidden tag with what is known of the metrics of logged models, after these."""
    try:
        known: dict[str, list[dict[str, Any]]] = json.loads(text) if text else {}
    except ValueError:
        known = {}
    for metric, told in metrics:
        entry = {**wire.metric_json(metric), **{key: told[key] for key in told if key != "model_id"}}
        kept = [other for other in known.get(told["model_id"], []) if not _is_same(other, entry)]
        known[told["model_id"]] = [*kept, entry]
    return json.dumps(known, separators=(",", ":"))


def _is_same(one: Told, other: Told) -> bool:
    return all(one.get(name) == other.get(name) for name in ("key", "dataset_name", "dataset_digest"))


async def _log_batch(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    metrics, params, tags = values["metrics"], values["params"], values["tags"]
    count = len(metrics) + len(params) + len(tags)
    if count > site.options.max_batch:
        most = f"{site.options.max_batch:,}"
        message = f"A batch logging request can contain at most {most} params, metrics and tags. Got {count:,}."
        raise Problem(problems.INVALID, message)
    await record(site, values["run_id"], params, metrics, tags)
    return {}


async def _log_metric(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    metric = Metric(values["key"], values["value"], values["step"] or 0, values["timestamp"])
    await record(site, values["run_id"], metrics=[(metric, fields.told_of_model(values, metric))])
    return {}


async def _log_param(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    await record(site, values["run_id"], {values["key"]: values["value"] or ""})
    return {}


async def _set_tag(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    await record(site, values["run_id"], tags={values["key"]: values["value"] or ""})
    return {}


async def _delete_tag(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    run_id, key = values["run_id"], values["key"]
    run = active(await site.read(outline, site.store, run_id, (), (key,)), run_id)
    if key == RUN_NAME:
        raise Problem(problems.INVALID, f"the tag {RUN_NAME} is the run's name, which it cannot be without")
    if key == PARENT and run.parent_run_id:
        await site.write(started_again(run, parent_run_id=""), TagsDeleted(run_id, (key,)))
    elif key not in run.tags or key.startswith(wire.HIDDEN):
        raise Problem(problems.NOT_FOUND, f"No tag with name: {shown(key)} in run with id {run_id}")
    else:
        await site.write(TagsDeleted(run_id, (key,)))
    return {}


async def _log_model(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    run_id = values["run_id"]
    try:
        model = json.loads(values["model_json"])
    except (ValueError, RecursionError):
        raise Problem(problems.INVALID, "Malformed model info: 'model_json' is not a valid JSON") from None
    lacking = [name for name in _HISTORY_NEEDS if not isinstance(model, dict) or name not in model]
    if lacking:
        raise Problem(problems.INVALID, f"Model json is missing mandatory fields: {', '.join(lacking)}")
    async with held(site.store, lists_of(run_id)):
        run = active(await site.read(outline, site.store, run_id, (), (MODEL_HISTORY,)), run_id)
        try:
            history = json.loads(run.tags.get(MODEL_HISTORY, "[]"))
        except ValueError:
            history = []
        history = [*(history if isinstance(history, list) else []), model]
        await site.write(TagsSet(run_id, {MODEL_HISTORY: json.dumps(history)}))
    if isinstance(model["artifact_path"], str) and (path := locating.checked(model["artifact_path"])):
        await logged_models.record_folder(site, run_id, path)
    return {}


_LOG_METRIC: Final = Message(
    "LogMetric",
    fields.RUN_ID,
    fields.KEY,
    number("value", needed=True),
    integer("timestamp", needed=True, least=0),
    integer("step"),
    *(text(name) for name in ("model_id", "dataset_name", "dataset_digest")),
)
_LOG_BATCH: Final = Message("LogBatch", fields.RUN_ID, fields.metrics(), fields.params(), fields.tags())
_LOG_PARAM: Final = Message("LogParam", fields.RUN_ID, fields.KEY, text("value"))
_SET_TAG: Final = Message("SetTag", fields.RUN_ID, fields.KEY, text("value"))
_DELETE_TAG: Final = Message("DeleteTag", fields.RUN_ID, fields.KEY)
_LOG_MODEL: Final = Message("LogModel", fields.RUN_ID, text("model_json", needed=True))

ENDPOINTS: Final = [
    *calls.endpoints("POST", "/runs/log-metric", _LOG_METRIC, _log_metric, WRITE),
    *calls.endpoints("POST", "/runs/log-batch", _LOG_BATCH, _log_batch, WRITE),
    *calls.endpoints("POST", "/runs/log-parameter", _LOG_PARAM, _log_param, WRITE),
    *calls.endpoints("POST", "/runs/set-tag", _SET_TAG, _set_tag, WRITE),
    *calls.endpoints("POST", "/runs/delete-tag", _DELETE_TAG, _delete_tag, WRITE),
    *calls.endpoints("POST", "/runs/log-model", _LOG_MODEL, _log_model, WRITE),
]
