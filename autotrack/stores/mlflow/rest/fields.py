"""A run's state into MLflow's fields, request by request, and last the document that says how far they go."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from autotrack.events import DatasetLogged, Entry, ModelLogged, TagsDeleted
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.rest.catalog import KIN_TAG, Catalog, id_value, tags_of, texts_of
from autotrack.stores.mlflow.rest.client import BAD_VALUE, Json, batches, pairs
from autotrack.stores.mlflow.rest.document import (
    DIRTY_TAG,
    INEXACT_TAG,
    PREFIX,
    PROCESS_TAG,
    is_deleted,
    native_status,
    to_tags,
    to_text,
)
from autotrack.stores.mlflow.rest.models import Models
from autotrack.stores.mlflow.rest.processes import Processes
from autotrack.stores.mlflow.rest.projection import (
    Native,
    dataset_json,
    document_for,
    history_key,
    new_points,
    point_json,
    tags_to_set,
)
from autotrack.stores.mlflow.rest.records import Record
from autotrack.stores.mlflow.rest.registering import register_logged
from autotrack.stores.mlflow.rest.transport import Refused
from autotrack.stores.mlflow.translation import MODEL_HISTORY, MlflowRun, translate
from autotrack.stores.state import GONE, RunState

_logger = logging.getLogger(__name__)


class Fields:
    """Writes to the fields of MLflow's runs. The caller holds a lock."""

    def __init__(self, catalog: Catalog, models: Models, processes: Processes) -> None:
        self._catalog = catalog
        self._client = catalog.client
        self._models = models
        self._processes = processes
        self._warned: set[str] = set()

    def write(self, record: Record, new: Sequence[Entry]) -> MlflowRun:
        """Have MLflow's fields and the document say what the state is, which ``new`` entries have just changed."""
        state = record.state
        parent = state.started[1].parent_run_id if state.started is not None else None
        parent_native = self._catalog.native_id(parent) if parent is not None else None
        told = {name: self._processes.facts(name, record.experiment) for name in record.processes}
        facts = told[state.process_id] if state.started is not None else {}
        self._models.find(record.native, [model.path for model in state.models.in_order()], record.document)
        infos = self._models.infos(record.native_id)
        target = translate(state, facts, infos, run_id=record.native_id, parent_run_id=parent_native)
        everything = not record.whole
        self._write_inputs(record, state, target, new, everything)
        self._write_models(record, state, new, everything)
        self._write_info(record, target)
        self._write_batch(record, state, target, new, parent_native, everything)
        record.whole = True
        return target

    def _write_inputs(
        self, record: Record, state: RunState, target: MlflowRun, new: Sequence[Entry], everything: bool
    ) -> None:
        told = {(e.event.dataset.name, e.event.dataset.context) for e in new if isinstance(e.event, DatasetLogged)}
        pairs = zip(state.datasets.in_order(), target.datasets)
        found = [theirs for ours, theirs in pairs if everything or (ours.name, ours.context) in told]
        if found:
            self._optional(
                record, "datasets", lambda: self._client.log_inputs(record.native_id, list(map(dataset_json, found)))
            )

    def _write_models(self, record: Record, state: RunState, new: Sequence[Entry], everything: bool) -> None:
        paths = {entry.event.model.path for entry in new if isinstance(entry.event, ModelLogged)}
        mine = [model for model in state.models.in_order() if everything or model.path in paths]
        if not mine:
            return
        ids = [i for model in mine if (i := self._models.id_of(record.native_id, model.path)) is not None]
        if ids:
            self._optional(record, "logged models", lambda: self._client.log_outputs(record.native_id, ids))
        for model in mine:
            if model.registered_model_name:
                self._optional(record, "model versions", lambda m=model: register_logged(self._models, record, m))

    def _write_info(self, record: Record, target: MlflowRun) -> None:
        info = record.native["info"]
        fields: dict[str, Any] = {}
        if target.status != native_status(record.native) or (
            target.end_time is not None and int(info.get("end_time") or -1) != target.end_time
        ):
            fields["status"] = target.status
            if target.end_time is not None:
                fields["end_time"] = target.end_time
        told = record.document.told.get("name") if record.document is not None else None
        if target.run_name not in (info.get("run_name"), told):
            fields["run_name"] = target.run_name
        if fields:
            self._client.update_run(record.native_id, **fields)
            info.update(fields)

    def _write_batch(
        self,
        record: Record,
        state: RunState,
        target: MlflowRun,
        new: Sequence[Entry],
        parent: str | None,
        everything: bool,
    ) -> None:
        params = {key: text for key, text in target.params.items() if key not in record.params}
        changed = {key: text for key, text in tags_to_set(target, parent).items() if record.tags.get(key) != text}
        if MODEL_HISTORY in record.tags and not any(isinstance(entry.event, ModelLogged) for entry in new):
            changed.pop(MODEL_HISTORY, None)
        self._remove_tags(record, state, target, new, everything)
        points = [point for key in target.metrics for point in target.metrics[key]] if everything else new_points(new)
        metrics = [point_json(point) for point in points]
        if everything and metrics:
            metrics = self._missing_points(record, metrics)
        try:
            self._send_batch(record, state, target, metrics, params, changed, frozenset())
        except Refused as error:
            if error.code != BAD_VALUE:
                raise
            if (native := self._still_there(record)) is None:
                raise
            # An older server, with lower limits, or a param that another client has set: what it takes of it, it gets.
            self._warn("some of the params, metrics or tags", error)
            record.params, record.tags = texts_of(native, "params"), tags_of(native)
            refused = self._send_singly(record, metrics, params, changed)
            self._send_batch(record, state, target, (), {}, {}, refused)

    def _remove_tags(
        self, record: Record, state: RunState, target: MlflowRun, new: Sequence[Entry], everything: bool
    ) -> None:
        """Take away the tags that were taken away just now, whoever set them."""
        told = {key for entry in new if isinstance(entry.event, TagsDeleted) for key in entry.event.keys}
        for key, (_, text) in state.tags.items():
            name = limits.key_for(key)
            is_meant = text is GONE and (everything or key in told)
            if is_meant and name in record.tags and name not in target.tags and not name.startswith(PREFIX):
                self._client.delete_tag(record.native_id, name)
                record.tags.pop(name)

    def _send_batch(
        self,
        record: Record,
        state: RunState,
        target: MlflowRun,
        metrics: Sequence[Json],
        params: Mapping[str, str],
        changed: Mapping[str, str],
        refused: frozenset[str],
    ) -> None:
        """Send what is new, and with its last part the document that says that all of it is there.

        Parameters
        ----------
        refused : metrics of which the server did not take every point.
        """
        native = Native(
            params={**record.params, **params},
            tags={**record.tags, **changed},
            experiment=self._catalog.experiment_name(record.experiment),
            start_time=int(record.native["info"].get("start_time") or 0),
        )
        homes = {name: home for name in record.processes if (home := self._processes.home(name))}
        ids = self._models.ids(record.native_id)
        document, exact = document_for(state, target, native, record.at, homes=homes, model_ids=ids, refused=refused)
        exact = exact and record.run_id == id_value(record.run_id)
        carried = to_tags(to_text(document), self._catalog.files(record.native).upload, record.tags)
        own = dict(carried)
        own[INEXACT_TAG] = "0" if exact else "1"
        if state.started is not None:
            others = (name for name in record.processes if name != state.process_id)
            own[PROCESS_TAG] = " ".join(id_value(name) for name in (state.process_id, *others))
            parent = state.started[1].parent_run_id
            own[KIN_TAG] = id_value(record.run_id) + (f" {id_value(parent)}" if parent is not None else "")
        is_other = any(record.tags.get(key) != value for key, value in carried.items())
        own = {key: value for key, value in own.items() if record.tags.get(key) != value}
        if is_other:
            own |= carried  # all parts, that none of them is another writer's
        bodies = batches(metrics, params, {**changed, **own})
        if len(bodies) > 1 or record.tags.get(DIRTY_TAG) == "1":
            # A reader goes by the sidecars until the last body has come.
            ends = {**own, DIRTY_TAG: "0", INEXACT_TAG: "0" if exact else "1"}
            begin = batches((), {}, {DIRTY_TAG: "1", INEXACT_TAG: "1"})
            bodies = [*begin, *batches(metrics, params, changed), *batches((), {}, ends)]
            own = ends
        for body in bodies:
            self._client.log_batch(record.native_id, body)
        record.params |= params
        record.tags |= {**changed, **own}
        record.document = document

    def _send_singly(
        self, record: Record, metrics: Sequence[Json], params: Mapping[str, str], changed: Mapping[str, str]
    ) -> frozenset[str]:
        """Send one thing at a time; gives the metrics of which some point was refused."""
        refused = set()
        for kind, items in (("params", pairs(params)), ("metrics", metrics), ("tags", pairs(changed))):
            for item in items:
                try:
                    self._client.log_batch(record.native_id, {kind: [item]})
                except Refused as error:
                    if error.code != BAD_VALUE:
                        raise
                    if kind == "metrics":
                        refused.add(item["key"])
                else:
                    if kind != "metrics":
                        (record.params if kind == "params" else record.tags)[item["key"]] = item["value"]
        return frozenset(refused)

    def _missing_points(self, record: Record, metrics: list[Json]) -> list[Json]:
        """Those points that MLflow does not have: not every server's storage takes a point twice for one."""
        missing = []
        for key in dict.fromkeys(point["key"] for point in metrics):
            there = {history_key(point) for point in self._client.history(record.native_id, key)}
            missing += [point for point in metrics if point["key"] == key and history_key(point) not in there]
        return missing

    def _still_there(self, record: Record) -> Json | None:
        """The run as it is now; ``None`` when another writer has deleted it meanwhile."""
        native = self._client.run(record.native_id)
        return None if native is None or is_deleted(native) else native

    def _optional(self, record: Record, what: str, call: Any) -> None:
        """Do what is only for MLflow's own pages: a server that does not know it, or refuses it, is told of once."""
        try:
            call()
        except Refused as error:
            if error.status in (401, 403, 429) or error.status >= 500:
                raise
            if error.code == BAD_VALUE and self._still_there(record) is None:
                raise
            self._warn(what, error)

    def _warn(self, what: str, error: Exception) -> None:
        if what not in self._warned:
            self._warned.add(what)
            _logger.warning("the tracking server refuses %s, which autotrack keeps beside the run: %s", what, error)
