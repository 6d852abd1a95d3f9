"""A run on the server while it is written to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autotrack.events import Entry, RunStarted
from autotrack.stores.mlflow.rest.catalog import Catalog, tags_of, texts_of
from autotrack.stores.mlflow.rest.client import Json
from autotrack.stores.mlflow.rest.document import Document
from autotrack.stores.mlflow.rest.sidecars import Sidecars
from autotrack.stores.state import Place, RunState


@dataclass
class Record:
    """A run on the server that is being written to."""

    run_id: str
    native: Json
    sidecars: Sidecars
    document: Document | None
    params: dict[str, str]
    tags: dict[str, str]
    state: RunState
    at: dict[str, int] = field(default_factory=dict)
    processes: dict[str, None] = field(default_factory=dict)
    """The processes that any of its starts names."""
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

    def fold(self, entries: Iterable[Entry]) -> None:
        """Take entries into the state."""
        for entry in entries:
            if isinstance(entry.event, RunStarted):
                self.processes[entry.event.process_id] = None
            self.state.fold(Place(entry.journal_id, entry.number), entry.event)
            self.at[entry.journal_id] = max(entry.number, self.at.get(entry.journal_id, 0))


def fresh(run_id: str, native: Json, catalog: Catalog) -> Record:
    """A run as MLflow has it, with nothing of its sidecars read yet."""
    return Record(
        run_id=run_id,
        native=native,
        sidecars=catalog.sidecars(native),
        document=catalog.document(native),
        params=texts_of(native, "params"),
        tags=tags_of(native),
        state=RunState(run_id),
    )


def passed(entries: Iterable[Entry], at: Mapping[str, int]) -> list[Entry]:
    """The entries that were not applied yet, each once."""
    last = dict(at)
    new = []
    for entry in entries:
        if entry.number > last.get(entry.journal_id, 0):
            last[entry.journal_id] = entry.number
            new.append(entry)
    return new
