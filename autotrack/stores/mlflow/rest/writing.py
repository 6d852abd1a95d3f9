"""Entries into a server: sidecar first, then what MLflow is to show, then the document that says how far it came.

Whatever request is the last one before a crash, applying the same entries again comes to the same: a run is found by
the tag with our id, its entries by their numbers in the sidecars, points of metrics by being the same points.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from autotrack.entities import ACTIVE, DELETED
from autotrack.errors import StoreError
from autotrack.events import (
    Entry,
    ExperimentDescribed,
    LifecycleSet,
    ProcessDescribed,
    RunStarted,
    TagsDeleted,
    TagsSet,
)
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.rest import catalog as tags
from autotrack.stores.mlflow.rest.catalog import Catalog, folded, id_value, tags_of, texts_of
from autotrack.stores.mlflow.rest.client import BAD_VALUE, NOT_THERE, Json, batches
from autotrack.stores.mlflow.rest.document import (
    DIRTY_TAG,
    ID_TAG,
    INEXACT_TAG,
    is_deleted,
)
from autotrack.stores.mlflow.rest.fields import Fields
from autotrack.stores.mlflow.rest.models import Models
from autotrack.stores.mlflow.rest.processes import Processes
from autotrack.stores.mlflow.rest.records import Record, fresh, passed
from autotrack.stores.mlflow.rest.registering import REGISTERED
from autotrack.stores.mlflow.rest.sidecars import plain_name
from autotrack.stores.mlflow.rest.transport import Refused
from autotrack.stores.mlflow.translation import PARENT, translate

_MOST_PRELOADED: Final = 1000
_MOST_RECORDS: Final = 200


class Writer:
    """Applies entries. One thread at a time does; others wait."""

    def __init__(self, catalog: Catalog, models: Models) -> None:
        self._catalog = catalog
        self._client = catalog.client
        self._models = models
        self._processes = Processes(catalog)
        self._fields = Fields(catalog, models, self._processes)
        self._lock = threading.RLock()
        self._records: dict[str, Record] = {}
        self._journals: dict[str, bool] = {}
        """Journals whose runs on the server are known, and whether all of them are."""
        self._made: set[str] = set()

    def apply(self, entries: Sequence[Entry]) -> None:
        """See `Store.apply`."""
        runs: dict[str, list[Entry]] = {}
        processes: dict[str, list[Entry]] = {}
        for entry in entries:
            if isinstance(entry.event, ProcessDescribed):
                processes.setdefault(entry.event.process_id, []).append(entry)
            elif not isinstance(entry.event, ExperimentDescribed):  # the server's experiments are its own
                runs.setdefault(entry.event.run_id, []).append(entry)
        with self._lock:
            for journal_id in dict.fromkeys(entry.journal_id for entry in entries):
                self._preload(journal_id)
            told = [name for name, facts in processes.items() if self._processes.apply(name, facts, runs)]
            for run_id in _parents_first(runs):
                self._apply_run(run_id, runs[run_id])
            for process_id in told:
                for record in list(self._records.values()):
                    if record.state.process_id == process_id and record.run_id not in runs:
                        self._retell(record)
            while len(self._records) > _MOST_RECORDS:
                self._records.pop(next(iter(self._records)))

    def forget(self) -> None:
        """Drop what was kept of runs: somebody else may have written to them."""
        with self._lock:
            self._records.clear()

    # Runs

    def _apply_run(self, run_id: str, entries: list[Entry]) -> None:
        remembered = run_id in self._records
        record = self._record(run_id, entries) or self._new(run_id, entries)
        try:
            self._apply_to(record, entries)
        except Refused as error:
            if error.code != BAD_VALUE or not remembered:
                raise
            # Another process has deleted or restored the run, or made it one with another since it was read.
            record = self._record(run_id, entries) or self._new(run_id, entries)
            self._apply_to(record, entries)

    def _apply_to(self, record: Record, entries: list[Entry]) -> None:
        if ID_TAG not in record.tags:
            self._write_foreign(record, entries)
            return
        new = passed(entries, record.at)
        if new or not record.whole:
            self._guarded(record, new)
        elif any(isinstance(entry.event, LifecycleSet) for entry in entries):
            self._set_stage(record)

    def _retell(self, record: Record) -> None:
        """Have MLflow's tags of a run say what has become known of its process."""
        there = self._record(record.run_id, ())
        try:
            if there is not None:
                self._guarded(there, ())
        except Refused as error:
            if error.code != BAD_VALUE:
                raise  # else the run was deleted meanwhile

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
            self._catalog.experiments(fresh=True)  # another writer may have made some of its runs, in a new one
            found = list(
                itertools.islice(self._catalog.tagged(tags.JOURNAL_TAG, plain_name(journal_id)), _MOST_PRELOADED)
            )
            for native in found:
                self._made.add(tags_of(native).get(ID_TAG, ""))
            self._journals[journal_id] = len(found) < _MOST_PRELOADED

    def _is_new(self, run_id: str, entries: Sequence[Entry]) -> bool:
        """Whether a run surely was not made from these entries before."""
        starts = [entry for entry in entries if isinstance(entry.event, RunStarted)]
        known = all(self._journals.get(entry.journal_id, False) for entry in starts)
        return bool(starts) and known and id_value(run_id) not in self._made

    def _record(self, run_id: str, entries: Sequence[Entry]) -> Record | None:
        record = self._records.pop(run_id, None)
        if record is None and self._is_new(run_id, entries):
            return None
        if record is None or is_deleted(record.native):
            # What is in the trash may have been put there to make it one with its double.
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
        record = fresh(run_id, native, self._catalog)
        entries = record.sidecars.entries()
        for double in open_doubles:
            # Deleted first: from then on another writer's requests to it fail, and it looks for the run anew.
            self._put_away(double)
            missing = [entry for entry in self._catalog.sidecars(double).entries() if entry not in entries]
            if missing:
                record.sidecars.put(missing)
                entries = record.sidecars.known()
        record.fold(entries)
        applied = record.document.at if record.document is not None else {}
        record.whole = record.at == dict(applied) and not open_doubles and record.tags.get(DIRTY_TAG) != "1"
        if open_doubles:
            ids = [*merged, *(str(double["info"]["run_id"]) for double in open_doubles)]
            self._set_tag(native, tags.MERGED_TAG, " ".join(ids))
            for key in {key for double in open_doubles for key in tags_of(double) if key.startswith(REGISTERED)}:
                self._set_tag(native, key, "1")
                record.tags[key] = "1"
        self._catalog.remember(run_id, native)
        return record

    def _put_away(self, double: Json) -> None:
        if tags.DOUBLE_TAG not in tags_of(double):
            self._set_tag(double, tags.DOUBLE_TAG, "1")
        if not is_deleted(double):
            self._client.delete_run(str(double["info"]["run_id"]))

    def _set_tag(self, native: Json, key: str, value: str) -> None:
        """Set a tag of a run, be it in the trash or not."""
        native_id, was_deleted = str(native["info"]["run_id"]), is_deleted(native)
        if was_deleted:
            self._client.restore_run(native_id)
        self._client.set_tag(native_id, key, value)
        if was_deleted:
            self._client.delete_run(native_id)

    def _new(self, run_id: str, entries: list[Entry]) -> Record:
        """Make a run."""
        starts = [entry for entry in entries if isinstance(entry.event, RunStarted)]
        journal_id = starts[0].journal_id if starts else entries[0].journal_id
        state = folded(run_id, entries)
        experiment = self._catalog.experiment_for(state.run({}).experiment)
        run = state.run(self._processes.facts(state.process_id, experiment) if starts else {})
        own = id_value(run_id)
        given = {
            ID_TAG: own,
            tags.KIN_TAG: own + (f" {id_value(run.parent_run_id)}" if run.parent_run_id is not None else ""),
            tags.JOURNAL_TAG: plain_name(journal_id),
            INEXACT_TAG: "1",
        }
        target = translate(state, run.process)
        try:
            native = self._client.create_run(experiment, target.run_name, target.start_time, target.user, given)
        except Refused as error:
            if error.code not in (BAD_VALUE, NOT_THERE):
                raise
            self._catalog.experiments(fresh=True)  # somebody has deleted the experiment since it was last seen
            experiment = self._catalog.experiment_for(state.run({}).experiment)
            native = self._client.create_run(experiment, target.run_name, target.start_time, target.user, given)
        self._made.add(own)
        kin = list(self._catalog.tagged(tags.KIN_TAG, own, like=True))
        doubles = [item for item in kin if tags_of(item).get(ID_TAG) == own]
        doubles.sort(key=lambda item: str(item["info"]["run_id"]))
        if len(doubles) > 1:
            record = self._loaded(run_id, doubles)
        else:
            record = fresh(run_id, native, self._catalog)
            self._models.is_new(native)
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
        if record.at:  # what others have said of the run since is not to be overwritten
            new = [*new, *self._others(record)]
        record.fold(new)
        was_deleted = is_deleted(record.native)
        if was_deleted:
            self._client.restore_run(record.native_id)
            record.native["info"]["lifecycle_stage"] = ACTIVE
        told_stage = False
        while True:
            told_stage = told_stage or any(isinstance(entry.event, LifecycleSet) for entry in new)
            target = self._fields.write(record, new)
            others = self._others(record)
            if not others:
                break
            new = others
            record.fold(new)
        if target.lifecycle_stage == DELETED or (was_deleted and not told_stage):
            self._client.delete_run(record.native_id)
            record.native["info"]["lifecycle_stage"] = DELETED

    def _others(self, record: Record) -> list[Entry]:
        """The entries that other writers have put beside a run meanwhile; with them comes what they did to the run."""
        known = {(entry.journal_id, entry.number) for entry in record.sidecars.known()}
        others = [e for e in record.sidecars.entries() if (e.journal_id, e.number) not in known]
        native = self._client.run(record.native_id) if others else None
        if native is not None:
            record.native["info"] |= native["info"]
            record.params, record.tags = texts_of(native, "params"), tags_of(native)
            # The models are asked for: the document that named another writer's may be overwritten.
            record.document = replace(document, model_ids={}) if (document := self._catalog.document(native)) else None
            self._models.forget(record.native_id)
        return others

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
                case TagsDeleted(_, keys):
                    for key in keys:
                        self._client.delete_tag(record.native_id, key)
                        record.tags.pop(key, None)
                case other:
                    raise StoreError(
                        f"run {record.run_id} was made by MLflow's own client: it can be tagged, deleted and restored "
                        f"here, and takes no {other.type!r}"
                    )

    def _set_stage(self, record: Record) -> None:
        """Bring MLflow's trash in line with ours: an earlier writer was stopped right before it."""
        state = record.state
        if state.lifecycle is None:
            return
        deleted = state.lifecycle[1].stage == DELETED
        native = self._client.run(record.native_id)
        if native is not None and is_deleted(native) != deleted:
            (self._client.delete_run if deleted else self._client.restore_run)(record.native_id)
            record.native["info"]["lifecycle_stage"] = DELETED if deleted else ACTIVE


def _parents_first(runs: Mapping[str, list[Entry]]) -> list[str]:
    """The runs by their start, a run behind its parent."""
    parents: dict[str, str | None] = {}
    times: dict[str, int] = {}
    for run_id, entries in runs.items():
        starts = [entry.event for entry in entries if isinstance(entry.event, RunStarted)]
        parents[run_id] = starts[0].parent_run_id if starts else None
        times[run_id] = starts[-1].start_time if starts else 0
    ordered: dict[str, None] = {}
    for run_id in sorted(runs, key=times.__getitem__):
        line = [run_id]
        while (parent := parents.get(line[-1])) is not None and parent in runs and parent not in line:
            line.append(parent)
        ordered |= dict.fromkeys(reversed(line))
    return list(ordered)
