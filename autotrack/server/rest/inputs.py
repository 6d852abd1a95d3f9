"""What runs used and made: datasets, and logged models by their ids."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from autotrack.entities import Dataset, Run
from autotrack.events import DatasetLogged, Event, TagsSet
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import calls, fields, wire
from autotrack.server.rest.holding import held, lists_of
from autotrack.server.rest.parsing import Field, Message, integer, many, one, text
from autotrack.server.rest.recording import not_active, run_of
from autotrack.server.routing import WRITE
from autotrack.server.site import Site
from autotrack.stores.mlflow.data import CONTEXT_TAG, MlflowDataset, dataset_from

_LONGEST_NAME: Final = 500
_LONGEST_DIGEST: Final = 36


async def _log_inputs(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    async with held(site.store, lists_of(values["run_id"])):
        run = await _active(site, values)
        events: list[Event] = []
        datasets = list(run.datasets)
        for given in values["datasets"]:
            dataset = _named_apart(_dataset(given["dataset"], given["tags"] or {}), datasets)
            datasets.append(dataset)
            events.append(DatasetLogged(run.run_id, dataset))
        models = [model["model_id"] for model in values["models"]]
        if models:
            known = wire.model_inputs(run)
            events.append(_tag(run, wire.MODEL_INPUTS, list(dict.fromkeys([*known, *models]))))
        await site.write(*events)
    return {}


async def _log_outputs(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    async with held(site.store, lists_of(values["run_id"])):
        run = await _active(site, values)
        made = [(model["model_id"], model["step"] or 0) for model in values["models"]]
        made = list(dict.fromkeys([*wire.model_outputs(run), *made]))
        await site.write(_tag(run, wire.MODEL_OUTPUTS, made))
    return {}


async def _active(site: Site, values: Mapping[str, Any]) -> Run:
    count = len(values.get("datasets", ())) + len(values["models"])
    if count > site.options.max_batch:
        raise Problem(problems.INVALID, f"there are {count:,} inputs or outputs and may be {site.options.max_batch:,}")
    run = await site.read(run_of, site, values["run_id"])
    if run.deleted_time is not None:
        raise not_active(run.run_id)
    return run


def _tag(run: Run, key: str, value: Sequence[Any]) -> TagsSet:
    return TagsSet(run.run_id, {key: json.dumps(value, separators=(",", ":"))})


def _dataset(told: Mapping[str, Any], tags: Mapping[str, str]) -> Dataset:
    """MLflow's dataset as ours, with MLflow's own words beside what is understood of them."""
    texts = {name: told[name] for name in ("schema", "profile") if told[name] is not None}
    theirs = MlflowDataset(told["name"], told["digest"], told["source_type"] or "", told["source"] or "", tags=tags)
    source: dict[str, Any] = {
        "source_type": theirs.source_type,
        "source": theirs.source,
        "digest": theirs.digest,
        **texts,
    }
    if set(tags) - {CONTEXT_TAG}:
        source["tags"] = json.dumps(dict(tags))
    return replace(dataset_from(replace(theirs, **texts)), source=source)


def _named_apart(dataset: Dataset, others: Sequence[Dataset]) -> Dataset:
    """A dataset under a name that none of other content has in this context: a run keeps one of each name."""
    taken = {(other.name, other.context): other.digest for other in others}
    name, number = dataset.name, 1
    while taken.get((name, dataset.context), dataset.digest) != dataset.digest:
        number += 1
        name = f"{dataset.name} #{number}"
    return dataset if number == 1 else replace(dataset, name=name, source={**dataset.source, "name": dataset.name})


_MODEL_ID: Final = text("model_id", needed=True, most=fields.LONGEST_KEY)


def _models(name: str, *others: Field, needed: bool = False) -> Field:
    return many(name, Message("Model", _MODEL_ID, *others), needed=needed)


_DATASET: Final = Message(
    "Dataset",
    text("name", needed=True, most=_LONGEST_NAME),
    text("digest", needed=True, most=_LONGEST_DIGEST),
    *(text(name) for name in ("source_type", "source", "schema", "profile")),
)
_USE: Final = Message("DatasetInput", fields.tags(), one("dataset", _DATASET, needed=True))
_INPUTS: Final = Message("LogInputs", fields.RUN_ID, many("datasets", _USE), _models("models"))
_OUTPUTS: Final = Message("LogOutputs", fields.RUN_ID, _models("models", integer("step"), needed=True))

ENDPOINTS: Final = [
    *calls.endpoints("POST", "/runs/log-inputs", _INPUTS, _log_inputs, WRITE),
    *calls.endpoints("POST", "/runs/outputs", _OUTPUTS, _log_outputs, WRITE),
]
