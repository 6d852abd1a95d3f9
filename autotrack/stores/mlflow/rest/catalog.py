"""What is on the server: experiments, runs by our ids, the documents in their tags, facts of processes. With caches."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from autotrack.entities import ACTIVE, DEFAULT_EXPERIMENT
from autotrack.errors import RunNotFound, StoreError
from autotrack.events import Entry, ProcessDescribed
from autotrack.stores.mlflow import limits
from autotrack.stores.mlflow.rest.client import Client, Json
from autotrack.stores.mlflow.rest.document import FOLDER, ID_TAG, PREFIX, PROCESS_TAG, STATE_TAG, Document, from_tags
from autotrack.stores.mlflow.rest.files import Files, open_files
from autotrack.stores.mlflow.rest.sidecars import Sidecars, plain_name
from autotrack.stores.mlflow.translation import EXPERIMENT_TAGS
from autotrack.stores.state import Latest, Place, RunState

KIN_TAG: Final = PREFIX + "kin"
"""The tag with a run's own id and its parent's: one search finds a run's doubles and its children."""
JOURNAL_TAG: Final = PREFIX + "journal"
MERGED_TAG: Final = PREFIX + "merged"
"""The tag with MLflow's ids of the doubles of a run whose entries it has taken over."""
DOUBLE_TAG: Final = PREFIX + "double"
"""The tag of a run that has a double which takes over its entries: readers pass over it."""

ALL: Final = "ALL"
DEFAULT_ID: Final = "0"
_PROCESSES: Final = "autotrack-processes"
_MOST_NATIVES: Final = 200
_MOST_DOCUMENTS: Final = 2_000


class Catalog:
    """Finds things on a server. Safe for threads."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._lock = threading.RLock()
        self._experiments: dict[str, Json] | None = None
        self._ids: dict[str, str] = {}
        self._natives: dict[str, Json] = {}
        self._documents: dict[str, Document] = {}
        self._texts: dict[str, bytes] = {}
        self._processes: dict[tuple[str, str], Sidecars] = {}

    # Experiments

    def experiments(self, *, fresh: bool = False) -> dict[str, Json]:
        """All experiments by MLflow's ids."""
        with self._lock:
            if self._experiments is None or fresh:
                self._experiments = {str(item["experiment_id"]): item for item in self.client.experiments()}
            return self._experiments

    def experiment_name(self, experiment_id: str) -> str:
        """MLflow's name of an experiment."""
        found = self._experiment(experiment_id)
        return str(found["name"]) if found is not None else DEFAULT_EXPERIMENT

    def _experiment(self, experiment_id: str) -> Json | None:
        return self.experiments().get(experiment_id) or self.experiments(fresh=True).get(experiment_id)

    def experiment_for(self, name: str) -> str:
        """MLflow's id of the experiment for one of ours, made or taken out of the trash where need be."""
        theirs = limits.name_for(name, limits.MAX_EXPERIMENT_NAME)
        found = self._named(theirs)
        if found is None:
            self.client.create_experiment(theirs, EXPERIMENT_TAGS)
            found = self.client.experiment_named(theirs)
            if found is None:
                raise StoreError(f"the server made the experiment {theirs!r}, and does not show it")
            self.experiments(fresh=True)
        if found.get("lifecycle_stage", ACTIVE) != ACTIVE:
            self.client.restore_experiment(str(found["experiment_id"]))
            self.experiments(fresh=True)
        return str(found["experiment_id"])

    def experiment_called(self, name: str) -> str | None:
        """MLflow's id of the experiment for one of ours; ``None`` where there is none."""
        theirs = limits.name_for(name, limits.MAX_EXPERIMENT_NAME)
        found = self._named(theirs) or self.client.experiment_named(theirs)
        return None if found is None else str(found["experiment_id"])

    def _named(self, name: str) -> Json | None:
        return next((item for item in self.experiments().values() if item["name"] == name), None)

    # Runs

    def tagged(self, tag: str, value: str, *, like: bool = False, page: int = 1000) -> Iterator[Json]:
        """The runs, deleted ones too, that carry a tag."""
        comparison = f"LIKE '%{value}%'" if like else f"= '{value}'"
        ids = list(self.experiments())
        return self.client.search(ids, f"tags.`{tag}` {comparison}", view=ALL, page=page)

    def natives(self, run_id: str) -> list[Json]:
        """MLflow's runs for one of ours: none, one, or several when two writers made it at once.

        The first one is the one that stays. A run that MLflow's clients made goes by MLflow's id.
        """
        with self._lock:
            known = self._ids.get(run_id)
        if known is not None:
            native = self.client.run(known)
            if native is not None and DOUBLE_TAG not in tags_of(native):
                return [native]
            self.forget(run_id)  # it is gone, or another writer has made the run as well, and joined the two
        value = id_value(run_id)
        self.experiments(fresh=True)
        found = sorted(self.tagged(ID_TAG, value, page=20), key=lambda native: str(native["info"]["run_id"]))
        if not found and limits.run_id_is_valid(run_id):
            native = self.client.run(run_id)
            if native is not None and ID_TAG not in tags_of(native):
                found = [native]
        if len(found) == 1:
            self.remember(run_id, found[0])
        return found

    def native(self, run_id: str) -> Json:
        """MLflow's run for one of ours.

        Raises
        ------
        RunNotFound
            When there is none that a reader sees.
        """
        found = self.natives(run_id)
        if not found:
            raise RunNotFound(f"no run {run_id!r} in {self.client.transport.address.url}")
        # Of doubles that are not joined yet, the first one may have nothing in it.
        return min(found, key=lambda native: (DOUBLE_TAG in tags_of(native), STATE_TAG not in tags_of(native)))

    def known(self, run_id: str) -> Json:
        """MLflow's run for one of ours, as it was some time ago: where its artifacts are does not change.

        Raises
        ------
        RunNotFound
            When there is none.
        """
        with self._lock:
            known = self._natives.get(run_id)
        return self.native(run_id) if known is None else known

    def remember(self, run_id: str, native: Json) -> None:
        """Keep MLflow's id of a run."""
        with self._lock:
            self._ids[run_id] = str(native["info"]["run_id"])
            self._natives[run_id] = native
            while len(self._natives) > _MOST_NATIVES:
                self._natives.pop(next(iter(self._natives)))

    def native_id(self, run_id: str) -> str | None:
        """MLflow's id of a run, if there is one."""
        with self._lock:
            known = self._ids.get(run_id)
        if known is not None:
            return known
        found = self.natives(run_id)
        return str(found[0]["info"]["run_id"]) if found else None

    def forget(self, run_id: str) -> None:
        """Look for a run anew the next time."""
        with self._lock:
            self._ids.pop(run_id, None)
            self._natives.pop(run_id, None)

    def document(self, native: Json) -> Document | None:
        """The document in a run's tags; ``None`` for a run of MLflow's own clients, or one that is just being made.

        Raises
        ------
        StoreError
            When it cannot be understood.
        """
        tags = tags_of(native)
        key = "".join(value for tag, value in tags.items() if tag.startswith(PREFIX + "state"))
        with self._lock:
            if key in self._documents:
                return self._documents[key]

        def fetch(path: str) -> bytes:
            where = f"{native['info']['run_id']}/{path}"
            if where not in self._texts:
                self._texts[where] = self.files(native).read(path)
            return self._texts[where]

        try:
            document = from_tags(tags, fetch)
        except (StoreError, FileNotFoundError) as error:
            run_id = native["info"]["run_id"]
            raise StoreError(f"run {run_id} of {self.client.transport.address.url}: what it carries {error}") from error
        if document is not None:
            with self._lock:
                if len(self._documents) >= _MOST_DOCUMENTS:
                    self._documents.clear()
                self._documents[key] = document
        return document

    def files(self, native: Json) -> Files:
        """The artifacts of a run."""
        return open_files(self.client, str(native["info"].get("artifact_uri", "")))

    def sidecars(self, native: Json) -> Sidecars:
        """The sidecars of a run."""
        return Sidecars(self.files(native), FOLDER)

    # Processes

    def process(self, home: str, process_id: str) -> Sidecars:
        """The sidecars with the facts of a process, which lie beside the runs of the experiment ``home``."""
        with self._lock:
            found = self._processes.get((home, process_id))
            if found is None:
                experiment = self._experiment(home)
                if experiment is None:
                    raise StoreError(f"{self.client.transport.address.url} has no experiment {home} any more")
                files = open_files(self.client, str(experiment.get("artifact_location", "")))
                found = Sidecars(files, f"{_PROCESSES}/{plain_name(process_id)}")
                self._processes[home, process_id] = found
            return found

    def home(self, process_id: str) -> str | None:
        """The experiment where the facts of a process lie; ``None`` where nothing is known of it."""
        default = self.default_home()
        if not process_id:
            return default
        with self._lock:
            for home, known in self._processes:
                if known == process_id:
                    return home
        value = id_value(process_id)
        self.experiments(fresh=True)  # its runs may be in one that another writer has just made
        for native in self.tagged(PROCESS_TAG, value, like=True, page=20):
            if value in tags_of(native)[PROCESS_TAG].split():
                document = self.document(native)
                if document is not None and document.homes.get(process_id):
                    return document.homes[process_id]
        if default is None:
            return None
        if self.process(default, process_id).entries():
            return default
        with self._lock:
            del self._processes[default, process_id]
        return None

    def default_home(self) -> str | None:
        """The experiment for the facts of processes without an id, and of those that no run names, if it is there."""
        return DEFAULT_ID if DEFAULT_ID in self.experiments() else self.experiment_called(DEFAULT_EXPERIMENT)

    def facts(self, home: str, process_id: str) -> dict[str, Any]:
        """The facts of a process; those of one without an id do not depend on where the run's others lie."""
        if not process_id:
            home = self.default_home() or ""
        if not home or self._experiment(home) is None:
            return {}
        return facts_of(self.process(home, process_id).entries())


def facts_of(entries: list[Entry]) -> dict[str, Any]:
    """What entries tell of one process."""
    latest = Latest()
    for entry in entries:
        if isinstance(entry.event, ProcessDescribed):
            latest.put_all(Place(entry.journal_id, entry.number), entry.event.facts)
    return latest.sorted_by_key()


def folded(run_id: str, entries: list[Entry]) -> RunState:
    """The state of a run from all of its entries, ordered by place."""
    state = RunState(run_id)
    for entry in entries:
        state.fold(Place(entry.journal_id, entry.number), entry.event)
    return state


def id_value(text: str) -> str:
    """A run's or process's id as the value of a tag that a filter can name: itself, or its hash."""
    return plain_name(text)


def tags_of(native: Mapping[str, Any]) -> dict[str, str]:
    """MLflow's tags of a run."""
    return texts_of(native, "tags")


def texts_of(native: Mapping[str, Any], kind: str) -> dict[str, str]:
    """MLflow's params or tags of a run."""
    return {str(item["key"]): str(item.get("value", "")) for item in native.get("data", {}).get(kind, ())}
