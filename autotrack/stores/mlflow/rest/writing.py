"""Entries into a server: sidecar first, then what MLflow is to show, then the document that says how far it came.

Whatever request is the last one before a crash, applying the same entries again comes to the same: a run is found by
the tag with our id, its entries by their numbers in the sidecars, points of metrics by being the same points.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from autotrack.entities import ACTIVE, DELETED
from autotrack.errors import StoreError
from autotrack.events import DatasetLogged, Entry, LifecycleSet, ModelLogged, ProcessDescribed, RunStarted, TagsSet
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.rest import catalog as tags
from autotrack.stores.mlflow.rest.catalog import DEFAULT_ID, Catalog, facts_of, folded, id_value, tags_of, texts_of
from autotrack.stores.mlflow.rest.client import BAD_VALUE, Json, batches, pairs
from autotrack.stores.mlflow.rest.document import (
    DIRTY_TAG,
    ID_TAG,
    INEXACT_TAG,
    PROCESS_TAG,
    Document,
    is_deleted,
    native_status,
    to_tags,
    to_text,
)
from autotrack.stores.mlflow.rest.models import Models
from autotrack.stores.mlflow.rest.projection import (
    Native,
    dataset_json,
    document_for,
    history_key,
    new_points,
    point_json,
    tags_to_set,
)
from autotrack.stores.mlflow.rest.sidecars import Sidecars, plain_name
from autotrack.stores.mlflow.rest.transport import Refused
from autotrack.stores.mlflow.translation import MODEL_HISTORY, PARENT, MlflowRun, translate
from autotrack.stores.state import Place, RunState

_MOST_PRELOADED: Final = 1000
_MOST_RECORDS: Final = 200

_logger = logging.getLogger(__name__)


@dataclass
class Record:
    """A run on the server that is being written to."""

    run_id: str
    native: Json
    sidecars: Sidecars
    document: Document | None
    params: dict[str, str]
    tags: dict[str, str]
    state: RunState | None = None
    at: dict[str, int] = field(default_factory=dict)
    whole: bool = True
    """Whether MLflow surely has all that the sidecars have."""

    @property
    def native_id(self) -> str:
        """MLflow's id."""
        return str(self.native["info"]["run_id"])

    @property
    def experiment(self) -> str:
        """MLflow's id of the experiment."""
        return str(self.native["info"]["experiment_id"])


class Writer:
    """Applies entries. One thread at a time does; others wait."""

    def __init__(self, catalog: Catalog, models: Models) -> None:
        self._catalog = catalog
        self._client = catalog.client
        self._models = models
        self._lock = threading.RLock()
        self._records: dict[str, Record] = {}
        self._journals: dict[str, bool] = {}
        """Journals whose runs on the server are known, and whether all of them are."""
        self._made: set[str] = set()
        self._homes: dict[str, str] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._warned: set[str] = set()

    def apply(self, entries: Sequence[Entry]) -> None:
        """See `Store.apply`."""
        runs: dict[str, list[Entry]] = {}
        processes: dict[str, list[Entry]] = {}
        for entry in entries:
            if isinstance(entry.event, ProcessDescribed):
                processes.setdefault(entry.event.process_id, []).append(entry)
            else:
                runs.setdefault(entry.event.run_id, []).append(entry)
        with self._lock:
            for journal_id in dict.fromkeys(entry.journal_id for entry in entries):
                self._preload(journal_id)
            told = [process_id for process_id in processes if self._apply_process(processes, process_id, runs)]
            for run_id in _parents_first(runs):
                self._apply_run(run_id, runs[run_id])
            for process_id in told:
                for record in list(self._records.values()):
                    if record.state is not None and record.state.process_id == process_id and record.run_id not in runs:
                        self._guarded(record, ())
            while len(self._records) > _MOST_RECORDS:
                self._records.pop(next(iter(self._records)))

    def forget(self) -> None:
        """Drop what was kept of runs: somebody else may have written to them."""
        with self._lock:
            self._records.clear()

    # Processes

    def _apply_process(
        self, processes: Mapping[str, list[Entry]], process_id: str, runs: Mapping[str, list[Entry]]
    ) -> bool:
        """Keep the facts of a process; whether they were new."""
        home = self._home(process_id, runs)
        sidecars = self._catalog.process(home, process_id)
        known = sidecars.known() or sidecars.entries()
        last: dict[str, int] = {}
        for entry in known:
            last[entry.journal_id] = max(entry.number, last.get(entry.journal_id, 0))
        new = _passed(processes[process_id], last)
        if new:
            sidecars.put(new)
        self._facts[process_id] = facts_of(sidecars.known())
        return bool(new)

    def _home(self, process_id: str, runs: Mapping[str, list[Entry]]) -> str:
        if process_id not in self._homes:
            home = self._catalog.home(process_id)
            if home is None:
                starts = (entry.event for entries in runs.values() for entry in entries)
                mine = [e for e in starts if isinstance(e, RunStarted) and e.process_id == process_id]
                home = self._catalog.experiment_for(mine[0].experiment) if mine else DEFAULT_ID
            self._homes[process_id] = home
        return self._homes[process_id]

    def _facts_of(self, process_id: str, experiment: str) -> dict[str, Any]:
        """The facts of the process of a run; of one that nothing is known of they will lie in the run's experiment."""
        if process_id not in self._facts:
            home = self._homes.get(process_id) or self._catalog.home(process_id) or experiment
            self._homes[process_id] = home
            self._facts[process_id] = self._catalog.facts(home, process_id)
        return self._facts[process_id]

    # Runs

    def _apply_run(self, run_id: str, entries: list[Entry]) -> None:
        record = self._record(run_id, entries) or self._new(run_id, entries)
        if ID_TAG not in record.tags:
            self._write_foreign(record, entries)
            return
        new = _passed(entries, record.at)
        if new or not record.whole:
            self._guarded(record, new)
        elif any(isinstance(entry.event, LifecycleSet) for entry in entries):
            self._set_stage(record)

    def _guarded(self, record: Record, new: Sequence[Entry]) -> None:
        """Write to a run; when it breaks off, what was kept of it in memory is dropped, and so read anew."""
        try:
            self._write(record, new)
        except BaseException:
            self._records.pop(record.run_id, None)
            self._catalog.forget(record.run_id)
            raise

    def _preload(self, journal_id: str) -> None:
        """Learn which runs were made from a journal before: one request for all of them, and none for a new one."""
        if journal_id not in self._journals:
            found = list(
                itertools.islice(self._catalog.tagged(tags.JOURNAL_TAG, plain_name(journal_id)), _MOST_PRELOADED)
            )
            for native in found:
                self._made.add(tags_of(native).get(ID_TAG, ""))
            self._journals[journal_id] = len(found) < _MOST_PRELOADED

    def _is_new(self, run_id: str, entries: list[Entry]) -> bool:
        """Whether a run surely was not made from these entries before."""
        starts = [entry for entry in entries if isinstance(entry.event, RunStarted)]
        known = all(self._journals.get(entry.journal_id, False) for entry in starts)
        return bool(starts) and known and id_value(run_id) not in self._made

    def _record(self, run_id: str, entries: list[Entry]) -> Record | None:
        record = self._records.pop(run_id, None)
        if record is None and self._is_new(run_id, entries):
            return None
        if record is None:
            natives = self._catalog.natives(run_id)
            if not natives:
                return None
            record = self._loaded(run_id, natives)
        self._records[run_id] = record
        return record

    def _loaded(self, run_id: str, natives: list[Json]) -> Record:
        """A run as it is on the server, with everything in its sidecars; its doubles are joined to it."""
        native, doubles = natives[0], natives[1:]
        merged = tags_of(native).get(tags.MERGED_TAG, "").split()
        open_doubles = [double for double in doubles if double["info"]["run_id"] not in merged]
        record = _fresh(run_id, native, self._catalog)
        entries = record.sidecars.entries()
        for double in open_doubles:
            # Deleted first: from then on another writer's requests to it fail, and it looks for the run anew.
            if not is_deleted(double):
                self._client.delete_run(str(double["info"]["run_id"]))
            missing = [entry for entry in self._catalog.sidecars(double).entries() if entry not in entries]
            if missing:
                record.sidecars.put(missing)
                entries = record.sidecars.known()
        record.state = folded(run_id, entries)
        applied = record.document.at if record.document is not None else {}
        for entry in entries:
            record.at[entry.journal_id] = max(entry.number, record.at.get(entry.journal_id, 0))
        record.whole = record.at == dict(applied) and not open_doubles and record.tags.get(DIRTY_TAG) != "1"
        if open_doubles:
            ids = [*merged, *(str(double["info"]["run_id"]) for double in open_doubles)]
            self._client.set_tag(record.native_id, tags.MERGED_TAG, " ".join(ids))
        self._catalog.remember(run_id, native)
        return record

    def _new(self, run_id: str, entries: list[Entry]) -> Record:
        """Make a run."""
        starts = [entry for entry in entries if isinstance(entry.event, RunStarted)]
        journal_id = starts[0].journal_id if starts else entries[0].journal_id
        state = folded(run_id, entries)
        experiment = self._catalog.experiment_for(state.run({}).experiment)
        run = state.run(self._facts_of(state.process_id, experiment) if starts else {})
        own = id_value(run_id)
        given = {
            ID_TAG: own,
            tags.KIN_TAG: own + (f" {id_value(run.parent_run_id)}" if run.parent_run_id is not None else ""),
            tags.JOURNAL_TAG: plain_name(journal_id),
            INEXACT_TAG: "1",
        }
        target = translate(state, run.process)
        native = self._client.create_run(experiment, target.run_name, target.start_time, target.user, given)
        self._made.add(own)
        kin = list(self._catalog.tagged(tags.KIN_TAG, own, like=True))
        doubles = [item for item in kin if tags_of(item).get(ID_TAG) == own]
        doubles.sort(key=lambda item: str(item["info"]["run_id"]))
        if len(doubles) > 1:
            record = self._loaded(run_id, doubles)
        else:
            record = _fresh(run_id, native, self._catalog)
            record.state = RunState(run_id)
            self._catalog.remember(run_id, native)
        self._records[run_id] = record
        self._adopt(record, kin)
        return record

    def _adopt(self, record: Record, kin: Iterable[Json]) -> None:
        """Tell MLflow of the children that came before their parent."""
        for child in kin:
            found = tags_of(child)
            is_child = found.get(tags.KIN_TAG, "").split()[1:] == [id_value(record.run_id)]
            if is_child and not is_deleted(child):
                self._client.set_tag(str(child["info"]["run_id"]), PARENT, record.native_id)

    def _write(self, record: Record, new: Sequence[Entry]) -> None:
        """Write entries to a run, and those that other writers put beside it meanwhile."""
        if new:
            record.sidecars.put(new)
        _fold(record, new)
        was_deleted = is_deleted(record.native)
        if was_deleted:
            self._client.restore_run(record.native_id)
            record.native["info"]["lifecycle_stage"] = ACTIVE
        state = record.state
        assert state is not None
        while True:
            target = self._project(record, state, new)
            known = {(entry.journal_id, entry.number) for entry in record.sidecars.known()}
            others = [e for e in record.sidecars.entries() if (e.journal_id, e.number) not in known] if new else []
            if not others:
                break
            new = others
            _fold(record, new)
        lifecycle = any(isinstance(entry.event, LifecycleSet) for entry in new)
        if target.lifecycle_stage == DELETED or (was_deleted and not lifecycle):
            self._client.delete_run(record.native_id)
            record.native["info"]["lifecycle_stage"] = DELETED

    def _project(self, record: Record, state: RunState, new: Sequence[Entry]) -> MlflowRun:
        """Have MLflow's fields and the document say what the state is."""
        parent = state.started[1].parent_run_id if state.started is not None else None
        parent_native = self._catalog.native_id(parent) if parent is not None else None
        facts = self._facts_of(state.process_id, record.experiment) if state.started is not None else {}
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

    def _write_foreign(self, record: Record, entries: Sequence[Entry]) -> None:
        """Write to a run that MLflow's own client made: what MLflow has fields for, and nothing else."""
        for entry in entries:
            match entry.event:
                case LifecycleSet(_, stage):
                    if is_deleted(record.native) != (stage == DELETED):
                        (self._client.delete_run if stage == DELETED else self._client.restore_run)(record.native_id)
                        record.native["info"]["lifecycle_stage"] = stage
                case TagsSet(_, texts):
                    for body in batches((), {}, {limits.key_for(k): limits.cut(texts[k], 5000) for k in texts}):
                        self._client.log_batch(record.native_id, body)
                case other:
                    raise StoreError(
                        f"run {record.run_id} was made by MLflow's own client: it can be tagged, deleted and restored "
                        f"here, and takes no {other.type!r}"
                    )

    def _set_stage(self, record: Record) -> None:
        """Bring MLflow's trash in line with ours: an earlier writer was stopped right before it."""
        state = record.state
        if state is None or state.lifecycle is None:
            return
        deleted = state.lifecycle[1].stage == DELETED
        native = self._client.run(record.native_id)
        if native is not None and is_deleted(native) != deleted:
            (self._client.delete_run if deleted else self._client.restore_run)(record.native_id)
            record.native["info"]["lifecycle_stage"] = DELETED if deleted else ACTIVE

    def _write_inputs(
        self, record: Record, state: RunState, target: MlflowRun, new: Sequence[Entry], everything: bool
    ) -> None:
        told = {(e.event.dataset.name, e.event.dataset.context) for e in new if isinstance(e.event, DatasetLogged)}
        pairs = zip(state.datasets.in_order(), target.datasets)
        found = [theirs for ours, theirs in pairs if everything or (ours.name, ours.context) in told]
        if found:
            self._optional(
                "datasets", lambda: self._client.log_inputs(record.native_id, list(map(dataset_json, found)))
            )

    def _write_models(self, record: Record, state: RunState, new: Sequence[Entry], everything: bool) -> None:
        paths = {entry.event.model.path for entry in new if isinstance(entry.event, ModelLogged)}
        mine = [model for model in state.models.in_order() if everything or model.path in paths]
        if not mine:
            return
        ids = [i for model in mine if (i := self._models.id_of(record.native_id, model.path)) is not None]
        if ids:
            self._optional("logged models", lambda: self._client.log_outputs(record.native_id, ids))
        for model in mine:
            if model.registered_model_name:
                self._optional("model versions", lambda m=model: self._models.register(record.native, record.run_id, m))

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
        points = [point for key in target.metrics for point in target.metrics[key]] if everything else new_points(new)
        metrics = [point_json(point) for point in points]
        if everything and metrics:
            metrics = self._missing_points(record, metrics)
        try:
            self._send_batch(record, state, target, metrics, params, changed, frozenset())
        except Refused as error:
            if error.code != BAD_VALUE:
                raise
            native = self._client.run(record.native_id)
            if native is None or is_deleted(native):
                raise StoreError(f"run {record.run_id} was deleted on the server while it was written to") from error
            # An older server, with lower limits, or a param that another client has set: what it takes of it, it gets.
            self._warn("some of the params, metrics or tags", error)
            record.params, record.tags = texts_of(native, "params"), tags_of(native)
            refused = self._send_singly(record, metrics, params, changed)
            self._send_batch(record, state, target, (), {}, {}, refused)

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
        home, ids = self._homes.get(state.process_id, ""), self._models.ids(record.native_id)
        document, exact = document_for(state, target, native, record.at, home=home, model_ids=ids, refused=refused)
        exact = exact and record.run_id == id_value(record.run_id)
        own = to_tags(to_text(document), self._catalog.files(record.native).upload, record.tags)
        own[INEXACT_TAG] = "0" if exact else "1"
        if state.started is not None:
            own[PROCESS_TAG] = id_value(state.process_id)
            parent = state.started[1].parent_run_id
            own[tags.KIN_TAG] = id_value(record.run_id) + (f" {id_value(parent)}" if parent is not None else "")
        own = {key: value for key, value in own.items() if record.tags.get(key) != value}
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

    def _optional(self, what: str, call: Any) -> None:
        """Do what is only for MLflow's own pages: a server that does not know it, or refuses it, is told of once."""
        try:
            call()
        except Refused as error:
            if error.status in (401, 403, 429) or error.status >= 500:
                raise
            self._warn(what, error)

    def _warn(self, what: str, error: Exception) -> None:
        if what not in self._warned:
            self._warned.add(what)
            _logger.warning("the tracking server refuses %s, which autotrack keeps beside the run: %s", what, error)


def _fresh(run_id: str, native: Json, catalog: Catalog) -> Record:
    return Record(
        run_id=run_id,
        native=native,
        sidecars=catalog.sidecars(native),
        document=catalog.document(native),
        params=texts_of(native, "params"),
        tags=tags_of(native),
    )


def _fold(record: Record, entries: Sequence[Entry]) -> None:
    assert record.state is not None
    for entry in entries:
        record.state.fold(Place(entry.journal_id, entry.number), entry.event)
        record.at[entry.journal_id] = max(entry.number, record.at.get(entry.journal_id, 0))


def _passed(entries: Iterable[Entry], at: Mapping[str, int]) -> list[Entry]:
    """The entries that were not applied yet, each once."""
    last = dict(at)
    new = []
    for entry in entries:
        if entry.number > last.get(entry.journal_id, 0):
            last[entry.journal_id] = entry.number
            new.append(entry)
    return new


def _parents_first(runs: Mapping[str, list[Entry]]) -> list[str]:
    """The runs, a run behind its parent."""
    parents: dict[str, str | None] = {}
    for run_id, entries in runs.items():
        starts = [entry.event for entry in entries if isinstance(entry.event, RunStarted)]
        parents[run_id] = starts[0].parent_run_id if starts else None
    ordered: dict[str, None] = {}
    for run_id in runs:
        line = [run_id]
        while (parent := parents.get(line[-1])) is not None and parent in runs and parent not in line:
            line.append(parent)
        ordered |= dict.fromkeys(reversed(line))
    return list(ordered)
