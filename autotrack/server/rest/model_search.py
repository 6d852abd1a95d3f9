"""Searching logged models: those of the runs of some experiments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from autotrack.entities import Run
from autotrack.errors import RunNotFound
from autotrack.server import problems
from autotrack.server.problems import Problem
from autotrack.server.rest import catalog, fields, listing, model_ids
from autotrack.server.rest.listing import ATTRIBUTE, METRIC, PARAM, TAG, Clause, Language
from autotrack.server.rest.model_records import STATUSES, is_deleted
from autotrack.server.rest.model_wire import Shown, shown
from autotrack.server.rest.parsing import Message, flag, integer, many, text, texts

if TYPE_CHECKING:
    from autotrack.server.site import Site

_ORDER: Final = Message(
    "OrderBy", text("field_name", needed=True), flag("ascending"), text("dataset_name"), text("dataset_digest")
)
_DATASET: Final = Message("Dataset", text("dataset_name", needed=True), text("dataset_digest"))
MESSAGE: Final = Message(
    "SearchLoggedModels",
    texts("experiment_ids", needed=True),
    fields.FILTER,
    many("datasets", _DATASET),
    integer("max_results", least=0, most=50_000),
    many("order_by", _ORDER),
    text("page_token"),
)
_PAGE: Final = 100

_LANGUAGE: Final = Language(
    {
        "name": False,
        "model_id": False,
        "model_type": False,
        "status": False,
        "source_run_id": False,
        "experiment_id": False,
        "creation_timestamp": True,
        "last_updated_timestamp": True,
    },
    (TAG, PARAM, METRIC),
    {
        "creation_time": "creation_timestamp",
        "creation_timestamp_ms": "creation_timestamp",
        "last_updated_time": "last_updated_timestamp",
        "last_updated_timestamp_ms": "last_updated_timestamp",
    },
)
_FIELDS: Final = {"creation_timestamp": "created", "last_updated_timestamp": "updated"}


@dataclass(frozen=True, slots=True)
class _Order:
    """``metric`` or ``attribute`` is what it sorts by."""

    attribute: str
    metric: str
    descending: bool
    dataset: Mapping[str, Any]


def search(site: Site, values: dict[str, Any]) -> dict[str, Any]:
    """Models of some experiments, filtered, in order, page by page; blocks.

    Raises
    ------
    Problem
        When there is no such experiment, or filter, order or token cannot be understood.
    """
    clauses = _LANGUAGE.parse(values["filter"])
    orders = [_order(told) for told in values["order_by"]]
    datasets = values["datasets"]
    entries = [catalog.by_id(site, experiment_id) for experiment_id in dict.fromkeys(values["experiment_ids"])]
    found = [
        one
        for run in _runs(site, [entry.name for entry in entries], clauses)
        for model in run.models
        if not is_deleted(model) and _matches(one := shown(run, model), clauses, datasets)
    ]
    told = [values[name] for name in ("experiment_ids", "filter", "order_by", "datasets")]
    most = values["max_results"] or _PAGE
    there, token = listing.page(
        found,
        lambda one: (*(_key(one, order) for order in orders), one.created, one.model_id),
        [*(order.descending for order in orders), True, False],
        most,
        told,
        values["page_token"] or "",
    )
    answer: dict[str, Any] = {"models": [one.to_json() for one in there]}
    return answer | ({"next_page_token": token} if token else {})


def _runs(site: Site, experiments: Sequence[str], clauses: Sequence[Clause]) -> Iterator[Run]:
    """The runs that may have such models."""
    named = _named(clauses)
    if named is not None:
        try:
            run = site.store.get_run(named)
        except RunNotFound:
            return
        if run.experiment in experiments and run.deleted_time is None:
            yield run
        return
    for experiment in experiments:
        yield from site.store.search_runs("models.path LIKE '%'", experiment=experiment)


def _named(clauses: Sequence[Clause]) -> str | None:
    """The one run that a filter names, by its id or by that of its model."""
    for clause in clauses:
        if clause.entity == ATTRIBUTE and clause.operator == "=":
            if clause.key == "source_run_id":
                return str(clause.value)
            if clause.key == "model_id":
                return model_ids.run_of(clause.value) or ""
    return None


def _matches(one: Shown, clauses: Sequence[Clause], datasets: Sequence[Mapping[str, Any]]) -> bool:
    metrics = [entry for entry in one.metrics if not datasets or any(_is_on(entry, dataset) for dataset in datasets)]
    if datasets and not metrics:
        return False
    for clause in clauses:
        if clause.entity == METRIC:
            if not any(clause.holds(entry["value"]) for entry in metrics if entry["key"] == clause.key):
                return False
        elif not clause.holds(_value(one, clause)):
            return False
    return True


def _value(one: Shown, clause: Clause) -> Any:
    if clause.entity == TAG:
        return one.tags.get(clause.key)
    if clause.entity == PARAM:
        return one.params.get(clause.key)
    if clause.key == "status" and clause.value not in STATUSES:  # READY is written too
        return one.status.removeprefix("LOGGED_MODEL_").removeprefix("UPLOAD_")
    return getattr(one, _FIELDS.get(clause.key, clause.key)) or None


def _is_on(entry: Mapping[str, Any], dataset: Mapping[str, Any]) -> bool:
    if entry.get("dataset_name") != dataset["dataset_name"]:
        return False
    return not dataset["dataset_digest"] or entry.get("dataset_digest") == dataset["dataset_digest"]


def _order(told: Mapping[str, Any]) -> _Order:
    name = told["field_name"].strip()
    descending = told["ascending"] is False
    if told["dataset_digest"] and not told["dataset_name"]:
        raise Problem(problems.INVALID, "an order by a dataset's digest needs its dataset_name too")
    if name.startswith("metrics.") and len(name) > len("metrics."):
        return _Order("", name.removeprefix("metrics.").strip("`"), descending, told)
    return _Order(_LANGUAGE.order(name)[0], "", descending, told)


def _key(one: Shown, order: _Order) -> str | int | float | None:
    if not order.metric:
        value = getattr(one, _FIELDS.get(order.attribute, order.attribute))
        return value if isinstance(value, str | int) else None
    found = [
        entry
        for entry in one.metrics
        if entry["key"] == order.metric
        and (not order.dataset["dataset_name"] or _is_on(entry, order.dataset))
        and entry["value"] == entry["value"]
    ]
    last = max(found, key=lambda entry: (entry["timestamp"], entry["step"]), default=None)
    return None if last is None else float(last["value"])
